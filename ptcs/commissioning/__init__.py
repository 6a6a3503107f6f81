"""Commissioning: scans, corrections and calibrations of a running facility, archived and reported."""
