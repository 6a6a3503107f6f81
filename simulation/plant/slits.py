"""Slits: two jaws that let through what lies between them."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from common.site import Device
from simulation.plant.family import Effect, Fault
from simulation.plant.motion import Movers
from simulation.plant.world import World

WIDE_MM = 70.0


class Slits(Movers):
    """`plant` section: plane, speed_mm_s, gap_mm (first gap). `element`: where it stands in the optics."""

    axes = (("centre", "mm"), ("gap", "mm"))
    quantities = (*axes, ("moving", ""))
    faults: ClassVar[Mapping[str, Fault]] = {
        "drive": Fault(1, "a motor drive has failed; the jaws do not move"),
        "collision": Fault(2, "the jaws touch each other; they do not move"),
        "encoder": Fault(0, "the gap is 2 mm narrower than it says", Effect.BEAM),
    }

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.position[:, 1] = self.parameter("gap_mm", WIDE_MM)
        self.target[:] = self.position

    def step(self, dt: float, world: World) -> None:
        """Move, and stand in the beam."""
        super().step(dt, world)
        narrower = 2.0 * self.has("encoder")
        for i, device in enumerate(self.devices):
            gap = max(float(self.position[i, 1] - narrower[i]), 0.0)
            world.gaps[device.element] = (float(self.position[i, 0]), gap)
