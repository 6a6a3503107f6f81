"""Tamper-evident logs: each line carries the SHA-256 of the line before it.

A changed, removed or inserted line breaks the chain at a line that `verify` names. A log may be cut into
files (`Rotation`): closed ones lie in `closed/` beside the one that is written, and each begins by saying
how the one before it ended. What the chain alone cannot show, a missing end, is found by the counts that
another process keeps (common/seals.py).
"""

import contextlib
import errno
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

from common.errors import Tampered

log = logging.getLogger(__name__)

GENESIS = "0" * 64
CLOSED = "closed"
"""Folder of the closed files of a log."""
CONTINUES = "continues"
"""Key of the first entry of a file that follows another; no entry of a log's writer has it."""

_HEAD, _MIDDLE = b'{"hash": "', b'", "entry": '
_BODY = len(_HEAD) + 64 + len(_MIDDLE)
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True)
class Rotation:
    """When a file is closed: at a size in bytes, or an age in s since it was begun (0: never for that)."""

    size: int = 32 << 20
    age: float = 0.0


@dataclass(frozen=True)
class Link:
    """One entry of a chain: its digest, and where it stands. `bare`: it only joins two files."""

    digest: str
    body: bytes
    path: Path
    line: int
    bare: bool = False

    @property
    def entry(self) -> dict[str, Any]:
        """What was logged. Raises Tampered when it is no object."""
        found = json.loads(self.body)
        if not isinstance(found, dict):
            raise Tampered(f"{self.path.name} line {self.line} is not a chain entry: it is no object")
        return found


def link(previous: str, entry: Mapping[str, Any]) -> str:
    """SHA-256 in hex over the previous digest and the entry as canonical JSON."""
    return _digest(previous, _body(entry))


def _digest(previous: str, body: bytes) -> str:
    return hashlib.sha256(previous.encode() + b"\n" + body).hexdigest()


def _body(entry: Mapping[str, Any]) -> bytes:
    # A lone surrogate has no UTF-8; JSON has an escape for it.
    return _canonical(entry).encode("utf-8", "backslashreplace")


def _line(previous: str, entry: Mapping[str, Any]) -> tuple[str, bytes]:
    """Digest and line of an entry; the entry stands in the line as it was hashed."""
    body = _body(entry)
    digest = _digest(previous, body)
    return digest, _HEAD + digest.encode() + _MIDDLE + body + b"}\n"


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
            last, line = _line(last, entry)
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
        digest, line = _line(self._last, header)
        fresh = self._begin(line, _closed(self.path, number))
        self._file.close()
        self._file = fresh
        self._last, self._begun, self._lines, self._size = digest, now, 1, len(line)
        for place in (folder, self.path.parent):
            _sync_folder(place)

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


class Tail:
    """Follows a log that another process writes: reads and checks what is new. One thread."""

    def __init__(self, path: Path) -> None:
        """Begin at the log's first entry."""
        self._path = path
        self._part, self._offset, self._line = 1, 0, 0
        self._last = GENESIS
        self.entries, self.head = 0, GENESIS
        """Entries so far, and the digest of the last."""

    def read(self) -> None:
        """Take in what was appended since. Raises Tampered, OSError."""
        while True:
            closed = _closed(self._path, self._part)
            with (closed if closed.exists() else self._path).open("rb") as lines:
                # The file may have been closed before it was opened here: then this is the one after it.
                over = closed.exists()
                if over and not os.path.samestat(os.fstat(lines.fileno()), closed.stat()):
                    continue
                self._take(lines)
            if not over:
                return
            self._part, self._offset, self._line = self._part + 1, 0, 0

    def _take(self, lines: BinaryIO) -> None:
        if lines.seek(0, os.SEEK_END) < self._offset:
            raise Tampered(f"{self._path.name} has become shorter: its end was cut off")
        lines.seek(self._offset)
        for line in lines:
            if not line.endswith(b"\n"):
                return
            self._line += 1
            digest, body = _parsed(self._path, self._line, line)
            _require(self._path, self._line, digest, self._last, body)
            self._last, self._offset = digest, self._offset + len(line)
            if not _is_bare(self._line, body):
                self.entries, self.head = self.entries + 1, digest


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
        if file != path and file != _closed(path, number + 1):
            raise Tampered(f"{_closed(path, number + 1).name} is missing before {file.name}")
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
            digest, body = _parsed(path, number, line)
            bare = _is_bare(number, body)
            if previous is None:
                previous = str(json.loads(body)["hash"]) if bare else GENESIS
            _require(path, number, digest, previous, body)
            previous = digest
            yield Link(digest, body, path, number, bare)


def _is_bare(number: int, body: bytes) -> bool:
    """Whether a line only joins its file to the one before."""
    if number != 1 or b'"continues":' not in body:
        return False
    try:
        return CONTINUES in json.loads(body)
    except ValueError:
        return False  # its digest will not fit either


def _require(path: Path, number: int, digest: str, previous: str, body: bytes) -> None:
    if digest != _digest(previous, body) and digest != _digest(previous, _plainly(body)):
        raise Tampered(f"{path.name} line {number} does not follow from the line before it")


def _plainly(body: bytes) -> bytes:
    """The canonical form of an entry that an earlier release wrote as Python's own JSON; else as it is."""
    try:
        entry = json.loads(body)
        if json.dumps(entry, ensure_ascii=False).encode() == body:
            return _body(entry)
    except ValueError:
        pass
    return body


def _parsed(path: Path, number: int, line: bytes) -> tuple[str, bytes]:
    """Digest and canonical body of a line. What was hashed stands in it, so that most need no parsing."""
    if line.startswith(_HEAD) and line[_BODY - len(_MIDDLE) : _BODY] == _MIDDLE and line.endswith(b"}\n"):
        return line[len(_HEAD) : len(_HEAD) + 64].decode("ascii", "replace"), line[_BODY:-2]
    raise Tampered(f"{path.name} line {number} is not a chain entry")


def _closed(path: Path, number: int) -> Path:
    return path.parent / CLOSED / f"{path.stem}.{number:06d}{path.suffix}"


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


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _drop_torn_tail(path: Path) -> None:
    """Remove a last line without its newline: a process died while writing it."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            file.truncate(whole)
