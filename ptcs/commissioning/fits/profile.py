"""Place and width of a spot from the wires of a profile monitor."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import curve_fit

from common.errors import BadInput
from common.text import _
from ptcs.commissioning.bench import Floats

EDGE = 0.05
"""Wires below this part of the peak are left out of the weight: they hold noise."""


@dataclass(frozen=True)
class Profile:
    """middle and sigma in mm, one sigma each. height: of the peak."""

    middle: float
    middle_error: float
    sigma: float
    sigma_error: float
    height: float


def gauss(x: Floats, middle: float, sigma: float, height: float, floor: float) -> Floats:
    """A Gaussian on a floor."""
    return np.asarray(height * np.exp(-0.5 * ((x - middle) / sigma) ** 2) + floor)


PEAK = 10.0
"""A peak stands above the median by so many median steps between neighbours; noise alone reaches 7."""


def fit_profile(place: Floats, charge: Floats) -> Profile:
    """Gaussian through the wires, robust against one dead wire: place (n,) mm, charge (n,).

    Raises BadInput for a profile without a peak.
    """
    good = np.isfinite(charge)
    place, charge = place[good], charge[good]
    noise = float(np.median(np.abs(np.diff(charge)))) if len(charge) > 1 else 0.0
    if len(charge) < 8 or not np.max(charge) - np.median(charge) > PEAK * noise + 1e-30:
        raise BadInput(_("the profile has no peak: no beam, or it passes beside the wires"))
    clean = np.clip(charge - np.median(charge), 0.0, None)
    clean = np.where(clean > EDGE * clean.max(), clean, 0.0)
    middle = float(np.sum(place * clean) / clean.sum())
    sigma = float(np.sqrt(max(np.sum((place - middle) ** 2 * clean) / clean.sum(), 0.1)))
    top = float(charge.max())
    for _round in range(2):
        try:
            found, covariance = curve_fit(gauss, place, charge, p0=(middle, sigma, top, 0.0), maxfev=2000)
        except RuntimeError as why:
            raise BadInput(_("the profile is no Gaussian: {why}").format(why=why)) from why
        left = np.abs(charge - gauss(place, *found))
        worst = int(np.argmax(left))
        if left[worst] < max(8.0 * float(np.median(left)), 0.02 * top):
            break
        place, charge = np.delete(place, worst), np.delete(charge, worst)
    errors = np.sqrt(np.diag(covariance))
    return Profile(float(found[0]), float(errors[0]), abs(float(found[1])), float(errors[1]), float(found[2]))
