"""Place and width of a spot from the wires of a profile monitor."""

from dataclasses import dataclass
from typing import Any

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


OUTLIER = 8.0
"""A wire is wrong when it leaves the others' Gaussian by so many of their median residuals ..."""
STEP = 0.02
"""... and by this part of the peak ..."""
DECISIVE = 0.5
"""... and when the sum of squares without it is below this part of the sum with it."""


def fit_profile(place: Floats, charge: Floats) -> Profile:
    """Gaussian through the wires, robust against one dead wire: place (n,) mm, charge (n,).

    Raises BadInput for a profile without a peak.
    """
    good = np.isfinite(charge)
    place, charge = place[good], charge[good]
    noise = float(np.median(np.abs(np.diff(charge)))) if len(charge) > 1 else 0.0
    if len(charge) < 8 or not np.max(charge) - np.median(charge) > PEAK * noise + 1e-30:
        raise BadInput(_("the profile has no peak: no beam, or it passes beside the wires"))
    try:
        fit = _fit(place, charge)
        if _wrong(charge - gauss(place, *fit.found), float(charge.max())).any():
            fit = _without_wrong_wire(place, charge, fit)
    except RuntimeError as why:
        raise BadInput(_("the profile is no Gaussian: {why}").format(why=why)) from why
    errors, found = np.sqrt(np.diag(fit.covariance)), fit.found
    return Profile(float(found[0]), float(errors[0]), abs(float(found[1])), float(errors[1]), float(found[2]))


@dataclass(frozen=True)
class _Fit:
    """found (4,): middle, sigma, height, floor; covariance (4, 4); squares: sum of the residuals' squares."""

    found: Floats
    covariance: Floats
    squares: float


def _fit(place: Floats, charge: Floats) -> _Fit:
    """Least squares from the moments of what is above the edge. Raises RuntimeError without a result."""
    clean = np.clip(charge - np.median(charge), 0.0, None)
    clean = np.where(clean > EDGE * clean.max(), clean, 0.0)
    middle = float(np.sum(place * clean) / clean.sum())
    sigma = float(np.sqrt(max(np.sum((place - middle) ** 2 * clean) / clean.sum(), 0.1)))
    start = (middle, sigma, float(charge.max()), 0.0)
    found, covariance = curve_fit(gauss, place, charge, p0=start, maxfev=2000)
    return _Fit(found, covariance, float(np.sum((charge - gauss(place, *found)) ** 2)))


def _wrong(left: Floats, top: float) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """Which residuals noise does not explain."""
    size = np.abs(left)
    return np.asarray(size >= max(OUTLIER * float(np.median(size)), STEP * top))


def _without_wrong_wire(place: Floats, charge: Floats, whole: _Fit) -> _Fit:
    """The fit without the one wire whose removal explains the others; `whole` where none does.

    A dead wire at the peak of a narrow beam drags the fit with it, so that a good neighbour has the largest
    residual: each wire in reach of the peak is left out in turn, and none is judged by a fit that holds it.
    """
    above = charge - np.median(charge) > EDGE * (charge.max() - np.median(charge))
    low, high = np.flatnonzero(above)[[0, -1]]
    tried: list[tuple[float, int, _Fit]] = []
    for i in {*range(max(low - 2, 0), min(high + 3, len(place))), *_worst(place, charge, whole)}:
        try:
            fit = _fit(np.delete(place, i), np.delete(charge, i))
        except RuntimeError:
            continue
        tried.append((fit.squares, i, fit))
    if not tried:
        return whole
    squares, i, fit = min(tried, key=lambda one: one[0])
    left = charge - gauss(place, *fit.found)
    decisive = squares < DECISIVE * whole.squares and bool(_wrong(left, float(charge.max()))[i])
    return fit if decisive else whole


def _worst(place: Floats, charge: Floats, fit: _Fit) -> tuple[int, ...]:
    return (int(np.argmax(np.abs(charge - gauss(place, *fit.found)))),)
