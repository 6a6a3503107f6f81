"""The engine: levels, delays, latching, inhibit, shelving, first-out; unknown is never "no alarm"."""

import math
from typing import Any

import numpy as np
import pytest
from alarm_fakes import LEVELS, MODE, A, B, Desktop, level, truth
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from device_servers.services.alarms.board import Board
from device_servers.services.alarms.expression import parse_truth
from device_servers.services.alarms.rules import Delays
from device_servers.services.alarms.severity import Severity, Status
from device_servers.services.alarms.states import NEXT, TABLE, Event, State

pytestmark = pytest.mark.requirement("ACS-ALARM")


def test_levels_give_severity_and_status_with_hysteresis() -> None:
    desk = Desktop([level("x", hysteresis=1.0)])
    seen = []
    for value in (0, 5, 5.1, 4.5, 3.9, 11, 9.5, 8.9, 4.2, 3.0, -6, -4.5, -3.9, -10.5, -9.5, -8.9, 0):
        desk.set({A: float(value)})
        seen.append((desk.severity("x").name, desk.status("x").name))
    high, hihi = ("MINOR", "HIGH"), ("MAJOR", "HIHI")
    low, lolo, none = ("MINOR", "LOW"), ("MAJOR", "LOLO"), ("NO_ALARM", "NO_ALARM")
    assert seen == [
        none, none, high, high, none, hihi, hihi, high, high, none, low, low, none, lolo, lolo, low, none,
    ]  # fmt: skip


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None, "", "UNKNOWN", "GONE", "a word"])
def test_what_nobody_knows_is_invalid(bad: Any) -> None:
    desk = Desktop([level("x"), truth("y", f"{A} > 1")])
    desk.set({A: 0.0})
    assert desk.state("x") is State.NORMAL
    desk.set({A: bad})
    for name in ("x", "y"):
        assert (desk.severity(name), desk.status(name)) == (Severity.INVALID, Status.UDF)
        assert desk.state(name) is State.UNACKED
    desk.set({A: 0.0})
    assert desk.state("x") is State.LATCHED


def test_a_rule_without_a_value_is_invalid_from_the_first_step() -> None:
    desk = Desktop([level("x"), truth("y", f"{B} > 1 or {A} > 1")])
    desk.wait(0.0)
    assert desk.severity("x") is Severity.INVALID
    assert desk.severity("y") is Severity.INVALID


def test_delays_count_what_lasts_and_nothing_else() -> None:
    desk = Desktop([level("x", delays=Delays(active=2.0, clear=3.0, unknown=1.0))])
    desk.set({A: 0.0})
    desk.set({A: 7.0})
    assert desk.state("x") is State.NORMAL
    desk.set({A: 0.0}, after=1.5)
    desk.set({A: 7.0}, after=0.1)
    desk.wait(1.9)
    assert desk.state("x") is State.NORMAL
    desk.set({A: 20.0}, after=0.05)
    assert desk.state("x") is State.NORMAL
    moves = desk.wait(0.05)
    assert [Event(event).name for event in moves.events] == ["RAISE"]
    assert desk.severity("x") is Severity.MAJOR
    assert moves.crossed[0] == pytest.approx(desk.now - 2.0)
    desk.set({A: 0.0})
    desk.wait(2.9)
    assert desk.state("x") is State.UNACKED
    desk.wait(0.1)
    assert desk.state("x") is State.LATCHED
    desk.set({A: None})
    assert desk.severity("x") is Severity.NO_ALARM
    desk.wait(1.0)
    assert desk.severity("x") is Severity.INVALID


def test_latching_acknowledging_and_escalation() -> None:
    desk = Desktop([level("x"), level("y", latch=False)])
    desk.set({A: 6.0})
    desk.do("x", Event.ACK)
    desk.do("y", Event.ACK)
    assert desk.state("x") is State.ACKED
    desk.set({A: 11.0})
    assert desk.state("x") is State.UNACKED
    desk.set({A: 6.0})
    assert desk.state("x") is State.UNACKED
    desk.set({A: 0.0})
    assert (desk.state("x"), desk.state("y")) == (State.LATCHED, State.NORMAL)
    board = Board(desk.engine, {})
    assert '"severity": "MAJOR"' in board.active(10)
    desk.do("x", Event.ACK)
    assert desk.state("x") is State.NORMAL
    assert board.active(10) == "[]"


