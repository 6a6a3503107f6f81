"""The front door: command line, supervisor, wiring. Imports every room; no room imports it."""

__version__ = "0.1.0"
