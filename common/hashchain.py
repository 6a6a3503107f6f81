"""Tamper-evident logs: each line carries the SHA-256 of the line before it.

A changed, removed or inserted line breaks the chain at a line that `verify` names. A log may be cut into
files (`Rotation`): closed ones lie in `closed/` beside the one that is written, and each begins by saying
how the one before it ended. What the chain alone cannot show, a missing end, is found by the counts that
another process keeps (common/seals.py).
"""

import contextlib
import errno
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from common.chain_lines import (
    CLOSED,
    CONTINUES,
    GENESIS,
    Link,
    closed_file,
    is_bare,
    line_of,
    parsed,
    require,
)
from common.errors import Tampered
from common.files import sync

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rotation:
    """When a file is closed: at a size in bytes, or an age in s since it was begun (0: never for that)."""

    size: int = 32 << 20
    age: float = 0.0


class ChainLog:
    """An append-only JSON-lines file on disk; `append` returns after fsync. One thread at a time."""

    def __init__(
        self, path: Path, rotation: Rotation | None = None, now: Callable[[], float] = lambda: 0.0
    ) -> None:
        """Open or create `path`; the file that is written is verified first (raises Tampered).

        now: s since the epoch, for the age of a file.
        """
        self.path, self._rotation, self._now = path, rotation, now
        path.parent.mkdir(parents=True, exist_ok=True)
        _finish_rotation(path)
        _drop_torn_tail(path)
        self._last, self._begun, self._lines = GENESIS, now(), 0
        for found in _of_file(path, None):
            self._last, self._lines = found.digest, found.line
            if found.bare:
                self._begun = float(found.entry.get("time", self._begun))
        self._file = path.open("ab", buffering=0)
        self._size, self._torn = path.stat().st_size, False

    @property
    def head(self) -> str:
        """Digest of the last entry."""
        return self._last

    def append(self, entry: Mapping[str, Any]) -> str:
        """Write one entry durably and return its digest. Raises OSError."""
        return self.append_all((entry,))

    def append_all(self, entries: Iterable[Mapping[str, Any]]) -> str:
        """Write entries durably, with one wait for the disk; the digest of the last. Raises OSError."""
        last, lines = self._last, []
        for entry in entries:
            last, line = line_of(last, entry)
            lines.append(line)
        self._write(b"".join(lines))
        self._last, self._lines = last, self._lines + len(lines)
        if self._rotation is not None and self._due(self._rotation):
            try:
                self.rotate()
            except OSError as why:
                # The entry is on disk: what failed is tried again with the next one.
                log.warning("%s goes on in the same file: %s", self.path.name, why)
        return last

    def rotate(self) -> None:
        """Close the file and go on in a new one. Raises OSError; the log is whole then, in either file.

        A crash at any step leaves the old file in use, or a new one that the next opening puts in place.
        """
        folder = self.path.parent / CLOSED
        folder.mkdir(exist_ok=True)
        number = 1 + len(closed_files(self.path))
        now = self._now()
        header = {CONTINUES: number, "hash": self._last, "lines": self._lines, "time": now}
        digest, line = line_of(self._last, header)
        fresh = self._begin(line, closed_file(self.path, number))
        self._file.close()
        self._file = fresh
        self._last, self._begun, self._lines, self._size = digest, now, 1, len(line)
        for place in (folder, self.path.parent):
            sync(place)

    def _begin(self, line: bytes, closed: Path) -> FileIO:
        """A new file, with its first line, in place of the old one. Raises OSError; all is then as before."""
        following = _following(self.path)
        following.unlink(missing_ok=True)
        fresh = following.open("ab", buffering=0)
        try:
            if fresh.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(fresh.fileno())
            self.path.rename(closed)
            try:
                following.rename(self.path)
            except OSError:
                closed.rename(self.path)
                raise
        except BaseException:
            fresh.close()
            raise
        return fresh

    def _write(self, text: bytes) -> None:
        """All of it or nothing: what a full disk took of it is cut off, now or before the next entry."""
        if self._torn:
            os.ftruncate(self._file.fileno(), self._size)
        self._torn = True
        try:
            if self._file.write(text) != len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file.fileno(), self._size)
                self._torn = False
            raise
        self._size, self._torn = self._size + len(text), False

    def close(self) -> None:
        """Close the file; the log cannot be appended to afterwards."""
        self._file.close()

    def _due(self, rotation: Rotation) -> bool:
        age = self._now() - self._begun
        return self._lines > 1 and (0 < rotation.size <= self._size or 0 < rotation.age <= age)


def closed_files(path: Path) -> list[Path]:
    """The closed files of a log, oldest first."""
    return sorted((path.parent / CLOSED).glob(f"{path.stem}.[0-9]*{path.suffix}"))


def entries(path: Path) -> list[dict[str, Any]]:
    """All entries of a chain, in order. Raises Tampered at the first line that does not fit."""
    return [found.entry for found in links(path)]


def verify(path: Path) -> int:
    """Number of intact entries. Raises Tampered at the first line that does not fit."""
    return sum(1 for _ in links(path))


def links(path: Path) -> Iterator[Link]:
    """All entries of a log, through all of its files. Raises Tampered at the first that does not fit."""
    closed = closed_files(path)
    if closed and not path.exists():
        raise Tampered(f"{path.name} is missing, and {len(closed)} closed files of it are there")
    previous, lines = GENESIS, 0
    for number, file in enumerate([*closed, path]):
        if file != path and file != closed_file(path, number + 1):
            raise Tampered(f"{closed_file(path, number + 1).name} is missing before {file.name}")
        for found in _of_file(file, previous):
            if found.bare:
                told = found.entry
                if told.get(CONTINUES) != number or told.get("lines") != lines:
                    raise Tampered(f"{file.name} line 1 does not continue the file before it")
            previous, lines = found.digest, found.line
            if not found.bare:
                yield found


def _of_file(path: Path, previous: str | None) -> Iterator[Link]:
    """The entries of one file. previous: digest before it; None: as its first line says."""
    if not path.exists():
        return
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            digest, body = parsed(path, number, line)
            bare = is_bare(number, body)
            if previous is None:
                previous = str(json.loads(body)["hash"]) if bare else GENESIS
            require(path, number, digest, previous, body)
            previous = digest
            yield Link(digest, body, path, number, bare)


def _following(path: Path) -> Path:
    return path.with_name(f".{path.name}.next")


def _finish_rotation(path: Path) -> None:
    """Put in place what a process that died while it rotated had prepared."""
    following = _following(path)
    if following.exists():
        if path.exists():
            following.unlink()
        else:
            following.rename(path)
    if closed_files(path) and not path.exists():
        raise Tampered(f"{path.name} is missing, and closed files of it are there; put it back from a backup")


def _drop_torn_tail(path: Path) -> None:
    """Remove a last line without its newline: a process died while writing it."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            file.truncate(whole)
