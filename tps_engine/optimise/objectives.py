"""What a plan is asked for: functions of the dose in some voxels, with their gradients.

Each objective has `voxels` (indices into the dose vector), and `evaluate(dose there)` that returns its
value and its derivative by each of those doses. Values are means over the objective's voxels, so that
weights compare between large and small regions.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput

Floats = NDArray[np.float64]
Index = NDArray[np.int64]


class Objective(Protocol):
    """A penalty on dose. voxels: (n,) indices into the dose vector."""

    @property
    def voxels(self) -> Index:
        """Where the penalty looks."""

    def evaluate(self, dose: Floats) -> tuple[float, Floats]:
        """Value and (n,) gradient for doses (n,) in Gy at `voxels`."""


@dataclass(frozen=True)
class Underdose:
    """weight x mean of (level - dose)^2 where dose is below `level` Gy."""

    voxels: Index = field(repr=False)
    level: float
    weight: float

    def evaluate(self, dose: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        missing = np.maximum(self.level - dose, 0.0)
        share = self.weight / len(dose)
        return share * float(missing @ missing), -2.0 * share * missing


@dataclass(frozen=True)
class Overdose:
    """weight x mean of (dose - level)^2 where dose is above `level`: one number or (n,), Gy.

    With levels that fall with the distance from the target it shapes the dose fall-off.
    """

    voxels: Index = field(repr=False)
    level: float | Floats
    weight: float

    def evaluate(self, dose: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        excess = np.maximum(dose - self.level, 0.0)
        share = self.weight / len(dose)
        return share * float(excess @ excess), 2.0 * share * excess


@dataclass(frozen=True)
class MeanDose:
    """weight x (mean dose)^2, Gy2."""

    voxels: Index = field(repr=False)
    weight: float

    def evaluate(self, dose: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        mean = float(dose.mean())
        return self.weight * mean * mean, np.full(len(dose), 2.0 * self.weight * mean / len(dose))


@dataclass(frozen=True)
class SquaredDeviation:
    """weight x mean of (dose - level)^2; level: one number or (n,), Gy."""

    voxels: Index = field(repr=False)
    level: float | Floats
    weight: float

    def evaluate(self, dose: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        off = dose - self.level
        share = self.weight / len(dose)
        return share * float(off @ off), 2.0 * share * off


@dataclass(frozen=True)
class MeanOver:
    """weight x (mean dose - level)^2 where the mean is above `level` Gy."""

    voxels: Index = field(repr=False)
    level: float
    weight: float

    def evaluate(self, dose: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        excess = max(float(dose.mean()) - self.level, 0.0)
        return self.weight * excess**2, np.full(len(dose), 2.0 * self.weight * excess / len(dose))


@dataclass(frozen=True)
class MeanUnder:
    """weight x (level - mean dose)^2 where the mean is below `level` Gy."""

    voxels: Index = field(repr=False)
    level: float
    weight: float

    def evaluate(self, dose: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        missing = max(self.level - float(dose.mean()), 0.0)
        return self.weight * missing**2, np.full(len(dose), -2.0 * self.weight * missing / len(dose))


@dataclass(frozen=True)
class Spread:
    """weight x variance of the dose: homogeneity at whatever level the other objectives set, Gy2."""

    voxels: Index = field(repr=False)
    weight: float

    def evaluate(self, dose: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        off = dose - dose.mean()
        share = self.weight / len(dose)
        return share * float(off @ off), 2.0 * share * off


def total(objectives: tuple[Objective, ...], dose: Floats) -> tuple[float, Floats]:
    """Sum of the objectives for a dose vector (n,), and its gradient by dose (n,)."""
    value, gradient = 0.0, np.zeros_like(dose)
    for objective in objectives:
        part, slope = objective.evaluate(dose[objective.voxels])
        value += part
        # voxels of one objective are distinct, so plain indexing adds each once
        gradient[objective.voxels] += slope
    return value, gradient


def check(objectives: tuple[Objective, ...], voxels: int) -> None:
    """Raise BadInput for an objective on no voxel, or on voxels that the dose vector lacks."""
    for objective in objectives:
        where = objective.voxels
        if not len(where) or where.min() < 0 or where.max() >= voxels:
            raise BadInput(f"objective {type(objective).__name__} has no voxel of the {voxels} there are")
