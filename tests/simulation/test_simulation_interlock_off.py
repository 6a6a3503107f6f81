"""Beam off in ticks: every cause alone, confirmed or escalated, within the microseconds of the table."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rig_fpga import MATRIX, MODEL, SLICE, Rig

from common.clock import TICKS_PER_SECOND, ticks
from common.site import CONFIG
from interlock.beam_off import OffState
from interlock.matrix import load
from interlock.table import Family, Input, Kind, Latch, Matrix, Output, Stage, Text
from simulation.fpga.guard import OWN_CHECKS
from simulation.fpga.model import Model
from simulation.fpga.states import State

ROLES = ["therapist", "operator", "service"]
TEXT = Text("a", "一")
EVERYBODY = {family: frozenset({"operator"}) for family in Family}
BEGIN = 3 * TICKS_PER_SECOND


def generated(inputs: int = 512, outputs: int = 16) -> Matrix:
    """A table of that size: every input cuts the fast output and another one."""
    names = [f"o{k}" for k in range(outputs)]
    rows = [
        Input("session.request", Family.PATIENT, Kind.REQUEST, Latch.NEVER, False, frozenset({"o0"}), TEXT),
        Input("mode.service", Family.PERSONNEL, Kind.KEY, Latch.NEVER, False, frozenset(), TEXT),
        Input("beam.unexpected", Family.PATIENT, Kind.FAULT, Latch.ALWAYS, False, frozenset(names), TEXT),
    ]
    for i in range(inputs - len(rows)):
        cuts = frozenset({"o0", names[1 + i % (outputs - 1)]})
        latch = Latch.ALWAYS if i % 3 else Latch.ARMED
        rows.append(Input(f"d{i}.ok", Family.EQUIPMENT, Kind.FAULT, latch, True, cuts, TEXT, (f"d{i}.ok",)))
    return Matrix(
        "generated",
        TEXT,
        tuple(Output(name, 100.0 * (k + 1), TEXT) for k, name in enumerate(names)),
        tuple(rows),
        frozenset({"session.request"}),
        "mode.service",
        "o0",
        ticks(3600),
        frozenset(),
        EVERYBODY,
        {},
        (),
        (
            Stage(frozenset({"o0"}), "beam.current", ticks(150e-6)),
            Stage(frozenset({"o1", "o2"}), "beam.current", ticks(400e-6)),
        ),
    )


TABLES = {
    "demo": lambda: MATRIX,
    "generated": generated,
    "synchrotron": lambda: load(CONFIG / "synchrotron" / "interlock.yaml"),
    "cyclotron": lambda: load(CONFIG / "cyclotron" / "interlock.yaml"),
}


def running(matrix: Matrix, model: Model = MODEL) -> Rig:
    """A rig on a table, self-tested where it asks for that, in the middle of a long spot."""
    rooms = matrix.rooms or ("room1",)
    rig = Rig(matrix=matrix, model=model, rooms=rooms)
    names = rig.core.guard.drivable()
    for name in names:
        rig.core.drive(name, name not in matrix.arming)
    rig.go(1)
    rig.core.reset("meier", ROLES)
    rig.core.self_test("meier", ROLES)
    if len(rooms) > 1:
        rig.core.allocate(rooms[0])
    for name in matrix.arming:
        rig.core.drive(name, True)
    rig.load(layers=1, spots=4, preset=np.full(4, 10**9, "<i8"), room=rooms[0])
    rig.go(1)
    rig.core.start()
    into_a_spot(rig)
    return rig


def into_a_spot(rig: Rig) -> None:
    """Go on until there is beam, and will be for as long as anything takes to switch it off."""
    rig.go(BEGIN)
    for _ in range(1000):
        assert rig.core.state is State.DELIVERING, rig.core.guard.outputs.blocking
        end = rig.core.delivery.spot_end(rig.core.tick)
        if end is not None and end - rig.core.tick > SLICE:
            return
        rig.go(SLICE // 10)
    raise AssertionError("no spot under way")


def provoke(rig: Rig, name: str) -> None:
    """Make one input bad, and nothing else, by whatever decides it."""
    if name in rig.core.guard.drivable():
        rig.core.drive(name, False)
    elif name in OWN_CHECKS:
        rig.core._violate(name, rig.core.tick)
    else:
        rig.bad = {name}
    rig.go(1)


def mend(rig: Rig, name: str) -> None:
    """Make it good again, reset, and go on until there is beam in the middle of a spot."""
    rig.bad = set()
    if name in rig.core.guard.drivable():
        rig.core.drive(name, True)
    rig.go(SLICE)
    rig.core.reset("meier", ROLES)
    rig.core.resume()
    into_a_spot(rig)


def causes(matrix: Matrix, room: str) -> list[Input]:
    """Rows that end beam into a room when they go bad, and are not decided by the delivery itself."""
    return [
        row
        for row in matrix.inputs
        if row.kind is not Kind.KEY and matrix.fast_output in row.cuts and row.room in ("", room)
    ]


@pytest.mark.requirement("ACS-INTERLOCK")
@pytest.mark.parametrize("name", TABLES)
def test_every_cause_alone_ends_beam_within_the_tables_microseconds(name: str) -> None:
    matrix = TABLES[name]()
    travel = {column.name: ticks(column.off_us * 1e-6) for column in matrix.outputs}
    fast = travel[matrix.fast_output]
    model = replace(MODEL, fast_off=fast)
    rig = running(matrix, model)
    room = rig.core.room
    worst, rows = 0, causes(matrix, room)
    counts = rig.core.guard.interlock.counts
    before = counts.confirmed.total()
    for row in rows:
        rig.outputs.clear()
        moment = rig.core.tick
        provoke(rig, row.name)
        (trip,) = rig.trips()
        assert trip.input == row.name and trip.tick - moment in (0, 1)
        assert 0 < trip.beam_off_tick - trip.tick <= fast, row.name
        worst = max(worst, trip.beam_off_tick - trip.tick)
        assert rig.rows["end_tick"].max() <= trip.beam_off_tick
        outputs = rig.core.guard.outputs
        lost = {output for output, given in outputs.permits.items() if not given}
        assert lost == row.cuts, row.name
        rig.go(SLICE)
        if matrix.beam_off:
            assert rig.core.guard.interlock.switching_off.state is OffState.OFF
        mend(rig, row.name)
    assert worst == fast
    assert not counts.escalations
    if matrix.beam_off:
        assert counts.confirmed.total() - before == len(rows)


@pytest.mark.requirement("ACS-INTERLOCK")
@pytest.mark.parametrize("name", ["generated", "synchrotron", "cyclotron"])
def test_a_fast_actuator_that_fails_is_escalated_to_the_next_stage_and_stays_off(name: str) -> None:
    matrix = TABLES[name]()
    fast, second = (matrix.beam_off[k] for k in (0, 1))
    rig = running(matrix)
    rig.core.fault("fast_off_fails", None)
    into_a_spot(rig)
    told = (r for r in causes(matrix, rig.core.room) if r.kind is Kind.FAULT and not second.outputs & r.cuts)
    row = next(r for r in told if r.name not in OWN_CHECKS)
    provoke(rig, row.name)
    (trip,) = rig.trips()
    travel = min(ticks(o.off_us * 1e-6) for o in matrix.outputs if o.name in second.outputs)
    assert trip.beam_off_tick - trip.tick == fast.within_ticks + 1 + travel
    rig.go(SLICE)
    off = rig.core.guard.interlock.switching_off
    assert off.state is OffState.HELD and off.level == 1
    permits = rig.core.guard.outputs.permits
    assert not any(permits[output] for output in (*fast.outputs, *second.outputs))
    assert "beam_off" in rig.core.guard.outputs.blocking
    counts = rig.core.guard.interlock.counts.as_dict()[row.name]
    assert (counts.trips, counts.confirmed, counts.escalations) == (1, 1, 1)
    rig.bad = set()
    rig.core.fault("fast_off_fails", 0.0)
    rig.go(SLICE)
    assert not rig.core.guard.permits(rig.core.room)
    rig.core.reset("meier", ROLES)
    rig.go(1)
    assert rig.core.guard.permits(rig.core.room)


@pytest.mark.requirement("ACS-INTERLOCK")
def test_two_channels_that_disagree_latch_and_are_counted() -> None:
    matrix = load(CONFIG / "synchrotron" / "interlock.yaml")
    rig = running(matrix)
    name = next(row.name for row in matrix.inputs if row.paired and not row.room)
    rig.good[name] = (True, False)
    rig.go(ticks(0.3))
    assert rig.core.state is State.TRIPPED and rig.trips()[0].input == name
    assert rig.core.guard.states()[name].differs
    rig.good[name] = (True, True)
    rig.go(SLICE)
    assert name in rig.core.guard.outputs.tripped


def test_tables_are_those_of_the_sites() -> None:
    assert all(Path(CONFIG / site / "interlock.yaml").exists() for site in ("synchrotron", "cyclotron"))
