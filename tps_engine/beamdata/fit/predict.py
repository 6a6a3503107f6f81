"""What a beam model says that an instrument reads; fits and simulated measurements share it."""

import numpy as np

from tps_engine.beamdata import bragg, scattering
from tps_engine.beamdata.bragg import DepthDoseParameters, HaloParameters
from tps_engine.beamdata.fit.measurements import ReferenceField
from tps_engine.beamdata.water import Floats, WaterTable
from tps_engine.patient.stopping_power import AIR

Moments = tuple[float, float, float]
"""A mm2, B mm rad, C rad2: at height z above the isocentre the variance of a spot is A - 2 B z + C z^2."""


def variance(moments: Moments, height: float | Floats) -> Floats:
    """Variance in mm2 at heights in mm above the isocentre (Fermi-Eyges without matter)."""
    a, b, c = moments
    z = np.asarray(height, dtype=np.float64)
    return np.asarray(a - 2.0 * b * z + c * z**2)


def air_variance(water: WaterTable, energy: float, plane: float, height: float) -> float:
    """Variance in mm2 that air from a plane down to a height (mm above the isocentre) adds there."""
    if height >= plane:
        return 0.0
    depths = (0.0, float(AIR) * (plane - height))
    m0, m1, m2 = scattering.slab_moments(water, energy, depths, (plane, height))
    per_water = scattering.AIR_SCATTERING / float(AIR)
    return float(per_water * (m0 - 2.0 * m1 * height + m2 * height**2))


def caught(
    water: WaterTable,
    energy: float,
    spots: tuple[Moments, Moments],
    halo: HaloParameters | None,
    radius: float,
    surface: float,
    depth: Floats,
) -> Floats:
    """Part (n,) of the integral depth dose that a round chamber of `radius` mm on the axis reads.

    A Gaussian of variances vx, vy is taken as a round one of variance sqrt(vx vy): exact where vx = vy.
    """
    added = scattering.lateral_variance(water, energy, np.r_[0.0, depth])[1:]
    core = np.sqrt(np.prod([variance(axis, surface - depth) + added for axis in spots], axis=0))
    inside = 1.0 - np.exp(-0.5 * radius**2 / core)
    if halo is None:
        return np.asarray(inside)
    range_mm = float(water.range_of(energy))
    share = halo.share(range_mm, depth)
    wide = 1.0 - np.exp(-0.5 * radius**2 / (core + float(halo.sigma(range_mm)) ** 2))
    return np.asarray((1.0 - share) * inside + share * wide)


def depth_dose(
    water: WaterTable, energy: float, spread: float, parameters: DepthDoseParameters, depth: Floats
) -> Floats:
    """Integral depth dose (n,) in Gy mm2 per proton; see `bragg.integral_depth_dose`."""
    return bragg.integral_depth_dose(water, energy, spread, parameters, depth)


def reference_sum(
    water: WaterTable,
    energy: float,
    spots: tuple[Moments, Moments],
    halo: HaloParameters | None,
    field: ReferenceField,
    depth: float,
) -> float:
    """Lateral factor in 1/mm2 at the isocentre, `depth` mm in water, of one proton a spot of a field.

    Times the integral depth dose it is the dose per proton of each spot: the sum of the spots' Gaussians on
    the axis; in a field wide against the spots, 1 / spacing^2.
    """
    added = float(scattering.lateral_variance(water, energy, np.array([0.0, depth]))[-1])
    count = int(np.floor(field.size / field.spacing + 1e-6)) + 1
    place = (np.arange(count) - 0.5 * (count - 1)) * field.spacing

    def on_axis(wider: float) -> float:
        total = 1.0
        for axis in spots:
            var = float(variance(axis, 0.0)) + added + wider
            total *= float(np.exp(-0.5 * place**2 / var).sum() / np.sqrt(2.0 * np.pi * var))
        return total

    if halo is None:
        return on_axis(0.0)
    range_mm = float(water.range_of(energy))
    share = float(halo.share(range_mm, np.array([depth]))[0])
    return (1.0 - share) * on_axis(0.0) + share * on_axis(float(halo.sigma(range_mm)) ** 2)


def standard_errors(jacobian: Floats, off: Floats) -> Floats:
    """Standard deviations of fitted parameters from the scatter of the residuals: s^2 (J^T J)^-1."""
    freedom = max(len(off) - jacobian.shape[1], 1)
    return np.asarray(np.sqrt(np.diag(np.linalg.pinv(jacobian.T @ jacobian)) * float(off @ off) / freedom))
