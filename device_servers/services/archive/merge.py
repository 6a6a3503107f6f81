"""Closed files merged into a larger one, and bins into months and years: a few channels at a time.

All files are in order of channel name, so that the rows of neighbouring channels are one slice of each.
What is merged never exceeds BLOCK_BYTES in memory at once, unless the rows of one channel alone do.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from device_servers.services.archive.closed import Table, describe, finish_closed, settle
from device_servers.services.archive.layout import (
    BIN,
    CHANNEL,
    CLOSED_CHANNEL,
    FINE_WIDTH,
    LAYOUT,
    SPOT_COLUMNS,
    STEM_BYTES,
    TEXT,
    VALUE,
    Rows,
)
from device_servers.services.archive.levels import Binned, combine, decimate
from device_servers.services.archive.manifest import Listed, Rollup

BLOCK_BYTES = 12_000_000
BIN_CHUNK = 2_048
Pause = Callable[[], None]
"""Called between blocks: yields the processor, or ends it all by raising."""


class Input:
    """One file that is merged: a table of rows, and which of them belong to each of all channels."""

    def __init__(self, file: h5py.File, table: str) -> None:
        self.file = file
        self.channels: Rows = file["channels"][:]
        self.rows = file[table]
        if table == "values":
            first = self.channels["first"]
            self._bounds = np.append(first, len(self.rows))
        else:
            self._bounds = file["bin_bounds"][:]
        self._places: NDArray[np.intp] = np.empty(0, np.intp)
        self.counts: NDArray[np.int64] = np.empty(0, np.int64)

    def align(self, names: NDArray[np.bytes_]) -> None:
        """Find the places of its channels among all names."""
        self._places = np.searchsorted(names, self.channels["name"])
        self.counts = np.zeros(len(names), np.int64)
        self.counts[self._places] = np.diff(self._bounds)

    def block(self, low: int, high: int) -> Binned:
        """The rows of channels low to high (exclusive, among all names), and the channel of each."""
        here, after = np.searchsorted(self._places, (low, high))
        rows = self.rows[int(self._bounds[here]) : int(self._bounds[after])]
        return rows, np.repeat(self._places[here:after], np.diff(self._bounds[here : after + 1]))


def merge(paths: Sequence[Path], output: Path, stems: Sequence[bytes], pause: Pause) -> Listed:
    """Merge closed files, given in order of their opening, into one with bins. Raises OSError."""
    unfinished = output.with_name(f".{output.name}.new")
    with ExitStack() as stack:
        opened = [stack.enter_context(h5py.File(path, "r", locking=False)) for path in paths]
        inputs = [Input(file, "values") for file in opened]
        names = _align(inputs)
        file = stack.enter_context(h5py.File(unfinished, "w", libver="earliest", locking=False))
        values, bins = Table(file, "values", VALUE), _Bins(file, len(names), FINE_WIDTH)
        channels = np.zeros(len(names), CLOSED_CHANNEL)
        channels["name"] = names
        for source in reversed(inputs):
            _carry_before(channels, source)
        channels["last_time"], channels["last_value"] = channels["before_time"], channels["before_value"]
        for low, high in _blocks(inputs):
            pause()
            rows = _sorted_rows(inputs, low, high)
            _index(channels, rows)
            values.append(rows)
            bins.append(*decimate(rows["time"], rows["value"], rows["channel"], FINE_WIDTH))
        channels["first"] = np.cumsum(channels["count"]) - channels["count"]
        values.finish()
        bins.finish()
        spots = np.concatenate([np.empty((0, len(SPOT_COLUMNS))), *(one["spots"][:] for one in opened)])
        texts = np.unique(np.concatenate([np.empty(0, TEXT), *(one["texts"][:] for one in opened)]))
        spans = [[float(one.attrs[key]) for key in ("opened", "start", "end")] for one in opened]
        begun, start, end = zip(*spans, strict=True)
        finish_closed(file, channels, spots, texts, (min(begun), min(start), max(end)))
        file["sources"] = np.array(stems, f"S{STEM_BYTES}")
    settle(unfinished, output)
    return describe(output)


def roll_up(paths: Sequence[Path], output: Path, days: Sequence[str], width: float, pause: Pause) -> Rollup:
    """Bins of several files, a month or year before them, as bins of `width` in one. Raises OSError."""
    unfinished = output.with_name(f".{output.name}.new")
    with ExitStack() as stack:
        opened = [stack.enter_context(h5py.File(path, "r", locking=False)) for path in paths]
        inputs = [Input(file, "bins") for file in opened]
        names = _align(inputs)
        file = stack.enter_context(h5py.File(unfinished, "w", libver="earliest", locking=False))
        start, end = (
            choose(float(one.attrs[key]) for one in opened) for key, choose in (("start", min), ("end", max))
        )
        file.attrs.update({"layout": LAYOUT, "closed": True, "by_name": True, "start": start, "end": end})
        channels = np.zeros(len(names), CLOSED_CHANNEL)
        channels["name"] = names
        file["channels"] = channels
        file["sources"] = np.array([day.encode() for day in days], f"S{STEM_BYTES}")
        bins = _Bins(file, len(names), width)
        for low, high in _blocks(inputs):
            pause()
            rows, numbers = zip(*(source.block(low, high) for source in inputs), strict=True)
            bins.append(*combine(np.concatenate(rows), np.concatenate(numbers), width))
        bins.finish()
    settle(unfinished, output)
    return Rollup(output.name, start, end, tuple(days))


class _Bins:
    """Writes /bins and /bin_bounds."""

    def __init__(self, file: h5py.File, channels: int, width: float) -> None:
        self._file = file
        self._table = Table(file, "bins", BIN, BIN_CHUNK)
        self._counts = np.zeros(channels, np.int64)
        file["bins"].attrs["width"] = width

    def append(self, bins: Rows, channels: NDArray[np.integer]) -> None:
        self._counts += np.bincount(channels, minlength=len(self._counts))
        self._table.append(bins)

    def finish(self) -> None:
        self._table.finish()
        self._file["bin_bounds"] = np.concatenate([[0], np.cumsum(self._counts)])


def _align(inputs: Sequence[Input]) -> NDArray[np.bytes_]:
    """All names, in order."""
    names = np.unique(np.concatenate([source.channels["name"] for source in inputs]))
    for source in inputs:
        source.align(names)
    return names


def _blocks(inputs: Sequence[Input]) -> Iterator[tuple[int, int]]:
    """Ranges of channels of at most BLOCK_BYTES, or of one channel."""
    most = BLOCK_BYTES // inputs[0].rows.dtype.itemsize
    ends = np.cumsum(np.sum([source.counts for source in inputs], axis=0))
    low, done = 0, 0
    while low < len(ends):
        high = max(low + 1, int(np.searchsorted(ends, done + most, side="right")))
        yield low, high
        low, done = high, int(ends[high - 1])


def _sorted_rows(inputs: Sequence[Input], low: int, high: int) -> Rows:
    """Rows of a range of channels by channel, then time; of the same time in order of the files."""
    parts = []
    for source in inputs:
        rows, numbers = source.block(low, high)
        rows["channel"] = numbers
        parts.append(rows)
    rows = np.concatenate(parts)
    return rows[np.lexsort((rows["time"], rows["channel"]))]


def _carry_before(channels: Rows, source: Input) -> None:
    """What stood before a file, where it knows; files are handed over from the last to the first."""
    rows = source.channels[source.channels["before_time"] > 0]
    places = np.searchsorted(channels["name"], rows["name"])
    for name in (CHANNEL.names or ())[1:]:
        channels[name][places] = rows[name]


def _index(channels: Rows, rows: Rows) -> None:
    """How many rows of a block each channel has, and its last sample."""
    numbers, starts, counts = np.unique(rows["channel"], return_index=True, return_counts=True)
    channels["count"][numbers] = counts
    last = rows[starts + counts - 1]
    channels["last_time"][numbers], channels["last_value"][numbers] = last["time"], last["value"]
