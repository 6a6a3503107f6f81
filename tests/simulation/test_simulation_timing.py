"""The machine cycle as the hardware plays it: events over a link, faults of the timing, what they lead to."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig_fpga import MATRIX, MODEL, SITE, SLICE, Rig

from common.clock import TICKS_PER_SECOND, ticks
from common.errors import BadInput, Refused
from interlock.table import Matrix
from simulation.fpga import timing_verbs
from simulation.fpga.beam_cycle import BeamCycle
from simulation.fpga.outputs import PhaseBegan
from simulation.fpga.states import State
from simulation.fpga.timing import Beam
from timing.cycle import Cycle, Durations, Phase
from timing.plan import load, locate

pytestmark = pytest.mark.requirement("ACS-TIMING")

SWITCH_S = float(SITE.delivery["layer_switch_s"])
PLAN = load(locate(SITE.path.parent, SITE.name, "timing.yaml"), SWITCH_S)
DURATIONS = Durations.of_layer_switch(SWITCH_S)
CAUSE = "timing.good"


def watched() -> Matrix:
    """The demonstration's matrix with the timing's input."""
    if CAUSE in MATRIX.input_names:
        return MATRIX
    row = replace(next(row for row in MATRIX.inputs if row.name == "energy.selection"), name=CAUSE)
    return replace(MATRIX, inputs=(*MATRIX.inputs, row))


def rig(plan: Any = PLAN) -> Rig:
    """A beam hardware with the site's timing, which is watched."""
    made = Rig(matrix=watched()) if "matrix" in Rig.__dataclass_fields__ else Rig()
    made.core.cycle.equip(plan, Beam(room="room1"), ("proton",))
    made.go(3 * TICKS_PER_SECOND)
    return made


def show(made: Rig) -> dict[str, Any]:
    return timing_verbs.show(made.core.cycle.timing, {})


def causes(made: Rig) -> set[str]:
    return {row["cause"] for row in show(made)["diagnosis"]}


# --- the cycle stands on the ticks of its table


def expected_phases(flat_tops: list[int], start: int) -> list[tuple[Phase, float, int]]:
    """By arithmetic alone."""
    rows, now = [], start
    for n, length in enumerate(flat_tops):
        energy = 100.0 + n
        top = now + DURATIONS.injection + DURATIONS.ramp
        rows += [(Phase.INJECTION, energy, now), (Phase.RAMP, energy, now + DURATIONS.injection)]
        rows += [(Phase.FLAT_TOP, energy, top), (Phase.RAMP_DOWN, energy, top + length)]
        now = top + length + DURATIONS.ramp_down
    return [*rows, (Phase.IDLE, 100.0 + len(flat_tops) - 1, now)]


@settings(max_examples=40, deadline=None)
@given(
    flat_tops=st.lists(st.integers(2, 3 * TICKS_PER_SECOND), min_size=1, max_size=4),
    slices=st.lists(st.integers(10**6, TICKS_PER_SECOND), min_size=1, max_size=20),
    start=st.integers(1, 2 * TICKS_PER_SECOND),
)
def test_phases_arrive_on_their_ticks_whatever_the_slices(
    flat_tops: list[int], slices: list[int], start: int
) -> None:
    cycle = BeamCycle(SWITCH_S)
    cycle.equip(PLAN, Beam(room="room1"), ("proton",))
    got: list[PhaseBegan] = list(cycle.settle(start))
    cycle.start(start, [100.0 + n for n in range(len(flat_tops))])
    wanted = expected_phases(flat_tops, start)
    ends = [tick for phase, _, tick in wanted if phase is Phase.RAMP_DOWN]
    now, n = start, 0
    while now < wanted[-1][2]:
        now += slices[n % len(slices)]
        n += 1
        got += cycle.advance(now)
        while cycle.flat_top is not None and ends and ends[0] <= now:
            cycle.next_layer(ends.pop(0))
            got += cycle.advance(now)
        got += cycle.settle(now)
    assert [(p.phase, p.energy, p.tick) for p in got] == wanted
    assert got[0].accelerator == "proton:100.00:nominal:room1"
    timing = cycle.timing
    assert not timing.diagnosis(now) and not timing.take_grave()
    assert all(not monitor.findings for monitor in timing.monitors.values())
    assert timing.monitors["ring"].receiver.pulsers["rf-capture"].pulses == len(flat_tops)


