"""Curves of as many points as pixels, from archived bins and live samples. No Qt, no Tango."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gui.viewmodels.traces import Floats, Samples

EMPTY: Samples = (np.empty(0), np.empty(0))


@dataclass(frozen=True)
class Past:
    """What the archive has of one attribute between start and end (s since 1970).

    width: of the bins, s; 0: the rows are the samples themselves. held: time and value of the sample before.
    """

    start: float
    end: float
    width: float
    times: Floats
    count: Floats
    low: Floats
    mean: Floats
    high: Floats
    last: Floats
    held: tuple[float, float] | None = None

    def fits(self, start: float, end: float, points: float) -> bool:
        """Whether a picture of this range and size needs no other answer."""
        return self.start <= start and end <= self.end and self.width <= 2.0 * (end - start) / points


@dataclass(frozen=True)
class Picture:
    """A curve and, where it stands for bins, the band from their lowest to their highest values."""

    line: Samples
    band: Samples = EMPTY

    def bounds(self, *, log: bool = False) -> tuple[float, float] | None:
        """Lowest and highest finite value that is shown, `log`: above zero; None for none."""
        shown = np.concatenate((self.line[1], self.band[1]))
        shown = shown[np.isfinite(shown) & ((shown > 0.0) | (not log))]
        return (float(shown.min()), float(shown.max())) if len(shown) else None


def past(told: Mapping[str, Any]) -> Past:
    """An answer of the archiver's `Query`. Raises KeyError, ValueError or TypeError for something else."""
    held = told["before"]
    return Past(
        float(told["start"]),
        float(told["end"]),
        float(told["width"]),
        np.array(told["time"], float),
        np.array(told["count"], float),
        _floats(told["minimum"]),
        _floats(told["mean"]),
        _floats(told["maximum"]),
        _floats(told["last"]),
        None if held is None else (float(held[0]), float(_floats([held[1]])[0])),
    )


def picture(
    archive: Past | None, live: Samples, since: float, span: tuple[float, float], columns: int
) -> Picture:
    """The curve of one attribute from span[0] to span[1] in `columns` pixels.

    archive: what the archive knows; live: samples since `since`, the first may be older and held then.
    A value holds until the next sample; unknown values are gaps.
    """
    start, end = span
    if archive is None:
        return Picture(curve(live, start, end, columns))
    old = archive.times < since
    if archive.width == 0.0:
        return Picture(curve(_joined(archive, old, live, since), start, end, columns))
    known = archive.count > 0
    centre = archive.times + archive.width / 2.0
    shown = old & (archive.times + archive.width >= start) & (archive.times <= end)
    mean = np.where(known, archive.mean, np.nan)[shown]
    low, high = np.where(known, archive.low, np.nan)[shown], np.where(known, archive.high, np.nan)[shown]
    times = np.clip(centre[shown], None, since)
    tail = curve(_from(live, since), max(start, since), end, columns) if end > since else EMPTY
    line = np.concatenate((times, tail[0])), np.concatenate((mean, tail[1]))
    return Picture(line, (np.repeat(times, 2), np.column_stack((low, high)).ravel()))


def curve(samples: Samples, start: float, end: float, columns: int) -> Samples:
    """Steps from `start` to `end` through samples, or their lowest and highest values a column."""
    times, values = samples
    if not len(times) or end <= start:
        return EMPTY
    first = max(int(np.searchsorted(times, start, "right")) - 1, 0)
    stop = int(np.searchsorted(times, end, "right"))
    times, values = times[first:stop], values[first:stop]
    if not len(times):
        return EMPTY
    times = np.maximum(times, start)
    if len(times) > 2 * columns:
        times, values = _columns(times, values, start, end, columns)
    x = np.append(np.repeat(times, 2)[1:], end)
    return x, np.repeat(values, 2)


def at(archive: Past | None, live: Samples, since: float, moment: float) -> tuple[float, float]:
    """Lowest and highest value that an attribute had at a moment (the same, but in a bin); NaN: unknown."""
    if live[0].size and moment >= max(since, float(live[0][0])):
        value = float(live[1][int(np.searchsorted(live[0], moment, "right")) - 1])
        return value, value
    if archive is None or not archive.start <= moment <= archive.end:
        return math.nan, math.nan
    row = int(np.searchsorted(archive.times, moment, "right")) - 1
    if row < 0:
        held = math.nan if archive.held is None else archive.held[1]
        return held, held
    if archive.width and moment < archive.times[row] + archive.width:
        return float(archive.low[row]), float(archive.high[row])
    return float(archive.last[row]), float(archive.last[row])


def _columns(times: Floats, values: Floats, start: float, end: float, columns: int) -> Samples:
    """The lowest and the highest sample of each column, and where a gap begins or ends, in their order."""
    column = np.minimum(((times - start) * (columns / (end - start))).astype(np.int64), columns - 1)
    begin = np.flatnonzero(np.r_[True, column[1:] != column[:-1]])
    size = np.diff(np.r_[begin, len(times)])
    kept = np.zeros(len(times), bool)
    for extreme in (np.fmin, np.fmax):
        there = np.flatnonzero(values == np.repeat(extreme.reduceat(values, begin), size))
        first = np.ones(len(there), bool)
        first[1:] = column[there[1:]] != column[there[:-1]]
        kept[there[first]] = True
    unknown = np.isnan(values)
    if unknown.any():
        turn = unknown != np.r_[False, unknown[:-1]]
        kept |= turn | np.r_[turn[1:], False]
    kept[-1] = True
    return times[kept], values[kept]


def _joined(archive: Past, old: NDArray[np.bool_], live: Samples, since: float) -> Samples:
    """Archived samples, then the live ones behind them."""
    times, values = archive.times[old], archive.last[old]
    if archive.held is not None:
        times, values = np.r_[archive.held[0], times], np.r_[archive.held[1], values]
    if not len(times):
        return _from(live, since)
    later = live[0] > times[-1]
    return np.concatenate((times, live[0][later])), np.concatenate((values, live[1][later]))


def _from(live: Samples, since: float) -> Samples:
    """Live samples from `since` on; what held then stands before them."""
    times, values = live
    first = int(np.searchsorted(times, since))
    if not first:
        return times, values
    return np.r_[since, times[first:]], np.r_[values[first - 1], values[first:]]


def _floats(values: Any) -> Floats:
    return np.array([math.nan if value is None else float(value) for value in values], float)
