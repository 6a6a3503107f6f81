"""Scanning magnets' supplies as the plant sees them: at rest between spots; the fpga steers them in a map."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from common.site import Device
from simulation.plant.family import Effect, Fault, Floats
from simulation.plant.switched import Switched
from simulation.plant.world import World

LOOP_S = 1e-4
OHM, FULL_RISE_C, AMBIENT_C, THERMAL_S = 0.05, 30.0, 22.0, 60.0
OFFSET = 0.01
"""Part of full scale that a supply with an offset gives at rest."""
FULL_TM = 6.6
"""Rigidity at which full scale gives the element's nominal kick."""
NOISE = 1e-6


class Scanners(Switched):
    """`plant` section: plane, full_scale_a. An offset at rest moves the spot."""

    quantities = (("current", "A"), ("voltage", "V"), ("on", ""), ("temperature", "degC"))
    faults: ClassVar[Mapping[str, Fault]] = {
        "amplifier": Fault(1, "the power amplifier has tripped"),
        "overtemperature": Fault(2, "the supply is too hot and switches off"),
        "communication": Fault(3, "the supply does not answer; its readings are unknown"),
        "offset": Fault(0, "the current is a percent of full scale off", Effect.BEAM),
    }
    tripping = frozenset({1, 2})

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.full = self.parameter("full_scale_a", 500.0)
        self.hottest = self.limit("temperature", 1, 80.0)
        self.current = np.zeros(self.count)
        self.temperature = np.full(self.count, AMBIENT_C)

    def step(self, dt: float, world: World) -> None:
        """The current follows its setpoint, nought, with its loop."""
        self.code[(self.temperature > self.hottest) & (self.code == 0)] = self.faults["overtemperature"].code
        self.trip()
        goal = np.where(self.on, self.setpoint + OFFSET * self.full * self.has("offset"), 0.0)
        self.current += (goal - self.current) * -np.expm1(-dt * world.clock_factor / LOOP_S)
        steady = AMBIENT_C + FULL_RISE_C * (self.current / self.full) ** 2
        self.temperature += (steady - self.temperature) * -np.expm1(-dt / THERMAL_S)
        shown = self.current + NOISE * self.full * world.rng.standard_normal(self.count)
        rows = np.array([shown, OHM * shown, self.on, self.temperature]).T
        self.values[:, :4] = rows
        for column in (0, 1, 3):
            self.values[self.has("communication"), column] = np.nan

    def ratios(self, rho: Floats) -> Floats:
        """Kick of each magnet relative to its element's nominal one at a rigidity in T m, (n,)."""
        kick: Floats = self.current / self.full * FULL_TM / rho
        return kick
