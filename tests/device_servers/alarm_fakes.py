"""An engine without a site: rules by hand, samples by name."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from device_servers.services.alarms.attributes import Attribute, Origin
from device_servers.services.alarms.engine import Engine, Moves
from device_servers.services.alarms.intake import Intake, Value
from device_servers.services.alarms.rules import Rule, level_rule, truth_rule
from device_servers.services.alarms.severity import Severity, Status
from device_servers.services.alarms.states import Event, State

A, B, MODE = "a/b/c/Value", "a/b/d/Value", "a/b/e/Mode"
LEVELS = (-10.0, -5.0, 5.0, 10.0)


def level(name: str, **rest: object) -> Rule:
    """A rule on A with levels -10, -5, 5, 10."""
    return level_rule(name, A, LEVELS, **rest)


def truth(name: str, when: str, severity: Severity = Severity.MAJOR, **rest: object) -> Rule:
    return truth_rule(name, when, severity, Status.STATE, **rest)


class Desktop:
    """An engine with its intake; `set` is one step."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.engine = Engine(rules)
        inputs = self.engine.inputs
        shapes = [Attribute(name, Origin.ALONE) for name in inputs.names]
        self.intake = Intake(inputs, self.engine.words, shapes, lambda: None)
        self.now = 0.0

    def set(self, values: Mapping[str, Value], after: float = 1.0, wall: float | None = None) -> Moves:
        """Values arrive `after` s later, measured at that very time unless `wall` says otherwise."""
        self.now += after
        self.intake.put(values, self.now if wall is None else wall)
        moves = None
        for sample in self.intake.drain():
            moves = self.engine.step(self.now, self.now, sample)
        assert moves is not None
        return moves

    def wait(self, seconds: float) -> Moves:
        self.now += seconds
        return self.engine.step(self.now, self.now)

    def do(self, name: str, event: Event) -> None:
        self.engine.apply(np.array([self.engine.index[name]]), event)
        self.engine.taken()

    def state(self, name: str) -> State:
        return State(int(self.engine.states[self.engine.index[name]]))

    def severity(self, name: str) -> Severity:
        return Severity(int(self.engine.conditions.severity[self.engine.index[name]]))

    def status(self, name: str) -> Status:
        return Status(int(self.engine.conditions.status[self.engine.index[name]]))


NAN, INF = math.nan, math.inf
