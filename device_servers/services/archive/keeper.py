"""Housekeeping: closes segments, merges hours and days, rolls up months and years, and retires the oldest.

Each step makes its files whole, then switches the manifest, then removes what was replaced: a process
killed at any moment leaves the archive with one complete truth. It runs in a process of its own at low
priority, see keeping.py.
"""

import logging
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from device_servers.services.archive.layout import (
    DAY_PREFIX,
    HOUR_PREFIX,
    MONTH_PREFIX,
    OPEN_PREFIX,
    ROLLUP_WIDTHS,
    YEAR_PREFIX,
)
from device_servers.services.archive.manifest import (
    Listed,
    Manifest,
    files_locked,
    read_manifest,
    write_manifest,
)
from device_servers.services.archive.merge import Pause, merge, roll_up
from device_servers.services.archive.reconcile import stems

log = logging.getLogger(__name__)

T = TypeVar("T")
MOST_INPUTS = 48
"""Files merged at once; each needs a handle and its list of channels in memory."""
FREE_GB = 2.0
HOUR_SETTLED_S, DAY_SETTLED_S = 60.0, 900.0
"""How long after its end an hour or a day is merged."""
_HOUR, _DAY = "%Y%m%dT%H", "%Y%m%d"
_PERIODS = {MONTH_PREFIX: len("YYYYMM"), YEAR_PREFIX: len("YYYY")}
"""Of a day's YYYYMMDD so much names the month or the year."""


@dataclass(frozen=True)
class Retention:
    """What is kept: so many of the newest days that hold data, whatever the clock says; 0: all.

    raw_days: samples, spots and texts. levels_days: bins in months and years.
    free_bytes: below so much free disk, the oldest days go before their time.
    """

    raw_days: int = 0
    levels_days: int = 0
    free_bytes: int = 0


def retention(archive: Mapping[str, Any]) -> Retention:
    """What a site's section `archive` says is kept; without a word everything, and 2 GB stay free."""
    said = archive.get("retention", {})
    free = int(float(said.get("free_gb", FREE_GB)) * 1e9)
    return Retention(int(said.get("raw_days", 0)), int(said.get("levels_days", 0)), free)


