"""What is never taken as good: contradictions, unknown numbers, beam that nobody has seen go."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rig_fpga import MATRIX, SLICE
from test_simulation_interlock_off import into_a_spot, running
from test_simulation_rooms import say, table, three_rooms, treat

from common.clock import ticks
from common.errors import Refused, Unauthorised
from common.site import CONFIG
from common.wire.frame import Frame, Kind
from interlock import matrix
from interlock.beam_off import OffState
from interlock.memory import KeptInterlock
from simulation.fpga.beamline import Sense
from simulation.fpga.plant_link import PlantLink
from simulation.fpga.states import State
from simulation.fpga.watchdogs import Watchdogs
from simulation.wire_server import Client

CLOSED = {"room2-stopper.closed": 1.0, "room2-stopper.open": 0.0, "room2-stopper.ok": 1.0}
STOPPED = {"transport-stopper.closed": 1.0, "transport-stopper.ok": 1.0}
BEAM = {"beam.temperature": 22.0, "beam.pressure": 1000.0, "beam.ready": 1.0, "beam.energy": 120.0}
PLACE = {"beam.intensity": 1.0, "beam.offset_x": 2.5, "beam.offset_y": 0.0, "beam.size": 1.0}


def tell(link: PlantLink, channels: dict[str, float]) -> PlantLink:
    """What a plant with these channels says, by the link's own way in."""
    names = [{"name": name, "unit": ""} for name in channels]
    link._take(Frame(Kind.EVENT, 0, {"event": "hello", "channels": names}))
    link._take(Frame(Kind.BLOCK, 0, {}, {"values": np.array(list(channels.values()))}))
    return link


@pytest.fixture
def link(tmp_path: Path) -> PlantLink:
    return PlantLink(tmp_path / "plant.json", table(), {"room2": ("room2-stopper.closed",)})


@pytest.mark.requirement("ACS-INTERLOCK")
@pytest.mark.parametrize(
    "wrong",
    [{"closed": 0.0}, {"closed": float("nan")}, {"ok": 0.0}, {"ok": float("nan")}],
    ids=["open", "unknown", "switch-stays-made", "fault-unknown"],
)
def test_a_shutter_isolates_only_when_it_is_closed_and_good(link: PlantLink, wrong: dict[str, float]) -> None:
    assert tell(link, CLOSED).shut() == {"room2"}
    changed = {f"room2-stopper.{name}": value for name, value in wrong.items()}
    assert tell(link, {**CLOSED, **changed}).shut() == frozenset()
    without = {name: value for name, value in CLOSED.items() if name.rpartition(".")[2] not in wrong}
    assert tell(link, without).shut() == frozenset()


@pytest.mark.requirement("ACS-INTERLOCK")
def test_a_stopper_with_a_fault_confirms_no_beam_off(link: PlantLink) -> None:
    assert tell(link, STOPPED).confirmed() == {"transport-stopper.closed"}
    assert tell(link, {**STOPPED, "transport-stopper.ok": 0.0}).confirmed() == frozenset()


@pytest.mark.requirement("ACS-INTERLOCK")
def test_with_unknown_air_beam_begins_nowhere_and_is_still_seen(link: PlantLink) -> None:
    known = tell(link, {**BEAM, **PLACE}).beam()
    assert known.ready and known.k_tp > 1.0
    blind = tell(link, {**BEAM, **PLACE, "beam.temperature": float("nan")}).beam()
    assert not blind.ready
    assert blind == replace(known, ready=False), "an offset that is there is not taken as none"


@pytest.mark.requirement("ACS-INTERLOCK")
@pytest.mark.parametrize(
    ("what", "cause"), [("offset_x", "spot.position"), ("offset_y", "spot.position"), ("size", "spot.size")]
)
def test_a_position_or_size_that_is_not_known_is_out_of_tolerance(what: str, cause: str) -> None:
    rig = running(MATRIX)
    rig.beam = replace(rig.beam, **{what: float("nan")})
    rig.go(SLICE)
    assert rig.trips()[0].input == cause and rig.core.state is State.TRIPPED


@pytest.mark.requirement("ACS-INTERLOCK")
@pytest.mark.parametrize(("factor", "trips"), [(1.003, False), (0.99, True), (float("nan"), True)])
def test_an_energy_that_moves_while_beam_is_delivered_ends_it(factor: float, trips: bool) -> None:
    rig = running(MATRIX)
    rig.outputs.clear()
    beam = replace(rig.beam, energy=rig.core.cycle.energy * factor)
    rig.core.advance(rig.core.tick + 1000, Sense(beam, rig.good))
    rig.outputs += rig.core.drain()
    assert [trip.input for trip in rig.trips()] == ["energy.selection"] * trips
    assert ("energy.selection" in rig.core.guard.outputs.tripped) is trips


@pytest.mark.requirement("ACS-INTERLOCK")
@pytest.mark.requirement("TCS-ROOMS")
@pytest.mark.parametrize("place", ["couch", "maze", "console", "entrance"])
def test_radiation_in_an_isolated_room_ends_beam_everywhere(place: str) -> None:
    rig = three_rooms()
    treat(rig, "room1")
    rig.good[f"room2.radiation-{place}"] = False
    rig.go(SLICE)
    assert rig.trips()[0].input == f"room2.radiation-{place}"


