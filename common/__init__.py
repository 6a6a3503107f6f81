"""What two rooms or more share. Imports no room."""
