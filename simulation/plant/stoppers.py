"""What is driven into the beam: stoppers, Faraday cups and the drive of profile monitors."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from common.site import Device
from simulation.plant.family import Family, Fault, Floats
from simulation.plant.world import World

AT_END = 0.01
"""Distance from an end, as part of the way, within which its switch is made."""


class Driven(Family):
    """A drive between two ends. `plant` section: travel_s, fixed (1: has no drive and stands
    in the beam).

    verbs: command -> end it goes to.
    """

    verbs: ClassVar[Mapping[str, float]]
    first: ClassVar[float] = 0.0
    retained = ("position", "wanted")

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.travel = self.parameter("travel_s", 1.0)
        self.fixed = self.parameter("fixed", 0.0) > 0
        self.position = np.full(self.count, self.first)
        self.position[self.fixed] = 1.0
        self.wanted = self.position.copy()

    def drive(self, dt: float, goal: Floats) -> None:
        """Go on at constant speed towards a goal, (n,)."""
        free = ~(self.has("stuck") | self.fixed)
        reach = np.where(free, dt / self.travel, 0.0)
        self.position += np.clip(goal - self.position, -reach, reach)

    def do(self, verb: str, i: int, body: Mapping[str, Any]) -> None:
        """Go to an end."""
        if verb in self.verbs and not self.fixed[i]:
            self.wanted[i] = self.verbs[verb]
        else:
            super().do(verb, i, body)


class Stoppers(Driven):
    """Beam stoppers, closed at first. 0 closed .. 1 open, with a switch at each end.

    `plant` section: permit, the interlock's output that holds it open. Without that permit it is closed
    whatever it was told; it opens again with the permit.
    """

    quantities = (("position", ""), ("open", ""), ("closed", ""), ("permit", ""))
    faults: ClassVar[Mapping[str, Fault]] = {
        "stuck": Fault(1, "the drive is jammed; the stopper does not move"),
        "open_switch": Fault(2, "the switch of the open end stays made"),
        "closed_switch": Fault(3, "the switch of the closed end stays made"),
        "air": Fault(4, "compressed air is missing: it falls closed"),
    }
    verbs: ClassVar[Mapping[str, float]] = {"open": 1.0, "close": 0.0}

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self._outputs = [str(device.plant.get("permit", "")) for device in devices]

    def step(self, dt: float, world: World) -> None:
        """Move; beam passes an open stopper only."""
        self.wanted[self.has("air")] = 0.0
        permitted = np.array([world.permitted(output) for output in self._outputs], dtype=np.bool_)
        self.drive(dt, np.where(permitted, self.wanted, 0.0))
        self.values[:, 3] = permitted
        self.values[:, 0] = self.position
        self.values[:, 1] = (self.position > 1.0 - AT_END) | self.has("open_switch")
        self.values[:, 2] = (self.position < AT_END) | self.has("closed_switch")
        for i, device in enumerate(self.devices):
            world.blocked[device.element] = bool(self.position[i] < 1.0 - AT_END)

    def shut_down(self) -> None:
        """Closed."""
        self.wanted[:] = self.position[:] = 0.0

    @property
    def good(self) -> NDArray[np.bool_]:
        """Without fault, and one end's switch made, not both."""
        good: NDArray[np.bool_] = (self.code == 0) & (self.values[:, 1] + self.values[:, 2] < 1.5)
        return good
