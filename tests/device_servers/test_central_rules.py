"""Rules of the central devices: who waits for the beam and who is next, how the machine's mode changes."""

import math
import random
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeSource

from common.errors import Refused, Unauthorised
from common.site import CONFIG, load
from device_servers.central.allocation import Allocation, from_dict
from device_servers.central.machine_mode import MAY_ENTER, TABLE, Use, check_change
from device_servers.drivers.factory import Drivers
from device_servers.drivers.fpga import FpgaAllocation, FpgaInterlock, FpgaNozzle
from device_servers.drivers.link import EMPTY, Snapshot

ROOMS = ("room1", "room2", "room3")


@pytest.mark.requirement("TCS-ROOMS")
def test_the_queue_is_by_priority_then_by_time_and_survives() -> None:
    now = Allocation().requested("room1", 1).requested("room2", 2).requested("room3", 3)
    assert (now.owner, now.rooms) == ("room1", ["room2", "room3"])
    now = now.prioritised("room3", 5)
    assert now.rooms == ["room3", "room2"] and from_dict(now.as_dict()) == now
    now = now.released("room1").requested("room1", 4)
    assert (now.owner, now.rooms) == ("room3", ["room2", "room1"])
    assert now.released("room2").rooms == ["room1"]
    for priority in (-1, 10):
        with pytest.raises(Refused, match=r"0 \(last\) to 9"):
            now.prioritised("room1", priority)
    with pytest.raises(Refused, match="neither"):
        Allocation().released("room1")
    assert from_dict({"owner": "room1", "queue": ["room2"]}).rooms == ["room2"]


@pytest.mark.requirement("TCS-ROOMS")
def test_a_kept_beam_stays_until_keeping_ends() -> None:
    now = Allocation().requested("room1", 1).requested("room2", 2).keep("room1", True)
    given = now.released("room1")
    assert given.owner == "room1" and given.given_back
    assert given.requested("room1", 3).keep("room1", False).owner == "room1"
    handed = given.keep("room1", False)
    assert (handed.owner, handed.kept, handed.rooms) == ("room2", False, [])
    with pytest.raises(Refused, match="only its owner"):
        now.keep("room2", True)


@pytest.mark.requirement("TCS-ROOMS")
def test_whatever_rooms_do_one_has_the_beam_and_nobody_is_lost() -> None:
    rng = random.Random(4)
    now = Allocation()
    for step in range(3000):
        room, what = rng.choice(ROOMS), rng.randrange(4)
        try:
            if what == 0:
                now = now.requested(room, step)
            elif what == 1:
                now = now.released(room)
            elif what == 2:
                now = now.keep(room, rng.random() < 0.5)
            else:
                now = now.prioritised(room, rng.randrange(10))
        except Refused:
            continue
        assert now.owner not in now.rooms and len(set(now.rooms)) == len(now.rooms)
        assert now.owner or not now.rooms
        order = [(-one.priority, one.since_ns) for one in now.queue]
        assert order == sorted(order) and from_dict(now.as_dict()) == now


@pytest.mark.requirement("ACS-MAINTENANCE")
def test_modes_change_by_authority_and_not_under_a_patient() -> None:
    assert set(TABLE) == set(MAY_ENTER) == set(Use)
    service, therapist = frozenset({"service"}), frozenset({"therapist"})
    check_change(Use.CLINICAL, Use.SERVICE, service, {})
    with pytest.raises(Refused, match=r"room1/treatment/session LOADED"):
        check_change(Use.CLINICAL, Use.SERVICE, service, {"room1/treatment/session": "LOADED"})
    with pytest.raises(Unauthorised, match="service"):
        check_change(Use.CLINICAL, Use.SERVICE, therapist, {})
    with pytest.raises(Unauthorised, match="operator, therapist"):
        check_change(Use.SERVICE, Use.CLINICAL, service, {})
    check_change(Use.SERVICE, Use.CLINICAL, therapist, {})


class Line:
    """A link with a block of its own and nobody behind it."""

    def __init__(self, **values: float) -> None:
        self.name, self.asked, self.up = "test", [], True
        names = [key.replace("__", ".") for key in values]
        self.block = Snapshot({name: i for i, name in enumerate(names)}, np.array(list(values.values())), 1)

    def snapshot(self) -> Snapshot:
        return self.block if self.up else EMPTY

    def on_event(self, event: str, handler: object) -> None:
        self.asked.append(event)

    def request(self, verb: str, body: object = None) -> None:
        self.asked.append((verb, body))


@pytest.mark.requirement("ACS-INTERLOCK")
def test_permits_are_one_number_in_the_archive() -> None:
    line = Line(interlock__tripped=0.0, permit__extraction=1.0, permit__source=0.0, permit__stopper=1.0)
    driver = FpgaInterlock(line, FakeSource(()), ("extraction", "source", "stopper"))
    values = dict(zip(driver.quantities, driver.read().values, strict=True))
    assert values["permit"] == 0.0 and values["permits"] == 5.0
    line.up = False
    assert all(math.isnan(value) for value in driver.read().values)


@pytest.mark.requirement("TCS-ROOMS")
def test_a_nozzle_shows_beam_in_its_own_room_only_and_one_room_gives_nothing_away() -> None:
    shown = {"fpga__beam": 1.0, "fpga__dose_rate": 8.0, "fpga__room": 2.0}
    shown |= {"room1__nozzle__primary": 0.0, "room2__nozzle__primary": 7.0}
    mine, other = (FpgaNozzle(Line(**shown), ROOMS, room) for room in ("room2", "room1"))
    assert mine.read().values[0] == 7.0 and mine.read().values[5] == 1.0
    assert other.read().values[0] == 0.0 and other.read().values[5] == 0.0
    alone = Line(fpga__beam=0.0, fpga__state=0.0, fpga__room=1.0)
    FpgaAllocation(alone, ("room1",)).allocate("")
    assert not alone.asked
    several = Line(fpga__beam=0.0, fpga__state=0.0, fpga__room=1.0)
    FpgaAllocation(several, ROOMS).allocate("room2")
    assert several.asked == [("allocate", {"room": "room2"})]


@pytest.mark.requirement("TCS-ROOMS")
def test_watched_names_are_those_of_the_room(tmp_path: Path) -> None:
    site = load(CONFIG / "synchrotron.yaml")
    drivers = Drivers(site, tmp_path, "treatment")
    try:
        for device in site.of_class("TreatmentSession"):
            driver = drivers(device)
            assert driver.link.name == f"{device.room}.session" in site.watchdogs["clients"]
            assert driver.request_input == f"{device.room}.session.request"
        for device in site.of_class("Nozzle"):
            assert drivers(device).link.name == f"{device.room}.nozzle" in site.watchdogs["clients"]
    finally:
        drivers.close()
