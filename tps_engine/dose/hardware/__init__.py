"""Beam hardware: ripple filter, aperture, range compensator, uniform scanning."""