def test_the_plan_of_cycles_and_the_sequences_agree() -> None:
    cycle = Cycle([100.0], PLAN.durations)
    cycle.start(0)
    events = cycle.advance(DURATIONS.injection + DURATIONS.ramp)
    played = [(tick, code) for tick, code in PLAN.up.steps if code in {event.code for _, event in events}]
    assert played == [(tick, event.code) for tick, event in events]


def test_events_and_triggers_do_not_change_what_is_delivered() -> None:
    plain, full = Rig(), rig()
    plain.go(3 * TICKS_PER_SECOND)
    for made in (plain, full):
        made.load()
        made.core.start()
        assert made.run() is State.COMPLETE
    for name in ("primary", "secondary", "start_tick", "end_tick", "x", "y"):
        assert (plain.rows[name] == full.rows[name]).all(), name
    phases = [[o for o in made.outputs if isinstance(o, PhaseBegan)] for made in (plain, full)]
    assert [(p.phase, p.tick) for p in phases[0]] == [(p.phase, p.tick) for p in phases[1]]
    assert causes(full) == set()


# --- faults of the timing


def delivering(made: Rig) -> None:
    made.load(spots=200)
    made.core.start()
    made.go(ticks(4.0))
    assert made.core.state is State.DELIVERING


@pytest.mark.requirement("ACS-INTERLOCK")
@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("timing_late", "sequence shifted"),
        ("timing_missed", "event not sent"),
        ("timing_heartbeat", "heartbeat stopped"),
    ],
)
def test_a_timing_fault_takes_beam_away_and_is_named(kind: str, cause: str) -> None:
    made = rig()
    if CAUSE not in made.core.guard.matrix.input_names:
        pytest.skip("this site's interlock does not watch the timing")
    delivering(made)
    made.core.fault(kind, None)
    assert made.run() is State.TRIPPED
    assert made.trips()[0].input == CAUSE
    assert cause in causes(made)
    made.core.fault(kind, 0.0)
    made.go(2 * TICKS_PER_SECOND)
    made.core.reset("meier", ["therapist", "operator"])
    assert made.core.state is State.HELD
    made.core.resume()
    assert made.run() is State.COMPLETE and causes(made) == set()


def test_a_collision_delays_by_a_tick_and_is_named() -> None:
    made = rig()
    made.core.fault("timing_collision", None)
    made.load()
    made.core.start()
    assert made.run() is State.COMPLETE
    assert {"collision", "events of another source"} <= causes(made)
    assert any(row["fault"] == "collision" and row["deviation"] == 1 for row in show(made)["findings"])


def test_a_stopped_sequencer_is_named_and_beam_does_not_come() -> None:
    made = rig()
    timing_verbs.load(made.core.cycle.timing, {"sequencer": 1, "arm": False})
    made.load()
    made.core.start()
    made.go(ticks(SWITCH_S * 2))
    assert made.core.state is not State.DELIVERING and not made.core.beam_on
    assert "sequencer stopped" in causes(made) or "event not sent" in causes(made)


def test_a_pulser_off_its_setting_is_named() -> None:
    made = rig()
    timing_verbs.load(made.core.cycle.timing, {"pulser": "injector/source-gate", "delay": 5000})
    made.load()
    made.core.start()
    assert made.run() is State.COMPLETE
    (row,) = show(made)["diagnosis"]
    assert (row["cause"], row["where"]) == ("pulser delay wrong", "injector/source-gate")
    assert row["deviation"] == 5000 - PLAN.settings("injector/source-gate").delay


# --- what is shown and taken


def test_the_log_holds_the_machine_cycle_and_the_fifo_its_receivers_events() -> None:
    made = rig()
    made.load(layers=1)
    made.core.start()
    assert made.run() is State.COMPLETE
    made.go(ticks(SWITCH_S))
    answer = timing_verbs.log(made.core.cycle.timing, {"since": 0})
    names = [row["event"] for row in answer["events"]]
    assert names == [
        *("INJECTION", "SOURCE_PULSE", "INJECTION_KICK", "RF_CAPTURE", "RAMP", "MEASURE"),
        *("FLAT_TOP", "SPILL_START", "RAMP_DOWN", "SPILL_END", "IDLE"),
    ]
    assert answer["first"] == 0 and answer["next"] == answer["end"] == len(names)
    assert all(row["tick"] == row["seconds"] * TICKS_PER_SECOND + row["ticks"] for row in answer["events"])
    fifo = timing_verbs.log(made.core.cycle.timing, {"receiver": "room1"})
    assert [row["event"] for row in fifo["events"]] == names and not fifo["overflow"]
    assert timing_verbs.log(made.core.cycle.timing, {"receiver": "room1"})["events"] == []
    later = timing_verbs.log(made.core.cycle.timing, {"since": answer["next"] - 1})
    assert [row["event"] for row in later["events"]] == ["IDLE"]


