"""The whole plant: families of devices stepped in order, their channels, and the verbs on them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from common.errors import Refused
from common.site import Site
from common.text import _
from simulation.plant.beam import BeamState, beam_state
from simulation.plant.family import Family, Floats
from simulation.plant.motion import Couches, Gantries
from simulation.plant.services import Environment, Transformers, Water
from simulation.plant.source_rf import Cavities, Sources
from simulation.plant.supplies import Supplies
from simulation.plant.vacuum import Gauges, Valves
from simulation.plant.world import World
from timing.cycle import Phase

CRATE_CHANNELS: tuple[tuple[str, str], ...] = (
    ("beam.energy", "MeV"),
    ("beam.ready", ""),
    ("beam.intensity", ""),
    ("beam.offset_x", "mm"),
    ("beam.offset_y", "mm"),
    ("beam.size", ""),
    ("beam.temperature", "degC"),
    ("beam.pressure", "hPa"),
    ("ok.magnets", ""),
    ("ok.vacuum", ""),
    ("ok.water", ""),
    ("ok.rf", ""),
    ("ok.source", ""),
    ("ok.couch", ""),
    ("ok.gantry", ""),
)


class Plant:
    """Every device of a site that is not the fpga's. `step` is the only thing that takes time."""

    def __init__(self, site: Site, seed: int = 1) -> None:
        self.world = World(site.ions[0], site.clock_factor, np.random.default_rng(seed))
        self.supplies = Supplies(site.of_class("MagnetSupply"))
        self.sources = Sources(site.of_class("IonSource"))
        self.cavities = Cavities(site.of_class("RfCavity"))
        self.gauges = Gauges(site.of_class("VacuumGauge"))
        self.valves = Valves(site.of_class("SectorValve"))
        self.water = Water(site.of_class("WaterCircuit"))
        self.transformers = Transformers(site.of_class("CurrentTransformer"))
        self.couches = Couches(site.of_class("Couch"))
        self.gantries = Gantries(site.of_class("Gantry"))
        self.environment = Environment(site.of_class("EnvironmentStation"))
        self._in_block: tuple[Family, ...] = (
            self.supplies,
            self.sources,
            self.cavities,
            self.gauges,
            self.valves,
            self.water,
            self.transformers,
            self.couches,
            self.gantries,
        )
        self._where: dict[str, tuple[Family, int]] = {
            device.wire: (family, i)
            for family in (*self._in_block, self.environment)
            for i, device in enumerate(family.devices)
        }
        self.step(1e-3)

    def channels(self) -> list[dict[str, str]]:
        """Name and unit of each value of `values`, in order."""
        rows = [
            {"name": f"{device.wire}.{quantity}", "unit": unit}
            for family in self._in_block
            for device in family.devices
            for quantity, unit in family.quantities
        ]
        return rows + [{"name": name, "unit": unit} for name, unit in CRATE_CHANNELS]

    def step(self, dt: float) -> None:
        """Let `dt` seconds of wall time pass; beam devices live faster by the clock factor."""
        self.world.seconds += dt
        self.world.phase_age += dt * self.world.clock_factor
        for family in (*self._in_block, self.environment):
            family.step(dt, self.world)

    def values(self) -> Floats:
        """The block (channels,) as it stands."""
        blocks = [family.values.ravel() for family in self._in_block]
        return np.concatenate([*blocks, self._crate()])

    def beam(self) -> BeamState:
        """The beam that the machine would give now."""
        usable = self.gauges.ok and self.valves.ok and self.water.ok and self.cavities.ok and self.sources.ok
        return beam_state(self.supplies, self.world, usable)

    @property
    def busy(self) -> bool:
        """Whether a machine cycle is running, which asks for short steps."""
        return self.world.phase is not Phase.IDLE

    def cycle(self, phase: str, energy: float) -> None:
        """The timing system has entered a phase for an energy in MeV. Raises Refused."""
        if phase not in Phase.__members__:
            raise Refused(f"unknown phase {phase!r}: allowed are {', '.join(Phase.__members__)}")
        if not 1.0 <= energy <= 1000.0 and phase != "IDLE":
            raise Refused(f"cycle for {energy:g} MeV: allowed are 1 to 1000 MeV")
        self.world.phase, self.world.energy, self.world.phase_age = Phase[phase], energy, 0.0
        self.supplies.follow(self.world)

    def do(self, verb: str, body: Mapping[str, Any]) -> None:
        """A command to one device. Raises Refused."""
        family, i = self._find(body)
        family.do(verb, i, body)

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
        """Of each device: the kinds it can have, the causes present now, and the code it shows."""
        return {
            wire: {
                "kinds": list(family.faults),
                "causes": family.causes(i),
                "code": int(family.code[i]),
            }
            for wire, (family, i) in self._where.items()
        }

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
        for family in (self.supplies, self.sources, self.cavities):
            family.on[:] = False
        self.valves.wanted[:] = 0.0
        self.valves.position[:] = 0.0

    def _find(self, body: Mapping[str, Any]) -> tuple[Family, int]:
        wire = body.get("device")
        if not isinstance(wire, str) or wire not in self._where:
            raise Refused(
                _("no device {device} in this plant: allowed are {allowed}").format(
                    device=wire, allowed=", ".join(sorted(self._where))
                )
            )
        return self._where[wire]

    def _crate(self) -> Floats:
        beam = self.beam()
        air = self.environment.values[0] if self.environment.count else (np.nan, np.nan)
        vacuum = self.gauges.ok and self.valves.ok
        oks = (self.supplies, self.water, self.cavities, self.sources, self.couches, self.gantries)
        magnets, water, rf, source, couch, gantry = (float(family.ok) for family in oks)
        machine = (beam.energy, float(beam.ready), self.world.intensity)
        spot = (beam.offset_x, beam.offset_y, beam.size)
        return np.array([*machine, *spot, *air[:2], magnets, float(vacuum), water, rf, source, couch, gantry])
