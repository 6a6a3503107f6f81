"""Images, plans and treatment records for the patients of a demonstration department."""
