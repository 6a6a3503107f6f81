"""Objectives and optimisers of spot metersets."""
