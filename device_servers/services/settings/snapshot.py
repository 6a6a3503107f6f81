"""A snapshot: the readings of a configuration at one time, as an immutable JSON file with its SHA-256."""

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import Tampered
from device_servers.services.settings.configuration import Row
from device_servers.services.settings.reading import INVALID, UNREADABLE, Reading

SCHEMA = 1
REMEMBERED = 8
"""Snapshots that stay decoded."""


@dataclass(frozen=True)
class Head:
    """Whose snapshot, of what and when. started, ended: s since the epoch."""

    id: str
    site: str
    configuration: str
    version: int
    digest: str
    started: float
    ended: float
    user: str
    comment: str

    def as_json(self) -> dict[str, Any]:
        """As JSON values."""
        return dict(vars(self))


@dataclass(frozen=True)
class Snapshot:
    """rows and readings go together. states: device -> [State, HealthState, AdminMode]."""

    head: Head
    groups: tuple[str, ...]
    rows: tuple[Row, ...]
    readings: tuple[Reading, ...]
    states: Mapping[str, Sequence[str]]

    @property
    def by_name(self) -> dict[str, Reading]:
        """Readings by attribute."""
        return {row.name: reading for row, reading in zip(self.rows, self.readings, strict=True)}

    def count(self, quality: str) -> int:
        """How many readings have this quality."""
        return sum(1 for reading in self.readings if reading.quality == quality)

    @property
    def summary(self) -> dict[str, Any]:
        """What a list shows of it."""
        counts = {
            "count": len(self.rows),
            "unreadable": self.count(UNREADABLE),
            "invalid": self.count(INVALID),
        }
        return {**self.head.as_json(), **counts}


COLUMNS = (
    "name",
    "value",
    "quality",
    "time",
    "why",
    "groups",
    "readback",
    "absolute",
    "relative",
    "settle_s",
)


def to_bytes(snapshot: Snapshot) -> bytes:
    """The file of a snapshot: columns, so that thousands of rows stay small."""
    pairs = list(zip(snapshot.rows, snapshot.readings, strict=True))
    columns = {name: [_cell(name, row, reading) for row, reading in pairs] for name in COLUMNS}
    body = {
        "schema": SCHEMA,
        **snapshot.head.as_json(),
        "order": list(snapshot.groups),
        "columns": columns,
        "states": {name: list(words) for name, words in snapshot.states.items()},
    }
    return (json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n").encode()


def _cell(name: str, row: Row, reading: Reading) -> Any:
    if name in ("value", "quality", "time", "why"):
        return getattr(reading, name)
    return dict(row.groups) if name == "groups" else getattr(row, name)


class Decoder:
    """Snapshots from the contents of their files; the last few stay decoded. Any thread."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Snapshot] = OrderedDict()
        self._lock = threading.Lock()

    def snapshot(self, content: bytes, expected: str) -> Snapshot:
        """As `from_bytes`; the content is checked each time."""
        require(content, expected)
        with self._lock:
            if expected in self._known:
                self._known.move_to_end(expected)
                return self._known[expected]
        found = from_bytes(content, expected)
        with self._lock:
            self._known[expected] = found
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return found


def require(content: bytes, expected: str) -> None:
    """Raise Tampered unless a file's content has that SHA-256."""
    if (found := digest(content)) != expected:
        raise Tampered(
            f"the snapshot's file was changed: its SHA-256 is {found[:16]}, it was {expected[:16]}"
        )


def from_bytes(content: bytes, expected: str) -> Snapshot:
    """The snapshot in a file. Raises Tampered when it is not the one with that SHA-256."""
    require(content, expected)
    body = json.loads(content)
    if body["schema"] != SCHEMA:
        raise Tampered(f"the snapshot's file has schema {body['schema']}: this version reads {SCHEMA}")
    columns = body["columns"]
    keys = [name for name in COLUMNS if name not in ("value", "quality", "time", "why")]
    rows = tuple(
        Row(**dict(zip(keys, cells, strict=True)))
        for cells in zip(*(columns[key] for key in keys), strict=True)
    )
    readings = tuple(
        Reading(*cells)
        for cells in zip(*(columns[key] for key in ("value", "quality", "time", "why")), strict=True)
    )
    head = Head(**{key: body[key] for key in Head.__dataclass_fields__})
    return Snapshot(head, tuple(body["order"]), rows, readings, body["states"])


def digest(content: bytes) -> str:
    """SHA-256 of a file's content, hex."""
    return hashlib.sha256(content).hexdigest()
