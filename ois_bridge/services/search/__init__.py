"""Finding patients and forms."""
