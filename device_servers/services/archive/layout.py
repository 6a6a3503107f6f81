"""The layout of the archive's HDF5 files. Times are seconds since the epoch (UTC).

An archive is a folder:

    open-STEM.h5       the segment being written
    segment-STEM.h5    closed segments: immutable, at most ten minutes each
    manifest.json      the closed segments with what they hold, in order of time

Both kinds of segment have the root attributes `layout`, `opened`, and the datasets

    /channels   one row a channel: name ("device/attribute"), and the last sample before this segment
                (before_time, before_value; before_time 0: none). Closed: also where its rows stand
                in /values (first, count)
    /values     (time, channel, value). Closed: sorted by channel, then time; compressed
    /spots      one row a spot, the columns of SPOT_COLUMNS
    /texts      (time, name, text, known): words and states, each time they change; known is False
                from the moment on which the text is unknown. A segment begins with the last text of
                every name, under its own time

In an open segment the datasets have room for a whole segment, and are contiguous: the file is made
once, whole, and rows are then written in place. Its dataset /committed holds the rows that are valid
in /values, /spots, /channels and /texts. Nothing that HDF5 needs to open the file changes afterwards, so
that it can be opened at any moment, also after the writer was killed.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

LAYOUT = "ptcs-archive-1"
EXPORT_LAYOUT = "ptcs-archive-export-1"
OPEN_PREFIX, CLOSED_PREFIX, DAMAGED_PREFIX = "open-", "segment-", "damaged-"
MANIFEST = "manifest.json"

NAME_BYTES = 160
VALUE = np.dtype([("time", "<f8"), ("channel", "<i4"), ("value", "<f8")])
CHANNEL = np.dtype([("name", f"S{NAME_BYTES}"), ("before_time", "<f8"), ("before_value", "<f8")])
TEXT_BYTES = 512
TEXT = np.dtype([("time", "<f8"), ("name", f"S{NAME_BYTES}"), ("text", f"S{TEXT_BYTES}"), ("known", "|b1")])
CLOSED_CHANNEL = np.dtype([*CHANNEL.descr, ("first", "<i8"), ("count", "<i8")])

SPOT_COLUMNS = (
    "time",
    "index",
    "x",
    "y",
    "size_x",
    "size_y",
    "primary",
    "secondary",
    "start_tick",
    "end_tick",
)
"""Time s, index of the spot in the beam's map, mm, mm, mm, mm, counts, counts, ticks, ticks."""

Rows = NDArray[np.void]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Limits:
    """When a segment is full: whichever comes first."""

    seconds: float = 600.0
    values: int = 4_000_000
    spots: int = 250_000
    channels: int = 16_384
    texts: int = 20_000


@dataclass
class Content:
    """The content of one segment in memory: rows of the dtypes above, `spots` of shape (n, 10)."""

    opened: float
    channels: Rows
    values: Rows = field(default_factory=lambda: np.empty(0, VALUE))
    spots: Floats = field(default_factory=lambda: np.empty((0, len(SPOT_COLUMNS))))
    texts: Rows = field(default_factory=lambda: np.empty(0, TEXT))

    @property
    def names(self) -> list[str]:
        """Channel names in order of their numbers."""
        return [name.decode() for name in self.channels["name"]]

    @property
    def empty(self) -> bool:
        """Whether nothing has come in since it was opened."""
        return not (len(self.values) or len(self.spots) or (self.texts["time"] >= self.opened).any())

    def span(self) -> tuple[float, float]:
        """First and last time of anything new in it; both are `opened` when it is empty."""
        texts = self.texts["time"]
        times = np.concatenate([self.values["time"], self.spots[:, 0], texts[texts >= self.opened]])
        return (float(times.min()), float(times.max())) if len(times) else (self.opened, self.opened)
