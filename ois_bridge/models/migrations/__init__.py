"""Revisions of the database, applied at start."""
