"""Measurements on disk: `STATE/commissioning/ID/`, a point a line, and what a kill has left unrestored.

measurement.json   plan, settings at the start, who, when, machine state
points.jsonl       one point a line, on disk before the next step begins
result.json, report.pdf, proposal.json
STATE/commissioning/pending/ID.json   settings that must be put back; gone when they were
"""

import json
import math
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.errors import BadInput
from common.files import read_json, write_json
from common.text import _
from ptcs.child import alive
from ptcs.commissioning.plan import Measured, Plan, Point

HEAD, POINTS, RESULT = "measurement.json", "points.jsonl", "result.json"


@dataclass(frozen=True)
class Pending:
    """Settings that a measurement has not put back: name -> value before."""

    id: str
    user: str
    pid: int
    host: str
    began: str
    settings: Mapping[str, float]


class Store:
    """The measurements of one facility."""

    def __init__(self, state: Path | str) -> None:
        """state: the facility's state directory."""
        self.root = Path(state) / "commissioning"
        self.pending_folder = self.root / "pending"
        self._active: set[str] = set()

    def folder(self, number: str) -> Path:
        """Where a measurement lies. Raises BadInput for an id that there is not."""
        path = self.root / number
        if not number or path.parent != self.root or not (path / HEAD).exists():
            raise BadInput(_("no measurement {id}: `ptcs commission list` shows them").format(id=number))
        return path

    def begin(self, plan: Plan, start: tuple[float, ...], user: str, machine: Mapping[str, Any]) -> Measured:
        """A new measurement without points. Raises OSError."""
        when = datetime.now(UTC)
        number = f"{when:%Y%m%dT%H%M%S}-{plan.kind}-{secrets.token_hex(2)}"
        head = {"id": number, "user": user, "began": when.isoformat(timespec="milliseconds"),
                "plan": plan.as_dict(), "start": list(start), "machine": dict(machine)}  # fmt: skip
        (self.root / number).mkdir(parents=True)
        write_json(self.root / number / HEAD, head)
        return Measured(number, plan, start, ())

    def append(self, measured: Measured, *points: Point) -> Measured:
        """The measurement with more points, which are on disk. Raises OSError."""
        lines = [json.dumps(_plain(asdict(point)), separators=(",", ":")) for point in points]
        with (self.folder(measured.id) / POINTS).open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        return Measured(measured.id, measured.plan, measured.start, (*measured.points, *points))

    def load(self, number: str) -> Measured:
        """A measurement with all its points. A last line that a kill has torn is dropped. Raises BadInput."""
        folder = self.folder(number)
        head = self.head(number)
        lines = (folder / POINTS).read_text(encoding="utf-8") if (folder / POINTS).exists() else ""
        whole, _newline, torn = lines.rpartition("\n")
        if torn:
            (folder / POINTS).write_text(f"{whole}\n" if whole else "", encoding="utf-8")
        points = tuple(_point(line, number) for line in whole.splitlines())
        return Measured(number, Plan.from_dict(head["plan"]), tuple(map(float, head["start"])), points)

    def head(self, number: str) -> dict[str, Any]:
        """Plan, user, time and machine state of a measurement. Raises BadInput."""
        try:
            head: dict[str, Any] = read_json(self.folder(number) / HEAD)
            return head
        except (OSError, ValueError) as why:
            raise BadInput(_("a kept measurement cannot be read: {why}").format(why=why)) from why

    def ids(self) -> list[str]:
        """Ids of all measurements, oldest first."""
        return sorted(path.parent.name for path in self.root.glob(f"*/{HEAD}"))

    # --- settings to put back

    def hold(self, number: str, user: str, settings: Mapping[str, float]) -> None:
        """Note durably what must be put back, before the first write. Raises OSError."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._active.add(number)
        self.pending_folder.mkdir(parents=True, exist_ok=True)
        note = Pending(number, user, os.getpid(), socket.gethostname(), now, dict(settings))
        write_json(self.pending_folder / f"{number}.json", asdict(note))

    def release(self, number: str) -> None:
        """Everything is back."""
        self._active.discard(number)
        (self.pending_folder / f"{number}.json").unlink(missing_ok=True)

    def pending(self) -> list[Pending]:
        """What was not put back, oldest first. Raises BadInput for a note that cannot be read."""
        try:
            notes = [read_json(path) for path in sorted(self.pending_folder.glob("*.json"))]
            return [Pending(**note) for note in notes]
        except (OSError, ValueError, TypeError) as why:
            raise BadInput(_("a note of settings to put back cannot be read: {why}").format(why=why)) from why

    def orphans(self) -> list[Pending]:
        """What a process that is gone, or a measurement of this one that is over, has not put back."""
        return [note for note in self.pending() if self._orphaned(note)]

    def give_up(self, number: str) -> None:
        """A measurement is over, and what it held is not back."""
        self._active.discard(number)

    def _orphaned(self, note: Pending) -> bool:
        if note.host != socket.gethostname():
            return False
        return note.id not in self._active if note.pid == os.getpid() else not alive(note.pid)


def _plain(point: Mapping[str, Any]) -> dict[str, Any]:
    """NaN as null: JSON has no other word for it."""
    clean = dict(point)
    for name in ("mean", "error"):
        clean[name] = [value if math.isfinite(value) else None for value in clean[name]]
    return clean


def _point(line: str, number: str) -> Point:
    try:
        row = json.loads(line)
        for name in ("mean", "error"):
            row[name] = tuple(math.nan if value is None else float(value) for value in row[name])
        for name in ("settings", "count", "notes"):
            row[name] = tuple(row[name])
        return Point(**row)
    except (ValueError, KeyError, TypeError) as why:
        raise BadInput(
            _("measurement {id}: a point cannot be read: {why}").format(id=number, why=why)
        ) from why
