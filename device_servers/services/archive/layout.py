"""The layout of the archive's HDF5 files. Times are seconds since the epoch (UTC).

An archive is a folder:

    open-STEM.h5          the segment being written; STEM is when it was opened
    segment-STEM.h5       closed segments: immutable, at most ten minutes each
    hour-YYYYMMDDTHH.h5   the closed segments of an hour (UTC) merged, with their bins of 16 s
    day-YYYYMMDD.h5       those of a day; a later version has a number behind the date
    month-YYYYMM.h5       bins of 256 s of the days of a month
    year-YYYY.h5          bins of 4096 s of the days of a year
    manifest.json         the files that count, with what they hold; what it does not list is no part of it

Segments, hours and days have the root attributes `layout`, `opened`, and the datasets

    /channels   one row a channel: name ("device/attribute"), and the last sample before this file
                (before_time, before_value; before_time 0: none). Unless open: in order of name, and besides
                where its rows stand in /values (first, count) and its last sample (last_time, last_value)
    /values     (time, channel, value). Unless open: sorted by channel, then time; compressed
    /spots      one row a spot, the columns of SPOT_COLUMNS
    /texts      (time, name, text, known): words and states, each time they change; known is False
                from the moment on which the text is unknown. A file begins with the last text of
                every name, under its own time

Hours, days, months and years have (months and years beside /channels, of which the name alone counts)

    /bins       rows of BIN, sorted by channel, then time; its attribute `width` in s
    /bin_bounds channel i has the rows bin_bounds[i] to bin_bounds[i + 1] (exclusive)
    /sources    the segments (STEM) in an hour or a day; the days (file names) in a month or a year

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
HOUR_PREFIX, DAY_PREFIX, MONTH_PREFIX, YEAR_PREFIX = "hour-", "day-", "month-", "year-"
RAW_PREFIXES = (CLOSED_PREFIX, HOUR_PREFIX, DAY_PREFIX)
"""Files of samples, the small ones first."""
ROLLUP_WIDTHS = {MONTH_PREFIX: 256.0, YEAR_PREFIX: 4096.0}
"""Files of bins alone, and the width of their bins, s; multiples of FINE_WIDTH."""
FINE_WIDTH = 16.0
"""Width of the bins in hours and days, s."""
MANIFEST = "manifest.json"

NAME_BYTES = 160
VALUE = np.dtype([("time", "<f8"), ("channel", "<i4"), ("value", "<f8")])
CHANNEL = np.dtype([("name", f"S{NAME_BYTES}"), ("before_time", "<f8"), ("before_value", "<f8")])
TEXT_BYTES = 512
STEM_BYTES = 40
TEXT = np.dtype([("time", "<f8"), ("name", f"S{NAME_BYTES}"), ("text", f"S{TEXT_BYTES}"), ("known", "|b1")])
CLOSED_CHANNEL = np.dtype(
    [*CHANNEL.descr, ("first", "<i8"), ("count", "<i8"), ("last_time", "<f8"), ("last_value", "<f8")]
)
BIN = np.dtype(
    [("time", "<f8"), ("count", "<i8"), ("unknown", "<i8")]
    + [(name, "<f8") for name in ("minimum", "maximum", "total", "first_time", "first", "last_time", "last")]
)
"""`time`: where the bin begins. `count` known samples, `unknown` those that are NaN. `minimum`, `maximum`
and `total` (sum) of the known. First and last sample with their times."""

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
