"""From values to conditions: expressions, levels, delays and inhibits of all rules at once.

A step costs what changed, not what exists: tables tell which expressions read an input, which rules use it.
"""

from collections.abc import Sequence

import numpy as np

from device_servers.services.alarms.expression import Node, names
from device_servers.services.alarms.inputs import Floats, Indices, Inputs, Ints, Sample, Words
from device_servers.services.alarms.levels import NONE, UNKNOWN, Levels
from device_servers.services.alarms.program import Programs
from device_servers.services.alarms.rules import Rule
from device_servers.services.alarms.severity import Status

EMPTY = np.empty(0, dtype=np.intp)
NOWHERE = -1


class Table:
    """Many-to-many from one kind of index to another: which expressions an input has, and so on."""

    def __init__(self, keys: Indices, values: Indices, count: int, size: int) -> None:
        """Pairs (key, value) with keys below `count` and values below `size`."""
        order = np.argsort(keys, kind="stable")
        self._values = values[order]
        self._starts = np.searchsorted(keys[order], np.arange(count + 1))
        self._marks = np.zeros(size, dtype=bool)

    def of(self, keys: Indices) -> Indices:
        """All values of some keys, sorted, each once."""
        starts = self._starts[keys]
        sizes = self._starts[keys + 1] - starts
        total = int(sizes.sum())
        if not total:
            return EMPTY
        offsets = np.repeat(starts - np.cumsum(sizes) + sizes, sizes)
        values = self._values[offsets + np.arange(total)]
        self._marks[values] = True
        found = np.flatnonzero(self._marks)
        self._marks[values] = False
        return found


class Conditions:
    """From values to what each rule's condition is, delays passed. Arrays have one place a rule."""

    def __init__(self, rules: Sequence[Rule], words: Words) -> None:
        nodes: dict[Node, int] = {}
        main = [nodes.setdefault(rule.value, len(nodes)) for rule in rules]
        aside = [
            NOWHERE if rule.inhibit is None else nodes.setdefault(rule.inhibit, len(nodes)) for rule in rules
        ]
        self.inputs = Inputs(list(dict.fromkeys(name for node in nodes for name in names(node))))
        self.programs = Programs(list(nodes), self.inputs, words)
        self._levels = Levels(rules)
        place = np.append(self.programs.place, NOWHERE)
        self._main, self._aside = place[np.array(main, np.intp)], place[np.array(aside, np.intp)]
        every = np.arange(len(rules))
        self._readers = Table(*self.programs.users(), len(self.inputs.names), len(nodes))
        self._mains = Table(self._main, every, len(nodes), len(rules))
        inhibited = self._aside != NOWHERE
        self._asides = Table(self._aside[inhibited], every[inhibited], len(nodes), len(rules))
        self._on = np.array([rule.delays.active for rule in rules], dtype=float)
        self._off = np.array([rule.delays.clear for rule in rules], dtype=float)
        self._unknown = np.array([rule.delays.unknown for rule in rules], dtype=float)
        count = len(rules)
        self.raw = np.full(count, NONE, dtype=np.int32)
        """Condition of the latest value."""
        self.settled = np.full(count, NONE, dtype=np.int32)
        """Condition that lasted long enough to count."""
        self.severity = np.zeros(count, dtype=np.int32)
        self.status = np.zeros(count, dtype=np.int32)
        self.inhibited = np.zeros(count, dtype=bool)
        self.crossed = np.zeros(count)
        """When the latest value left the settled condition, s since the epoch at its server."""
        self._direction = np.zeros(count, dtype=np.int32)
        self._due = np.full(count, np.inf)
        self._begun = False

    def feed(self, sample: Sample | None, now: float) -> tuple[Indices, Indices]:
        """Take values at monotonic time `now`; rules whose inhibit changed, and whose condition settled."""
        changed = EMPTY if sample is None else self.inputs.take(sample)
        if self._begun:
            places = self.programs.run(self._readers.of(changed), self.inputs)
        else:
            places = np.arange(len(self.programs.results))
            self.programs.run(places, self.inputs)
            self._begun = True
        touched = self._mains.of(places)
        if len(touched):
            self._judge(touched, now)
        return self._inhibit(self._asides.of(places)), self._settle(now)

    def values(self, rules: Indices) -> Floats:
        """The present value of rules' expressions, NaN for unknown."""
        return self.programs.results[self._main[rules]]

    def when(self, rules: Indices) -> Floats:
        """When those values were measured."""
        return self.programs.times[self._main[rules]]

    def next_due(self) -> float:
        """Monotonic time at which the next delay ends; infinite while none runs."""
        return float(self._due.min(initial=np.inf))

    def rank(self, rules: Indices) -> Ints:
        """Severity of the latest values, delays not waited for."""
        return self._levels.severities[rules, self.raw[rules]].astype(np.int32)

    def restore(self, rules: Indices, settled: Ints) -> None:
        """Put settled conditions back as they were kept."""
        self.raw[rules] = self.settled[rules] = settled
        self._show(rules)

    def _judge(self, rules: Indices, now: float) -> None:
        """Find raw conditions and begin, go on with or drop delays."""
        raw = self._levels.conditions(rules, self.values(rules), self.raw[rules])
        busy = (raw != self.settled[rules]) | np.isfinite(self._due[rules])
        if not busy.any():
            return  # as settled, and no delay runs
        rules, raw = rules[busy], raw[busy]
        settled = self.settled[rules]
        worse = self._levels.severities[rules, raw] > self._levels.severities[rules, settled]
        better = self._levels.severities[rules, raw] < self._levels.severities[rules, settled]
        direction = worse.astype(np.int32) - better
        wait = np.where(worse, np.where(raw == UNKNOWN, self._unknown[rules], self._on[rules]), 0.0)
        wait = np.where(better, self._off[rules], wait)
        fresh = (
            (direction != self._direction[rules])
            | (self.raw[rules] == settled)
            | ~np.isfinite(self._due[rules])
        )
        turned = (raw == UNKNOWN) != (self.raw[rules] == UNKNOWN)
        due = np.where(fresh | turned, now + wait, self._due[rules])
        self._due[rules] = np.where(raw == settled, np.inf, due)
        left = fresh & (raw != settled)
        self.crossed[rules] = np.where(left, self.when(rules), self.crossed[rules])
        self._direction[rules] = direction
        self.raw[rules] = raw

    def _settle(self, now: float) -> Indices:
        due = np.flatnonzero(self._due <= now)
        if len(due):
            self.settled[due] = self.raw[due]
            self._due[due] = np.inf
            self._direction[due] = 0
        return due

    def _show(self, rules: Indices) -> None:
        self.severity[rules] = self._levels.severities[rules, self.settled[rules]]
        status = self._levels.status[rules, self.settled[rules]].astype(np.int32)
        cut = (self.settled[rules] == UNKNOWN) & self.programs.lost[self._main[rules]]
        self.status[rules] = np.where(cut, int(Status.COMM), status)

    def show(self, rules: Indices) -> Ints:
        """Take over the severity of settled conditions; the severities that were shown before."""
        before = self.severity[rules].copy()
        self._show(rules)
        return before

    def _inhibit(self, rules: Indices) -> Indices:
        now = self.programs.results[self._aside[rules]] == 1
        changed = rules[now != self.inhibited[rules]]
        self.inhibited[changed] = ~self.inhibited[changed]
        return changed
