"""Three rooms share one beam: allocation, maps, permits, and what another room's trouble does."""

from pathlib import Path

import numpy as np
import pytest
from rig_fpga import SLICE, Rig, make_map

from common.clock import TICKS_PER_SECOND, ClockRate
from common.errors import Refused
from common.site import CONFIG, load
from common.wire.frame import Frame, Kind
from interlock import matrix
from interlock.table import Matrix
from simulation.fpga.__main__ import build
from simulation.fpga.channels import Channels
from simulation.fpga.states import State
from simulation.fpga.verbs import answer
from simulation.wire_server import Client

ROLES = ["therapist", "operator", "service"]
ROOMS = ("room1", "room2", "room3")


def table() -> Matrix:
    return matrix.load(CONFIG / "synchrotron" / "interlock.yaml")


def three_rooms(shut: frozenset[str] = frozenset(ROOMS)) -> Rig:
    """Everything good, self-tested, every session present, nobody asks for beam, shutters closed."""
    rig = Rig(matrix=table(), rooms=ROOMS)
    rig.shut = shut
    for name in rig.core.guard.drivable():
        rig.core.drive(name, not name.endswith("session.request"))
    rig.go(1)
    rig.core.self_test("meier", ROLES)
    return rig


def treat(rig: Rig, room: str) -> None:
    """What a session does: get the beam, load, ask for beam, start, and be in the middle of it."""
    rig.shut -= {room}
    rig.core.allocate(room)
    rig.load(room=room, spots=200)
    rig.core.drive(f"{room}.session.request", True)
    rig.go(1)
    rig.core.start()
    rig.go(4 * TICKS_PER_SECOND)
    assert rig.core.state is State.DELIVERING


def say(rig: Rig, verb: str, **body) -> dict:
    frame = Frame(Kind.REQUEST, 1, {"do": verb, **body})
    return dict(answer(rig.core, ClockRate(10, 0), verb, frame, lambda tick: tick)[0])


@pytest.mark.requirement("TCS-ROOMS")
def test_the_beam_belongs_to_one_room_and_is_handed_over() -> None:
    rig = three_rooms()
    with pytest.raises(Refused, match="room1 does not hold the beam"):
        rig.load(room="room1")
    with pytest.raises(Refused, match="no room ''"):
        rig.load()
    treat(rig, "room1")
    assert say(rig, "status", room="room1")["beam"] in (True, False)
    with pytest.raises(Refused, match="under way"):
        rig.core.allocate("room2")
    with pytest.raises(Refused, match="room2 does not hold the beam"):
        say(rig, "hold", room="room2", cause="not mine")
    seen = say(rig, "status", room="room2")
    assert (seen["state"], seen["digest"], seen["beam"]) == ("IDLE", None, False)
    assert rig.run() is State.COMPLETE
    rig.go(1)
    with pytest.raises(Refused, match="not read"):
        rig.core.allocate("room2")
    assert say(rig, "read_counters")["room"] == "room1"
    counts = rig.rows["primary"].copy()
    rig.core.drive("room1.session.request", False)
    rig.shut |= {"room1"}
    treat(rig, "room2")
    assert rig.run() is State.COMPLETE
    np.testing.assert_array_equal(rig.rows["primary"], counts)
    assert say(rig, "status", room="room1")["state"] == "IDLE"


@pytest.mark.requirement("TCS-ROOMS")
def test_channels_show_a_room_its_own_nozzle() -> None:
    rig = three_rooms()
    channels = Channels(rig.core)
    names = [channel["name"] for channel in channels.names()]
    treat(rig, "room2")
    values = dict(zip(names, channels.values(), strict=True))
    assert values["fpga.room"] == 2 and values["room2.nozzle.primary"] > 0
    assert values["room1.nozzle.primary"] == 0 and values["room3.nozzle.x"] == 0
    assert "nozzle.primary" not in names


