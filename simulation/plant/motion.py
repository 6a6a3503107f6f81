"""Couch and gantry: axes that move with limited speed and acceleration, in wall time."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from common.errors import Refused
from common.site import Device
from common.text import _
from simulation.plant.family import Family, Fault
from simulation.plant.world import World

STOP_S = 0.5
"""Time from full speed to standstill."""


class Movers(Family):
    """Devices with axes. collision: contact plate pressed, no motion; drive: motor fault.

    `enabled` is the dead-man switch: without it, nothing moves. `plant` section: speed_mm_s, speed_deg_s.
    """

    axes: ClassVar[tuple[tuple[str, str], ...]]
    faults: ClassVar[Mapping[str, Fault]] = {
        "collision": Fault(1, "a contact plate is pressed; nothing moves"),
        "drive": Fault(2, "a motor drive has failed; nothing moves"),
        "encoder": Fault(3, "two position encoders disagree; nothing moves"),
    }
    retained = ("position", "target", "enabled")

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        size = (self.count, len(self.axes))
        speeds = {"mm": self.parameter("speed_mm_s", 50.0), "deg": self.parameter("speed_deg_s", 5.0)}
        self.speed = np.array([speeds[unit] for _, unit in self.axes]).T.reshape(size)
        self.position = np.zeros(size)
        self.velocity = np.zeros(size)
        self.target = np.zeros(size)
        self.enabled = np.ones(self.count, dtype=np.bool_)

    def step(self, dt: float, world: World) -> None:  # noqa: ARG002 - one signature for all families
        """As fast as speed, acceleration and the way that is left to brake in allow."""
        if self.moving.any():
            self._move_on(dt)
        axes = len(self.axes)
        self.values[:, :axes] = self.position
        self.values[:, axes] = self.moving
        if len(self.quantities) > axes + 1:
            self.values[:, axes + 1] = self.enabled

    def _move_on(self, dt: float) -> None:
        free = (self.enabled & (self.code == 0))[:, None]
        way = self.target - self.position
        brake = self.speed / STOP_S
        fastest = np.minimum(self.speed, np.sqrt(2.0 * brake * np.abs(way)))
        wanted = np.sign(way) * np.minimum(fastest, np.abs(way) / dt)
        gain = np.clip(wanted - self.velocity, -2 * brake * dt, 2 * brake * dt)
        self.velocity = np.where(free, self.velocity + gain, 0.0)
        move = self.velocity * dt
        there = np.abs(way - move) < 1e-4
        self.position = np.where(there & free, self.target, self.position + move)
        self.velocity = np.where(there, 0.0, self.velocity)

    @property
    def moving(self) -> NDArray[np.bool_]:
        """Which devices are not at their target or still turning, (n,)."""
        away = (self.position != self.target) | (self.velocity != 0.0)
        result: NDArray[np.bool_] = away.any(axis=1)
        return result

    @property
    def good(self) -> NDArray[np.bool_]:
        """Enabled, at rest at the target, without fault."""
        good: NDArray[np.bool_] = self.enabled & ~self.moving & (self.code == 0)
        return good

    def do(self, verb: str, i: int, body: Mapping[str, Any]) -> None:
        """Move {axis: value}, stop, set enabled."""
        if verb == "move":
            self._move(i, body.get("target"))
        elif verb == "stop":
            # The axes come to rest within the way they need to brake.
            brake = self.speed[i] / STOP_S
            self.target[i] = self.position[i] + self.velocity[i] * np.abs(self.velocity[i]) / (2.0 * brake)
        elif verb == "set" and body.get("name") == "enabled" and body.get("value") in (0, 1):
            self.enabled[i] = bool(body["value"])
        else:
            super().do(verb, i, body)

    def _move(self, i: int, target: object) -> None:
        device = self.devices[i]
        names = [name for name, _ in self.axes]
        if not isinstance(target, Mapping) or not target or set(target) - set(names):
            raise Refused(
                _("{device}: a target gives values for some of {names}").format(
                    device=device.wire, names=", ".join(names)
                )
            )
        if not self.enabled[i] or self.code[i]:
            raise Refused(
                _("{device}: motion is not enabled or fault {code:.0f} stands").format(
                    device=device.wire, code=self.code[i]
                )
            )
        goal = self.target[i].copy()
        for name, value in target.items():
            low, high = device.limits.get(name, (-np.inf, np.inf))
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise Refused(
                    _("{device}: {axis} to {value}: allowed are {low:g} to {high:g}").format(
                        device=device.wire, axis=name, value=value, low=low, high=high
                    )
                )
            goal[names.index(name)] = value
        self.target[i] = goal


class Couches(Movers):
    """Patient supports with six axes."""

    axes = (("x", "mm"), ("y", "mm"), ("z", "mm"), ("pitch", "deg"), ("roll", "deg"), ("yaw", "deg"))
    quantities = (*axes, ("moving", ""), ("enabled", ""))


class Gantries(Movers):
    """Gantries with one axis."""

    axes = (("angle", "deg"),)
    quantities = (*axes, ("moving", ""), ("enabled", ""))


class Snouts(Movers):
    """Snouts with one axis along the beam. They have no dead-man switch."""

    axes = (("extension", "mm"),)
    quantities = (*axes, ("moving", ""))


class RangeShifters(Family):
    """Plates that are driven into the beam. `plant` section: thickness_mm, travel_s. 0 out, 1 in the beam."""

    quantities = (("position", ""),)
    faults: ClassVar[Mapping[str, Fault]] = {
        "stuck": Fault(1, "the drive is jammed; the plate does not move"),
        "end_switch": Fault(2, "both end switches are made; the position is unknown"),
    }
    retained = ("position", "wanted")
    period_s = 0.02

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.travel = self.parameter("travel_s", 3.0)
        self.position = np.zeros(self.count)
        self.wanted = np.zeros(self.count)

    def step(self, dt: float, world: World) -> None:  # noqa: ARG002 - one signature for all families
        """Move at constant speed to where they are wanted."""
        reach = np.where(self.has("stuck"), 0.0, dt / self.travel)
        self.position += np.clip(self.wanted - self.position, -reach, reach)
        self.values[:, 0] = np.where(self.has("end_switch"), np.nan, self.position)

    @property
    def good(self) -> NDArray[np.bool_]:
        """In or out as wanted."""
        good: NDArray[np.bool_] = (self.position == self.wanted) & (self.code == 0)
        return good

    def do(self, verb: str, i: int, body: Mapping[str, Any]) -> None:
        """insert, retract."""
        if verb in ("insert", "retract"):
            self.wanted[i] = float(verb == "insert")
        else:
            super().do(verb, i, body)
