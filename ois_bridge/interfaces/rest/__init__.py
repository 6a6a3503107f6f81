"""The OIS over HTTP for the other systems: JSON under /api/v1."""
