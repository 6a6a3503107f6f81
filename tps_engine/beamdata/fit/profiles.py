"""Spots in air: the width of every profile, then the emittance of an axis from widths at several heights."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.fit import predict
from tps_engine.beamdata.fit.measurements import Profile
from tps_engine.beamdata.fit.predict import air_variance, variance
from tps_engine.beamdata.fit.result import AxisOptics, Residual
from tps_engine.beamdata.water import Floats, WaterTable

LIMIT = 0.015
"""Root mean square of a profile's residuals, relative to its maximum, above which it is warned about."""
_LEAST_ERROR = 0.002  # of a width, relative: set-up and detector, whatever the fit says


@dataclass(frozen=True)
class Width:
    """A fitted profile: variance in mm2 without the detector's blur, and its standard deviation."""

    profile: Profile
    variance: float
    error: float
    residual: Residual


def gaussian(x: Floats, height: float, centre: float, sigma: float) -> Floats:
    """A Gaussian of a peak value, a centre and a standard deviation in mm."""
    return np.asarray(height * np.exp(-0.5 * ((x - centre) / sigma) ** 2))


def width_of(profile: Profile, blur: float) -> Width:
    """Fit one Gaussian to a profile. blur: the detector's standard deviation, mm. Raises BadInput."""
    x, dose = profile.position, profile.dose / profile.dose.max()
    clipped = np.maximum(dose, 0.0)
    centre = float((x * clipped).sum() / clipped.sum())
    start = max(float(np.sqrt((clipped * (x - centre) ** 2).sum() / clipped.sum())), 0.5)
    where = _("profile in {axis} of {energy} MeV at {height} mm").format(
        axis="xy"[profile.axis], energy=f"{profile.energy:g}", height=f"{profile.height:g}"
    )
    found = least_squares(
        lambda values: gaussian(x, *values) - dose, (1.0, centre, start), x_scale=(1.0, start, start)
    )
    if not found.success:
        raise BadInput(_("{where}: no Gaussian fits it; check the readings").format(where=where))
    fitted = gaussian(x, *found.x)
    sigma = abs(float(found.x[2]))
    error = float(predict.standard_errors(found.jac, found.fun)[2])
    if not np.isfinite(error) or sigma <= blur:
        raise BadInput(
            _("{where}: sigma {sigma} mm: allowed is more than the detector's own {blur} mm").format(
                where=where, sigma=f"{sigma:.2f}", blur=f"{blur:.2f}"
            )
        )
    off = dose - fitted
    residual = Residual(
        "profile", where, profile.energy, x, dose, fitted,
        float(np.sqrt(np.mean(off**2))), float(np.abs(off).max()), LIMIT,
    )  # fmt: skip
    error = float(np.hypot(2.0 * sigma * error, 2.0 * sigma**2 * _LEAST_ERROR))
    return Width(profile, sigma**2 - blur**2, error, residual)


def optics_of(
    widths: Sequence[Width], water: WaterTable, energy: float, plane: float, air: bool
) -> tuple[AxisOptics, list[str]]:
    """Emittance of an axis from widths at three heights or more, by weighted least squares.

    Variance A - 2 B z + C z^2 plus, where air counts, what air from the plane on adds. energy: mean MeV.
    A fit outside what a beam can be (C < 0 or B^2 > A C) takes the nearest that can, with a warning. Raises
    BadInput for fewer than three heights.
    """
    heights = np.array([width.profile.height for width in widths])
    if len(np.unique(heights)) < 3:
        first = widths[0].profile
        raise BadInput(
            _(
                "profiles in {axis} of {energy} MeV at {count} heights: size, divergence and correlation "
                "need three or more"
            ).format(axis="xy"[first.axis], energy=f"{first.energy:g}", count=len(np.unique(heights)))
        )
    known = [air_variance(water, energy, plane, float(z)) if air else 0.0 for z in heights]
    target = np.array([width.variance for width in widths]) - np.asarray(known)
    weight = 1.0 / np.array([width.error for width in widths])
    design = np.column_stack([np.ones_like(heights), -2.0 * heights, heights**2])
    found = np.linalg.lstsq(design * weight[:, None], target * weight, rcond=None)[0]
    errors = np.sqrt(np.diag(np.linalg.pinv((design * weight[:, None]).T @ (design * weight[:, None]))))
    a, b, c = (float(value) for value in found)
    warnings = []
    if a <= 0.0 or c <= 0.0 or b * b > a * c:
        a, b, c = _possible(design, target, weight)
        first = widths[0].profile
        warnings.append(
            _(
                "{energy} MeV, {axis}: widths do not determine the divergence; "
                "measure at heights farther apart"
            ).format(energy=f"{first.energy:g}", axis="xy"[first.axis])
        )
    return AxisOptics((a, b, c), errors), warnings


def _possible(design: Floats, target: Floats, weight: Floats) -> tuple[float, float, float]:
    """The best emittance on the border of what is possible: B^2 = A C, a beam of no phase-space area."""
    best, found = np.inf, (1.0, 0.0, 0.0)
    for waist in np.linspace(-5000.0, 5000.0, 2001):  # the variance is q (z - waist)^2 + a least size
        columns = design @ np.array([[waist**2, 1.0], [waist, 0.0], [1.0, 0.0]])
        q, least = np.linalg.lstsq(columns * weight[:, None], target * weight, rcond=None)[0]
        q, least = max(float(q), 0.0), max(float(least), 0.0)
        off = float((((columns @ np.array([q, least])) - target) ** 2 * weight**2).sum())
        if off < best:
            best, found = off, (q * waist**2 + least, q * waist, q)
    return found


def check_sizes(axis: AxisOptics, heights: Floats, energy: float, name: str) -> list[str]:
    """Warn where the fitted variance is not positive at a measured height."""
    if (variance(axis.moments, heights) > 0.0).all():
        return []
    return [
        _("{energy} MeV, {axis}: the fitted size vanishes at a measured height").format(
            energy=f"{energy:g}", axis=name
        )
    ]
