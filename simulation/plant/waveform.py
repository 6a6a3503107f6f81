"""Currents as functions of time: what a supply follows from a table, and how the ring's field rises."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import Refused
from common.site import Device
from common.text import _
from simulation.plant.world import INJECTION_MEV, World, rigidity
from timing.cycle import Phase

Floats = NDArray[np.float64]

LONGEST = 4096
RAMP_SHARE = 0.85
"""Part of the ramp's time in which the field rises; the rest lets it settle."""


class Waveform:
    """A table of current by time, followed from a moment on."""

    def __init__(self, t: Floats, i: Floats, begin: float) -> None:
        """T s from 0, strictly rising; i A, both (n,). begin: plant's seconds at which it starts."""
        self.t, self.i, self.begin = t, i, begin

    def at(self, seconds: float) -> float:
        """Current in A at a time of the plant; the last one after the end."""
        return float(np.interp(seconds - self.begin, self.t, self.i))

    def over(self, seconds: float) -> bool:
        """Whether its end has passed."""
        return bool(seconds - self.begin >= self.t[-1])


def checked(device: Device, arrays: Mapping[str, NDArray[Any]]) -> tuple[Floats, Floats]:
    """Times and currents of a `waveform` request, within the device's limits. Raises Refused."""
    if set(arrays) != {"t", "i"}:
        raise Refused(_("{device}: a waveform has the arrays t and i").format(device=device.wire))
    try:
        t, i = (np.asarray(arrays[name], dtype=np.float64) for name in ("t", "i"))
    except (TypeError, ValueError) as why:
        raise Refused(_("{device}: a waveform has numbers in t and i").format(device=device.wire)) from why
    if t.ndim != 1 or t.shape != i.shape or not 2 <= len(t) <= LONGEST:
        raise Refused(
            _("{device}: t and i of a waveform are of one length, 2 to {longest}").format(
                device=device.wire, longest=LONGEST
            )
        )
    if not (np.all(np.isfinite(t)) and np.all(np.isfinite(i)) and t[0] == 0.0 and np.all(np.diff(t) > 0)):
        raise Refused(_("{device}: t of a waveform rises from 0, all finite").format(device=device.wire))
    low, high = device.limits.get("current", (-np.inf, np.inf))
    if i.min() < low or i.max() > high:
        raise Refused(
            _("{device}: the waveform leaves the limits {low:g} to {high:g} A").format(
                device=device.wire, low=low, high=high
            )
        )
    return t, i


def ramped_rigidity(world: World) -> float:
    """T m that the ring is driven to now: in the ramp a parabola up and one down, without a step in slope."""
    if world.phase is not Phase.RAMP or world.energy <= 0:
        return world.ring_rho
    part = min(world.phase_age / (RAMP_SHARE * world.ramp_s), 1.0)
    low, high = rigidity(world.ion, INJECTION_MEV), world.rho
    return low + (high - low) * part * part * (3.0 - 2.0 * part)
