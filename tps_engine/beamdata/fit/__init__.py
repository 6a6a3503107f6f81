"""Beam models from commissioning measurements: files, fits, residuals, approval, comparison."""
