"""A CT scanner with a synthetic patient."""
