"""Multiple Coulomb scattering of protons in water.

Fermi-Eyges transport with the differential Moliere scattering power of Gottschalk,
Med Phys 37 (2010) 352: T = f(pv, p1v1) (15 MeV / pv)^2 / X_S.
"""

import numpy as np

from tps_engine.beamdata.water import Floats, WaterTable

PROTON_MEV = 938.2720813
SCATTERING_LENGTH_MM = 468.8
"""X_S of water, 46.88 cm."""

AIR_SCATTERING = 1.2048e-3 * 46.88 / 46.76
"""Scattering power of air (20 degC, 1013 hPa; X_S 46.76 g/cm2) relative to that of water."""

PLASTIC_SCATTERING = 0.89
"""Scattering of polycarbonate (X_S 55.05 g/cm2) relative to that of the same water-equivalent depth."""


def momentum_velocity(energy: float | Floats) -> Floats:
    """Momentum times velocity, pv, in MeV of protons of a kinetic energy in MeV."""
    tau = np.asarray(energy) / PROTON_MEV
    return np.asarray(energy * (tau + 2.0) / (tau + 1.0))


def scattering_power(energy: Floats, initial: float) -> Floats:
    """T in rad2/mm at kinetic energies (n,) MeV for a beam that entered with `initial` MeV."""
    pv, start = momentum_velocity(energy), float(momentum_velocity(initial))
    slowed = np.log10(np.maximum(1.0 - (pv / start) ** 2, 1e-10))
    single = 0.5244 + 0.1975 * slowed + 0.2320 * np.log10(pv) - 0.0098 * np.log10(pv) * slowed
    return np.asarray(np.maximum(single, 0.0) * (15.0 / pv) ** 2 / SCATTERING_LENGTH_MM)


def lateral_variance(water: WaterTable, energy: float, depth: Floats, start: float = 0.0) -> Floats:
    """Variance in mm2, per axis, that scattering in water adds at depths (n,) mm, increasing from 0.

    sigma2(z) = integral of (z - u)^2 T(u) du; constant behind the end of range. start: mm of water that the
    beam has passed before depth 0, which slowed it but whose own scattering is not counted here.
    """
    range_mm = float(water.range_of(energy))
    fine = np.linspace(0.0, max(range_mm - start, 1e-3), 801)
    power, middle = _power_between(water, energy, start + fine)
    middle -= start
    zeroth, first, second = (np.r_[0.0, np.cumsum(power * middle**k)] for k in (0, 1, 2))
    variance = np.maximum(fine**2 * zeroth - 2.0 * fine * first + second, 0.0)
    return np.asarray(np.interp(depth, fine, variance))


def slab_moments(
    water: WaterTable, energy: float, depths: tuple[float, float], heights: tuple[float, float]
) -> Floats:
    """(3,) moments about the isocentric plane of scattering in a slab: sum of T h^2, T h and T (mm2, mm, 1).

    depths: mm of water passed at the upstream and downstream faces. heights: mm above the isocentre of the
    same faces. A slab that widens a beam adds m0 - 2 m1 z + m2 z^2 to its variance at height z below it.
    """
    edges = np.linspace(depths[0], depths[1], 65)
    power, middle = _power_between(water, energy, edges)
    share = (middle - depths[0]) / max(depths[1] - depths[0], 1e-9)
    height = heights[0] + share * (heights[1] - heights[0])
    return np.array([float((power * height**k).sum()) for k in (2, 1, 0)])


def _power_between(water: WaterTable, energy: float, edges: Floats) -> tuple[Floats, Floats]:
    """T times width of each cell between depths (n,) mm of water, and the cells' middles, (n - 1,)."""
    range_mm = float(water.range_of(energy))
    middle = 0.5 * (edges[1:] + edges[:-1])
    slowed = np.maximum(water.energy_of(np.maximum(range_mm - middle, 0.0)), 0.5)
    return scattering_power(slowed, energy) * np.diff(edges), middle
