"""The manifest: which files make up the archive. Replacing it is the one step that changes what counts."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from common.files import read_json, sync, write_json
from device_servers.services.archive.layout import (
    CLOSED_PREFIX,
    DAY_PREFIX,
    HOUR_PREFIX,
    LAYOUT,
    MANIFEST,
    OPEN_PREFIX,
)

Signature = tuple[int, int, int] | None
"""Tells one manifest from the next; None: there is none yet."""


@dataclass(frozen=True)
class Listed:
    """A segment, an hour or a day. `start` and `end` span everything in it; `opened`: its first segment."""

    file: str
    opened: float
    start: float
    end: float
    values: int
    spots: int
    channels: int
    texts: int

    @property
    def merged(self) -> bool:
        """Whether it is an hour or a day."""
        return self.file.startswith((HOUR_PREFIX, DAY_PREFIX))

    @property
    def is_day(self) -> bool:
        """Whether it is a day."""
        return self.file.startswith(DAY_PREFIX)

    @property
    def open_name(self) -> str:
        """The name a segment had while it was open."""
        return OPEN_PREFIX + self.file.removeprefix(CLOSED_PREFIX)


@dataclass(frozen=True)
class Rollup:
    """A month or a year: the bins of some days, and the time they span."""

    file: str
    start: float
    end: float
    days: tuple[str, ...]

    @property
    def period(self) -> str:
        """Its name without the number of a later version."""
        return "-".join(self.file.removesuffix(".h5").split("-")[:2])


@dataclass(frozen=True)
class Manifest:
    """Everything that counts."""

    segments: tuple[Listed, ...] = ()
    rollups: tuple[Rollup, ...] = ()
    signature: Signature = field(default=None, compare=False)

    def files(self) -> set[str]:
        """Names of all files."""
        return {entry.file for entry in self.segments} | {rollup.file for rollup in self.rollups}

    def with_segments(self, add: Sequence[Listed], drop: Sequence[str] = ()) -> "Manifest":
        """With some files more, and some less; one of the same name is replaced."""
        gone = {*drop, *(entry.file for entry in add)}
        kept = [entry for entry in self.segments if entry.file not in gone]
        return Manifest((*kept, *add), self.rollups)

    def with_rollups(self, add: Sequence[Rollup], drop: Sequence[str] = ()) -> "Manifest":
        """With some roll-ups more, and some less."""
        kept = [entry for entry in self.rollups if entry.file not in drop]
        return Manifest(self.segments, (*kept, *add))


def signature(folder: Path) -> Signature:
    """Of the manifest as it is now."""
    try:
        status = (folder / MANIFEST).stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


_LAST: dict[Path, Manifest] = {}


def read_manifest(folder: Path) -> Manifest:
    """The present manifest, empty without one. Raises OSError, ValueError, TypeError or KeyError if torn."""
    now = signature(folder)
    if now is None:
        return Manifest()
    known = _LAST.get(folder)
    if known is None or known.signature != now:
        content = read_json(folder / MANIFEST)
        segments = tuple(Listed(**entry) for entry in content["segments"])
        rollups = (Rollup(**entry | {"days": tuple(entry["days"])}) for entry in content.get("rollups", ()))
        known = Manifest(segments, tuple(rollups), now)
        _LAST[folder] = known
    return known


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest; it and the files it names are on the disk when this returns. Raises OSError."""
    segments = sorted(manifest.segments, key=lambda entry: (entry.start, entry.file))
    rollups = sorted(manifest.rollups, key=lambda entry: entry.file)
    listing = {"segments": [asdict(entry) for entry in segments], "rollups": [asdict(r) for r in rollups]}
    write_json(folder / MANIFEST, {"layout": LAYOUT, **listing})
    sync(folder)


@contextmanager
def files_locked(folder: Path) -> Iterator[None]:
    """Alone with the closed files and the manifest; waits for whoever changes them now."""
    handle = os.open(folder / ".files.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
