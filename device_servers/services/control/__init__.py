"""Who has control of which area: the table, its keeping, break-glass, and the seals of the logs."""
