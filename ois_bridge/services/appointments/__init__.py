"""The appointment sheet: booking, calendar, optimiser, re-planning."""
