"""Lines of a tamper-evident log: how an entry is hashed and written, and whether one follows from another."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import Tampered

GENESIS = "0" * 64
CLOSED = "closed"
"""Folder of the closed files of a log."""
CONTINUES = "continues"
"""Key of the first entry of a file that follows another; no entry of a log's writer has it."""

_HEAD, _MIDDLE = b'{"hash": "', b'", "entry": '
_BODY = len(_HEAD) + 64 + len(_MIDDLE)
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


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


def line_of(previous: str, entry: Mapping[str, Any]) -> tuple[str, bytes]:
    """Digest and line of an entry; the entry stands in the line as it was hashed."""
    body = _body(entry)
    digest = _digest(previous, body)
    return digest, _HEAD + digest.encode() + _MIDDLE + body + b"}\n"


def is_bare(number: int, body: bytes) -> bool:
    """Whether a line only joins its file to the one before."""
    if number != 1 or b'"continues":' not in body:
        return False
    try:
        return CONTINUES in json.loads(body)
    except ValueError:
        return False  # its digest will not fit either


def require(path: Path, number: int, digest: str, previous: str, body: bytes) -> None:
    """Raise Tampered unless a line follows from the digest before it."""
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


def parsed(path: Path, number: int, line: bytes) -> tuple[str, bytes]:
    """Digest and canonical body of a line. What was hashed stands in it, so that most need no parsing."""
    if line.startswith(_HEAD) and line[_BODY - len(_MIDDLE) : _BODY] == _MIDDLE and line.endswith(b"}\n"):
        return line[len(_HEAD) : len(_HEAD) + 64].decode("ascii", "replace"), line[_BODY:-2]
    raise Tampered(f"{path.name} line {number} is not a chain entry")


def closed_file(path: Path, number: int) -> Path:
    """The closed file of a log with this number."""
    return path.parent / CLOSED / f"{path.stem}.{number:06d}{path.suffix}"
