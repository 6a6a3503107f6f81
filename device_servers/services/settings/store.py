"""What is kept: snapshots as immutable files, restores as records, and the chained log that names them.

A file is on disk before the log names it, and nothing is acknowledged before the log has it: a process
that is killed in between leaves a file that nobody knows, never a line without its file.
"""

import json
import logging
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.errors import Refused, Tampered
from common.files import read_json, write_atomic, write_json
from common.hashchain import ChainLog, entries
from common.text import _
from device_servers.services.settings import snapshot as snapshots
from device_servers.services.settings.snapshot import Snapshot

log = logging.getLogger(__name__)

MOST_TAGS = 16
LONGEST_TAG = 40


@dataclass
class Line:
    """One snapshot as the log knows it: its summary, and what was said of it since."""

    summary: Mapping[str, Any]
    sha256: str
    tags: tuple[str, ...]
    golden: bool = False

    def row(self) -> dict[str, Any]:
        """As JSON values."""
        return {**self.summary, "sha256": self.sha256, "tags": list(self.tags), "golden": self.golden}


@dataclass
class Index:
    """What the log adds up to."""

    lines: dict[str, Line] = field(default_factory=dict)
    restores: dict[str, dict[str, Any]] = field(default_factory=dict)

    def apply(self, entry: Mapping[str, Any]) -> None:
        """Take up one entry of the log. Raises KeyError, TypeError for one that is none."""
        kind = entry["kind"]
        if kind == "take":
            summary = entry["summary"]
            self.lines[summary["id"]] = Line(summary, entry["sha256"], tuple(entry["tags"]))
        elif kind == "tags":
            self.lines[entry["id"]].tags = tuple(entry["tags"])
        elif kind == "golden":
            self._golden(entry["id"], golden=bool(entry["golden"]))
        elif kind in ("restore", "outcome"):
            self.restores[entry["id"]] = {**self.restores.get(entry["id"], {}), **entry, "kind": "restore"}

    def line(self, name: str) -> Line:
        """A snapshot by its id, the beginning of it, or `golden:CONFIGURATION`. Raises Refused."""
        if name.startswith("golden:"):
            wanted = name.partition(":")[2]
            golden = [line for line in self.lines.values() if line.golden]
            found = [line for line in golden if line.summary["configuration"] == wanted]
        else:
            found = [line for key, line in self.lines.items() if name and key.startswith(name)]
        if len(found) != 1:
            text = _("{count} snapshots are called {name!r}; `ptcs snapshot list` shows them")
            raise Refused(text.format(count=len(found), name=name))
        return found[0]

    def find(self, wish: Mapping[str, Any]) -> list[dict[str, Any]]:
        """As `Store.find`."""
        rows = [line.row() for line in reversed(self.lines.values())]
        found = [row for row in rows if _fits(row, wish)]
        return found[: int(wish.get("limit") or len(found))]

    def _golden(self, name: str, *, golden: bool) -> None:
        """One snapshot of a configuration at most is the golden one."""
        line = self.lines[name]
        for other in self.lines.values():
            if golden and other.summary["configuration"] == line.summary["configuration"]:
                other.golden = False
        line.golden = golden


