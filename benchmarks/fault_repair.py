"""After a fault: its cause taken away, what followed from it put right, permits and beam back."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from benchmarks.fault_cases import Case
from benchmarks.machine_processes import NotInTime
from benchmarks.machine_rig import ROLES, USER, Rig
from common.errors import LinkLost, PtcsError, Refused
from common.site import Device
from ptcs.demo.machine import START, buttons, stations
from simulation.plant.registry import FAMILIES

VENTED = ("inrush",)
"""Kinds after which a volume is full of air. Pumping takes minutes: the plant starts anew instead."""


class Repair:
    """Repairs on one rig."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig

    def mend(self, act: Callable[[], Any]) -> str:
        """Take the cause away, put right what followed, reset, and see beam again; why not, if not."""
        try:
            act()
            self._restore()
            self.rig.beam()
        except PtcsError as why:
            return f"no beam after repair: {str(why)[:200]}"
        return ""

    def of(self, case: Case) -> None:
        """Take away the cause of a device's fault."""
        self.rig.plant("clear", device=case.device.wire)
        if case.kind in VENTED:
            self.rig.again("plant")

    def _restore(self) -> None:
        """Until the room has every permit: reset, switch on, open and search what a bad row reads."""
        rig = self.rig
        deadline = time.monotonic() + 60.0
        commands = {name: stage.command.lower() for stage in START for name in stage.classes}
        while time.monotonic() < deadline:
            with suppress(LinkLost, Refused):
                if self._permitted():
                    return
                for wire, entry in rig.plant("faults")["faults"].items():
                    if entry["code"] and FAMILIES[entry["class"]].latching and not entry["causes"]:
                        with suppress(Refused):
                            rig.plant("reset", device=wire)
                for device in self._bad_devices():
                    if verb := commands.get(device.tango_class):
                        with suppress(Refused):
                            rig.plant(verb, device=device.wire)
                for station in stations(rig.site, rig.room):
                    if rig.reading("plant", f"{station.wire}.ok") != 1.0:
                        for button in buttons(station):
                            rig.plant("press", device=station.wire, button=button)
            time.sleep(0.1)
        raise NotInTime(f"no permit within 60 s: {', '.join(rig.status()['blocking'][:6])}")

    def _permitted(self) -> bool:
        with suppress(Refused):
            self.rig.fpga("reset", user=USER, roles=ROLES)
        status = self.rig.status()
        return not status["blocking"] and status["state"] != "TRIPPED"

    def _bad_devices(self) -> list[Device]:
        """Devices that the plant says are not good for beam, stoppers of other rooms left alone."""
        rig = self.rig
        return [
            device
            for device in rig.site.devices
            if device.tango_class in FAMILIES
            and rig.has("plant", f"{device.wire}.ok")
            and self._wants(device)
        ]

    def _wants(self, device: Device) -> bool:
        if device.tango_class == "BeamStopper":
            return (
                device.room in ("", self.rig.room) and self.rig.reading("plant", f"{device.wire}.open") != 1.0
            )
        return self.rig.reading("plant", f"{device.wire}.ok") != 1.0
