"""Dose-volume histograms and the numbers read from them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput


@dataclass(frozen=True)
class Dvh:
    """Voxel doses of one structure, sorted, with the share of the volume that each voxel holds.

    dose: (n,) ascending, Gy. share: (n,) same order, sums to 1. volume_cm3: of the structure.
    """

    dose: NDArray[np.float64]
    share: NDArray[np.float64]
    volume_cm3: float

    @property
    def mean(self) -> float:
        """Mean dose, Gy."""
        return float(self.dose @ self.share)

    @property
    def maximum(self) -> float:
        """Highest voxel dose, Gy."""
        return float(self.dose[-1])

    @property
    def minimum(self) -> float:
        """Lowest voxel dose, Gy."""
        return float(self.dose[0])

    def dose_to(self, percent: float) -> float:
        """D_x: the least dose that the hottest `percent` of the volume receives, Gy (ICRU 83, 3.7).

        Raises ValueError outside 0..100.
        """
        if not 0.0 <= percent <= 100.0:
            raise ValueError(f"volume {percent} %: allowed is 0 to 100")
        # Each voxel stands at the middle of its share of the volume.
        middle = np.cumsum(self.share) - 0.5 * self.share
        return float(np.interp(1.0 - percent / 100.0, middle, self.dose))

    def volume_at(self, dose_gy: float) -> float:
        """V_d: percent of the volume that receives `dose_gy` or more."""
        first = int(np.searchsorted(self.dose, dose_gy, side="left"))
        return float(100.0 * self.share[first:].sum())

    def curve(self, points: int = 200) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The cumulative histogram: doses from 0 to the maximum (points,), percent of volume (points,)."""
        doses = np.linspace(0.0, max(self.maximum, 1e-9) * 1.02, points)
        below = np.concatenate([[0.0], np.cumsum(self.share)])
        first = np.searchsorted(self.dose, doses, side="left")
        return doses, 100.0 * np.clip(1.0 - below[first], 0.0, 1.0)


def dvh(
    dose: NDArray[np.floating],
    mask: NDArray[np.bool_] | NDArray[np.floating],
    voxel_mm3: float,
    weights: NDArray[np.floating] | None = None,
) -> Dvh:
    """The histogram of `dose` (nz, ny, nx), Gy, inside `mask` (same shape).

    The mask is boolean or the fraction (0..1) of each voxel that lies inside; `weights` (same shape, 0 or
    more) multiply it: fractions beside a boolean mask, or densities for a dose-mass histogram. Raises
    BadInput when the shapes differ, a weight is negative or no number, or the structure is empty here.
    """
    if dose.shape != mask.shape:
        raise BadInput(f"dose grid {dose.shape} and structure grid {mask.shape} differ")
    inside = np.asarray(mask, dtype=np.float64)
    if weights is not None:
        if weights.shape != mask.shape or not (np.isfinite(weights).all() and (weights >= 0.0).all()):
            raise BadInput(f"weights {weights.shape}: allowed are numbers of 0 or more on grid {mask.shape}")
        inside = inside * weights
    chosen = inside > 0.0
    weight = inside[chosen]
    if weight.size == 0:
        raise BadInput("the structure has no voxel on the dose grid; take a finer or larger grid")
    values = np.asarray(dose, dtype=np.float64)[chosen]
    order = np.argsort(values, kind="stable")
    total = float(weight.sum())
    return Dvh(values[order], weight[order] / total, total * voxel_mm3 / 1000.0)


def target_metrics(histogram: Dvh, prescription_gy: float) -> dict[str, float]:
    """The numbers that a target is judged by: D95, D2, D98, mean and the prescription, Gy."""
    return {
        "d95": histogram.dose_to(95.0),
        "d2": histogram.dose_to(2.0),
        "d98": histogram.dose_to(98.0),
        "mean": histogram.mean,
        "prescription": prescription_gy,
    }


def organ_metrics(histogram: Dvh) -> dict[str, float]:
    """The numbers that an organ at risk is judged by: mean, maximum and D2, Gy."""
    return {"mean": histogram.mean, "max": histogram.maximum, "d2": histogram.dose_to(2.0)}