def test_known_to_be_bad_is_news_for_who_acknowledged_that_nothing_was_known() -> None:
    desk = Desktop([level("x")])
    desk.set({A: None})
    desk.do("x", Event.ACK)
    desk.set({A: 12.0})
    assert (desk.state("x"), desk.severity("x")) == (State.UNACKED, Severity.MAJOR)
    desk.do("x", Event.ACK)
    desk.set({A: 6.0})
    assert (desk.state("x"), desk.severity("x")) == (State.ACKED, Severity.MINOR)


def test_inhibit_by_mode_suppresses_and_gives_back() -> None:
    desk = Desktop([level("x", inhibit=parse_truth(f"{MODE} in (OFF, SERVICE)"))])
    desk.set({A: 0.0, MODE: "CLINICAL"})
    desk.set({A: 6.0})
    desk.set({MODE: "OFF"})
    assert desk.state("x") is State.SUPPRESSED
    desk.set({A: 0.0})
    desk.set({MODE: "CLINICAL"})
    assert desk.state("x") is State.LATCHED  # it alarmed before the mode, and nobody has seen it
    desk.do("x", Event.ACK)
    desk.set({MODE: "SERVICE"})
    desk.set({A: 6.0})
    desk.set({A: 0.0})
    desk.set({MODE: "CLINICAL"})
    assert desk.state("x") is State.NORMAL
    desk.set({MODE: None, A: 6.0})
    assert desk.state("x") is State.UNACKED  # an unknown mode inhibits nothing


def test_values_and_inhibit_of_one_moment_raise_nothing() -> None:
    desk = Desktop([level("x", inhibit=parse_truth(f"{B} == 0"))])
    desk.set({A: 0.0, B: 1.0})
    moves = desk.set({A: None, B: 0.0})
    assert [State(state) for state in moves.states] == [State.SUPPRESSED, State.SUPPRESSED]
    moves = desk.set({A: 0.0, B: 1.0})
    assert desk.state("x") is State.NORMAL


def test_shelving_ends_at_its_time_and_shows_what_happened_meanwhile() -> None:
    desk = Desktop([level("x"), level("y", latch=False)])
    desk.set({A: 0.0})
    for name in ("x", "y"):
        desk.do(name, Event.SHELVE)
        desk.engine.until[desk.engine.index[name]] = 100.0
    desk.set({A: 6.0})
    desk.set({A: 0.0})
    assert desk.state("x") is State.SHELVED
    desk.now = 99.0
    desk.wait(0.9)
    assert desk.state("x") is State.SHELVED
    moves = desk.wait(0.1)
    assert {Event(event) for event in moves.events} == {Event.EXPIRE, Event.RELATCH}
    assert (desk.state("x"), desk.state("y")) == (State.LATCHED, State.NORMAL)


def test_first_out_goes_by_the_time_of_the_value() -> None:
    rules = [truth("a", f"{A} > 1", group="g"), truth("b", f"{B} > 1", group="g"), truth("c", f"{B} > 1")]
    desk = Desktop(rules)
    desk.set({A: 0.0, B: 0.0})
    desk.set({A: 2.0}, wall=50.0)
    groups = desk.engine.groups
    assert groups.is_first(0)
    desk.set({B: 2.0}, wall=49.5)  # heard of later, crossed earlier
    assert (groups.is_first(0), groups.is_first(1), groups.is_first(2)) == (False, True, False)
    desk.do("a", Event.ACK)
    desk.do("b", Event.ACK)
    assert groups.is_first(1)
    desk.set({A: 0.0}, wall=60.0)
    desk.set({A: 2.0}, wall=61.0)
    assert groups.is_first(0)
    desk.do("a", Event.ACK)
    desk.set({A: 0.0, B: 0.0}, wall=70.0)
    assert not groups.is_first(0)


