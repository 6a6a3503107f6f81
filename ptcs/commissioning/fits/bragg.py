"""Range from a depth dose: Bortfeld's analytical curve fitted to the layers of a chamber."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, curve_fit
from scipy.special import gamma, pbdv

from common.errors import BadInput
from common.text import _
from ptcs.commissioning.bench import Floats

P = 1.77
"""Exponent of range against energy, R = 0.0022 E^p cm (Bortfeld 1997)."""
BETA_CM = 0.012
"""Loss of fluence per cm (Bortfeld 1997)."""
MODEL_MM = 0.1
"""How far a depth of the curve may be from that of a true depth dose seen in layers of 2 mm, one sigma: found
against the planning library's depth doses of 70 to 230 MeV."""


@dataclass(frozen=True)
class BraggPeak:
    """r80, r90: depths in mm behind the peak at 80 and 90 % of it, with one sigma. sigma: width in mm."""

    r80: float
    r80_error: float
    r90: float
    r90_error: float
    peak: float
    sigma: float
    amplitude: float
    chi2: float


def curve(depth: Floats, r0: float, sigma: float, amplitude: float, tail: float) -> Floats:
    """Dose (n,) at depths (n,) mm: Bortfeld, Med Phys 24 (1997) 2024, equation 27. r0, sigma in mm.

    amplitude scales all of it; tail is epsilon, the share of protons of lower energy.
    """
    z = np.asarray((r0 - depth) / sigma, dtype=np.float64)
    inside = np.clip(z, -8.0, 8.0)
    first = np.exp(-0.25 * inside**2) * gamma(1.0 / P) * pbdv(-1.0 / P, -inside)[0]
    second = np.exp(-0.25 * inside**2) * gamma(1.0 / P) * pbdv(-1.0 / P - 1.0, -inside)[0]
    s_cm, r_cm = sigma / 10.0, r0 / 10.0
    weight = s_cm ** (1.0 / P) / (np.sqrt(2.0 * np.pi) * (1.0 + BETA_CM * r_cm))
    near = weight * (first / s_cm + (BETA_CM / P + 0.6 * BETA_CM + tail / r_cm) * second)
    # far before the peak the parabolic cylinder functions grow beyond use: the unstraggled curve holds there
    left = np.maximum((r0 - depth) / 10.0, 1e-3)
    rising = BETA_CM * (1.0 + 0.6 * P) + tail * P / r_cm
    plain = (left ** (1.0 / P - 1.0) + rising * left ** (1.0 / P)) / (1.0 + BETA_CM * r_cm)
    return np.asarray(amplitude * np.where(z > 8.0, plain, near))


def fit_peak(depth: Floats, charge: Floats, error: Floats | None = None, from_part: float = 0.8) -> BraggPeak:
    """Range of a depth dose: depth (n,) mm, charge (n,), error (n,) one sigma; fitted from `from_part` of the
    peak's depth on. Errors of the ranges come from the covariance of the fit, scaled by its scatter.

    Raises BadInput for a curve without a peak inside.
    """
    good = np.isfinite(depth) & np.isfinite(charge)
    depth, charge = depth[good], charge[good]
    floor = 1e-9 * float(np.max(np.abs(charge), initial=1.0))
    sigma_y = None if error is None else np.maximum(error[good], floor)
    if len(depth) < 12 or not float(charge.max()) > 0.0:
        raise BadInput(_("a depth dose needs 12 layers with charge"))
    top = int(np.argmax(charge))
    near = depth >= from_part * depth[top]
    behind = np.flatnonzero(charge[top:] < 0.3 * float(charge[top]))
    if top < 3 or not len(behind):
        raise BadInput(_("the peak lies outside the layers: energy too low or too high for this chamber"))
    guess = (float(depth[top] + 1.5), max(0.12 * (depth[top] / 10.0) ** 0.935, 0.8))
    scale = float(charge[top]) / float(curve(depth[top : top + 1], *guess, 1.0, 0.1)[0])
    try:
        found, covariance = curve_fit(
            curve, depth[near], charge[near], p0=(*guess, scale, 0.1),
            sigma=None if sigma_y is None else sigma_y[near], absolute_sigma=False,
            bounds=([0.0, 0.2, 0.0, -2.0], [1000.0, 20.0, np.inf, 5.0]),
        )  # fmt: skip
    except RuntimeError as why:
        raise BadInput(_("no Bragg curve fits: {why}").format(why=why)) from why
    left = charge[near] - curve(depth[near], *found)
    weights = 1.0 if sigma_y is None else 1.0 / sigma_y[near]
    chi2 = float(np.sum((left * weights) ** 2) / max(int(near.sum()) - 4, 1))
    levels = [_level(found, level) for level in (0.8, 0.9)]
    errors = [_error(found, covariance, level) for level in (0.8, 0.9)]
    return BraggPeak(
        levels[0], errors[0], levels[1], errors[1], _peak(found), float(found[1]), float(found[2]), chi2
    )


def _peak(found: Floats) -> float:
    fine = np.arange(found[0] - 5.0 * found[1], found[0] + 2.0 * found[1], 0.02)
    return float(fine[int(np.argmax(curve(fine, *found)))])


def _level(found: Floats, level: float) -> float:
    """Depth behind the peak at a level of its dose."""
    top = _peak(found)
    wanted = level * float(curve(np.array([top]), *found)[0])
    reach = found[0] + 6.0 * found[1]
    return float(brentq(lambda at: float(curve(np.array([at]), *found)[0]) - wanted, top, reach))


def _error(found: Floats, covariance: Floats, level: float) -> float:
    """One sigma of a depth, from the covariance of the parameters by finite differences."""
    gradient = np.zeros(len(found))
    for i in range(len(found)):
        step = max(abs(found[i]) * 1e-3, 1e-4)
        high, low = found.copy(), found.copy()
        high[i] += step
        low[i] -= step
        gradient[i] = (_level(high, level) - _level(low, level)) / (2.0 * step)
    variance = float(gradient @ covariance @ gradient)
    return float(np.hypot(np.sqrt(max(variance, 0.0)), MODEL_MM))