class Store:
    """`STATE/settings`. Any thread."""

    def __init__(self, folder: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Open or begin it. A log that was altered makes it read-only: `broken` says why."""
        self.folder, self._now = folder, now
        self._path = folder / "settings.log"
        self._lock = threading.RLock()
        self._chain: ChainLog | None = None
        self._decoder = snapshots.Decoder()
        self.index = Index()
        self.broken = ""
        for place in ("snapshots", "restores"):
            _make_clean(folder / place)
        self._open()

    def _open(self) -> None:
        self.broken = ""
        try:
            self._chain = ChainLog(self._path)
            self.index = Index()
            for entry in entries(self._path):
                self.index.apply(entry)
        except (Tampered, OSError, KeyError, TypeError, ValueError) as why:
            self.broken = _("the log of settings cannot be trusted: {why}").format(why=why)
            log.error("%s", self.broken)

    def close(self) -> None:
        """Close the log."""
        if self._chain is not None:
            self._chain.close()

    def new_id(self) -> str:
        """An id that sorts by time."""
        return f"{self._now():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"

    def add(self, snapshot: Snapshot, tags: Iterable[str]) -> Line:
        """Keep a snapshot: file, then log. Raises Refused when it cannot be kept."""
        content = snapshots.to_bytes(snapshot)
        path = self._snapshot(snapshot.head.id)
        entry = {
            "kind": "take",
            "user": snapshot.head.user,
            "summary": snapshot.summary,
            "sha256": snapshots.digest(content),
            "tags": list(tags),
        }
        with self._lock:
            try:
                write_atomic(path, content, mode=0o444)
            except OSError as why:
                raise _not_kept(why) from why
            try:
                self._append(entry)
            except Refused:
                path.unlink(missing_ok=True)
                raise
            return self.index.lines[snapshot.head.id]

    def line(self, name: str) -> Line:
        """A snapshot by its id, the beginning of it, or `golden:CONFIGURATION`. Raises Refused."""
        with self._lock:
            return self.index.line(name)

    def read(self, name: str) -> Snapshot:
        """A snapshot. Raises Refused for an unknown one, Tampered for one whose file was changed."""
        line = self.line(name)
        path = self._snapshot(line.summary["id"])
        try:
            content = path.read_bytes()
        except OSError as why:
            raise Tampered(
                _("the file of snapshot {name} is gone: {why}").format(name=name, why=why)
            ) from why
        return self._decoder.snapshot(content, line.sha256)

    def find(self, wish: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Snapshots, newest first, that fit {"text", "tag", "configuration", "user", "golden", "from", "to"}.

        from, to: s since the epoch. "limit": the most rows; what is left out does not choose.
        """
        with self._lock:
            return self.index.find(wish)

    def tag(self, user: str, name: str, tags: Iterable[str]) -> None:
        """Replace the tags of a snapshot. Raises Refused."""
        chosen = list(dict.fromkeys(tags))
        if len(chosen) > MOST_TAGS or any(not tag or len(tag) > LONGEST_TAG for tag in chosen):
            text = _("allowed are {count} tags of 1 to {length} characters")
            raise Refused(text.format(count=MOST_TAGS, length=LONGEST_TAG))
        with self._lock:
            self._append({"kind": "tags", "user": user, "id": self.line(name).summary["id"], "tags": chosen})

    def golden(self, user: str, name: str, *, golden: bool) -> None:
        """Make a snapshot the golden one of its configuration, or no longer. Raises Refused."""
        with self._lock:
            entry = {"kind": "golden", "user": user, "id": self.line(name).summary["id"], "golden": golden}
            self._append(entry)

    # --- Restores

    def begin(self, record: Mapping[str, Any]) -> None:
        """Keep what a restore is about to write, and what was there before. Raises Refused."""
        with self._lock:
            self._write_record(record)
            self._append({"kind": "restore", **_brief(record)})

    def end(self, record: Mapping[str, Any]) -> None:
        """Keep how a restore ended. Raises Refused."""
        with self._lock:
            self._write_record(record)
            self._append({"kind": "outcome", **_brief(record)})

    def restore(self, name: str) -> dict[str, Any]:
        """The record of a restore by its id or the beginning of it. Raises Refused, Tampered."""
        found = [key for key in self.index.restores if name and key.startswith(name)]
        if len(found) != 1:
            raise Refused(_("{count} restores are called {name!r}").format(count=len(found), name=name))
        try:
            return dict(read_json(self._record(found[0])))
        except (OSError, ValueError) as why:
            raise Tampered(
                _("the record of restore {name} cannot be read: {why}").format(name=name, why=why)
            ) from why

    # --- Inner

    def _snapshot(self, name: str) -> Path:
        return self.folder / "snapshots" / f"{name}.json"

    def _record(self, name: str) -> Path:
        return self.folder / "restores" / f"{name}.json"

    def _write_record(self, record: Mapping[str, Any]) -> None:
        try:
            write_json(self._record(record["id"]), record)
        except OSError as why:
            raise _not_kept(why) from why

    def _append(self, entry: Mapping[str, Any]) -> None:
        if self.broken:
            raise Refused(self.broken)
        assert self._chain is not None
        stamped = {"time": self._now().isoformat(timespec="milliseconds"), **entry}
        try:
            self._chain.append(stamped)
        except OSError as why:
            raise _not_kept(why) from why
        self.index.apply(json.loads(json.dumps(stamped)))


def _make_clean(folder: Path) -> None:
    """Make a folder; what a process that was killed had half written goes."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".*"):
        left.unlink(missing_ok=True)


def _not_kept(why: Exception) -> Refused:
    return Refused(_("it cannot be kept ({why}); free disk space, then try again").format(why=why))


def _brief(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the log says of a restore; its record holds the rest."""
    keys = (
        "id",
        "snapshot",
        "user",
        "comment",
        "state",
        "started",
        "ended",
        "writes",
        "failed",
        "rollback_of",
    )
    return {key: record[key] for key in keys if key in record}


def _fits(row: Mapping[str, Any], wish: Mapping[str, Any]) -> bool:
    text = str(wish.get("text") or "").lower()
    where = " ".join([row["comment"], row["configuration"], row["user"], row["id"], *row["tags"]]).lower()
    return (
        all(word in where for word in text.split())
        and (not wish.get("tag") or wish["tag"] in row["tags"])
        and (not wish.get("configuration") or wish["configuration"] == row["configuration"])
        and (not wish.get("user") or wish["user"] == row["user"])
        and (not wish.get("golden") or row["golden"])
        and float(wish.get("from") or 0.0) <= row["started"] <= float(wish.get("to") or float("inf"))
    )
