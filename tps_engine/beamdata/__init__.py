"""Beam models: energies, depth doses, spot sizes, monitor calibration."""
