"""The degrader of a cyclotron: graphite of adjustable thickness that slows, scatters and spreads the beam."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from common.site import Device
from simulation.plant.family import Effect, Fault, Floats
from simulation.plant.motion import Movers
from simulation.plant.optics_data import OpticsData, Start
from simulation.plant.world import IONS, World, rigidity
from timing.cycle import Phase

ALPHA_MM, POWER = 0.022, 1.77
"""Range of protons in water: R = alpha E^p, E in MeV (Bortfeld, Med Phys 24 (1997) 2024)."""
RELATIVE_STOPPING = 1.52
"""Of graphite of 1.73 g/cm3 to water."""
RADIATION_MM = 247.0
"""Radiation length of that graphite (42.7 g/cm2, Particle Data Group)."""
SPOT_MM = 1.0
"""Rms size of the beam on the degrader."""
STRAGGLING = 0.012
"""Range straggling in cm: 0.012 R^0.935, R in cm (Bortfeld 1997)."""


class Degraders(Movers):
    """`plant` section: speed_mm_s (in beam time), energy_mev (of the cyclotron)."""

    axes = (("thickness", "mm"),)
    quantities = (("thickness", "mm"), ("energy", "MeV"), ("moving", ""))
    faults: ClassVar[Mapping[str, Fault]] = {
        "drive": Fault(1, "a motor drive has failed; the wedges do not move"),
        "communication": Fault(2, "the drive does not answer; its readings are unknown"),
        "encoder": Fault(0, "the wedges stand 1 mm deeper than they say", Effect.BEAM),
    }

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.first = self.parameter("energy_mev", 250.0)
        self.behind = self.first.copy()

    def follow(self, world: World) -> None:
        """A cycle begins: move to the thickness that its energy needs."""
        if world.phase is Phase.INJECTION and world.energy > 0:
            for i in range(self.count):
                low, high = self.devices[i].limits.get("thickness", (0.0, np.inf))
                self.target[i, 0] = np.clip(thickness(self.first[i], world.energy), low, high)

    def step(self, dt: float, world: World) -> None:
        """Move; the energy behind is what the thickness as it is leaves."""
        super().step(dt * world.clock_factor, world)
        self.behind = np.array([energy_behind(e, t) for e, t in zip(self.first, self.depth, strict=True)])
        self.values[:, 1], self.values[:, 2] = self.behind, self.moving
        self.values[self.has("communication"), :2] = np.nan
        if self.count:
            world.degraded = float(self.behind[0])

    @property
    def good(self) -> NDArray[np.bool_]:
        """Without fault. It moves with the cycle; beam waits until it has `settled`."""
        good: NDArray[np.bool_] = self.enabled & (self.code == 0)
        return good

    @property
    def depth(self) -> Floats:
        """Graphite that the beam meets, (n,) mm."""
        return self.position[:, 0] + self.has("encoder")

    def settled(self, world: World) -> bool:
        """Whether it stands, and the beam behind has the cycle's energy within half a percent."""
        near = abs(world.degraded - world.energy) <= 0.005 * world.energy
        return not self.count or bool(near and not self.moving.any() and self.ok)

    def shape(self, data: OpticsData, start: Start) -> tuple[float, Start]:
        """Share of the beam that passes the collimator behind, and its shape there.

        Scattering after Highland (Phys. Rev. D 98 (2018) 030001, eq. 33.15) in the middle momentum; each
        plane keeps 1 - exp(-2 a / e) of its emittance e within the collimator's acceptance a. The emittances
        of a Start are normalised.
        """
        if not self.count:
            return 1.0, start
        into, energy, depth = float(self.first[0]), float(self.behind[0]), float(self.depth[0])
        if energy <= 0:
            return 0.0, start
        rest = IONS["proton"][2]
        mean = 0.5 * (into + energy)
        pv = mean * (mean + 2.0 * rest) / (mean + rest)
        length = max(depth / RADIATION_MM, 1e-6)
        angle = 13.6 / pv * np.sqrt(length) * max(1.0 + 0.038 * np.log(length), 0.1)
        scale = rigidity("proton", energy) * 299.792458 / rest
        geometric = np.hypot(start.emittance[0] / scale, 1e-3 * SPOT_MM * angle)
        passed = float(-np.expm1(-2.0 * data.collimator / geometric))
        kept = data.collimator * -np.expm1(-geometric / data.collimator) * scale
        spread_cm = STRAGGLING * (depth * RELATIVE_STOPPING / 10.0) ** 0.935
        slope = 0.1 * ALPHA_MM * POWER * energy ** (POWER - 1.0)
        momentum = spread_cm / slope * (energy + rest) / (energy * (energy + 2.0 * rest))
        spread = float(np.hypot(start.momentum_spread, momentum))
        return passed**2, replace(start, emittance=(float(kept), float(kept)), momentum_spread=spread)


def thickness(into: float, energy: float) -> float:
    """Graphite in mm that leaves `energy` of `into`, both MeV; 0 when nothing is to be taken away."""
    if energy >= into:
        return 0.0
    return float(ALPHA_MM * (into**POWER - energy**POWER) / RELATIVE_STOPPING)


def energy_behind(into: float, depth: float) -> float:
    """Energy in MeV behind `depth` mm of graphite; 0 where the beam stops in it."""
    left = into**POWER - depth * RELATIVE_STOPPING / ALPHA_MM
    return float(left ** (1.0 / POWER)) if left > 0 else 0.0