def test_another_ramp_is_loaded_and_played() -> None:
    made = rig()
    steps = [list(step) for step in PLAN.up.steps]
    longer = [[at + (1000 if at >= DURATIONS.injection else 0), code] for at, code in steps]
    body = {"sequencer": 1, "steps": longer, "length": PLAN.up.length + 1000, "mode": "retrigger"}
    timing_verbs.load(made.core.cycle.timing, body)
    made.load(layers=1)
    start = made.core.tick
    made.core.start()
    assert made.run() is State.COMPLETE
    (top,) = [o for o in made.outputs if isinstance(o, PhaseBegan) and o.phase is Phase.FLAT_TOP]
    assert top.tick == start + DURATIONS.injection + DURATIONS.ramp + 1000
    assert causes(made) == set()


GOOD = {"sequencer": 1, "steps": [list(step) for step in PLAN.up.steps], "length": PLAN.up.length}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"sequencer": 1, "pulser": "ring/rf-capture", "delay": 1},
        {**GOOD, "sequencer": 3},
        {**GOOD, "sequencer": float("nan")},
        {**GOOD, "steps": []},
        {**GOOD, "steps": "0x20"},
        {**GOOD, "steps": [[0, 0x20], [5, 0x00], *GOOD["steps"][1:]]},
        {**GOOD, "steps": [[0, 0x20], [5, 0x7F], *GOOD["steps"][1:]]},
        {**GOOD, "steps": [[0, 0x20], [5, 0x7A], *GOOD["steps"][1:]]},
        {**GOOD, "steps": list(reversed(GOOD["steps"]))},
        {**GOOD, "steps": [[float("nan"), 0x20]]},
        {**GOOD, "steps": [[0.5, 0x20]]},
        {**GOOD, "steps": [[n, 0x20] for n in range(2049)]},
        {**GOOD, "steps": [[0, 0x20]]},
        {**GOOD, "length": 2**32},
        {**GOOD, "length": True},
        {**GOOD, "mode": "recycle"},
        {**GOOD, "mode": ["single"]},
        {**GOOD, "masks": [1]},
        {"sequencer": 1, "masked": 16},
        {"sequencer": 1},
        {"pulser": "ring/none", "delay": 1},
        {"pulser": "ring/rf-capture"},
        {"pulser": "ring/rf-capture", "delay": -1},
        {"pulser": "ring/rf-capture", "width": 0},
        {"pulser": "ring/rf-capture", "prescaler": 0},
        {"pulser": "ring/rf-capture", "prescaler": 1},
        {"pulser": "ring/rf-capture", "enabled": 1},
        {"pulser": ["ring"], "delay": 1},
        {"beam": {"ion": "gold"}},
        {"beam": {"energy": "100"}},
        {"clear": False},
    ],
)
def test_bad_timing_is_refused_and_changes_nothing(body: dict[str, Any]) -> None:
    timing = rig().core.cycle.timing
    before = timing_verbs.show(timing, {"sequencer": 1})
    with pytest.raises((Refused, BadInput)):
        timing_verbs.load(timing, body)
    assert timing_verbs.show(timing, {"sequencer": 1}) == before


@pytest.mark.parametrize(
    "body", [{"since": -1}, {"since": "x"}, {"receiver": "moon"}, {"receiver": ["ring"]}]
)
def test_bad_questions_to_the_log_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises((Refused, BadInput)):
        timing_verbs.log(rig().core.cycle.timing, body)


def test_heartbeats_come_also_while_the_machine_rests() -> None:
    made = rig()
    made.go(30 * TICKS_PER_SECOND, SLICE)
    timing = made.core.cycle.timing
    assert timing.alive(made.core.tick) and causes(made) == set()
    assert MODEL.switch == DURATIONS.layer_switch
    made.core.fault("timing_heartbeat", None)
    made.go(ticks(1.7), SLICE)
    assert not timing.alive(made.core.tick) and causes(made) == {"heartbeat stopped"}
