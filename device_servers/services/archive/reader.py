"""Reading the archive: one attribute, or everything, over a range of time. Works while it is written."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from device_servers.services.archive.closed import check_closed
from device_servers.services.archive.indexed import IndexedFile
from device_servers.services.archive.layout import (
    EXPORT_LAYOUT,
    OPEN_PREFIX,
    SPOT_COLUMNS,
    TEXT,
    VALUE,
    YEAR_PREFIX,
    Content,
    Floats,
    Rows,
)
from device_servers.services.archive.manifest import Listed, Manifest, read_manifest, signature
from device_servers.services.archive.protocols import Extract, Series, Word
from device_servers.services.archive.segment import load_open

__all__ = ["Extract", "Series", "extract", "names", "read", "texts"]

T = TypeVar("T")
ATTEMPTS, SAME_ATTEMPTS = 100, 2
READ_WHOLE = 65_536
"""Rows of a channel that are read at once; in more of them the range is looked for first."""


def read(path: Path, attribute: str, start: float, end: float) -> Series:
    """Samples of "device/attribute" with start <= time <= end, from an archive folder or any of its files.

    An export of the archive is read too. Empty where there are none. Raises BadInput for a range that
    ends before it starts or a path that is no archive, OSError for a file that cannot be read.
    """
    check_range(start, end)
    if path.is_dir():
        return while_merged(path, lambda: _read_folder(path, attribute, start, end))
    with h5py.File(path, "r", locking=False) as file:
        layout, closed = file.attrs.get("layout"), bool(file.attrs.get("closed", False))
        if layout == EXPORT_LAYOUT:
            return _read_export(file, attribute, start, end)
    if closed:
        return read_closed(path, attribute, start, end)
    return read_open(load_open(path), attribute, start, end)


def extract(folder: Path, start: float, end: float) -> Extract:
    """Everything between two times, with the sample before them where an attribute has one.

    Raises BadInput, OSError.
    """
    check_range(start, end)
    if not folder.is_dir():
        raise BadInput(f"{folder} is no archive folder")
    return while_merged(folder, lambda: _extract(folder, start, end))


def texts(folder: Path, name: str, start: float, end: float) -> list[Word]:
    """Texts of "device/attribute" in the range, begun by the one that held at its start.

    Raises BadInput, OSError.
    """
    check_range(start, end)
    return while_merged(folder, lambda: _read_texts(folder, name, start, end))


def names(folder: Path) -> list[str]:
    """Every attribute that the archive knows, in order. Raises BadInput, OSError."""
    return while_merged(folder, lambda: _names(folder))


def check_range(start: float, end: float) -> None:
    if not start <= end or not np.isfinite([start, end]).all():
        raise BadInput(f"range {start} to {end}: it must be finite, and end after it starts")


def look(folder: Path) -> tuple[Manifest, list[Content]]:
    """What counts at one moment: the manifest, and the open segments that are not closed yet.

    A segment that is closed is listed before its open file goes, and merged after that: as long as the
    manifest stays the same, each sample is in one of the two, once. Raises BadInput without an archive.
    """
    while True:
        manifest = read_manifest(folder)
        opened = {path.name: _if_there(path) for path in sorted(folder.glob(f"{OPEN_PREFIX}*.h5"))}
        if signature(folder) == manifest.signature:
            break
    if not manifest.segments and not manifest.rollups and not opened:
        raise BadInput(f"{folder} holds no archive segment")
    done = {entry.open_name for entry in manifest.segments}
    return manifest, [content for name, content in opened.items() if content and name not in done]


def _if_there(path: Path) -> Content | None:
    try:
        return load_open(path)
    except FileNotFoundError:
        return None


def while_merged(folder: Path, attempt: Callable[[], T]) -> T:
    """The answer of `attempt`, begun anew when a file it was about to read has just been merged.

    HDF5 does not always say that a file has gone; what tells is that the manifest has changed meanwhile.
    """
    for turn in range(ATTEMPTS):
        before = signature(folder)
        try:
            return attempt()
        except OSError:
            if turn >= SAME_ATTEMPTS and signature(folder) == before:
                raise
    return attempt()


def relevant(listed: Sequence[Listed], start: float, end: float) -> list[Listed]:
    """The files of a range, and the one before it: it knows what stood when the range began."""
    earlier = [entry for entry in listed if entry.end < start]
    newest = max(earlier, key=lambda entry: entry.opened, default=None)
    chosen = [e for e in listed if e is newest or (e.start <= end and e.end >= start)]
    return sorted(chosen, key=lambda entry: entry.opened)


def read_files(
    folder: Path,
    listed: Sequence[Listed],
    opened: Sequence[Content],
    attribute: str,
    start: float,
    end: float,
) -> Series:
    """Samples of one attribute in those files that may hold some, and in open segments."""
    parts = [read_closed(folder / one.file, attribute, start, end) for one in relevant(listed, start, end)]
    return _join([*parts, *(read_open(content, attribute, start, end) for content in opened)])


def read_closed(path: Path, attribute: str, start: float, end: float) -> Series:
    """Samples of one attribute in a segment, an hour or a day. Raises OSError."""
    with IndexedFile(path) as file:
        found = file.find(attribute)
        return _join([]) if found is None else _between(file.values, found[1], start, end)


def _read_folder(folder: Path, attribute: str, start: float, end: float) -> Series:
    manifest, opened = look(folder)
    return read_files(folder, manifest.segments, opened, attribute, start, end)


def _between(values: Callable[[int, int], Rows], channel: Any, start: float, end: float) -> Series:
    """The range of one channel of a closed file: its rows stand together, in order of time.

    values: rows from one number to another (exclusive) of the file.
    """
    low, high = int(channel["first"]), int(channel["first"] + channel["count"])
    if low == high or channel["last_time"] < start:
        return _slice(np.empty(0, VALUE), _held_by(channel, low < high), start, end)
    if high - low > READ_WHOLE:
        rows = range(low, high)
        begin = low + bisect_left(rows, start, key=lambda row: values(row, row + 1)["time"][0])
        high = low + bisect_right(rows, end, key=lambda row: values(row, row + 1)["time"][0])
        low = max(low, begin - 1)
    return _slice(values(low, high), _held_by(channel, False), start, end)


def _rows(table: h5py.Dataset, low: int, high: int) -> Rows:
    rows: Rows = table[low:high]
    return rows


def _held_by(channel: Any, ended: bool) -> tuple[float, float]:
    """The last sample of a channel in a file that has `ended`, else the one before the file."""
    names = ("last_time", "last_value") if ended else ("before_time", "before_value")
    return float(channel[names[0]]), float(channel[names[1]])


def read_open(content: Content, attribute: str, start: float, end: float) -> Series:
    """One channel of an open segment, whose rows stand in the order of their arrival."""
    found = np.flatnonzero(content.channels["name"] == attribute.encode())
    if not len(found):
        return _join([])
    rows = content.values[content.values["channel"] == found[0]]
    channel = content.channels[found[0]]
    return _slice(rows[np.argsort(rows["time"], kind="stable")], _held_by(channel, False), start, end)


def _slice(rows: Rows, before: tuple[float, float], start: float, end: float) -> Series:
    """The range within the rows of one channel, which are in order of time."""
    low, high = np.searchsorted(rows["time"], start), np.searchsorted(rows["time"], end, side="right")
    held = (rows["time"][low - 1], rows["value"][low - 1]) if low else before
    return Series(rows["time"][low:high], rows["value"][low:high], _held(held, start))


def _extract(folder: Path, start: float, end: float) -> Extract:
    parts: dict[str, list[Series]] = {}
    spots = [np.empty((0, len(SPOT_COLUMNS)))]
    words = [np.empty(0, TEXT)]
    manifest, opened = look(folder)
    for entry in relevant(manifest.segments, start, end):
        path = folder / entry.file
        with h5py.File(path, "r", locking=False) as file:
            check_closed(file, path)
            rows_of = partial(_rows, file["values"])
            for row in file["channels"][:]:
                series = _between(rows_of, row, start, end)
                parts.setdefault(row["name"].decode(), []).append(series)
            spots.append(_within(file["spots"][:], start, end))
            words.append(file["texts"][:])
    for content in opened:
        for name, series in _cut(content, start, end):
            parts.setdefault(name, []).append(series)
        spots.append(_within(content.spots, start, end))
        words.append(content.texts)
    table = np.concatenate(spots)
    joined = {name: _join(found) for name, found in sorted(parts.items())}
    kept = {name: one for name, one in joined.items() if len(one.times) or one.before is not None}
    return Extract(kept, table[np.argsort(table[:, 0], kind="stable")], _texts(words, start, end))


def _within(spots: Floats, start: float, end: float) -> Floats:
    return spots[(spots[:, 0] >= start) & (spots[:, 0] <= end)]


def _names(folder: Path) -> list[str]:
    """From years, which know the names of their days, and from what is in none."""
    manifest, opened = look(folder)
    years = [rollup for rollup in manifest.rollups if rollup.file.startswith(YEAR_PREFIX)]
    rolled = {day for rollup in years for day in rollup.days}
    files = [*(rollup.file for rollup in years), *(e.file for e in manifest.segments if e.file not in rolled)]
    found = {name for content in opened for name in content.names}
    for name in files:
        with h5py.File(folder / name, "r", locking=False) as file:
            found.update(one.decode() for one in file["channels"]["name"])
    return sorted(found)


def _read_texts(folder: Path, name: str, start: float, end: float) -> list[Word]:
    manifest, opened = look(folder)
    parts = [np.empty(0, TEXT), *(content.texts for content in opened)]
    for entry in relevant(manifest.segments, start, end):
        with h5py.File(folder / entry.file, "r", locking=False) as file:
            parts.append(file["texts"][:])
    wanted = name.encode()
    rows = _texts([rows[rows["name"] == wanted] for rows in parts], start, end)
    return [Word(float(r["time"]), name, r["text"].decode(), bool(r["known"])) for r in rows]


def _texts(parts: list[Rows], start: float, end: float) -> Rows:
    """The texts of a range, and of every name the last one before it. Carried copies count once."""
    rows = np.unique(np.concatenate(parts))
    ahead = rows[rows["time"] < start]
    held = {bytes(row["name"]): i for i, row in enumerate(ahead)}
    inside = rows[(rows["time"] >= start) & (rows["time"] <= end)]
    return np.concatenate([ahead[sorted(held.values())], inside])


def _cut(content: Content, start: float, end: float) -> Iterator[tuple[str, Series]]:
    """The series of every channel of an open segment within a range, in order of time."""
    rows = content.values[np.lexsort((content.values["time"], content.values["channel"]))]
    bounds = np.searchsorted(rows["channel"], np.arange(len(content.channels) + 1))
    for i, name in enumerate(content.names):
        before = _held_by(content.channels[i], False)
        yield name, _slice(rows[bounds[i] : bounds[i + 1]], before, start, end)


def _held(sample: tuple[float, float], start: float) -> tuple[float, float] | None:
    when, value = float(sample[0]), float(sample[1])
    return (when, value) if 0 < when < start else None


def _join(parts: list[Series]) -> Series:
    """Parts of one attribute as one series; the latest sample before the range counts."""
    times = np.concatenate([np.empty(0), *(part.times for part in parts)])
    values = np.concatenate([np.empty(0), *(part.values for part in parts)])
    order: NDArray[np.intp] = np.argsort(times, kind="stable")
    held = [part.before for part in parts if part.before is not None]
    return Series(times[order], values[order], max(held, key=lambda sample: sample[0], default=None))


def _read_export(file: h5py.File, attribute: str, start: float, end: float) -> Series:
    group = file["attributes"].get(attribute)
    if group is None:
        return _join([])
    times, values = group["time"][:], group["value"][:]
    low, high = np.searchsorted(times, start), np.searchsorted(times, end, side="right")
    held = (times[low - 1], values[low - 1]) if low else (0.0, 0.0)
    return Series(times[low:high], values[low:high], _held(held, start))
