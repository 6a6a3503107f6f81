"""The alarm engine: values in, moves of alarms out. Time is an argument, and nothing here waits or writes.

One step: keep the values, find which conditions hold and have lasted (conditions.py), and move the alarms by
the table (states.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from device_servers.services.alarms.conditions import Conditions
from device_servers.services.alarms.groups import Groups
from device_servers.services.alarms.inputs import Flags, Floats, Indices, Inputs, Ints, Sample, Words
from device_servers.services.alarms.rules import Rule
from device_servers.services.alarms.severity import Severity
from device_servers.services.alarms.states import NEXT, NOWHERE, STANDING, Event, State

_UNCOUNTED = (State.SUPPRESSED, State.DISABLED)
"""States in which an alarm that comes and goes leaves nothing to acknowledge."""


@dataclass(frozen=True)
class Moves:
    """What happened to some alarms, in order; every field has shape (n,)."""

    rules: Indices
    events: Ints
    states: Ints
    severities: Ints
    status: Ints
    values: Floats
    crossed: Floats

    def __len__(self) -> int:
        """Number of moves."""
        return len(self.rules)

    @staticmethod
    def joined(parts: Sequence["Moves"]) -> "Moves":
        """Several after one another."""
        kinds = {"rules": np.intp, "values": np.float64, "crossed": np.float64}
        columns = {
            name: [np.empty(0, dtype=kinds.get(name, np.int32)), *(getattr(part, name) for part in parts)]
            for name in (field.name for field in fields(Moves))
        }
        return Moves(**{name: np.concatenate(column) for name, column in columns.items()})

    def where(self, some: Flags) -> "Moves":
        """Some of the moves."""
        return Moves(*(getattr(self, field.name)[some] for field in fields(self)))


class Engine:
    """The alarms of a set of rules. Not for several threads at once."""

    def __init__(self, rules: Sequence[Rule], words: Words | None = None, first: int = 0) -> None:
        """`first`: where `changes` begins, so that counts of an earlier engine are not taken for its own."""
        self.rules = tuple(rules)
        self.words = words or Words()
        self.index = {rule.name: place for place, rule in enumerate(self.rules)}
        self.conditions = Conditions(self.rules, self.words)
        self.groups = Groups(self.rules)
        count = len(self.rules)
        self._latch = np.array([rule.latch for rule in self.rules], dtype=bool)
        self.states = np.full(count, State.NORMAL, dtype=np.int32)
        self.latched = np.zeros(count, dtype=np.int32)
        """Worst severity since the last acknowledgement."""
        self.raised = np.zeros(count)
        """When the value crossed its level, s since the epoch at its server."""
        self.until = np.full(count, np.inf)
        """When shelving ends, s since the epoch."""
        self.values = np.full(count, np.nan)
        """Value of the expression when the alarm last moved."""
        self.serials = np.zeros(count, dtype=np.int64)
        """Counts what an acknowledgement is about: another occurrence needs another one."""
        self.touched = np.zeros(count, dtype=np.int64)
        """Value of `changes` when the alarm last changed."""
        self.first = self.changes = first
        self._moves: list[Moves] = []

    @property
    def inputs(self) -> Inputs:
        """The values that the rules read."""
        return self.conditions.inputs

    def step(self, now: float, wall: float, sample: Sample | None = None) -> Moves:
        """Take values and let time pass: `now` monotonic, `wall` since the epoch, in s. What moved."""
        inhibit, settled = self.conditions.feed(sample, now)
        self._by_inhibit(inhibit[self.conditions.inhibited[inhibit]], Event.INHIBIT)
        if len(settled):
            self._by_condition(settled)
        self._by_inhibit(inhibit[~self.conditions.inhibited[inhibit]], Event.RELEASE)
        if (over := np.flatnonzero(self.until <= wall)).size:
            self.apply(over, Event.EXPIRE)
            self.until[over] = np.inf
        return self.taken()

    def apply(self, rules: Indices, event: Event) -> Indices:
        """Move alarms by an event; those that it moved. What returns from aside finds its place again."""
        after = NEXT[self.states[rules], event].astype(np.int32)
        rules, after = rules[after != NOWHERE], after[after != NOWHERE]
        if not len(rules):
            return rules
        before = self.states[rules]
        self._count(rules, event, before)
        self.states[rules] = after
        self._note(rules, event)
        back = rules[(before != State.NORMAL) & (after == State.NORMAL)]
        if len(back) and event in (Event.UNSHELVE, Event.EXPIRE, Event.RELEASE, Event.ENABLE):
            self._return(back)
        return rules

    def legal(self, rules: Indices, event: Event) -> Flags:
        """Whether an event would move each of the rules."""
        return NEXT[self.states[rules], event] != NOWHERE

    def taken(self) -> Moves:
        """Moves since the last call; marks the first of each group."""
        moves, self._moves = self._moves, []
        joined = Moves.joined(moves)
        if len(joined):
            marked = self.groups.update(np.unique(joined.rules).astype(np.intp), self.states, self.raised)
            self.touched[marked] = self.changes
        return joined

    def standing(self) -> Indices:
        """Alarms that an operator's list shows."""
        return np.flatnonzero(np.isin(self.states, STANDING))

    def aside(self) -> Indices:
        """Alarms that are put aside, those suppressed without a condition left out."""
        put = (self.states == State.SHELVED) | (self.states == State.DISABLED)
        hidden = (self.states == State.SUPPRESSED) & (self.conditions.severity > 0)
        return np.flatnonzero(put | hidden)

    # --- Inner

    def _by_inhibit(self, rules: Indices, event: Event) -> None:
        if len(rules):
            self.apply(rules, event)

    def _by_condition(self, rules: Indices) -> None:
        """Conditions that have settled: raise, escalate, lessen or clear."""
        before = self.conditions.show(rules)
        now = self.conditions.severity[rules]
        fresh, gone = (before == 0) & (now > 0), (before > 0) & (now == 0)
        known = (before == Severity.INVALID) & (now > 0) & (now < Severity.INVALID)
        more = known | (before > 0) & (now > before)  # known to be bad is news for who knew nothing
        less = (now > 0) & (now <= before) & ~known
        latch = self._latch[rules]
        for event, some in (
            (Event.CLEAR_LATCHING, gone & latch),
            (Event.CLEAR, gone & ~latch),
            (Event.LESSEN, less),
            (Event.ESCALATE, more),
            (Event.RAISE, fresh),
        ):
            if some.any():
                self.apply(rules[some], event)

    def _return(self, rules: Indices) -> None:
        """From aside: inhibited, standing, or something that came and went meanwhile."""
        held = self.conditions.inhibited[rules]
        bad = self.conditions.severity[rules] > 0
        missed = (self.latched[rules] > 0) & self._latch[rules]
        self.apply(rules[held], Event.INHIBIT)
        self.apply(rules[~held & bad], Event.RAISE)
        self.apply(rules[~held & ~bad & missed], Event.RELATCH)

    def _count(self, rules: Indices, event: Event, before: Ints) -> None:
        """What an event changes beside the state."""
        if event in (Event.RAISE, Event.ESCALATE, Event.RELATCH):
            self.serials[rules] += 1
            counted = rules[~np.isin(before, _UNCOUNTED)]
            self.latched[counted] = np.maximum(self.latched[counted], self.conditions.severity[counted])
        if event == Event.RAISE:
            self.raised[rules] = self.conditions.crossed[rules]
        if event in (Event.ACK, Event.DISABLE):
            self.latched[rules] = 0
        if event in (Event.UNSHELVE, Event.DISABLE):
            self.until[rules] = np.inf
        if event in (Event.CLEAR, Event.CLEAR_LATCHING):
            done = rules[(before == State.ACKED) | ~self._latch[rules]]
            self.latched[done] = 0

    def _note(self, rules: Indices, event: Event) -> None:
        self.changes += 1
        self.touched[rules] = self.changes
        self.values[rules] = self.conditions.values(rules)
        self._moves.append(
            Moves(
                rules,
                np.full(len(rules), event, dtype=np.int32),
                self.states[rules],
                self.conditions.severity[rules],
                self.conditions.status[rules],
                self.values[rules],
                self.conditions.crossed[rules],
            )
        )
