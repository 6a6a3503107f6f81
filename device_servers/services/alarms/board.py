"""What clients see: rows of alarms as JSON, what changed since a count, and counts along the tree."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from device_servers.services.alarms.conditions import EMPTY
from device_servers.services.alarms.engine import Engine
from device_servers.services.alarms.inputs import Indices
from device_servers.services.alarms.keeper import NOBODY, Note
from device_servers.services.alarms.rules import Rule
from device_servers.services.alarms.severity import Severity, Status
from device_servers.services.alarms.states import State

SEVERITIES = tuple(severity.name for severity in Severity)


class Board:
    """Rows of the engine's alarms, each made again only when its alarm changed. Under the engine's lock."""

    def __init__(self, engine: Engine, notes: Mapping[int, Note]) -> None:
        self._engine, self._notes = engine, notes
        self._cache: dict[int, tuple[int, str]] = {}
        self._priorities = np.array([rule.priority for rule in engine.rules], dtype=np.int32)
        self._tree = Tree([rule.area for rule in engine.rules])

    def active(self, most: int) -> str:
        """JSON list of alarms that stand, worst first."""
        return f"[{', '.join(self._rows(self.worst(self._engine.standing())[:most]))}]"

    def since(self, count: int) -> str:
        """JSON `{"changes", "rows", "gone"}`: what changed after the count `changes` of an earlier answer.

        count 0, or of an earlier server: everything. rows: alarms that stand or are put aside; gone: names
        of those that no longer are.
        """
        engine = self._engine
        shown = np.union1d(engine.standing(), engine.aside())
        fresh = count <= 0 or not engine.first <= count <= engine.changes
        rows = shown if fresh else shown[engine.touched[shown] > count]
        gone = EMPTY if fresh else np.setdiff1d(np.flatnonzero(engine.touched > count), shown)
        names = json.dumps([engine.rules[rule].name for rule in gone.tolist()])
        head = f'"changes": {engine.changes}, "all": {json.dumps(fresh)}'
        return f'{{{head}, "rows": [{", ".join(self._rows(rows))}], "gone": {names}}}'

    def worst(self, rules: Indices) -> Indices:
        """Alarms by severity (worst first), priority, and time (newest first)."""
        severity = self.severities(rules)
        ordered = np.lexsort((-self._engine.raised[rules], self._priorities[rules], -severity))
        return rules[ordered]

    def severities(self, rules: Indices) -> Indices:
        """Severity that is shown: the worst since the last acknowledgement, else the present one."""
        now, worst = self._engine.conditions.severity[rules], self._engine.latched[rules]
        waits = np.isin(self._engine.states[rules], (State.UNACKED, State.LATCHED))
        return np.where(waits, np.maximum(now, worst), now).astype(np.intp)

    def counts(self) -> dict[str, int]:
        """How many alarms stand, by severity, and how many are put aside, by state."""
        engine = self._engine
        standing = engine.standing()
        severities = np.bincount(self.severities(standing), minlength=len(Severity))
        states = np.bincount(engine.states, minlength=len(State))
        counts = {severity.name.lower(): int(severities[severity]) for severity in tuple(Severity)[1:]}
        counts |= {state.name.lower(): int(states[state]) for state in tuple(State)[1:]}
        counts["suppressed"] = int(np.sum(engine.states[engine.aside()] == State.SUPPRESSED))
        return counts

    def summary(self) -> dict[str, dict[str, int]]:
        """Counts of each node of the tree; "" is the whole."""
        engine = self._engine
        shown = engine.standing()
        return self._tree.counts(engine, shown, self.severities(shown))

    def rule(self, place: int) -> dict[str, Any]:
        """A rule and where its alarm stands, as JSON values."""
        rule, engine = self._engine.rules[place], self._engine
        value = float(engine.conditions.values(np.array([place]))[0])
        raw = int(engine.conditions.rank(np.array([place]))[0])
        return {
            **_static(rule),
            "expression": rule.source,
            "inhibit": rule.inhibit_source,
            "levels": [level if math.isfinite(level) else None for level in rule.levels],
            "hysteresis": rule.hysteresis,
            "delay": {
                "active": rule.delays.active,
                "clear": rule.delays.clear,
                "unknown": rule.delays.unknown,
            },
            "latch": rule.latch,
            "state": State(int(engine.states[place])).name,
            "now": SEVERITIES[raw],
            "value": value if math.isfinite(value) else None,
        }

    def _rows(self, rules: Indices) -> list[str]:
        return [self._row(rule) for rule in rules.tolist()]

    def _row(self, rule: int) -> str:
        stamp = int(self._engine.touched[rule])
        known = self._cache.get(rule)
        if known is None or known[0] != stamp:
            known = self._cache[rule] = (stamp, json.dumps(self._content(rule)))
        return known[1]

    def _content(self, rule: int) -> dict[str, Any]:
        engine, place = self._engine, np.array([rule])
        note = self._notes.get(rule, NOBODY)
        value, until = float(engine.values[rule]), float(engine.until[rule])
        return {
            **_static(engine.rules[rule]),
            "state": State(int(engine.states[rule])).name,
            "severity": SEVERITIES[int(self.severities(place)[0])],
            "now": SEVERITIES[int(engine.conditions.severity[rule])],
            "status": Status(int(engine.conditions.status[rule])).name,
            "value": value if math.isfinite(value) else None,
            "since": float(engine.raised[rule]),
            "first": engine.groups.is_first(rule),
            "until": until if math.isfinite(until) else None,
            "user": note.user,
            "note": note.text,
            "noted": note.when,
        }


class Tree:
    """The areas of rules and every node above them."""

    def __init__(self, areas: list[str]) -> None:
        names = dict.fromkeys(areas)
        self._leaves = {name: place for place, name in enumerate(names)}
        self._of = np.array([self._leaves[area] for area in areas], dtype=np.intp)
        self._above: dict[str, list[int]] = {"": list(self._leaves.values())}
        for name, place in self._leaves.items():
            parts = name.split("/") if name else []
            for depth in range(len(parts)):
                self._above.setdefault("/".join(parts[: depth + 1]), []).append(place)

    def counts(self, engine: Engine, shown: Indices, severities: Indices) -> dict[str, dict[str, int]]:
        """Counts by node: rules, each severity, unacknowledged, put aside, and the worst severity."""
        size = len(self._leaves)

        def of(rules: Indices) -> Indices:
            return np.bincount(self._of[rules], minlength=size).astype(np.intp)

        columns = {"rules": of(np.arange(len(self._of)))}
        for severity in tuple(Severity)[1:]:
            columns[severity.name.lower()] = of(shown[severities == severity])
        waits = np.isin(engine.states[shown], (State.UNACKED, State.LATCHED))
        columns["unacked"] = of(shown[waits])
        columns["aside"] = of(engine.aside())
        return {
            node: {name: int(column[places].sum()) for name, column in columns.items()}
            for node, places in sorted(self._above.items())
        }


def _static(rule: Rule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "text": rule.text.row(),
        "area": rule.area,
        "group": rule.group,
        "priority": rule.priority,
    }
