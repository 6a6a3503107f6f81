"""Reading the archive: one attribute, or everything, over a range of time. Works while it is written."""

from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from device_servers.services.archive.closed import Listed, check_closed, load_closed, read_manifest
from device_servers.services.archive.layout import (
    EXPORT_LAYOUT,
    OPEN_PREFIX,
    SPOT_COLUMNS,
    TEXT,
    Content,
    Floats,
    Rows,
)
from device_servers.services.archive.protocols import Series
from device_servers.services.archive.segment import load_open

__all__ = ["Extract", "Series", "extract", "read"]


@dataclass
class Extract:
    """Everything of a range: series by attribute ("device/attribute"), spots of shape (n, 10), texts.

    texts: rows of dtype TEXT in order of time, begun by those that held when the range began.
    """

    series: dict[str, Series] = field(default_factory=dict)
    spots: Floats = field(default_factory=lambda: np.empty((0, len(SPOT_COLUMNS))))
    texts: Rows = field(default_factory=lambda: np.empty(0, TEXT))


def read(path: Path, attribute: str, start: float, end: float) -> Series:
    """Samples of "device/attribute" with start <= time <= end, from an archive folder or any of its files.

    An export of the archive is read too. Empty where there are none. Raises BadInput for a range that
    ends before it starts or a path that is no archive, OSError for a file that cannot be read.
    """
    _check_range(start, end)
    if path.is_dir():
        return _read_folder(path, attribute, start, end)
    with h5py.File(path, "r", locking=False) as file:
        layout, closed = file.attrs.get("layout"), bool(file.attrs.get("closed", False))
        if layout == EXPORT_LAYOUT:
            return _read_export(file, attribute, start, end)
        if closed:
            return _read_closed(file, path, attribute, start, end)
    return _one(load_open(path), attribute, start, end)


def extract(folder: Path, start: float, end: float) -> Extract:
    """Everything between two times, with the sample before them where an attribute has one.

    Raises BadInput, OSError.
    """
    _check_range(start, end)
    if not folder.is_dir():
        raise BadInput(f"{folder} is no archive folder")
    return _extract(folder, start, end)


def _check_range(start: float, end: float) -> None:
    if not start <= end or not np.isfinite([start, end]).all():
        raise BadInput(f"range {start} to {end}: it must be finite, and end after it starts")


def _look(folder: Path) -> tuple[list[Listed], list[Content]]:
    """The closed segments, and the content of the open ones that are not closed by then.

    Open ones are read first: one that is closed meanwhile is in the manifest before it is gone.
    """
    opened = {path.name: _if_there(path) for path in sorted(folder.glob(f"{OPEN_PREFIX}*.h5"))}
    listed = read_manifest(folder)
    if not listed and not opened:
        raise BadInput(f"{folder} holds no archive segment")
    done = {entry.open_name for entry in listed}
    return listed, [content for name, content in opened.items() if content and name not in done]


def _if_there(path: Path) -> Content | None:
    try:
        return load_open(path)
    except FileNotFoundError:
        return None


def _relevant(listed: list[Listed], start: float, end: float) -> list[Listed]:
    """The segments of a range, and the one before it: it knows what stood when the range began."""
    earlier = [entry for entry in listed if entry.end < start]
    newest = max(earlier, key=lambda entry: entry.opened, default=None)
    chosen = [e for e in listed if e is newest or (e.start <= end and e.end >= start)]
    return sorted(chosen, key=lambda entry: entry.opened)


def _read_folder(folder: Path, attribute: str, start: float, end: float) -> Series:
    listed, opened = _look(folder)
    parts = []
    for entry in _relevant(listed, start, end):
        path = folder / entry.file
        with h5py.File(path, "r", locking=False) as file:
            parts.append(_read_closed(file, path, attribute, start, end))
    parts += [_one(content, attribute, start, end) for content in opened]
    return _join(parts)


def _read_closed(file: h5py.File, path: Path, attribute: str, start: float, end: float) -> Series:
    """One slice of one dataset: the rows of a channel stand together, in order of time."""
    check_closed(file, path)
    channels = file["channels"][:]
    found = np.flatnonzero(channels["name"] == attribute.encode())
    if not len(found):
        return _join([])
    row = channels[found[0]]
    rows = file["values"][int(row["first"]) : int(row["first"] + row["count"])]
    return _slice(rows, row, start, end)


def _one(content: Content, attribute: str, start: float, end: float) -> Series:
    """One channel of an open segment, whose rows stand in the order of their arrival."""
    found = np.flatnonzero(content.channels["name"] == attribute.encode())
    if not len(found):
        return _join([])
    rows = content.values[content.values["channel"] == found[0]]
    return _slice(rows[np.argsort(rows["time"], kind="stable")], content.channels[found[0]], start, end)


def _slice(rows: Rows, channel: Any, start: float, end: float) -> Series:
    """The range within the rows of one channel, which are in order of time."""
    low, high = np.searchsorted(rows["time"], start), np.searchsorted(rows["time"], end, side="right")
    ahead = rows[low - 1] if low else channel
    held = (ahead["time"], ahead["value"]) if low else (ahead["before_time"], ahead["before_value"])
    return Series(rows["time"][low:high], rows["value"][low:high], _held(held, start))


def _extract(folder: Path, start: float, end: float) -> Extract:
    parts: dict[str, list[Series]] = {}
    spots = [np.empty((0, len(SPOT_COLUMNS)))]
    texts = [np.empty(0, TEXT)]
    listed, opened = _look(folder)
    closed = (load_closed(folder / entry.file) for entry in _relevant(listed, start, end))
    for content in chain(closed, opened):
        for name, one in _cut(content, start, end).items():
            parts.setdefault(name, []).append(one)
        when = content.spots[:, 0]
        spots.append(content.spots[(when >= start) & (when <= end)])
        texts.append(content.texts)
    table = np.concatenate(spots)
    joined = {name: _join(found) for name, found in sorted(parts.items())}
    kept = {name: one for name, one in joined.items() if len(one.times) or one.before is not None}
    return Extract(kept, table[np.argsort(table[:, 0], kind="stable")], _texts(texts, start, end))


def _texts(parts: list[Rows], start: float, end: float) -> Rows:
    """The texts of a range, and of every name the last one before it. Carried copies count once."""
    rows = np.unique(np.concatenate(parts))
    ahead = rows[rows["time"] < start]
    held = {bytes(row["name"]): i for i, row in enumerate(ahead)}
    inside = rows[(rows["time"] >= start) & (rows["time"] <= end)]
    return np.concatenate([ahead[sorted(held.values())], inside])


def _cut(content: Content, start: float, end: float) -> dict[str, Series]:
    """The series of every channel of a segment within a range, in order of time."""
    rows = content.values[np.lexsort((content.values["time"], content.values["channel"]))]
    bounds = np.searchsorted(rows["channel"], np.arange(len(content.channels) + 1))
    return {
        name: _slice(rows[bounds[i] : bounds[i + 1]], content.channels[i], start, end)
        for i, name in enumerate(content.names)
    }


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
