"""Timing, interlock, beam allocation, treatment session."""
