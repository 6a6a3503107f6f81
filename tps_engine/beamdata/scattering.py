"""Multiple Coulomb scattering of protons in water.

Fermi-Eyges transport with the differential Moliere scattering power of Gottschalk,
Med Phys 37 (2010) 352: T = f(pv, p1v1) (15 MeV / pv)^2 / X_S.
"""

import numpy as np

from tps_engine.beamdata.water import Floats, WaterTable

PROTON_MEV = 938.2720813
SCATTERING_LENGTH_MM = 468.8
"""X_S of water, 46.88 cm."""


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


def lateral_variance(water: WaterTable, energy: float, depth: Floats) -> Floats:
    """Variance in mm2, per axis, that scattering in water adds at depths (n,) mm, increasing from 0.

    sigma2(z) = integral of (z - u)^2 T(u) du; constant behind the end of range.
    """
    range_mm = float(water.range_of(energy))
    fine = np.linspace(0.0, range_mm, 801)
    middle, width = 0.5 * (fine[1:] + fine[:-1]), fine[1]
    power = scattering_power(np.maximum(water.energy_of(range_mm - middle), 0.5), energy) * width
    zeroth, first, second = (np.r_[0.0, np.cumsum(power * middle**k)] for k in (0, 1, 2))
    variance = np.maximum(fine**2 * zeroth - 2.0 * fine * first + second, 0.0)
    return np.asarray(np.interp(depth, fine, variance))
