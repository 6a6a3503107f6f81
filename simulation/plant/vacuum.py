"""Vacuum gauges with pump-down and leaks, and sector valves that close when vacuum is lost."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from common.errors import Refused
from common.site import Device
from common.text import _
from simulation.plant.family import Family, Fault
from simulation.plant.world import World

LEAK_MBAR_S = 1e-6
NOISE = 0.01


class Gauges(Family):
    """dP/dt = (base - P) / tau + leak: a volume with a pump. `plant` section: base_mbar, pump_s.

    leak: air comes in. gauge: the sensor reads nothing. Starts at three times the base pressure.
    """

    quantities = (("pressure", "mbar"),)
    faults: ClassVar[Mapping[str, Fault]] = {
        "gauge": Fault(1, "the sensor reads nothing"),
        "leak": Fault(0, "air comes in"),
    }

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.base = self.parameter("base_mbar", 1e-8)
        self.lag = self.parameter("pump_s", 10.0)
        self.highest = self.limit("pressure", 1, np.inf)
        self.pressure = 3.0 * self.base

    def step(self, dt: float, world: World) -> None:
        """Exact solution of the equation over dt."""
        steady = self.base + LEAK_MBAR_S * self.lag * self.has("leak")
        self.pressure = steady + (self.pressure - steady) * np.exp(-dt / self.lag)
        shown = self.pressure * (1.0 + NOISE * world.rng.standard_normal(self.count))
        self.values[:, 0] = np.where(self.code > 0, np.nan, shown)
        world.vacuum_good = self.ok

    @property
    def good(self) -> NDArray[np.bool_]:
        """Reads, and reads below its limit."""
        good: NDArray[np.bool_] = (self.pressure <= self.highest) & (self.code == 0)
        return good


class Valves(Family):
    """Sector valves. `plant` section: travel_s. stuck: does not move. Bad vacuum closes all of them."""

    quantities = (("position", ""),)
    faults: ClassVar[Mapping[str, Fault]] = {
        "stuck": Fault(1, "the valve does not move"),
    }
    retained = ("position", "wanted")

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.travel = self.parameter("travel_s", 1.0)
        self.position = np.zeros(self.count)
        self.wanted = np.zeros(self.count)
        self._vacuum_good = True

    def step(self, dt: float, world: World) -> None:
        """Move at constant speed to where they are wanted."""
        self._vacuum_good = world.vacuum_good
        if not world.vacuum_good:
            self.wanted[:] = 0.0
        reach = np.where(self.has("stuck"), 0.0, dt / self.travel)
        self.position += np.clip(self.wanted - self.position, -reach, reach)
        self.values[:, 0] = self.position

    @property
    def good(self) -> NDArray[np.bool_]:
        """Open and without fault."""
        good: NDArray[np.bool_] = (self.position > 0.99) & (self.code == 0)
        return good

    def shut_down(self) -> None:
        """Closed."""
        self.wanted[:] = 0.0
        self.position[:] = 0.0

    def do(self, verb: str, i: int, body: Mapping[str, Any]) -> None:
        """open, close."""
        if verb == "open":
            if not self._vacuum_good:
                raise Refused(
                    _("{device}: vacuum is bad; it opens once every gauge is within limits").format(
                        device=self.devices[i].wire
                    )
                )
            self.wanted[i] = 1.0
        elif verb == "close":
            self.wanted[i] = 0.0
        else:
            super().do(verb, i, body)
