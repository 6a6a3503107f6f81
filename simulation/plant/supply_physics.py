"""What every magnet supply has: ripple of the mains, heat carried away by water, waveforms to follow."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import Refused
from common.site import Device
from common.text import _
from simulation.plant.waveform import Waveform, checked
from simulation.plant.world import World

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MAINS_HZ = 50.0
HARMONICS = ((1, 0.35), (2, 0.25), (6, 0.7), (12, 0.5))
"""Ripple of a twelve-pulse rectifier: multiple of the mains and share of the rms ripple; 0.3 is noise."""
NOISE_SHARE = 0.3
AMBIENT_C = 22.0
FULL_RISE_C = 30.0
"""Warming of a supply at its highest current with nominal cooling; air alone carries a tenth of the heat."""
THERMAL_S = 90.0


class Ripple:
    """Ripple of a unit rms: harmonics of the mains with fixed phases, and noise."""

    def __init__(self, count: int) -> None:
        self._phases = np.random.default_rng(50).uniform(0.0, 2.0 * np.pi, (len(HARMONICS), count))

    def now(self, world: World) -> Floats:
        """Of each supply at this moment of beam time, (n,)."""
        angle = 2.0 * np.pi * MAINS_HZ * world.seconds * world.clock_factor
        wave: Floats = NOISE_SHARE * world.rng.standard_normal((self._phases.shape[1],))
        for (multiple, part), phase in zip(HARMONICS, self._phases, strict=True):
            wave += part * np.sqrt(2.0) * np.sin(multiple * angle + phase)
        return wave


class Heat:
    """Temperature of supplies by their losses and the water of their role, in wall time."""

    def __init__(self, roles: Sequence[str], highest: Floats) -> None:
        """highest: current in A at which a supply with nominal water warms fully, (n,)."""
        self.temperature: Floats = np.full(len(roles), AMBIENT_C)
        self._names, self._role = np.unique(np.array(roles, dtype=np.str_), return_inverse=True)
        self._highest = highest

    def step(self, dt: float, power: Floats, current: Floats, dry: Flags, world: World) -> None:
        """Let `dt` s pass; power W (n,) goes to the water, `dry` supplies have none of it."""
        by_role = np.bincount(self._role, weights=power, minlength=len(self._names)) / 1000.0
        world.heat_kw = float(by_role.sum())
        world.heat.update({str(name): float(kw) for name, kw in zip(self._names, by_role, strict=True)})
        flow = np.array([world.cooling.get(str(name), 1.0) for name in self._names])[self._role]
        flow = np.where(dry, 0.0, np.clip(flow, 0.0, 2.0))
        steady = AMBIENT_C + FULL_RISE_C * (current / self._highest) ** 2 / (0.1 + 0.9 * flow)
        self.temperature += (steady - self.temperature) * -np.expm1(-dt / THERMAL_S)


class Player:
    """Waveforms that supplies follow, and the ones loaded last."""

    def __init__(self) -> None:
        self._playing: dict[int, Waveform] = {}
        self._loaded: dict[int, tuple[Floats, Floats]] = {}
        self._now = 0.0

    def step(self, seconds: float, on: Flags, setpoint: Floats) -> None:
        """Write the setpoints of supplies that follow one; a supply that went off follows no more."""
        self._now = seconds
        for i, waveform in list(self._playing.items()):
            if on[i]:
                setpoint[i] = waveform.at(seconds)
            if not on[i] or waveform.over(seconds):
                del self._playing[i]

    def end(self, i: int) -> None:
        """Supply i follows no more."""
        self._playing.pop(i, None)

    def load(
        self, i: int, device: Device, on: bool, arrays: Mapping[str, NDArray[Any]]
    ) -> Mapping[str, NDArray[Any]]:
        """Follow t, i from now on; without arrays, answer the waveform loaded last. Raises Refused."""
        if not arrays:
            t, current = self._loaded.get(i, (np.empty(0), np.empty(0)))
            return {"t": t, "i": current}
        t, current = checked(device, arrays)
        if not on:
            raise Refused(_("{device} is off; send On first").format(device=device.wire))
        self._loaded[i] = (t, current)
        self._playing[i] = Waveform(t, current, self._now)
        return {}
