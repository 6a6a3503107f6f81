"""The machine brought to beam for measurements, as an operator does it, through Tango."""

import json
import time
from collections.abc import Sequence
from contextlib import suppress

import tango

from common.errors import LinkLost, Refused
from common.site import Device
from common.text import _
from ptcs.commissioning.tango_bench import TangoBench
from ptcs.demo.machine import START, start_up
from ptcs.demo.place import Place

MODE = "PHYSICS"
STAGE_S = 90.0
POLL_S = 0.1
REACHED = {"On": "ON", "Open": "OPEN", "Retract": "EXTRACT"}


def bring_to_beam(bench: TangoBench, place: Place) -> None:
    """Mode PHYSICS, equipment on stage by stage, the interlock's self-test, room and halls searched.

    Raises Refused or LinkLost with the device that does not follow.
    """
    for device in bench.site.of_class("MachineMode"):
        bench.command(device.name, "SetMode", MODE)
    for stage, devices in start_up(bench.site, place.room, START):
        _command(bench, stage.command, devices)
        _await(bench, stage.command, devices)
    self_test(bench)
    close_room(bench, place)


def self_test(bench: TangoBench) -> None:
    """Where the interlock asks for a self-test, have it made. Raises Refused with what failed."""
    for device in bench.site.of_class("Interlock"):
        if bench.text(f"{device.name}/SelfTestState") in ("NOT_NEEDED", "PASSED"):
            continue
        result = json.loads(bench.command(device.name, "SelfTest"))
        if not result["passed"]:
            raise Refused(f"{device.name}: {'; '.join(result['failures'][:3])}")


def close_room(bench: TangoBench, place: Place) -> None:
    """Search the room, leave, close the door; what the table has no contact for is told to it."""
    place.search()
    for name in place.told:
        bench.command(place.interlock, "SetInput", json.dumps({"name": name, "ok": True}))


def _command(bench: TangoBench, command: str, devices: Sequence[Device]) -> None:
    """The command to each device that is not there yet; one that refuses is asked again for a while."""
    end = time.monotonic() + STAGE_S
    waiting = [device for device in devices if _state(bench, device) != REACHED[command]]
    while waiting:
        refused = []
        for device in waiting:
            try:
                bench.command(device.name, command)
            except (Refused, LinkLost):
                if time.monotonic() > end:
                    raise
                refused.append(device)
        waiting = refused
        time.sleep(POLL_S if waiting else 0.0)


def _await(bench: TangoBench, command: str, devices: Sequence[Device]) -> None:
    end = time.monotonic() + STAGE_S
    for device in devices:
        if device.plant.get("permit"):
            continue  # it opens with the interlock's permit, when beam is asked for
        while (state := _state(bench, device)) != REACHED[command]:
            if time.monotonic() > end:
                text = _("{device} is {state} {limit:.0f} s after {command}")
                raise LinkLost(text.format(device=device.name, state=state, limit=STAGE_S, command=command))
            time.sleep(POLL_S)


def _state(bench: TangoBench, device: Device) -> str:
    with suppress(tango.DevFailed):
        return str(bench.client.proxy(device.name).state())
    return ""
