"""Rooms, pairs of channels, beam-off stages, self-test and counts: one case after the other."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from common.clock import ticks
from common.errors import BadConfig, Refused, Unauthorised
from interlock import rules
from interlock.beam_off import BeamOff, OffState
from interlock.bits import Value
from interlock.latch import Interlock
from interlock.matrix import load
from interlock.selftest import cases
from tests.interlock.site_tables import FEATURES, PATHS, table

pytestmark = pytest.mark.requirement("ACS-INTERLOCK")

MATRIX = load(FEATURES)
CALM: dict[str, Value] = {row.name: (True, True) if row.paired else True for row in MATRIX.inputs}
IDLE: dict[str, Value] = {**CALM, "room1.request": False, "room2.request": False}
TREAT_2: dict[str, Value] = {**CALM, "room2.isolated": False}
"""Room 1 is isolated, room 2 has the beam."""
GONE = {"beam.gone": True, "stopper.closed": True, "shutters.closed": True}
MS = ticks(0.001)


def lost(interlock: Interlock, tick: int, **changes: Value) -> set[str]:
    """Outputs without permit; changed inputs have `__` for a dot."""
    inputs = {**TREAT_2, **{name.replace("__", "."): value for name, value in changes.items()}}
    permits = interlock.step(tick, inputs, GONE).permits
    return {name for name, given in permits.items() if not given}


@pytest.fixture
def interlock() -> Interlock:
    """Tested, and with every permit at tick 1."""
    fresh = Interlock(MATRIX)
    fresh.step(0, IDLE, GONE)
    assert fresh.self_test("olga", ["operator"]).passed
    assert lost(fresh, 1) == set()
    return fresh


def test_an_isolated_room_takes_its_own_outputs_only(interlock: Interlock) -> None:
    assert lost(interlock, 2, room1__door=(False, False)) == {"shutter1"}
    assert lost(interlock, 3) == set()  # opened while isolated: nothing latches
    assert lost(interlock, 4, room2__door=(False, False)) == {"extraction", "stopper", "shutter2"}


@pytest.mark.parametrize("key", [False, None, (True, False), (None, True), (True,), True])
def test_unknown_is_not_isolated(interlock: Interlock, key: object) -> None:
    found = lost(interlock, 2, room1__door=(False, False), room1__isolated=key)  # type: ignore[arg-type]
    assert found == {"extraction", "stopper", "shutter1"}


def test_an_emergency_stop_in_an_isolated_room_latches(interlock: Interlock) -> None:
    assert lost(interlock, 2, room1__estop=(False, False)) == {"shutter1"}
    assert lost(interlock, 3) == {"shutter1"}
    taken = lost(interlock, 4, room1__isolated=(False, False))
    assert taken == {"extraction", "source", "stopper", "shutter1"}


def test_two_channels_that_differ_for_too_long_latch(interlock: Interlock) -> None:
    apart: Value = (True, False)
    limit = MATRIX.input("water.flow").discrepancy_ticks
    assert limit == 20 * MS
    assert lost(interlock, 10, water__flow=apart) == {"extraction"}
    lost(interlock, 11, water__flow=apart)  # beam is confirmed gone
    lost(interlock, 10 + limit, water__flow=apart)
    assert lost(interlock, 11 + limit) == set()  # not longer than the limit, and a row that does not latch
    lost(interlock, 100 + limit, water__flow=apart)
    lost(interlock, 101 + limit, water__flow=apart)
    lost(interlock, 101 + 2 * limit, water__flow=apart)
    assert interlock.states()["water.flow"].differs
    assert lost(interlock, 102 + 2 * limit) == {"extraction"}
    assert interlock.step(103 + 2 * limit, TREAT_2, GONE).tripped == ("water.flow",)
    with pytest.raises(Unauthorised):
        interlock.reset("theo", ["therapist"], TREAT_2)
    interlock.reset("olga", ["operator"], TREAT_2)
    assert lost(interlock, 104 + 2 * limit) == set()


def test_differing_ends_the_isolation_until_a_reset(interlock: Interlock) -> None:
    lost(interlock, 10, room1__isolated=(True, False))
    lost(interlock, 11 + 20 * MS, room1__isolated=(True, False))
    assert lost(interlock, 12 + 20 * MS, room1__door=(False, False)) == {"extraction", "stopper", "shutter1"}


def test_stages_are_confirmed_or_the_next_one_is_taken(interlock: Interlock) -> None:
    bad = {**TREAT_2, "vacuum.ring": False}
    first, second, third = (stage.within_ticks for stage in MATRIX.beam_off)
    nothing = dict.fromkeys(GONE, False)

    def down(tick: int) -> set[str]:
        permits = interlock.step(tick, bad, nothing).permits
        return {name for name, given in permits.items() if not given}

    assert down(10) == {"extraction", "source"}
    assert interlock.switching_off == BeamOff(OffState.AWAITING, 0, 10 + first)
    assert down(10 + first) == {"extraction", "source"}
    late = 11 + first
    assert down(late) == {"extraction", "source", "stopper"}
    late += second + 1
    assert down(late) == {"extraction", "source", "stopper", "shutter1", "shutter2"}
    late += third + 1
    assert down(late) == set(MATRIX.output_names)
    assert interlock.switching_off.state is OffState.DOWN
    count = interlock.counts.as_dict()["vacuum.ring"]
    assert (count.trips, count.confirmed, count.escalations) == (1, 0, 3)
    interlock.step(late + 1, TREAT_2, nothing)
    interlock.reset("sam", ["service"], TREAT_2)
    with pytest.raises(Refused, match="not confirmed gone"):
        interlock.reset("sam", ["service"], TREAT_2)
    assert interlock.step(late + 2, TREAT_2, GONE).blocking == ("room2.isolated", "beam_off")
    with pytest.raises(Unauthorised, match="beam_off"):
        interlock.reset("olga", ["operator"], TREAT_2)
    interlock.reset("theo", ["therapist"], TREAT_2)
    assert all(interlock.step(late + 3, TREAT_2, GONE).permits.values())


def test_a_confirmed_stage_is_counted_and_lets_go(interlock: Interlock) -> None:
    lost(interlock, 10, water__flow=(False, False))
    assert lost(interlock, 11, water__flow=(False, False)) == {"extraction"}
    assert interlock.switching_off.state is OffState.OFF
    assert interlock.counts.confirmed == {"water.flow": 1}
    assert lost(interlock, 12) == set()


def test_trips_are_declared_false_by_who_may_and_once_each(interlock: Interlock) -> None:
    lost(interlock, 10, vacuum__ring=False)
    with pytest.raises(Unauthorised, match="may not judge"):
        interlock.classify_false("vacuum.ring", "theo", ["therapist"], "gauge noise")
    with pytest.raises(Refused, match="with a reason"):
        interlock.classify_false("vacuum.ring", "olga", ["operator"], " ")
    entry = interlock.classify_false("vacuum.ring", "olga", ["operator"], "gauge noise")
    assert (entry.action, entry.inputs, entry.reason) == ("false_trip", ("vacuum.ring",), "gauge noise")
    with pytest.raises(Refused, match="none to declare"):
        interlock.classify_false("vacuum.ring", "olga", ["operator"], "gauge noise")
    assert interlock.counts.as_dict()["vacuum.ring"].false == 1


def test_no_permit_without_a_valid_self_test() -> None:
    fresh = Interlock(MATRIX)
    assert fresh.step(1, TREAT_2, GONE).blocking[-1] == "self_test"
    with pytest.raises(Refused, match="while beam is requested"):
        fresh.self_test("olga", ["operator"])
    fresh.step(2, IDLE, GONE)
    with pytest.raises(Unauthorised, match="operator, service"):
        fresh.self_test("theo", ["therapist"])
    record = fresh.self_test("olga", ["operator"])
    assert record.cases == len(list(cases(MATRIX)))
    assert (record.tick, record.until_tick) == (2, 2 + ticks(24 * 3600))
    assert lost(fresh, 3) == set()
    assert lost(fresh, record.until_tick - 1) == set()
    assert lost(fresh, record.until_tick) == set(MATRIX.output_names)


def test_outputs_are_held_while_the_real_inputs_are_tested(interlock: Interlock) -> None:
    interlock.hold(True)
    assert lost(interlock, 2) == set(MATRIX.output_names)
    interlock.hold(False)
    interlock.step(3, TREAT_2, GONE)
    assert lost(interlock, 4) == set()


def test_a_self_test_finds_damaged_memory_by_name(interlock: Interlock) -> None:
    """The compiled table loses a cell: the case is named, and no permit is left."""
    door = 1 << MATRIX.input_names.index("room2.door")
    bound = tuple(bits & ~door for bits in interlock._rows.bound)
    interlock._rows = replace(interlock._rows, bound=bound)
    interlock.step(2, IDLE, GONE)
    record = interlock.self_test("olga", ["operator"])
    assert not record.passed
    assert all(failure.startswith("room2.door") for failure in record.failures)
    assert lost(interlock, 3) == set(MATRIX.output_names)
    assert interlock.counts.tests_failed == 1


@pytest.mark.parametrize("name", PATHS)
def test_every_site_table_tests_itself(name: str) -> None:
    matrix = table(name)
    interlock = Interlock(matrix)
    record = interlock.self_test("olga", ["operator"])
    assert record.passed
    assert record.cases >= len(matrix.inputs)
    assert rules.compile_rows(matrix).full.bit_length() == len(matrix.inputs)


def changed(tmp_path: Path, file: str, row: str, **changes: object) -> Path:
    """The table with the features, changed at a row, an output, or (no row) at the top."""
    for name in ("rooms.yaml", "rooms-equipment.yaml"):
        content = yaml.safe_load((FEATURES.parent / name).read_text(encoding="utf-8"))
        if name == file:
            places = [*content["inputs"], *content.get("outputs", ())]
            target = next(place for place in places if place["name"] == row) if row else content
            target.update(changes)
            for key in [key for key, value in changes.items() if value is None]:
                del target[key]
        (tmp_path / name).write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return tmp_path / "rooms.yaml"


STAGE = {"output": "extraction", "confirm": "gone", "within_us": 200}


@pytest.mark.parametrize(
    ("file", "row", "changes", "complaint"),
    [
        ("rooms.yaml", "room1.door", {"room": "room9"}, "unknown room room9: allowed are room1, room2"),
        ("rooms.yaml", "room1.door", {"cuts": ["extraction"]}, "cuts none of its outputs: name shutter1"),
        ("rooms.yaml", "room1.door", {"signals": ["a", "a"]}, "compares a with itself"),
        ("rooms.yaml", "room1.door", {"signals": ["a"]}, "too short|short"),
        ("rooms.yaml", "room1.door", {"signal": "a"}, "should not be valid"),
        ("rooms.yaml", "room1.isolated", {"name": "room3.isolated"}, "add the key room1.isolated"),
        ("rooms.yaml", "room1.isolated", {"kind": "request"}, "of kind key"),
        ("rooms.yaml", "room1.isolated", {"room": "room1"}, "it has no room"),
        ("rooms.yaml", "room1.search", {"name": "beam_off"}, "unknown input room1.search"),
        ("rooms.yaml", "monitor.overdose", {"name": "self_test"}, "reserved"),
        ("rooms.yaml", "", {"discrepancy_ms": None}, "give discrepancy_ms"),
        ("rooms.yaml", "", {"include": ["nothing.yaml"]}, "cannot read"),
        ("rooms.yaml", "", {"include": ["../x.txt"]}, "does not match"),
        ("rooms.yaml", "", {"beam_off": [{**STAGE, "output": "stopper"}]}, "does not begin with extraction"),
        ("rooms.yaml", "", {"beam_off": [{**STAGE, "within_us": 50}]}, "shorter than the 100 us"),
        ("rooms.yaml", "", {"beam_off": [STAGE, STAGE]}, "named twice: extraction"),
        ("rooms.yaml", "", {"beam_off": [{**STAGE, "output": "kicker"}]}, "unknown output kicker"),
        (
            "rooms.yaml",
            "",
            {"beam_off": [{**STAGE, "outputs": ["stopper"]}]},
            "valid under each of",
        ),
        (
            "rooms.yaml",
            "",
            {
                "beam_off": [
                    STAGE,
                    {"output": "stopper", "confirm": "x", "within_us": 1e6},
                    {"output": "source", "confirm": "y", "within_us": 1e6},
                ]
            },
            "faster than the stage before",
        ),
        ("rooms-equipment.yaml", "", {"defaults": {"latch": "armed"}}, "link.plant lacks|lacks maskable"),
        ("rooms-equipment.yaml", "", {"family": "weather"}, "is not one of"),
        ("rooms-equipment.yaml", "water.flow", {"family": "patient"}, "family"),
    ],
)
def test_contradictions_are_refused_with_their_place(
    tmp_path: Path, file: str, row: str, changes: dict[str, object], complaint: str
) -> None:
    assert load(changed(tmp_path, file, "")).inputs == MATRIX.inputs
    with pytest.raises(BadConfig, match=complaint):
        load(changed(tmp_path, file, row, **changes))
