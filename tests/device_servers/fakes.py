"""In-memory drivers: the same Protocols as the wire drivers, on plain values."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common.errors import LinkLost, Refused
from common.site import Device
from device_servers.drivers.protocols import Floats, Reading, Wake
from device_servers.drivers.quantities import MODBUS, QUANTITIES

FPGA = {
    "Nozzle": ("primary", "secondary", "x", "y", "dose_rate", "beam"),
    "Timing": ("phase", "energy", "tick"),
    "BeamCatalogue": ("phase", "energy", "tick"),
    "Interlock": ("tripped", "beam", "permit", "permits"),
    "BeamAllocation": ("beam", "state", "room"),
    "EnvironmentStation": ("temperature", "pressure"),
}


class FakeSource:
    """Values by quantity; `link_up` False behaves like a lost link."""

    def __init__(self, quantities: Sequence[str]) -> None:
        self.quantities = tuple(quantities)
        self.values: dict[str, float] = dict.fromkeys(quantities, 0.0)
        if "enabled" in self.values:
            self.values["enabled"] = 1.0
        self.link_up = True
        self.wakes: list[Wake] = []

    @property
    def up(self) -> bool:
        return self.link_up

    def read(self) -> Reading:
        values = [self.values[q] if self.link_up else math.nan for q in self.quantities]
        return Reading(np.array(values), time.time_ns())

    def listen(self, wake: Wake) -> None:
        self.wakes.append(wake)

    def put(self, **values: float) -> None:
        if not self.link_up:
            raise LinkLost("no link to the fake")
        self.values.update(values)
        self.wake()

    def wake(self) -> None:
        for wake in self.wakes:
            wake()


class FakeSupply(FakeSource):
    def set(self, name: str, value: float) -> None:
        self.put(**{"setpoint": value, name: value})

    def on(self) -> None:
        self.put(on=1.0)

    def off(self) -> None:
        self.put(on=0.0)

    def reset(self) -> None:
        self.put(fault=0.0)


class FakeMagnet(FakeSupply):
    """Its ramp rate is a setting of its own; it follows a waveform at once to its end."""

    points: Floats = np.empty((0, 2))

    def set(self, name: str, value: float) -> None:
        if name not in ("setpoint", "current", "ramp", "trim"):
            raise Refused(f"nothing to set called {name}")
        self.put(**{name: value}) if name in ("ramp", "trim") else super().set("current", value)

    def load_waveform(self, points: Floats) -> None:
        self.set("current", float(points[-1, 1]))
        self.points = points

    def waveform(self) -> Floats:
        self.put()
        return self.points


class FakeDosimeter(FakeSupply):
    def zero(self) -> None:
        self.put(charge=0.0)

    def layers(self) -> tuple[Floats, Floats]:
        self.put()
        depth = 1.9 * (np.arange(180) + 0.5)
        return depth, np.exp(-0.5 * ((depth - 150.0) / 10.0) ** 2)


class FakeChoice(FakeSource):
    def set(self, name: str, value: float) -> None:
        self.put(**{name: value})


class FakeInsertable(FakeSource):
    def insert(self) -> None:
        self.put(position=1.0)

    def retract(self) -> None:
        self.put(position=0.0)

    def profile(self) -> tuple[Floats, Floats]:
        self.put()
        wires = np.arange(64) - 31.5
        return np.exp(-0.5 * (wires / 3.0) ** 2), np.exp(-0.5 * (wires / 4.0) ** 2)


class FakeValve(FakeSource):
    def open(self) -> None:
        self.put(position=1.0)

    def close(self) -> None:
        self.put(position=0.0)


class FakePositioner(FakeSource):
    """Moves at once; while `stuck` it never arrives."""

    beam_on: bool | None = False
    stuck = False

    def beam(self) -> bool | None:
        return self.beam_on

    beam_now = beam

    def move(self, target: Mapping[str, float]) -> None:
        if self.stuck:
            self.put(moving=1.0)
        else:
            self.put(**dict(target))

    def stop(self) -> None:
        self.put(moving=0.0)


class FakeNozzle(FakeSource):
    spots: Floats = np.empty((0, 10))

    def take_spots(self) -> Floats:
        rows, self.spots = self.spots, np.empty((0, 10))
        return rows


class FakeTiming(FakeSource):
    loaded: Sequence[float] = ()
    changes: Sequence[Mapping[str, Any]] = ()
    shown: Mapping[str, Any] = {
        "heartbeat": True,
        "sequencers": [{"stage": "armed", "mode": "retrigger"}, {"stage": "armed", "mode": "retrigger"}],
    }

    def load_cycles(self, energies: Sequence[float]) -> None:
        self.put()
        self.loaded = energies

    def clock_factor(self) -> float | None:
        return 10.0 if self.link_up else None

    def load(self, change: Mapping[str, Any]) -> None:
        """Notes a change; of a sequence it takes the mode, and refuses the codes that are never sent."""
        if any(code in (0x00, 0x7F) for _at, code in change.get("steps", ())):
            raise Refused("event code 0x7f is never sent")
        self.put()
        self.changes = [*self.changes, change]
        if "mode" in change:
            rows = [dict(row) for row in self.shown["sequencers"]]
            rows[change["sequencer"] - 1]["mode"] = change["mode"]
            self.shown = {**self.shown, "sequencers": rows}

    def look(self, wake: Wake) -> None:
        self.listen(wake)
        wake()

    def view(self) -> Mapping[str, Any]:
        return self.shown if self.link_up else {}

    def events(self, since: int) -> Mapping[str, Any]:
        return {"first": since, "next": since, "end": since, "events": []}

    def sequence(self, number: int) -> Mapping[str, Any]:
        return {"steps": [[0, 0x20]], "length": 1}


class FakeInterlock(FakeSource):
    def __init__(self, quantities: Sequence[str]) -> None:
        super().__init__(quantities)
        self.asked: list[Any] = []
        self.trip: dict[str, Any] = {}
        self.inputs: dict[str, dict[str, Any]] = {
            "vacuum": {"ok": True, "latched": False, "masked": False},
            "water": {"ok": None, "latched": False, "masked": False},
        }

    def read(self) -> Reading:
        given = 1.0 - self.values["tripped"]
        self.values.update(permit=given, permits=15.0 * given)
        return super().read()

    def status(self) -> Mapping[str, Any]:
        if not self.link_up:
            return {}
        first = {"input": "vacuum", "tick": 1, "wall_ns": 2} if self.values["tripped"] else None
        return {"permit": {"extraction": not first}, "first_fault": first, "inputs": self.inputs}

    def last_trip(self) -> Mapping[str, Any]:
        return self.trip

    def reset(self, user: str, roles: Sequence[str]) -> None:
        self.asked.append(["reset", user, list(roles)])
        if not self.inputs["vacuum"]["ok"]:
            raise Refused("vacuum is still bad")
        self.inputs["vacuum"]["latched"] = False
        self.put(tripped=0.0)

    def set_input(self, name: str, ok: bool) -> None:
        self.inputs[name] = {"ok": ok, "latched": False, "masked": False}
        self.put()

    def mask(self, name: str, user: str, roles: Sequence[str], reason: str, seconds: float) -> None:
        self.inputs[name]["masked"] = True
        self.asked.append(["mask", name, user, list(roles), reason, seconds])
        self.put()

    def unmask(self, name: str, user: str, roles: Sequence[str]) -> None:
        self.inputs[name]["masked"] = False
        self.put()


class FakeBeam(FakeSource):
    def beam(self) -> bool | None:
        return bool(self.values["beam"]) if self.link_up else None

    beam_now = beam

    def allocate(self, room: str) -> None:
        self.put(room=1.0 if room else 0.0)

    def follow(self, room: str) -> None:
        self.values["room"] = 1.0 if room else 0.0


KINDS: dict[str, type[FakeSource]] = {
    "MagnetSupply": FakeMagnet,
    **dict.fromkeys(
        ("KickerSupply", "ScanningSupply", "HighVoltageSupply", "RfAmplifier", "RfKnockOut"), FakeSupply
    ),
    **dict.fromkeys(("IonPump", "TurboPump", "WaterPump", "Chiller"), FakeSupply),
    **dict.fromkeys(("ProfileMonitor", "FaradayCup", "RangeShifter"), FakeInsertable),
    **dict.fromkeys(("LayerChamber", "ReferenceChamber"), FakeDosimeter),
    "StripperFoil": FakeChoice,
    "BeamStopper": FakeValve,
    "IonSource": FakeSupply,
    "RfCavity": FakeSupply,
    "WaterCircuit": FakeSupply,
    "SectorValve": FakeValve,
    "Couch": FakePositioner,
    "Gantry": FakePositioner,
    **dict.fromkeys(("Slit", "Degrader", "Snout"), FakePositioner),
    "Nozzle": FakeNozzle,
    "Timing": FakeTiming,
    "BeamCatalogue": FakeTiming,
    "Interlock": FakeInterlock,
    "BeamAllocation": FakeBeam,
}


class FakeDrivers:
    """Makes one fake per device, and finds it again."""

    def __init__(self) -> None:
        self.made: dict[str, Any] = {}

    def __call__(self, device: Device) -> Any:
        if device.tango_class in ("Crate", "SupplyGroup", "ControlAuthority"):
            return None
        if device.name not in self.made:
            quantities = {**QUANTITIES, **MODBUS, **FPGA}[device.tango_class]
            self.made[device.name] = KINDS.get(device.tango_class, FakeSource)(quantities)
        return self.made[device.name]
