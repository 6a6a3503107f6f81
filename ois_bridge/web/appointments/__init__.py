"""Pages of the appointment sheet."""
