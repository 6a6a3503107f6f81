"""Fits of what was measured: pure functions of arrays, with uncertainties."""
