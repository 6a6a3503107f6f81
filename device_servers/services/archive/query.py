"""An attribute over any range in as many points as a screen has.

The bins of a range are read from the coarsest files that are fine enough: samples, the bins of 16 s of hours
and days, those of 256 s of months, of 4096 s of years. What is not merged yet is summed up on reading.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from common.errors import BadInput
from device_servers.services.archive.indexed import IndexedFile
from device_servers.services.archive.layout import BIN, FINE_WIDTH, ROLLUP_WIDTHS, Content, Rows
from device_servers.services.archive.levels import bins_of, widen
from device_servers.services.archive.manifest import Listed, Manifest, Rollup
from device_servers.services.archive.protocols import Extract, Overview, Series, Word
from device_servers.services.archive.reader import (
    check_range,
    extract,
    look,
    names,
    read,
    read_closed,
    read_files,
    read_open,
    texts,
    while_merged,
)

MOST_POINTS = 100_000
MOST_FILES = 40
"""Files that are opened at most to show the samples of a long range instead of their bins."""


@dataclass
class _Found:
    """Bins of one attribute, and the last sample before them as far as it is known."""

    parts: list[Rows] = field(default_factory=list)
    before: tuple[float, float] | None = None

    def add(self, bins: Rows, low: float, high: float) -> None:
        """Take the bins from `low` to `high`; the last one ahead tells what stood before."""
        first, after = np.searchsorted(bins["time"], (low, high))
        self.parts.append(bins[first:after])
        if first:
            self.held(float(bins["last_time"][first - 1]), float(bins["last"][first - 1]))

    def held(self, when: float, value: float) -> None:
        """A sample ahead of the range."""
        if when > 0 and (self.before is None or when >= self.before[0]):
            self.before = (when, value)


class FolderReader:
    """The reader of an archive in HDF5 files: its folder, read anew by each call. See ArchiveReader."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self, pattern: str = "*") -> list[str]:
        """Names of archived attributes that match, in order. Raises BadInput without an archive."""
        return [name for name in names(self.folder) if fnmatchcase(name.lower(), pattern.lower())]

    def read(self, attribute: str, start: float, end: float) -> Series:
        """Samples with start <= time <= end."""
        return read(self.folder, attribute, start, end)

    def query(self, attribute: str, start: float, end: float, points: int) -> Overview:
        """The range in at most `points` rows."""
        return query(self.folder, attribute, start, end, points)

    def texts(self, name: str, start: float, end: float) -> list[Word]:
        """Texts of one name in the range, begun by the one that held at its start."""
        return texts(self.folder, name, start, end)

    def extract(self, start: float, end: float) -> Extract:
        """Everything of a range."""
        return extract(self.folder, start, end)


def query(folder: Path, attribute: str, start: float, end: float, points: int) -> Overview:
    """The samples of "device/attribute" in a range if they are at most `points`, else bins of them.

    Raises BadInput for a range that is not finite or ends before it starts, for points < 2, and for a
    folder that is no archive; OSError for a file that cannot be read.
    """
    check_range(start, end)
    if not 2 <= points <= MOST_POINTS:
        raise BadInput(f"{points} points: allowed are 2 to {MOST_POINTS}")
    return while_merged(folder, lambda: _query(folder, attribute, start, end, points))


def bin_width(start: float, end: float, points: int, finest: float = 0.0) -> float:
    """The narrowest width of bins, s, so that at most `points` cover a range.

    A power of two below 16 s, else a multiple of the widest of 16, 256, 4096 s that is no wider. At least
    `finest`.
    """
    ideal = max((end - start) / (points - 1), finest)
    if ideal < FINE_WIDTH:
        return 2.0 ** math.ceil(math.log2(max(ideal, 2.0**-20)))
    step = max(width for width in (FINE_WIDTH, *ROLLUP_WIDTHS.values()) if width <= ideal)
    return step * math.ceil(ideal / step)


