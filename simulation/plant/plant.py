"""The whole plant: families of devices stepped in order, their channels, and the verbs on them."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import Refused
from common.site import Site
from common.text import _
from simulation.plant.beam import beam_of
from simulation.plant.family import Family, Floats
from simulation.plant.registry import FAMILIES, GROUPS
from simulation.plant.world import Delivered, World
from timing.cycle import Phase

AIR: tuple[tuple[str, str], ...] = (("beam.temperature", "degC"), ("beam.pressure", "hPa"))
TOLD = ("beam.cycle", "tick")
"""Tick of the phase that the block belongs to: who told the plant knows whether the block has seen it."""


class Plant:
    """Every device of a site that is not the fpga's. `step` is the only thing that takes time."""

    def __init__(self, site: Site, seed: int = 1) -> None:
        self.world = World(site.ions[0], site.clock_factor, np.random.default_rng(seed))
        self.site = site
        self._told = np.nan
        self.families = {name: family(site.of_class(name)) for name, family in FAMILIES.items()}
        self.present = [family for family in self.families.values() if family.count]
        for family in self.families.values():
            family.connect(self.families)
        self.beam = beam_of(site, self.families, self.world)
        self._groups = [[self.families[name] for name in names] for names in GROUPS.values()]
        self._where: dict[str, tuple[Family, int]] = {
            device.wire: (family, i) for family in self.present for i, device in enumerate(family.devices)
        }
        self.step(1e-3)

    def channels(self) -> list[dict[str, str]]:
        """Name and unit of each value of `values`, in order."""
        rows = [row for family in self.present for row in family.channels()]
        crate = [*self.beam.channels, *AIR, TOLD, *((name, "") for name in GROUPS)]
        return [{"name": name, "unit": unit} for name, unit in (*rows, *crate)]

    def step(self, dt: float) -> None:
        """Let `dt` seconds of wall time pass; beam devices live faster by the clock factor."""
        self.world.seconds += dt
        self.world.phase_age += dt * self.world.clock_factor
        for family in self.present:
            family.advance(dt, self.world)
        self.world.delivered.clear()
        self.beam.advance(dt)

    def values(self) -> Floats:
        """The block (channels,) as it stands."""
        oks = [float(all(family.ok for family in group)) for group in self._groups]
        blocks = [family.block() for family in self.present]
        return np.concatenate([*blocks, self.beam.values(), self._air(), [self._told], oks])

    @property
    def busy(self) -> bool:
        """Whether a machine cycle is running, which asks for short steps."""
        return self.world.phase is not Phase.IDLE

    def cycle(
        self,
        phase: str,
        energy: float,
        room: int | None = None,
        ion: str | None = None,
        tick: int | None = None,
    ) -> None:
        """The timing system has entered a phase, at a tick, for an energy in MeV and perhaps a room (from 1,
        0: none) and an ion; None: as before. Raises Refused.
        """
        _check_phase(phase, energy)
        if ion is not None and ion not in self.site.ions:
            raise Refused(f"cycle for ion {ion!r}: this machine has {', '.join(self.site.ions)}")
        if room is not None and not 0 <= room < 100:
            raise Refused(f"cycle for room {room}: allowed are 0 to 99")
        self._told = np.nan if tick is None else float(tick)
        self.world.ion = ion or self.world.ion
        self.world.room = self.world.room if room is None else room
        self.world.phase, self.world.energy, self.world.phase_age = Phase[phase], energy, 0.0
        self.beam.follow()

    def deliver(self, room: str, energy: float, counts: int) -> None:
        """Spots have ended in a room ("": the only one): what instruments there have seen. Raises Refused."""
        if not 0.0 < energy <= 1000.0 or counts < 0:
            raise Refused(f"delivered {counts} counts at {energy:g} MeV: neither may be below 0")
        here = room or (self.site.rooms[0] if self.site.rooms else "")
        temperature, pressure = (float(value) for value in self._air())
        if math.isfinite(temperature) and math.isfinite(pressure):
            self.world.delivered.append(Delivered(here, energy, counts, temperature, pressure))

    def permit(self, permits: Mapping[str, bool]) -> None:
        """The interlock's outputs, as hard-wired to the actuators that follow them."""
        self.world.permits = dict(permits)

    def do(self, verb: str, body: Mapping[str, Any]) -> None:
        """A command to one device. Raises Refused."""
        family, i = self._find(body)
        family.do(verb, i, body)

    def ask(
        self, verb: str, body: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> Mapping[str, NDArray[Any]]:
        """A command to one device that carries or answers arrays. Raises Refused."""
        family, i = self._find(body)
        return family.ask(verb, i, arrays)

    def inject(self, body: Mapping[str, Any]) -> None:
        """Fault {device, kind}. Raises Refused."""
        family, i = self._find(body)
        family.inject(i, str(body.get("kind")))

    def clear(self, body: Mapping[str, Any]) -> None:
        """Clear {device, kind or nothing}. Raises Refused."""
        family, i = self._find(body)
        kind = body.get("kind")
        family.clear(i, None if kind is None else str(kind))

    def faults(self) -> dict[str, dict[str, Any]]:
        """Of each device: name, class, the kinds it can have, the causes present now, the code it shows."""
        return {
            wire: {
                "name": family.devices[i].name,
                "class": family.devices[i].tango_class,
                "kinds": list(family.faults),
                "causes": family.causes(i),
                "code": int(family.code[i]),
            }
            for wire, (family, i) in self._where.items()
        }

    def fault_kinds(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Of each class here: code, text and effect on beam of each kind of fault."""
        return {name: _kinds(family) for name, family in self.families.items() if family.count}

    def memory(self) -> dict[str, dict[str, Any]]:
        """What each device keeps when this process dies, by its wire name."""
        return {wire: family.memory(i) for wire, (family, i) in self._where.items() if family.retained}

    def recall(self, memory: Mapping[str, Mapping[str, Any]]) -> None:
        """Take back what `memory` gave; devices that the site no longer has are passed over."""
        for wire, kept in memory.items():
            if wire in self._where:
                family, i = self._where[wire]
                family.recall(i, kept)

    def shut_down(self) -> None:
        """As an operator leaves the plant: power off, valves closed; couch and gantry stay where they are."""
        for family in self.present:
            family.shut_down()

    def _find(self, body: Mapping[str, Any]) -> tuple[Family, int]:
        wire = body.get("device")
        if not isinstance(wire, str) or wire not in self._where:
            text = _("no device {device} in this plant: allowed are {allowed}")
            raise Refused(text.format(device=wire, allowed=", ".join(sorted(self._where))))
        return self._where[wire]

    def _air(self) -> Floats:
        """Of the room that the cycle is for; of the first station where no room has one."""
        stations = self.families["EnvironmentStation"]
        if not stations.count:
            return np.full(2, np.nan)
        room = self.site.rooms[self.world.room - 1] if 0 < self.world.room <= len(self.site.rooms) else ""
        here = (i for i, device in enumerate(stations.devices) if device.room == room != "")
        return stations.values[next(here, 0), :2]


def _check_phase(phase: str, energy: float) -> None:
    if phase not in Phase.__members__:
        raise Refused(f"unknown phase {phase!r}: allowed are {', '.join(Phase.__members__)}")
    if not 1.0 <= energy <= 1000.0 and phase != "IDLE":
        raise Refused(f"cycle for {energy:g} MeV: allowed are 1 to 1000 MeV")


def _kinds(family: Family) -> dict[str, dict[str, Any]]:
    return {
        kind: {"code": fault.code, "text": fault.text, "effect": fault.effect.value}
        for kind, fault in family.faults.items()
    }
