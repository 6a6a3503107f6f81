"""Archiver and other services."""
