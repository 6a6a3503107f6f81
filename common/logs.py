"""Logging set-up of every process: one line an event, to stderr, never with patient data.

Names, identifiers and birth dates never go into a message; plans and patients are named by the
first characters of a digest (`opaque`).
"""

import hashlib
import logging
import sys

QUIET = ("pydicom", "pynetdicom", "matplotlib", "fontTools", "weasyprint", "numba", "httpx", "httpcore")
"""Libraries whose messages below WARNING are noise, or name patients."""


def opaque(identifier: str) -> str:
    """A short stand-in for an identifier that must not be logged; the same one gives the same."""
    return "#" + hashlib.sha256(identifier.encode()).hexdigest()[:10]


def set_up(process: str, level: str = "INFO") -> logging.Logger:
    """Configure the root logger of a process and return the process's logger."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        logging.Formatter("%(asctime)s.%(msecs)03d %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in QUIET:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return logging.getLogger(process)
