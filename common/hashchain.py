"""Tamper-evident logs: each line carries the SHA-256 of the line before it.

A changed, removed or inserted line breaks the chain at a line number that `verify` names.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from common.errors import Tampered

GENESIS = "0" * 64


def link(previous: str, entry: Mapping[str, Any]) -> str:
    """SHA-256 in hex over the previous digest and the entry as canonical JSON."""
    body = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(f"{previous}\n{body}".encode()).hexdigest()


class ChainLog:
    """An append-only JSON-lines file on disk; `append` returns after fsync."""

    def __init__(self, path: Path) -> None:
        """Open or create `path`; an existing chain is verified first (raises Tampered)."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        _drop_torn_tail(path)
        self._last = GENESIS
        for _, self._last in _checked(path):
            pass
        self._file = path.open("a", encoding="utf-8")

    def append(self, entry: Mapping[str, Any]) -> str:
        """Write one entry durably and return its digest."""
        digest = link(self._last, entry)
        line = json.dumps({"hash": digest, "entry": entry}, ensure_ascii=False)
        self._file.write(line + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._last = digest
        return digest

    def close(self) -> None:
        """Close the file; the log cannot be appended to afterwards."""
        self._file.close()


def entries(path: Path) -> list[dict[str, Any]]:
    """All entries of a chain, in order. Raises Tampered at the first line that does not fit."""
    return [entry for entry, _ in _checked(path)]


def verify(path: Path) -> int:
    """Number of intact entries. Raises Tampered at the first line that does not fit."""
    return sum(1 for _ in _checked(path))


def _checked(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    if not path.exists():
        return
    previous = GENESIS
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
                digest, entry = record["hash"], record["entry"]
            except (ValueError, KeyError, TypeError) as why:
                raise Tampered(f"{path.name} line {number} is not a chain entry: {why}") from why
            if digest != link(previous, entry):
                raise Tampered(f"{path.name} line {number} does not follow from the line before it")
            previous = digest
            yield entry, digest


def _drop_torn_tail(path: Path) -> None:
    """Remove a last line without its newline: a process died while writing it."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            file.truncate(whole)