def _query(folder: Path, attribute: str, start: float, end: float, points: int) -> Overview:
    manifest, opened = look(folder)
    files = [entry for entry in manifest.segments if entry.end >= start and entry.start <= end]
    gone = _gone(manifest, start, end)
    width = bin_width(start, end, points, min(ROLLUP_WIDTHS.values()) if gone else 0.0)
    if width < FINE_WIDTH:
        low, high = _whole_bins(start, end, width)
        series = read_files(folder, manifest.segments, opened, attribute, low, np.nextafter(high, low))
        inside = _inside(series, start, end)
        if len(inside.times) <= points:
            return samples(inside)
        return bins(bins_of(series.times, series.values, width), width, series.before)
    found = _collect(folder, manifest, opened, attribute, start, end, width)
    rows = widen(np.concatenate([np.empty(0, BIN), *found.parts]), width)
    if not gone and (rows["count"] + rows["unknown"]).sum() <= points:
        needed = [entry for entry in files if _touches(entry, rows, width)]
        if len(needed) <= MOST_FILES:
            series = read_files(folder, needed, opened, attribute, start, end)
            return samples(Series(series.times, series.values, series.before or found.before))
    return bins(rows, width, found.before)


def samples(series: Series) -> Overview:
    """Samples as they are."""
    known = ~np.isnan(series.values)
    four = (series.values,) * 4
    return Overview(
        0.0, series.times, known.astype(np.int64), (~known).astype(np.int64), *four, series.before
    )


def bins(rows: Rows, width: float, before: tuple[float, float] | None) -> Overview:
    """Bins (dtype BIN) as an overview."""
    count = rows["count"]
    mean = np.full(len(rows), np.nan)
    np.divide(rows["total"], count, out=mean, where=count > 0)
    columns = (rows["minimum"], rows["maximum"], mean, rows["last"])
    return Overview(width, rows["time"], count, rows["unknown"], *columns, before)


def _gone(manifest: Manifest, start: float, end: float) -> bool:
    """Whether a day of the range is no longer there but in months and years."""
    here = {entry.file for entry in manifest.segments}
    return any(not here.issuperset(rollup.days) for rollup in _overlapping(manifest.rollups, start, end))


def _overlapping(rollups: Iterable[Rollup], start: float, end: float) -> Iterator[Rollup]:
    return (rollup for rollup in rollups if rollup.end >= start and rollup.start <= end)


def _whole_bins(start: float, end: float, width: float) -> tuple[float, float]:
    return math.floor(start / width) * width, (math.floor(end / width) + 1) * width


def _inside(series: Series, start: float, end: float) -> Series:
    first = int(np.searchsorted(series.times, start))
    after = int(np.searchsorted(series.times, end, side="right"))
    ahead = (float(series.times[first - 1]), float(series.values[first - 1])) if first else series.before
    return Series(series.times[first:after], series.values[first:after], ahead)


def _touches(entry: Listed, rows: Rows, width: float) -> bool:
    """Whether a file may hold samples of any of the bins."""
    low, high = np.searchsorted(rows["time"], (entry.start - width, entry.end), side="right")
    return bool(high > low)


def _collect(
    folder: Path,
    manifest: Manifest,
    opened: list[Content],
    attribute: str,
    start: float,
    end: float,
    width: float,
) -> _Found:
    """Bins of the whole bins of a range, of any width that divides `width`, in order of arrival."""
    low, high = _whole_bins(start, end, width)
    found = _Found()
    done: set[str] = set()
    fitting = [prefix for prefix, wide in ROLLUP_WIDTHS.items() if wide <= width]
    prefix = max(fitting, key=ROLLUP_WIDTHS.__getitem__, default="")
    for rollup in sorted(manifest.rollups, key=lambda rollup: rollup.file):
        if prefix and rollup.file.startswith(prefix):
            done.update(rollup.days)
            if rollup.end >= low and rollup.start < high:
                _add_bins(found, folder / rollup.file, attribute, low, high)
    for entry in sorted(manifest.segments, key=lambda entry: entry.opened):
        if entry.file in done or entry.end < low or entry.start >= high:
            continue
        if entry.merged:
            _add_bins(found, folder / entry.file, attribute, low, high)
        else:
            _add_samples(found, read_closed(folder / entry.file, attribute, low, np.nextafter(high, low)))
    for content in opened:
        _add_samples(found, read_open(content, attribute, low, np.nextafter(high, low)))
    return found


def _add_samples(found: _Found, series: Series) -> None:
    found.parts.append(bins_of(series.times, series.values, FINE_WIDTH))
    if series.before is not None:
        found.held(*series.before)


def _add_bins(found: _Found, path: Path, attribute: str, low: float, high: float) -> None:
    """The bins of one attribute in an hour, a day, a month or a year."""
    with IndexedFile(path) as file:
        known = file.find(attribute)
        if known is not None:
            place, channel = known
            if channel["before_time"] < low:
                found.held(float(channel["before_time"]), float(channel["before_value"]))
            found.add(file.bins(place), low, high)
