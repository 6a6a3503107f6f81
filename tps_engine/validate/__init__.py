"""Validation of the planning library: cases with references and tolerances, their verdicts, their report."""
