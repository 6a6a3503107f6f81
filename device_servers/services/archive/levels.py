"""Decimation: samples summed up in bins of fixed width, and bins in wider ones. Pure arithmetic.

Bin k of width w holds the samples with k * w <= time < (k + 1) * w, counted from the epoch. Bins of the
same samples in several parts add up to the bins of all of them, so that it does not matter how the samples
are spread over files. Rows of several channels are handled at once when `channels` tells them apart.
"""

import numpy as np
from numpy.typing import NDArray

from device_servers.services.archive.layout import BIN, Floats, Rows

Numbers = NDArray[np.integer]
Binned = tuple[Rows, Numbers]
"""Bins (dtype BIN) in order of channel and time, and the channel of each."""


def decimate(times: Floats, values: Floats, channels: Numbers, width: float) -> Binned:
    """Bins of samples in order of channel and time; NaN values are the unknown ones."""
    if not len(times):
        return np.empty(0, BIN), channels
    numbers = np.floor(times / width)
    starts = _starts(numbers, channels)
    ends = np.append(starts[1:], len(times)) - 1
    known = ~np.isnan(values)
    bins = np.empty(len(starts), BIN)
    bins["time"] = numbers[starts] * width
    bins["count"] = np.add.reduceat(known, starts, dtype=np.int64)
    bins["unknown"] = ends + 1 - starts - bins["count"]
    # fmin and fmax leave NaN out unless there is nothing else
    bins["minimum"] = np.fmin.reduceat(values, starts)
    bins["maximum"] = np.fmax.reduceat(values, starts)
    with np.errstate(over="ignore", invalid="ignore"):
        bins["total"] = np.add.reduceat(np.where(known, values, 0.0), starts)
    bins["first_time"], bins["first"] = times[starts], values[starts]
    bins["last_time"], bins["last"] = times[ends], values[ends]
    return bins, channels[starts]


def combine(bins: Rows, channels: Numbers, width: float) -> Binned:
    """Bins of any order as bins of `width`, a multiple of their own.

    Bins of the same channel and time stand in order of arrival: of samples of the very same time the one
    that came later is the last one.
    """
    if not len(bins):
        return bins, channels
    order = np.lexsort((bins["time"], channels))
    rows, channels = bins[order], channels[order]
    numbers = np.floor(rows["time"] / width)
    starts = _starts(numbers, channels)
    ends = np.append(starts[1:], len(rows)) - 1
    wide = np.empty(len(starts), BIN)
    wide["time"] = numbers[starts] * width
    for name in ("count", "unknown"):
        wide[name] = np.add.reduceat(rows[name], starts)
    wide["minimum"] = np.fmin.reduceat(rows["minimum"], starts)
    wide["maximum"] = np.fmax.reduceat(rows["maximum"], starts)
    with np.errstate(over="ignore", invalid="ignore"):
        wide["total"] = np.add.reduceat(rows["total"], starts)
    groups = np.repeat(np.arange(len(starts)), ends + 1 - starts)
    # lexsort is stable: of equal times the earlier part is first and the later one last
    first = np.lexsort((rows["first_time"], groups))[starts]
    last = np.lexsort((rows["last_time"], groups))[ends]
    wide["first_time"], wide["first"] = rows["first_time"][first], rows["first"][first]
    wide["last_time"], wide["last"] = rows["last_time"][last], rows["last"][last]
    return wide, channels[starts]


def bins_of(times: Floats, values: Floats, width: float) -> Rows:
    """Bins of one attribute's samples in order of time."""
    return decimate(times, values, np.zeros(len(times), np.int32), width)[0]


def widen(bins: Rows, width: float) -> Rows:
    """Bins of one attribute, of any order, as bins of `width`."""
    return combine(bins, np.zeros(len(bins), np.int32), width)[0]


def _starts(numbers: Floats, channels: Numbers) -> NDArray[np.intp]:
    """Where each new bin begins."""
    new = np.ones(len(numbers), bool)
    new[1:] = (numbers[1:] != numbers[:-1]) | (channels[1:] != channels[:-1])
    return np.flatnonzero(new)
