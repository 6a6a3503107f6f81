"""A map delivered by the real fpga, seen through the device servers."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import tango
from bench import wait_until
from conftest import refusal
from rooms import SITE, Room
from tango import EventType

from common.errors import Refused
from common.units import air_density_correction
from device_servers.drivers.link import FrameLink
from device_servers.sessions import open_sessions

SPOTS = 600
ENERGIES = [120.0, 110.0]
ROOM_INPUTS = ("emergency_stop", "room1.door", "room1.search", "session.request")


@pytest.fixture
def session(room: Room) -> Iterator[FrameLink]:
    """The watched link that a treatment session holds, on a machine ready for beam."""
    open_sessions(room.token("sven", "service", "operator", "therapist"), room.host)
    for device in SITE.devices:
        if device.tango_class in ("MagnetSupply", "IonSource", "RfCavity"):
            room.proxy(device.name).On()
        elif device.tango_class == "SectorValve":
            room.proxy(device.name).Open()
    link = FrameLink(room.state / "run" / "fpga.json", "session", watchdog=True)
    try:
        wait_until(lambda: link.up, "the session's link")
        interlock = room.proxy("central/interlock/1")
        for name in ROOM_INPUTS:
            interlock.SetInput(json.dumps({"name": name, "ok": True}))
        wait_until(lambda: permitted(interlock), "the permit", 30)
        yield link
        interlock.SetInput(json.dumps({"name": "session.request", "ok": False}))
    finally:
        link.close()


def permitted(interlock: tango.DeviceProxy) -> bool:
    if interlock.Tripped:
        try:
            interlock.ResetTrips()
        except tango.DevFailed as why:
            assert why.args[0].reason == "Refused"
    return bool(interlock.Permit)


def small_map(room: Room) -> tuple[dict[str, Any], dict[str, Any]]:
    """Body and arrays of `load_map`: two layers, one line of spots each."""
    station = room.proxy("room1/environment/station")
    k_tp = air_density_correction(station.Temperature, station.AirPressure)
    half = np.linspace(-20.0, 20.0, SPOTS // 2)
    arrays = {
        "energy": np.array(ENERGIES),
        "layer": np.repeat([0, 1], SPOTS // 2).astype("i4"),
        "x": np.tile(half, 2),
        "y": np.zeros(SPOTS),
        "size_x": np.full(SPOTS, 5.0),
        "size_y": np.full(SPOTS, 5.0),
        "preset": np.full(SPOTS, 2000, "i8"),
        "done": np.zeros(SPOTS, "i8"),
    }
    body = {"beam_number": 1, "counts_per_mu": 20000.0, "k_tp": k_tp, "plan_hash": "0" * 64, "resume": False}
    return body, arrays


def delivered(room: Room, session: FrameLink, refusals: list[str]) -> bool:
    """Whether the map is complete; starts it, and goes on after a trip by a watchdog of the loaded computer.

    While it is under way, motion and release of the beam are tried; `refusals` collects who refused.
    """
    state = session.request("status").body["state"]
    if state in ("SWITCHING", "DELIVERING"):
        tries = {
            "couch": lambda: room.proxy("room1/support/couch").MoveTo('{"x": 0}'),
            "allocation": lambda: room.proxy("central/beam/allocation").Release("room1"),
        }
        for name in tries.keys() - set(refusals):
            refusals.extend([name] if "beam is on" in refusal(tries[name]).desc else [])
    elif state != "COMPLETE" and permitted(room.proxy("central/interlock/1")):
        with suppress(Refused):
            session.request("start" if state == "LOADED" else "resume")
    return bool(state == "COMPLETE")


@pytest.mark.requirement("TCS-RECORD")
def test_every_delivered_spot_is_seen_and_nothing_moves_meanwhile(room: Room, session: FrameLink) -> None:
    nozzle, timing = room.proxy("room1/beam/nozzle"), room.proxy("central/timing/1")
    allocation = room.proxy("central/beam/allocation")
    timing.LoadCycles(ENERGIES)
    allocation.Request("room1")
    rows: list[Any] = []
    number = nozzle.subscribe_event(
        "SpotBlock", EventType.CHANGE_EVENT, lambda e: e.err or rows.append(np.asarray(e.attr_value.value))
    )
    try:
        wait_until(lambda: rows, "the first event")
        time.sleep(1.0)  # that one is a read; the event channel itself joins a moment later
        session.request("load_map", *small_map(room))
        refusals: list[str] = []
        wait_until(lambda: delivered(room, session, refusals), "the end of the map", 120)
        assert {"couch", "allocation"} <= set(refusals)
        wait_until(lambda: sum(block.size for block in rows[1:]) >= 10 * SPOTS, "the spots")
    finally:
        nozzle.unsubscribe_event(number)
    seen = np.concatenate(rows[1:]).reshape(-1, 10)
    counters = session.request("read_counters").arrays
    assert seen[:, 1].tolist() == list(range(SPOTS))
    for column, name in ((2, "x"), (3, "y"), (6, "primary"), (7, "secondary"), (9, "end_tick")):
        np.testing.assert_array_equal(seen[:, column], counters[name].astype(np.float64))
    wait_until(lambda: nozzle.PrimaryCounts == counters["primary"].sum(), "the sum in the block")
    allocation.Release("room1")


@pytest.mark.requirement("ACS-INTERLOCK")
def test_a_pressed_emergency_stop_is_the_first_fault(room: Room, session: FrameLink) -> None:
    interlock = room.proxy("central/interlock/1")
    interlock.SetInput('{"name": "emergency_stop", "ok": false}')
    wait_until(lambda: interlock.FirstFault == "emergency_stop", "the trip")
    wait_until(lambda: json.loads(interlock.LastTrip)["input"] == "emergency_stop", "the trip's record")
    wait_until(lambda: interlock.Tripped, "the block")
    assert not interlock.Permit
    assert "emergency_stop" in interlock.status()
    interlock.SetInput('{"name": "emergency_stop", "ok": true}')
    assert not interlock.Permit, "a trip stays until it is reset"
    wait_until(lambda: permitted(interlock), "the reset")
    assert interlock.FirstFault == ""
