"""What the currents of supplies should be: beam catalogue, trims on top of it, and how near they stand."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import Refused
from common.site import Device
from common.text import _
from simulation.plant.family import Floats, setting
from simulation.plant.switched import Switched
from simulation.plant.world import INJECTION_MEV, World, rigidity
from timing.cycle import Phase

TOLERANCE = 1e-3
"""Relative error of current within which a magnet stands at its energy."""
KINDS = ("dipole", "quad", "sextupole", "corrector", "septum", "solenoid")
TRIM_PART = 0.05
"""A trim is at most this part of the span of a supply's limits; all of it for one that steers both ways."""


def kind_of(device: Device) -> str:
    """What a supply feeds: `kind` of its `plant` section, else by its wire."""
    by_name = next((kind for kind in KINDS if kind in device.wire), "")
    return str(device.plant.get("kind", by_name))


def trim_setting(device: Device, per_tm: float, body: Mapping[str, Any]) -> float:
    """The trim of a `set` request, A. Raises Refused outside its limits, or where no cycle moves it."""
    if not per_tm > 0:
        raise Refused(_("{device} follows no cycle: set its current instead").format(device=device.wire))
    low, high = device.limits.get("current", (-np.inf, np.inf))
    most = high if low < 0 else TRIM_PART * (high - low)
    limited = replace(device, limits={**device.limits, "trim": (-most, most)})
    return setting(limited, ("trim",), "trim", body)


class Programmed(Switched):
    """Supplies whose currents a machine cycle gives. trim: A, kept by the hardware as setpoints are."""

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.per_tm = self.parameter("ampere_per_tm", 0.0)
        self.roles = np.array([str(device.plant.get("role", "transport")) for device in devices])
        self.ring = self.roles == "ring"
        self.fixed = (self.roles == "injector") | np.array(
            [device.plant.get("rigidity") == "injection" for device in devices], dtype=np.bool_
        )
        self.lowest, self.highest = self.limit("current", 0, -np.inf), self.limit("current", 1, np.inf)
        kinds = [kind_of(device) for device in devices]
        self.bend = next((i for i, kind in enumerate(kinds) if self.ring[i] and kind == "dipole"), None)
        self.current: Floats = np.zeros(self.count)
        """Mean current without ripple."""
        self.trim: Floats = np.zeros(self.count)
        """What is added to each cycle's program at the cycle's energy, in the ring with the field, A."""
        self.share: Floats = np.ones((1, self.count))
        """Per room (row 0: no room): the part of its nominal current that the catalogue gives a supply."""
        self.tracks = False
        """Whether the ring's currents follow one curve of field in the ramp, not each its own limit."""
        self._cycle: World | None = None

    def wanted(self, world: World, ring_rho: float) -> Floats:
        """Currents of the beam catalogue, A (n,); ring_rho: rigidity that the ring is driven to, T m."""
        rho = np.where(self.ring, ring_rho, world.rho)
        rho[self.fixed] = rigidity(world.ion, INJECTION_MEV)
        share = self.share[min(world.room, len(self.share) - 1)]
        wanted: Floats = np.clip(rho * self.per_tm * share, self.lowest, self.highest)
        return wanted

    def programmed(self, world: World, ring_rho: float) -> Floats:
        """Currents of the beam catalogue with the trims, A (n,)."""
        trimmed = self.wanted(world, ring_rho) + self.trim * self._trim_part(world, ring_rho)
        return np.clip(trimmed, self.lowest, self.highest)

    def _trim_part(self, world: World, ring_rho: float) -> Floats:
        """Share of its trim that each supply has: in the ring as its field to that of the flat-top, (n,)."""
        rising = ring_rho / world.rho if world.rho > 0 else 1.0
        return np.where(self.ring & ~self.fixed, rising, 1.0)

    def follow(self, world: World) -> None:
        """A phase of the cycle begins: setpoints as the beam catalogue has them for its rigidity."""
        self._cycle = world
        if world.phase is Phase.IDLE:
            return
        wanted = self.programmed(world, world.ring_rho)
        if self.tracks and world.phase is Phase.RAMP:
            wanted[self.ring] = self.setpoint[self.ring]
        self.setpoint = np.where(self.per_tm > 0, wanted, self.setpoint)

    def errors(self, world: World) -> Floats:
        """Relative error of each magnet's mean current from the catalogue at the cycle's energy, (n,)."""
        wanted = self.wanted(world, world.ring_rho)
        return np.divide(self.current - wanted, wanted, out=np.zeros(self.count), where=wanted > 0)

    def standing(self, world: World) -> bool:
        """Whether every magnet stands at the cycle's energy within tolerance."""
        used: NDArray[np.bool_] = self.per_tm > 0
        wanted = self.programmed(world, world.ring_rho)[used]
        gap = np.abs(self.current[used] - wanted)
        near = (gap < TOLERANCE * np.abs(wanted)) | (wanted == 0.0)
        return bool(self.on.all() and np.all(near))

    def settled(self, which: NDArray[np.intp]) -> bool:
        """Whether these supplies are on, sound and at their own setpoints within tolerance."""
        gap = np.abs(self.current[which] - self.setpoint[which])
        least = 0.01 * np.minimum(self.highest[which], 1e6)
        near = gap <= TOLERANCE * np.maximum(np.abs(self.setpoint[which]), least)
        return bool(np.all(near & self.on[which] & (self.code[which] == 0)))

    def set_trim(self, i: int, trim: float) -> None:
        """A trim acts at once where a cycle is under way, and in every one that follows."""
        change, self.trim[i] = trim - self.trim[i], trim
        world = self._cycle
        if world is not None and world.phase is not Phase.IDLE:
            moved = self.setpoint[i] + change * self._trim_part(world, world.ring_rho)[i]
            self.setpoint[i] = np.clip(moved, self.lowest[i], self.highest[i])
