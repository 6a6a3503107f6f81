"""What every store of the archive can do, whatever it is built on, and what it answers.

Times are seconds since 1970-01-01T00:00:00Z. A value is NaN from the moment on which it is unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from device_servers.services.archive.layout import SPOT_COLUMNS, TEXT, Floats, Rows

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Series:
    """Samples of one attribute in order of time: s since the epoch, and values (NaN: unknown).

    before: the last sample ahead of the range, (time, value), or None.
    """

    times: Floats
    values: Floats
    before: tuple[float, float] | None = None


@dataclass(frozen=True)
class Overview:
    """One attribute in as many points as a screen has; all arrays of one length, in order of time.

    width 0: each row is one sample of the range, as it was archived.
    width > 0: each row sums up the samples with times[i] <= time < times[i] + width. `times` are multiples
    of `width`; the first and last bin are whole, so that they may reach past the range. Bins without a
    sample have no row: the attribute then holds its last value.
    count: samples with a known value. unknown: samples that say that the value is unknown (NaN).
    minimum, maximum, mean: of the known values, NaN without one; infinities count as values, and a mean of
    infinities of both signs is NaN. last: the last sample, NaN if the value was unknown by then.
    before: as of a Series; for bins the last sample ahead of the first one, if that is known cheaply.
    """

    width: float
    times: Floats
    count: Counts
    unknown: Counts
    minimum: Floats
    maximum: Floats
    mean: Floats
    last: Floats
    before: tuple[float, float] | None = None

    @property
    def raw(self) -> bool:
        """Whether the rows are the samples themselves."""
        return self.width == 0.0


@dataclass(frozen=True)
class Word:
    """A text of "device/attribute" from `time` on; known is False from when on it is unknown."""

    time: float
    name: str
    text: str
    known: bool


@dataclass
class Extract:
    """Everything of a range: series by attribute ("device/attribute"), spots of shape (n, 10), texts.

    texts: rows of dtype TEXT in order of time, begun by those that held when the range began.
    """

    series: dict[str, Series] = field(default_factory=dict)
    spots: Floats = field(default_factory=lambda: np.empty((0, len(SPOT_COLUMNS))))
    texts: Rows = field(default_factory=lambda: np.empty(0, TEXT))


class ArchiveWriter(Protocol):
    """Takes what happens. One thread calls it."""

    def channels(self, names: Sequence[str]) -> NDArray[np.int32]:
        """Numbers of channels ("device/attribute"); new names get new numbers. Raises BadInput."""

    def write(self, times: Floats, channels: NDArray[np.int32], values: Floats) -> int:
        """Append samples; the number written.

        A sample without a time, or equal in time and value to the last one of its channel, is left out.
        Raises BadInput and OSError; nothing is written then.
        """

    def write_spots(self, spots: Floats) -> int:
        """Append spots, rows of SPOT_COLUMNS; the number written. One seen before is left out."""

    def write_texts(self, texts: Rows) -> int:
        """Append texts (dtype TEXT); the number written. One like the last of its name is left out."""

    def commit(self, now: float) -> None:
        """Make everything written durable. Raises OSError; it may then be tried again."""

    def close(self) -> None:
        """Commit and let go."""


class ArchiveReader(Protocol):
    """Answers from what was written, while it is written. Any thread."""

    def names(self, pattern: str = "*") -> list[str]:
        """Names of archived attributes that match, in order; `*` and `?` as in file names, no case."""

    def read(self, attribute: str, start: float, end: float) -> Series:
        """Samples with start <= time <= end; none of an attribute that is not archived.

        Raises BadInput for a range that is not finite or ends before it starts.
        """

    def query(self, attribute: str, start: float, end: float, points: int) -> Overview:
        """The range in at most `points` rows; the samples themselves where they are no more than that.

        Raises BadInput as `read` does, and for points < 2.
        """

    def texts(self, name: str, start: float, end: float) -> list[Word]:
        """Texts of one name in the range in order of time, begun by the one that held at its start."""

    def extract(self, start: float, end: float) -> Extract:
        """Everything between two times, with the sample before them where an attribute has one.

        Raises BadInput for a range that is not finite or ends before it starts.
        """
