"""What the OIS speaks of, as pure data and rules."""
