"""Between engine and store: what moved and is not yet on disk, and how alarms come back after a restart."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from device_servers.services.alarms.engine import Engine, Moves
from device_servers.services.alarms.inputs import Indices
from device_servers.services.alarms.levels import UNKNOWN
from device_servers.services.alarms.severity import Status
from device_servers.services.alarms.states import STANDING, Event, State
from device_servers.services.alarms.store import Changes, Row

MOST_WAITING = 200_000
"""Rows of history kept in memory while the disk takes none; beyond, the oldest are lost and counted."""
NOTED = (State.ACKED, State.SHELVED, State.DISABLED)
"""States that a person has put an alarm in; the note lasts as long."""
EVENTS = tuple(event.name for event in Event)
STATES = tuple(state.name for state in State)
STATUS = tuple(status.name for status in Status)


@dataclass(frozen=True)
class Note:
    """Who acknowledged, shelved or disabled an alarm, why, and when (s since the epoch)."""

    user: str = ""
    text: str = ""
    when: float = 0.0


NOBODY = Note()


@dataclass
class Keeper:
    """Not for several threads at once; the engine's lock is this one's too."""

    engine: Engine
    notes: dict[int, Note] = field(default_factory=dict)
    lost: int = 0
    """Rows of history that found no room in memory."""
    _events: list[Row] = field(default_factory=list)
    _dirty: set[int] = field(default_factory=set)

    def add(self, moves: Moves, wall: float, note: Note = NOBODY) -> None:
        """Remember moves for the next transaction."""
        if not len(moves):
            return
        self._events += self.events(moves, wall, note)
        self._dirty.update(moves.rules.tolist())
        for rule in moves.rules[~np.isin(moves.states, NOTED)].tolist():
            self.notes.pop(rule, None)
        self._trim()

    def touch(self, rules: Indices) -> None:
        """Have rules written again as they stand."""
        self._dirty.update(rules.tolist())

    def events(self, moves: Moves, wall: float, note: Note = NOBODY) -> list[Row]:
        """Rows of history of moves; the user stands with what users do."""
        rules = self.engine.rules
        return [
            (
                wall, rules[rule].name, EVENTS[event], STATES[state], severity, STATUS[status],
                _number(value), _number(crossed), note.user, note.text,
            )
            for rule, event, state, severity, status, value, crossed in zip(
                moves.rules.tolist(), moves.events.tolist(), moves.states.tolist(), moves.severities.tolist(),
                moves.status.tolist(), moves.values.tolist(), moves.crossed.tolist(), strict=True,
            )
        ]  # fmt: skip

    def waiting(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._events or self._dirty)

    def taken(self) -> Changes:
        """Everything to write now; give it back with `put_back` if it could not be written."""
        events, self._events = self._events, []
        dirty, self._dirty = sorted(self._dirty), set()
        keep = [rule for rule in dirty if self._matters(rule)]
        drop = [self.engine.rules[rule].name for rule in dirty if not self._matters(rule)]
        return Changes(events, [self.row(rule) for rule in keep], drop)

    def put_back(self, changes: Changes) -> None:
        """Have changes written with the next ones."""
        self._events = [*changes.events, *self._events]
        names = [*(row[0] for row in changes.keep), *changes.drop]
        self._dirty.update(self.engine.index[name] for name in names)
        self._trim()

    def row(self, rule: int) -> Row:
        """An alarm as it stands, in the order of STANDING_COLUMNS."""
        engine, note = self.engine, self.notes.get(rule, NOBODY)
        return (
            engine.rules[rule].name, STATES[engine.states[rule]], int(engine.conditions.settled[rule]),
            int(engine.latched[rule]), float(engine.raised[rule]), _number(float(engine.values[rule])),
            int(engine.serials[rule]), _number(float(engine.until[rule])), int(engine.groups.is_first(rule)),
            note.user, note.text, note.when,
        )  # fmt: skip

    def restore(self, rows: Sequence[Mapping[str, Any]], wall: float) -> Changes:
        """Put kept alarms back; what to write about those that have no rule any more."""
        strangers = [row["name"] for row in rows if row["name"] not in self.engine.index]
        for row in rows:
            if row["name"] in self.engine.index:
                self._restore(self.engine.index[row["name"]], row)
        engine = self.engine
        first = [engine.index[r["name"]] for r in rows if r["first"] and r["name"] in engine.index]
        engine.groups.restore([rule for rule in first if engine.states[rule] in STANDING], engine.raised)
        events = [(wall, name, "REMOVED", "NORMAL", 0, "NO_ALARM", None, None, "", "") for name in strangers]
        return Changes(events, drop=strangers)

    def _restore(self, rule: int, row: Mapping[str, Any]) -> None:
        engine = self.engine
        place = np.array([rule], dtype=np.intp)
        engine.conditions.restore(place, np.array([min(max(row["condition"], 0), UNKNOWN)], dtype=np.int32))
        state = State[row["state"]]
        severity = int(engine.conditions.severity[rule])
        if state is State.NORMAL and severity:
            state = State.UNACKED  # put back from aside, and killed before it had found its place
        elif state is State.NORMAL and row["latched"]:
            state = State.LATCHED
        if state is State.SUPPRESSED:
            if engine.rules[rule].inhibit is None:
                state = State.UNACKED if severity else State.NORMAL
            else:
                engine.conditions.inhibited[rule] = True
        engine.states[rule] = state
        engine.latched[rule], engine.raised[rule] = row["latched"], row["raised"]
        engine.serials[rule] = row["serial"]
        engine.values[rule] = math.nan if row["value"] is None else row["value"]
        engine.until[rule] = math.inf if row["until"] is None else row["until"]
        engine.conditions.crossed[rule] = row["raised"]
        engine.changes += 1
        engine.touched[rule] = engine.changes
        if row["user"] or row["note"]:
            self.notes[rule] = Note(row["user"], row["note"], row["noted"])

    def _matters(self, rule: int) -> bool:
        """Whether a restart must know of an alarm."""
        engine = self.engine
        return bool(engine.states[rule] != State.NORMAL or engine.latched[rule])

    def _trim(self) -> None:
        if (over := len(self._events) - MOST_WAITING) > 0:
            del self._events[:over]
            self.lost += over


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
