"""Devices of source, ring and beam transport."""
