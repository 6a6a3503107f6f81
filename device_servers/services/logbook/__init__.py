"""The logbook: entries that are only added to, their index, and who writes by itself."""