@pytest.mark.requirement("TCS-ROOMS")
@pytest.mark.parametrize("name", ["watchdog.room2.session", "watchdog.room2.nozzle", "room2.door-main"])
def test_trouble_in_another_room_ends_beam_unless_that_room_is_isolated(name: str) -> None:
    assert name in table().input_names
    rig = three_rooms()
    treat(rig, "room1")
    rig.good[name] = (False, False) if table().input(name).paired else None
    rig.go(SLICE)
    assert rig.core.state is State.DELIVERING and not rig.trips()
    assert not rig.core.guard.outputs.permits["room2"]
    rig.shut -= {"room2"}
    rig.go(SLICE)
    (trip,) = rig.trips()
    assert trip.input == name and rig.core.state is State.TRIPPED


@pytest.mark.requirement("TCS-ROOMS")
@pytest.mark.parametrize("name", ["watchdog.room1.session", "room1.search", "vacuum"])
def test_trouble_in_the_room_with_the_beam_or_of_the_machine_ends_beam(name: str) -> None:
    rows = table().input_names
    name = name if name in rows else next(row for row in rows if row.startswith("vacuum"))
    rig = three_rooms()
    treat(rig, "room1")
    rig.good[name] = False
    rig.go(SLICE)
    assert rig.trips()[0].input == name


@pytest.mark.requirement("TCS-ROOMS")
def test_after_a_trip_in_one_room_another_goes_on_when_it_is_isolated() -> None:
    rig = three_rooms()
    treat(rig, "room1")
    rig.good["watchdog.room1.session"] = None
    rig.go(SLICE)
    assert rig.core.state is State.TRIPPED
    rig.core.drive("room1.session.request", False)
    rig.core.drive("room2.session.request", True)
    rig.go(SLICE)
    with pytest.raises(Refused, match="not read"):
        rig.core.allocate("room2")
    say(rig, "read_counters")
    rig.core.allocate("room2")
    assert rig.core.state is State.IDLE and rig.core.delivery is None
    rig.shut -= {"room2"}
    rig.load(room="room2")
    rig.go(1)
    with pytest.raises(Refused, match=r"watchdog\.room1\.session"):
        rig.core.start()
    rig.shut |= {"room1"}
    rig.go(SLICE)
    rig.core.start()
    assert rig.run() is State.COMPLETE


@pytest.mark.requirement("TCS-ROOMS")
def test_a_restarted_beam_hardware_gives_the_beam_to_the_room_of_its_map(tmp_path: Path) -> None:
    site = load(CONFIG / "synchrotron.yaml")
    crate, _link = build(site, tmp_path, seed=1, stepped=True)
    crate.core.allocate("room3")
    body, arrays = make_map()
    low, high = crate.core.model.spill[0][0], crate.core.model.spill[0][-1]
    arrays["energy"] = np.linspace(high, low, 3)
    crate.core.energies = tuple(arrays["energy"])
    body |= {"do": "load_map", "room": "room3", "counts_per_mu": crate.core.model.counts_per_mu}
    crate.handle(Client(writer=None), Frame(Kind.REQUEST, 1, body, arrays))
    again, _link = build(site, tmp_path, seed=1, stepped=True)
    assert again.core.room == "room3" and again.core.delivery.spots.room == "room3"


@pytest.mark.requirement("ACS-INTERLOCK")
def test_trips_self_test_and_counts_are_remembered_over_a_restart(tmp_path: Path) -> None:
    site = load(CONFIG / "synchrotron.yaml")
    crate, _link = build(site, tmp_path, seed=1, stepped=True)
    core = crate.core
    crate.slice(1000)
    core.self_test("meier", ROLES)
    core.drive("room1.session.request", True)
    crate.slice(2000)
    latched = set(core.guard.outputs.tripped)
    counts = core.guard.interlock.counts.as_dict()
    assert latched and counts
    again, _link = build(site, tmp_path, seed=1, stepped=True)
    again.slice(3000)
    assert again.core.tick >= 2000 and latched <= set(again.core.guard.outputs.tripped)
    assert again.core.guard.interlock.self_tested.passed
    assert again.core.guard.interlock.counts.as_dict() == counts
    assert again.core.guard.outputs.first_fault == core.guard.outputs.first_fault
