"""The whole interlock against the plain evaluation of the same table, in stories that hypothesis invents."""

from contextlib import suppress
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from common.errors import Refused
from interlock import engine, rules
from interlock.bits import Value
from interlock.latch import Interlock, Outputs
from interlock.matrix import load
from tests.interlock.reference import Plain
from tests.interlock.site_tables import FEATURES

pytestmark = pytest.mark.requirement("ACS-INTERLOCK")

MATRIX = load(FEATURES)
PAIRS = sorted(MATRIX.pairs)
CALM: dict[str, Value] = {name: (True, True) if name in MATRIX.pairs else True for name in MATRIX.input_names}
CONFIRMS = [stage.confirm for stage in MATRIX.beam_off]
PEOPLE = st.sampled_from(["therapist", "operator", "service", "physicist"])
VALUE = st.sampled_from([True, True, False, None])


class Story(RuleBasedStateMachine):
    """Inputs change, people act, time passes; both have to say the same after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.tick = 1
        self.inputs: dict[str, Value] = {**CALM, "room1.request": False, "room2.request": False}
        self.confirmed = dict.fromkeys(CONFIRMS, True)
        self.interlock, self.plain = Interlock(MATRIX), Plain(MATRIX)
        self.outputs: Outputs | None = None
        self.wanted: dict[str, bool] = {}

    @initialize(tested=st.sampled_from([True, True, True, False]))
    def begin(self, tested: bool) -> None:
        self.step()
        if tested:
            self.self_test("service")
        self.inputs = dict(CALM)
        self.step()

    def step(self) -> None:
        self.outputs = self.interlock.step(self.tick, self.inputs, self.confirmed)
        self.wanted = self.plain.step(self.tick, self.inputs, self.confirmed)

    @rule(name=st.sampled_from(MATRIX.input_names), value=VALUE, other=VALUE)
    def change(self, name: str, value: bool | None, other: bool | None) -> None:
        self.inputs[name] = (value, other) if name in MATRIX.pairs else value
        self.step()

    @rule()
    def everything_good(self) -> None:
        self.inputs = dict(CALM)
        self.step()

    @rule(room=st.sampled_from(["room1", "room2"]), good=st.booleans())
    def isolate(self, room: str, good: bool) -> None:
        name = f"{room}.isolated"
        self.inputs[name] = (good, good) if name in MATRIX.pairs else good
        self.step()

    @rule(name=st.sampled_from(CONFIRMS), seen=st.booleans())
    def confirm(self, name: str, seen: bool) -> None:
        self.confirmed[name] = seen
        self.step()

    @rule(ticks=st.sampled_from([1, 2, 24_000, 25_001, 2_500_001, 62_500_001, 80_000_000, 150_000_001]))
    def wait(self, ticks: int) -> None:
        self.tick += ticks
        self.step()

    @rule()
    def test_runs_out(self) -> None:
        self.tick = max(self.tick, self.plain.tested_until)
        self.step()

    @rule(role=PEOPLE)
    def self_test(self, role: str) -> None:
        asked = any(self.inputs[name] is True for name in MATRIX.arming)
        try:
            record = self.interlock.self_test("somebody", [role])
        except Refused:
            assert asked or role not in ("operator", "service")
        else:
            assert not asked
            assert record.passed
            self.plain.tested_until = self.tick + MATRIX.self_test_ticks
        self.step()

    @rule(role=PEOPLE)
    def reset(self, role: str) -> None:
        wanted = self.plain.reset({role}, self.inputs, self.confirmed[CONFIRMS[0]])
        try:
            cleared = set(self.interlock.reset("somebody", [role], self.inputs).inputs)
        except Refused:
            cleared = set()
        assert cleared == wanted
        self.step()

    @rule(name=st.sampled_from(MATRIX.input_names), role=PEOPLE, ticks=st.sampled_from([1, 5000, 10**9]))
    def mask(self, name: str, role: str, ticks: int) -> None:
        allowed = self.plain.may_mask(MATRIX.input(name), {role}, self.inputs)
        allowed = allowed and ticks <= MATRIX.mask_limit_ticks
        try:
            self.interlock.mask(name, "somebody", [role], "a reason", self.tick + ticks)
        except Refused:
            assert not allowed
        else:
            assert allowed
            self.plain.masks[name] = self.tick + ticks
        self.step()

    @rule(name=st.sampled_from(["vacuum.ring", "water.flow"]))
    def unmask(self, name: str) -> None:
        try:
            self.interlock.unmask(name, "somebody", [])
        except Refused:
            assert name not in self.plain.masks
        self.plain.masks.pop(name, None)
        self.step()

    @invariant()
    def both_say_the_same(self) -> None:
        if self.outputs is None:
            return
        assert dict(self.outputs.permits) == self.wanted
        assert set(self.outputs.tripped) == self.plain.latched
        states = self.interlock.states()
        assert {name for name, state in states.items() if state.masked} == set(self.plain.masks)
        first = self.outputs.first_fault
        assert (None if first is None else (first.input, first.tick)) == self.plain.first
        assert dict(self.interlock.counts.trips) == self.plain.trips
        if not any(self.wanted.values()):
            assert self.outputs.blocking
        assert sum(self.interlock.counts.confirmed.values()) + sum(
            self.interlock.counts.escalations.values()
        ) >= bool(self.plain.escalated)


QUICK = settings(
    max_examples=250, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_no_story_tells_the_interlock_from_the_plain_evaluation() -> None:
    run_state_machine_as_test(Story, settings=QUICK)


def _unknown_isolates(rows: Any, state: Any, good: Any, either: Any) -> int:
    return sum(room for _key, room in rows.rooms)


def _deaf(rows: Any, first: Any, second: Any) -> int:
    return 0


@pytest.mark.parametrize(
    ("module", "name", "mutant"),
    [
        (engine, "isolated", _unknown_isolates),
        (engine, "differing", _deaf),
        (engine, "agreed", lambda rows, first, second: first),
        (rules, "isolated", lambda rows, state, good, either: 0),
    ],
)
def test_a_broken_rule_is_told_by_some_story(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, mutant: Any
) -> None:
    """The comparison is sharp: within a few thousand random steps a mutant says something else."""
    assert first_difference(4000) is None
    monkeypatch.setattr(module, name, mutant)
    assert first_difference(4000) is not None


def first_difference(steps: int) -> int | None:
    """The first of many random steps at which the interlock and the plain evaluation differ."""
    dice = Random(7)
    interlock, plain = Interlock(MATRIX), Plain(MATRIX)
    interlock.self_test("somebody", ["service"])
    plain.tested_until = MATRIX.self_test_ticks
    inputs, tick = dict(CALM), 0
    for number in range(steps):
        name = dice.choice(MATRIX.input_names)
        drawn = dice.choice([True, True, False, None]), dice.choice([True, True, False])
        inputs = dict(CALM) if dice.random() < 0.2 else {**inputs, name: drawn if name in PAIRS else drawn[0]}
        tick += dice.choice([1, 1000, 3_000_000])
        confirmed = {stage: dice.random() < 0.9 for stage in CONFIRMS}
        permits = interlock.step(tick, inputs, confirmed).permits
        if permits != plain.step(tick, inputs, confirmed):
            return number
        if dice.random() < 0.3:
            plain.reset({"service"}, inputs, confirmed[CONFIRMS[0]])
            with suppress(Refused):
                interlock.reset("somebody", ["service"], inputs)
    return None