def test_the_matrix_is_the_table() -> None:
    for state in State:
        for event in Event:
            wanted = TABLE[state].get(event, -1)
            assert NEXT[state, event] == wanted


ORDER = {Severity.NO_ALARM: 0, Severity.MINOR: 1, Severity.MAJOR: 2, Severity.INVALID: 3}


class Alarms(RuleBasedStateMachine):
    """Beside the engine: a plain model of one latching rule without delay, one value after another."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desktop([level("x", inhibit=parse_truth(f"{B} == 1")), level("y", latch=False)])
        self.desk.set({A: 0.0, B: 0.0})
        self.value: float | None = 0.0
        self.inhibited = False
        self.owed = 0
        self.shelved = self.disabled = self.acked = False

    def bad(self) -> Severity:
        if self.value is None or not math.isfinite(self.value):
            return Severity.INVALID
        lolo, low, high, hihi = LEVELS
        if self.value > hihi or self.value < lolo:
            return Severity.MAJOR
        return Severity.MINOR if self.value > high or self.value < low else Severity.NO_ALARM

    def put(self, values: dict[str, float | None]) -> None:
        before = self.bad()
        self.value = values.get(A, self.value)
        inhibited = values.get(B, float(self.inhibited)) == 1
        released = self.inhibited and not inhibited
        self.inhibited = inhibited
        now = self.bad()
        self.desk.set(values)
        if self.disabled:
            return
        if self.shelved or not self.inhibited:
            if now > before or (before is Severity.INVALID and now in (Severity.MINOR, Severity.MAJOR)):
                self.owed = max(self.owed, now)
                self.acked = False
            elif released and not self.shelved and now:
                self.owed, self.acked = max(self.owed, now), False
        if now == 0 and self.acked:
            self.owed, self.acked = 0, False

    @rule(value=st.sampled_from([0.0, 4.0, 6.0, -6.0, 12.0, -12.0, None, math.nan, math.inf]))
    def change(self, value: float | None) -> None:
        self.put({A: value})

    @rule(on=st.booleans())
    def inhibit(self, on: bool) -> None:
        self.put({B: float(on)})

    @rule(event=st.sampled_from([Event.ACK, Event.SHELVE, Event.UNSHELVE, Event.DISABLE, Event.ENABLE]))
    def person(self, event: Event) -> None:
        legal = bool(self.desk.engine.legal(np.array([0]), event)[0])
        self.desk.do("x", event)
        if not legal:
            return
        if event is Event.ACK:
            self.owed, self.acked = 0, bool(self.bad())
        elif event is Event.SHELVE:
            self.shelved, self.acked = True, False
        elif event is Event.DISABLE:
            self.shelved, self.disabled, self.owed, self.acked = False, True, 0, False
        else:
            self.shelved = self.disabled = False
            if not self.inhibited and self.bad():
                self.owed, self.acked = max(self.owed, self.bad()), False

    @invariant()
    def what_is_bad_or_owed_is_shown(self) -> None:
        state, bad = self.desk.state("x"), self.bad()
        assert self.desk.severity("x") is bad
        if self.disabled:
            assert state is State.DISABLED
        elif self.shelved:
            assert state is State.SHELVED
        elif self.inhibited:
            assert state is State.SUPPRESSED
        elif bad:
            assert state is (State.ACKED if self.acked else State.UNACKED)
        else:
            assert state is (State.LATCHED if self.owed else State.NORMAL)

    @invariant()
    def nothing_unknown_is_no_alarm(self) -> None:
        if self.bad() is Severity.INVALID:
            assert self.desk.state("y") in (State.UNACKED, State.ACKED)
            assert self.desk.severity("y") is Severity.INVALID


TestAlarms = Alarms.TestCase
TestAlarms.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
