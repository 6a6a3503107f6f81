"""`ptcs demo`: one patient through all four systems, each step by its own system's interface."""