@pytest.mark.requirement("TCS-ROOMS")
def test_the_beam_is_given_to_nobody_else_while_it_is_not_gone() -> None:
    rig = running(table())
    rig.core.fault("fast_off_fails", None)
    into_a_spot(rig)
    rig.good["room1.search"] = False
    rig.go(100, 100)
    assert rig.core.state is State.TRIPPED
    say(rig, "read_counters")
    rig.go(100, 100)
    assert say(rig, "status")["beam"], "it is still there, whatever the state of the map"
    with pytest.raises(Refused, match="beam is on"):
        rig.core.allocate("room2")
    rig.go(ticks(1.0))
    assert not say(rig, "status")["beam"]
    rig.core.allocate("room2")
    assert rig.core.room == "room2"


@pytest.mark.requirement("ACS-INTERLOCK")
@pytest.mark.parametrize("level", [1, 2])
def test_a_restart_does_not_forget_an_escalation_under_way(level: int) -> None:
    rows = matrix.load(CONFIG / "cyclotron" / "interlock.yaml")
    before, tick = KeptInterlock(rows), 0
    full = (1 << len(rows.inputs)) - 1
    before.step_bits(tick, 0)
    before.reset_bits("meier", ["service"], full, full)
    before.self_test("meier", ["service"])
    assert before.step_bits(1, full, full, 1).held == 0
    version = before.version
    tick = 2
    before.step_bits(tick, 0, 0)
    while before.switching_off.level < level:
        tick = before.switching_off.until + 1
        before.step_bits(tick, 0, 0)
    assert before.switching_off.state is OffState.AWAITING and before.version != version
    after = KeptInterlock(rows)
    after.recall(before.memory())
    assert after.switching_off.state is OffState.DOWN
    verdict = after.step_bits(tick + 1, full, full)
    assert verdict.permits == 0
    with pytest.raises(Refused, match="not confirmed gone"):
        for _ in range(2):  # the latches first, then there is the escalation alone
            after.reset_bits("meier", ["service"], full, full)
    after.step_bits(tick + 2, full, full, 1)
    after.reset_bits("meier", ["service"], full, full)
    assert after.step_bits(tick + 3, full, full, 1).permits


@pytest.mark.requirement("SYS-SECURITY")
def test_a_trip_without_a_latch_is_not_reset_by_anybody() -> None:
    rig = running(MATRIX)
    rig.core.drive("session.request", False)
    assert rig.core.state is State.TRIPPED and not rig.core.guard.outputs.tripped
    for roles in ([], ["physician"]):
        with pytest.raises(Unauthorised, match="may not reset"):
            rig.core.reset("nobody", roles)
        assert rig.core.state is State.TRIPPED
    rig.core.reset("meier", ["therapist"])
    assert rig.core.state is State.HELD


@pytest.mark.requirement("TCS-ROOMS")
def test_counters_count_as_read_when_their_own_room_has_read_them() -> None:
    rig = three_rooms()
    treat(rig, "room1")
    rig.core.terminate("enough")
    rig.go(SLICE)
    assert say(rig, "read_counters", room="room2")["room"] == "room1"
    with pytest.raises(Refused, match="not read"):
        rig.core.allocate("room2")
    say(rig, "read_counters", room="room1")
    rig.core.allocate("room2")


@pytest.mark.requirement("ACS-INTERLOCK")
def test_a_silent_client_is_not_covered_by_another_of_its_name() -> None:
    dogs = Watchdogs(("session",), 0.1)
    assert dogs.inputs() == {"watchdog.session": False}
    alive, silent = (Client(None, "session", watchdog=True) for _ in range(2))  # type: ignore[arg-type]
    silent.heard -= 60.0
    alive.heard += 60.0
    dogs.greeted(alive)
    assert dogs.inputs() == {"watchdog.session": True}
    dogs.greeted(silent)
    assert dogs.inputs() == {"watchdog.session": False}
    dogs.left(silent)
    assert dogs.inputs() == {"watchdog.session": True}


@pytest.mark.requirement("ACS-INTERLOCK")
def test_beam_of_another_ion_ends_beam() -> None:
    rig = running(MATRIX)
    for ion in ("carbon", ""):
        assert rig.core.beam_on
        rig.beam = replace(rig.beam, ion=ion)
        rig.go(SLICE)
        rig.go(SLICE)
        assert not rig.core.beam_on and rig.core.cause == "energy.selection"
        rig = running(MATRIX)


@pytest.mark.requirement("ACS-INTERLOCK")
def test_a_machine_with_several_ions_must_tell_which(tmp_path: Path) -> None:
    both = PlantLink(tmp_path / "plant.json", table(), {}, ("proton", "carbon"))
    assert tell(both, {**BEAM, **PLACE}).beam().ion == ""
    assert tell(both, {**BEAM, **PLACE, "beam.ion": 2.0}).beam().ion == "carbon"
    assert tell(both, {**BEAM, **PLACE, "beam.ion": float("nan")}).beam().ion == ""
