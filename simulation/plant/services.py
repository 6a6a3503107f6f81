"""The ring's current transformer, and the air of the rooms."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from common.site import Device
from simulation.plant.family import Family, Fault
from simulation.plant.world import World
from timing.cycle import Phase

INJECTION_S = 0.3
SPILL_S = 5.0
"""Beam time in which the ring fills, and empties on a flat-top (machine.md: spill of 5 s for protons)."""


class Transformers(Family):
    """DC current transformers of the ring: fill at injection, hold, empty in the spill, dump at the end.

    `plant` section: full_scale_ma. blind: reads nothing.
    """

    quantities = (("current", "mA"),)
    faults: ClassVar[Mapping[str, Fault]] = {
        "blind": Fault(1, "it reads nothing"),
        "offset": Fault(0, "it reads a twentieth of its range too much"),
    }

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.scale = self.parameter("full_scale_ma", 20.0)
        self.charge = 0.0
        """Charge in the ring relative to a nominal fill."""

    def step(self, dt: float, world: World) -> None:
        """Charge follows the phase; the ring holds nothing in phases without beam."""
        span = dt * world.clock_factor
        if world.phase is Phase.INJECTION:
            self.charge = min(self.charge + span / INJECTION_S, 1.0)
        elif world.phase is Phase.FLAT_TOP:
            self.charge = max(self.charge - span / SPILL_S, 0.05)
        elif world.phase is not Phase.RAMP:
            self.charge = 0.0
        current = 0.6 * self.scale * self.charge * world.intensity
        noise = 1e-4 * world.rng.standard_normal(self.count)
        shown = current + self.scale * (noise + 0.05 * self.has("offset"))
        self.values[:, 0] = np.where(self.code > 0, np.nan, shown)


class Environment(Family):
    """The room's air, slowly drifting; read over its own instrument lines, not in the block.

    `plant` section: temperature_c, pressure_hpa, swing (1: as in a day, 0: still air). heating: 5 K warmer.
    """

    quantities = (("temperature", "degC"), ("pressure", "hPa"))
    elsewhere = True
    faults: ClassVar[Mapping[str, Fault]] = {
        "heating": Fault(0, "the air of the room is 5 K too warm"),
        "frozen": Fault(0, "the readings stay where they are"),
    }

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.base = np.array(
            [self.parameter("temperature_c", 22.0), self.parameter("pressure_hpa", 1010.0)]
        ).T
        self.swing = np.asarray(self.parameter("swing", 1.0))

    def step(self, dt: float, world: World) -> None:  # noqa: ARG002 - one signature for all families
        """Swing by 0.1 K in half an hour and by 0.3 hPa in an hour."""
        swing = np.array(
            [0.1 * np.sin(world.seconds * 2 * np.pi / 1800.0), 0.3 * np.sin(world.seconds / 573.0)]
        )
        air = self.base + np.outer(self.swing, swing)
        air[:, 0] += 5.0 * self.has("heating")
        self.values[:, :2] = np.where(self.has("frozen")[:, None], self.values[:, :2], air)
