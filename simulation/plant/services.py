"""The air of the rooms."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from common.site import Device
from simulation.plant.family import Effect, Family, Fault
from simulation.plant.world import World


class Environment(Family):
    """The room's air, slowly drifting; read over its own instrument lines, not in the block.

    `plant` section: temperature_c, pressure_hpa, swing (1: as in a day, 0: still air). heating: 5 K warmer.
    """

    quantities = (("temperature", "degC"), ("pressure", "hPa"))
    elsewhere = True
    period_s = 0.1
    faults: ClassVar[Mapping[str, Fault]] = {
        "heating": Fault(0, "the air of the room is 5 K too warm", Effect.BEAM),
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
