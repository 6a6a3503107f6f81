"""The counters of a map: one row a spot, as they lie in retained memory."""

import numpy as np
from numpy.typing import NDArray

ROW = np.dtype(
    [
        ("primary", "<i8"),
        ("secondary", "<i8"),
        ("x", "<f8"),
        ("y", "<f8"),
        ("size_x", "<f8"),
        ("size_y", "<f8"),
        ("start_tick", "<i8"),
        ("end_tick", "<i8"),
    ]
)
"""Counts since `load_map`; measured means, mm; ticks of first beam on and last beam off (0: none)."""

Rows = NDArray[np.void]


def blank(count: int) -> Rows:
    """Rows of a map that has not been delivered."""
    return np.zeros(count, dtype=ROW)


def columns(rows: Rows) -> dict[str, NDArray[np.int64] | NDArray[np.float64]]:
    """The rows as contiguous arrays by name."""
    return {name: np.ascontiguousarray(rows[name]) for name in ROW.names or ()}