class Keeper:
    """Does what is due at `now` (s since the epoch). Raises OSError when the disk does not take it."""

    def __init__(
        self,
        folder: Path,
        pause: Pause = lambda: None,
        free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self.folder = folder
        self._pause = pause
        self._free = free

    def keep(self, now: float, retention: Retention) -> None:
        """Merge, roll up and retire whatever is due."""
        with files_locked(self.folder):
            if self._low(retention):
                self.retire(retention)  # merging needs room
            self.merge_hours(now)
            self.merge_days(now)
            self.roll_days()
            self.retire(retention)

    def merge_hours(self, now: float) -> None:
        """Merge the segments of each hour that is over and has no open one."""
        segments = [entry for entry in self._manifest().segments if not entry.merged]
        self._merge(segments, HOUR_PREFIX, _HOUR, now - 3600.0 - HOUR_SETTLED_S)

    def merge_days(self, now: float) -> None:
        """Merge the hours of each day that is over and has no segment left."""
        listed = self._manifest().segments
        waiting = {_period(entry.opened, _DAY) for entry in listed if not entry.merged}
        hours = [e for e in listed if e.merged and not e.is_day and _period(e.opened, _DAY) not in waiting]
        self._merge(hours, DAY_PREFIX, _DAY, now - 86400.0 - DAY_SETTLED_S)

    def roll_days(self) -> None:
        """Add the days that are in no month or year yet."""
        for prefix, width in ROLLUP_WIDTHS.items():
            manifest = self._manifest()
            rolled = _rolled(manifest, prefix)
            waiting: dict[str, list[str]] = defaultdict(list)
            for entry in manifest.segments:
                if entry.is_day and entry.file not in rolled:
                    date = entry.file.removeprefix(DAY_PREFIX)
                    waiting[prefix + date[: _PERIODS[prefix]]].append(entry.file)
            for period, days in sorted(waiting.items()):
                for some in _portions(sorted(days)):
                    self._roll(period, some, width)

    def retire(self, retention: Retention) -> None:
        """Remove the oldest days and roll-ups, never a day that is not in a month and a year."""
        manifest = self._manifest()
        safe = set.intersection(*(_rolled(manifest, prefix) for prefix in ROLLUP_WIDTHS))
        days = sorted(entry.file for entry in manifest.segments if entry.is_day)
        old = days[: -retention.raw_days] if retention.raw_days else []
        for day in old:
            if day in safe:
                self._drop([day], f"more than {retention.raw_days} days")
        for day in sorted(set(days) & safe - set(old)):
            if not self._low(retention):
                break
            self._drop([day], "the disk is nearly full")
        if retention.levels_days:
            manifest = self._manifest()
            known = sorted({day for rollup in manifest.rollups for day in rollup.days})
            kept = {*known[-retention.levels_days :], *(entry.file for entry in manifest.segments)}
            self._drop([r.file for r in manifest.rollups if not kept & set(r.days)], "old levels")

    def _manifest(self) -> Manifest:
        return read_manifest(self.folder)

    def _low(self, retention: Retention) -> bool:
        return retention.free_bytes > 0 and self._free(self.folder) < retention.free_bytes

    def _merge(self, entries: Iterable[Listed], prefix: str, pattern: str, until: float) -> None:
        """Merge files by the period in which they were opened, if it began before `until`."""
        periods: dict[str, list[Listed]] = defaultdict(list)
        for entry in sorted(entries, key=lambda entry: entry.opened):
            periods[_period(entry.opened, pattern)].append(entry)
        still = {path.name.removeprefix(OPEN_PREFIX) for path in self.folder.glob(f"{OPEN_PREFIX}*.h5")}
        for period, files in sorted(periods.items()):
            if period > _period(until, pattern) or any(name.startswith(period) for name in still):
                continue
            for some in _portions(files):
                self._merge_some(some, prefix + period)

    def _merge_some(self, entries: list[Listed], stem: str) -> None:
        paths = [self.folder / entry.file for entry in entries]
        held = sorted(stem for path in paths for stem in stems(path))
        merged = merge(paths, self._free_name(stem), held, self._pause)
        gone = [entry.file for entry in entries]
        self._switch(self._manifest().with_segments([merged], gone), gone)
        log.info("%d files merged into %s: %d values", len(gone), merged.file, merged.values)

    def _roll(self, period: str, days: list[str], width: float) -> None:
        manifest = self._manifest()
        before = [entry for entry in manifest.rollups if entry.period == period]
        paths = [self.folder / name for name in (*(entry.file for entry in before), *days)]
        names = sorted([*days, *(day for entry in before for day in entry.days)])
        rollup = roll_up(paths, self._free_name(period), names, width, self._pause)
        gone = [entry.file for entry in before]
        self._switch(manifest.with_rollups([rollup], gone), gone)

    def _drop(self, names: list[str], why: str) -> None:
        if names:
            log.info("%s retired: %s", ", ".join(names), why)
            self._switch(self._manifest().with_segments((), names).with_rollups((), names), names)

    def _switch(self, manifest: Manifest, gone: Iterable[str]) -> None:
        write_manifest(self.folder, manifest)
        for name in gone:
            (self.folder / name).unlink(missing_ok=True)

    def _free_name(self, stem: str) -> Path:
        """A name that no file has, nor a day that was retired."""
        manifest = self._manifest()
        taken = manifest.files() | {day for rollup in manifest.rollups for day in rollup.days}
        number, path = 1, self.folder / f"{stem}.h5"
        while path.name in taken or path.exists():
            number += 1
            path = self.folder / f"{stem}-{number}.h5"
        return path


def _period(when: float, pattern: str) -> str:
    return datetime.fromtimestamp(when, tz=UTC).strftime(pattern)


def _rolled(manifest: Manifest, prefix: str) -> set[str]:
    return {day for rollup in manifest.rollups if rollup.file.startswith(prefix) for day in rollup.days}


def _portions(entries: list[T]) -> Iterator[list[T]]:
    return (entries[low : low + MOST_INPUTS] for low in range(0, len(entries), MOST_INPUTS))
