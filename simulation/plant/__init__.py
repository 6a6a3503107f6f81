"""Magnets, vacuum, water, source, couch and gantry in wall time."""
