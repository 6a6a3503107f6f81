"""Area monitors: background, the radiation that beam makes where it is, and what it leaves behind."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from common.site import Device
from simulation.plant.family import Effect, Family, Fault
from simulation.plant.world import World
from timing.cycle import Phase

ACTIVATION_S = 600.0
ACTIVATION_SHARE = 0.01
BEAM_SHARE = 0.2
"""Rate that nominal beam makes, relative to the alarm of a monitor, where the site names no sensitivity."""


class RadiationMonitors(Family):
    """`plant` section: background_usv_h, alarm (uSv/h), sensitivity_usv_h (at nominal beam).

    A monitor of a treatment room sees beam that goes into that room; the others see the charge in the ring.
    """

    quantities = (("rate", "uSv/h"),)
    faults: ClassVar[Mapping[str, Fault]] = {
        "detector": Fault(1, "the detector does not count; the rate is unknown"),
        "alarm": Fault(0, "a source stands beside the monitor: ten times the alarm rate", Effect.TRIP),
        "frozen": Fault(0, "the reading stays where it is"),
    }
    period_s = 0.1

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.background = self.parameter("background_usv_h", 0.1)
        self.alarm = self.parameter("alarm", 7.5)
        given = self.parameter("sensitivity_usv_h", -1.0)
        self.sensitivity = np.where(given >= 0, given, BEAM_SHARE * self.alarm)
        rooms = list(dict.fromkeys(device.room for device in self.devices if device.room))
        order = [rooms.index(device.room) + 1 if device.room else 0 for device in self.devices]
        self.room = np.array(order, dtype=np.intp)
        self.active = np.zeros(self.count)

    def step(self, dt: float, world: World) -> None:
        """Counting statistics over a second."""
        extracted = world.charge * world.knock_out * (world.phase is Phase.FLAT_TOP)
        prompt = np.where(self.room == 0, world.charge, np.where(self.room == world.room, extracted, 0.0))
        prompt = prompt * self.sensitivity
        self.active += (ACTIVATION_SHARE * prompt - self.active) * -np.expm1(-dt / ACTIVATION_S)
        rate = self.background + prompt + self.active + 10.0 * self.alarm * self.has("alarm")
        noise = 1.0 + 0.05 * world.rng.standard_normal(self.count)
        shown = np.where(self.has("frozen"), self.values[:, 0], rate * noise)
        self.values[:, 0] = np.where(self.code > 0, np.nan, shown)

    @property
    def good(self) -> NDArray[np.bool_]:
        """Counts, and below the alarm."""
        good: NDArray[np.bool_] = (self.values[:, 0] < self.alarm) & (self.code == 0)
        return good
