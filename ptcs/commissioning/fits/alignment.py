"""Beam-based alignment: where a quadrupole's axis is, from how its strength kicks the beam."""

from dataclasses import dataclass

import numpy as np

from common.errors import BadInput
from common.text import _
from ptcs.commissioning.bench import Floats
from ptcs.commissioning.fits.line import Line, fit_line


@dataclass(frozen=True)
class Centre:
    """offset, error: reading of the nearby monitor in mm at which the quadrupole does not kick, one sigma.

    slopes: of each monitor downstream, change per ampere against place in the quadrupole.
    chi2: agreement of the monitors.
    """

    offset: float
    error: float
    slopes: tuple[Line, ...]
    chi2: float


def kicks(strength: Floats, mean: Floats, error: Floats) -> tuple[Floats, Floats]:
    """Slope of each monitor against the quadrupole's strength, and its error: strength (p,), mean (p, n)."""
    lines = []
    for column in range(mean.shape[1]):
        try:
            lines.append(fit_line(strength, mean[:, column], error[:, column]))
        except BadInput:
            lines.append(Line(np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, 0))
    return np.array([line.slope for line in lines]), np.array([line.slope_error for line in lines])


def centre(place: Floats, slope: Floats, error: Floats) -> Centre:
    """The place at which no monitor is kicked: place (b,) mm at b bumps, slope and error (b, n).

    A quadrupole off the beam by d kicks by dK L d: each monitor's slope is linear in the place and zero at
    the axis (Portmann, Robin and Schachinger, PAC 1995, beam-based alignment). The zeros of the monitors
    are averaged by their errors. Raises BadInput when no monitor sees the quadrupole.
    """
    lines, zeros, weights = [], [], []
    for column in range(slope.shape[1]):
        try:
            line = fit_line(place, slope[:, column], error[:, column])
        except BadInput:
            continue
        if abs(line.slope) < 5.0 * line.slope_error:
            continue  # it does not see the quadrupole
        zero, sigma = line.zero
        lines.append(line)
        zeros.append(zero)
        weights.append(1.0 / max(sigma, 1e-9) ** 2)
    if not lines:
        raise BadInput(_("no monitor sees the quadrupole: use larger bumps or larger steps of its current"))
    weight, found = np.array(weights), np.array(zeros)
    mean = float(np.sum(weight * found) / weight.sum())
    free = len(found) - 1
    chi2 = float(np.sum(weight * (found - mean) ** 2) / free) if free else float("nan")
    scale = max(chi2, 1.0) if free else 1.0
    return Centre(mean, float(np.sqrt(scale / weight.sum())), tuple(lines), chi2)
