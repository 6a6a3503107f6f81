"""A straight line through points with errors."""

from dataclasses import dataclass

import numpy as np

from common.errors import BadInput
from common.text import _
from ptcs.commissioning.bench import Floats


@dataclass(frozen=True)
class Line:
    """y = offset + slope x. Errors: one sigma; covariance: of both. chi2: per degree of freedom."""

    offset: float
    slope: float
    offset_error: float
    slope_error: float
    covariance: float
    chi2: float
    points: int

    def at(self, x: float | Floats) -> Floats:
        """Value at x."""
        return np.asarray(self.offset + self.slope * np.asarray(x))

    @property
    def zero(self) -> tuple[float, float]:
        """Where the line crosses zero, and the error of that (first order)."""
        if self.slope == 0.0:
            return float("nan"), float("inf")
        x = -self.offset / self.slope
        variance = self.offset_error**2 + x**2 * self.slope_error**2 + 2.0 * x * self.covariance
        return x, float(np.sqrt(max(variance, 0.0)) / abs(self.slope))


def fit_line(x: Floats, y: Floats, error: Floats) -> Line:
    """Weighted least squares (Press et al., Numerical Recipes, 15.2). x, y, error (n,), NaN left out.

    An error that is unknown or 0 counts as the median of the others, all equal where none is known; errors of
    the result are then those of the scatter. Raises BadInput for fewer than two different x.
    """
    x, y, error = (np.asarray(each, dtype=np.float64) for each in (x, y, error))
    good = np.isfinite(x) & np.isfinite(y)
    x, y, error = x[good], y[good], error[good]
    if len(x) < 2 or np.ptp(x) == 0.0:
        raise BadInput(_("a line needs two points at different settings"))
    known = np.isfinite(error) & (error > 0.0)
    sigma = np.where(known, error, np.median(error[known]) if known.any() else 1.0)
    weight = 1.0 / sigma**2
    middle = float(np.sum(weight * x) / weight.sum())
    spread = float(np.sum(weight * (x - middle) ** 2))
    slope = float(np.sum(weight * (x - middle) * y) / spread)
    offset = float(np.sum(weight * y) / weight.sum() - slope * middle)
    free = len(x) - 2
    chi2 = float(np.sum(weight * (y - offset - slope * x) ** 2) / free) if free else float("nan")
    scale = chi2 if free and (chi2 > 1.0 or not known.any()) else 1.0
    slope_variance = scale / spread
    offset_variance = scale / weight.sum() + middle**2 * slope_variance
    return Line(
        offset, slope, float(np.sqrt(offset_variance)), float(np.sqrt(slope_variance)),
        -middle * slope_variance, chi2, len(x),
    )  # fmt: skip
