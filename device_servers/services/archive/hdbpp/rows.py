"""Rows of COPY in PostgreSQL's binary format, whole tables at once as numpy arrays.

Format: https://www.postgresql.org/docs/current/sql-copy.html (a header of 19 bytes; each row a count of
fields, then each field its length in bytes and its value, big endian; a trailer of -1). Where no field is
NULL and each has a fixed length, a table is one structured array.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
EPOCH_S = 946_684_800
"""2000-01-01T00:00:00Z: PostgreSQL counts microseconds from there."""
EARLIEST_S, LATEST_S = -2.0e9, 9.0e9
"""Times that keep their microseconds as f8 seconds, years 1906 to 2255."""


def microseconds(times: NDArray[np.float64]) -> NDArray[np.int64]:
    """Seconds since 1970 as PostgreSQL's microseconds since 2000, rounded."""
    return np.rint(times * 1e6).astype(np.int64) - EPOCH_S * 1_000_000


def seconds(stamps: NDArray[Any]) -> NDArray[np.float64]:
    """PostgreSQL's microseconds as seconds since 1970: the nearest f8."""
    whole = (stamps.astype(np.int64) + EPOCH_S * 1_000_000).astype(np.float64)
    return np.asarray(whole / 1e6)


def rounded(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Times as they are read back: the nearest microsecond."""
    return np.asarray(np.rint(times * 1e6) / 1e6)


def bounds(start: float, end: float) -> tuple[int, int]:
    """First and last microsecond that a sample with start <= time <= end may have, times as read back."""
    low, high = (int(stamp) for stamp in microseconds(np.clip([start, end], EARLIEST_S, LATEST_S)))
    near = seconds(np.array([low, high]))
    return low + int(near[0] < start), high - int(near[1] > end)


def row_type(*fields: tuple[str, str]) -> np.dtype[Any]:
    """The dtype of a row of non-NULL fields; each (name, numpy type), lengths `NAME_n` between them."""
    columns: list[tuple[str, str]] = [("fields", ">i2")]
    for name, kind in fields:
        columns += [(f"{name}_n", ">i4"), (name, kind)]
    return np.dtype(columns)


def filled(dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    """Rows with the lengths set; the values are for the caller to set."""
    rows = np.zeros(count, dtype)
    names = [name for name in dtype.names or () if name != "fields" and not name.endswith("_n")]
    rows["fields"] = len(names)
    for name in names:
        rows[f"{name}_n"] = dtype[name].itemsize
    return rows


def parsed(raw: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The rows of a binary COPY out. Raises OSError if it is not of that shape."""
    body = len(raw) - len(HEADER) - len(TRAILER)
    if not raw.startswith(HEADER[:11]) or not raw.endswith(TRAILER) or body % dtype.itemsize:
        raise OSError(f"PostgreSQL answered {len(raw)} B that are no rows of {dtype.itemsize} B")
    return np.frombuffer(raw, dtype, body // dtype.itemsize, len(HEADER))
