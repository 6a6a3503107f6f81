"""Devices of the treatment rooms."""
