"""Breathing, as a camera on the patient's chest sees it."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from common.site import Device
from simulation.plant.family import Family, Fault
from simulation.plant.world import World

IRREGULAR = 0.1
"""Relative change of period and depth from breath to breath, one sigma."""
GATE_SHARE = 0.3
"""The gate is open below this share of the mean depth: at the end of breathing out."""


class RespirationMonitors(Family):
    """`plant` section: period_s, amplitude_mm.

    z = A (1 - cos^4(phase / 2 - pi / 2)) turned so that breathing out, at phase 0, is long: A sin^4(phase /
    2) (Lujan et al., Med Phys 26 (1999) 715, with n = 2). Each breath has its own period and depth.
    """

    quantities = (("amplitude", "mm"), ("phase", "deg"), ("gate", ""))
    faults: ClassVar[Mapping[str, Fault]] = {
        "camera": Fault(1, "the camera does not see the marker; the gate is closed"),
        "frozen": Fault(0, "the reading stays where it is"),
        "apnoea": Fault(0, "the patient holds the breath"),
        "cough": Fault(0, "the patient coughs"),
    }
    period_s = 0.04

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.period = self.parameter("period_s", 4.0)
        self.depth = self.parameter("amplitude_mm", 8.0)
        self.turn = np.zeros(self.count)
        """Breaths since the last breathing out, 0..1."""
        self.pace = np.ones(self.count)
        self.size = np.ones(self.count)

    def step(self, dt: float, world: World) -> None:
        """Breathe on."""
        rate = np.where(self.has("apnoea"), 0.0, self.pace / self.period)
        self.turn += dt * rate
        fresh = self.turn >= 1.0
        self.turn -= np.floor(self.turn)
        change = np.clip(1.0 + IRREGULAR * world.rng.standard_normal((2, self.count)), 0.6, 1.4)
        self.pace, self.size = np.where(fresh, change, (self.pace, self.size))
        height = self.depth * self.size * np.sin(np.pi * self.turn) ** 4
        cough = self.has("cough") * self.depth * np.abs(world.rng.standard_normal(self.count))
        seen = height + cough + 0.05 * world.rng.standard_normal(self.count)
        held = self.has("frozen")
        blind = self.code > 0
        seen = np.where(held, self.values[:, 0], seen)
        self.values[:, 0] = np.where(blind, np.nan, seen)
        self.values[:, 1] = np.where(blind, np.nan, 360.0 * self.turn)
        self.values[:, 2] = ~blind & (seen < GATE_SHARE * self.depth)
