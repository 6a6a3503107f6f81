"""What a plan is asked for: functions of the dose in some voxels, with their gradients.

Each objective has `voxels` (indices into the dose vector), and `evaluate(dose there)` that returns its
value and its derivative by each of those doses. Values are means over the objective's voxels, so that
weights compare between large and small regions.
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _

Floats = NDArray[np.float64]
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Objective(Protocol):
    """A penalty on dose. voxels: (n,) indices into the dose vector."""

    @property
    def voxels(self) -> Index:
        """Where the penalty looks."""

    def evaluate(self, dose: Floats) -> tuple[float, Floats]:
        """Value and (n,) gradient for doses (n,) in Gy at `voxels`."""


@dataclass(frozen=True)
class _OneSided:
    """weight x mean of the squared part of `side` x (dose - level) that is above 0."""

    voxels: Index = field(repr=False)
    level: float | Floats
    weight: float
    side: ClassVar[float]

    def evaluate(self, dose: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        over = np.maximum(self.side * (dose - self.level), 0.0)
        share = self.weight / len(dose)
        return share * squared(over), 2.0 * share * self.side * over

    def matters(self, dose: Floats, margin: float) -> Mask:
        """(n,) where the penalty is not 0 for some dose within `margin` of these doses."""
        return np.asarray(self.side * (dose - self.level) > -margin)

    def among(self, keep: Mask, voxels: Index) -> Self:
        """The same penalty, of the doses to keep (n,) alone, which are at `voxels` then."""
        level = self.level if np.ndim(self.level) == 0 else np.asarray(self.level)[keep]
        return replace(self, voxels=voxels, level=level, weight=self.weight * len(voxels) / len(keep))


@dataclass(frozen=True)
class Underdose(_OneSided):
    """weight x mean of (level - dose)^2 where dose is below `level`: one number or (n,), Gy."""

    side = -1.0


@dataclass(frozen=True)
class Overdose(_OneSided):
    """weight x mean of (dose - level)^2 where dose is above `level`: one number or (n,), Gy.

    With levels that fall with the distance from the target it shapes the dose fall-off.
    """

    side = 1.0


@dataclass(frozen=True)
class SquaredDeviation:
    """weight x mean of (dose - level)^2; level: one number or (n,), Gy."""

    voxels: Index = field(repr=False)
    level: float | Floats
    weight: float

    def evaluate(self, dose: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        return _squares(dose - self.level, self.weight)


@dataclass(frozen=True)
class Spread:
    """weight x variance of the dose: homogeneity at whatever level the other objectives set, Gy2."""

    voxels: Index = field(repr=False)
    weight: float

    def evaluate(self, dose: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        return _squares(dose - dose.mean(), self.weight)


@dataclass(frozen=True)
class OfMean:
    """A penalty on the mean dose alone."""

    voxels: Index = field(repr=False)

    def penalty(self, mean: float) -> tuple[float, float]:
        """Value and derivative by the mean dose in Gy."""
        raise NotImplementedError

    def evaluate(self, dose: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        value, slope = self.penalty(float(dose.mean()))
        return value, np.full(len(dose), slope / len(dose))


@dataclass(frozen=True)
class MeanDose(OfMean):
    """weight x (mean dose)^2, Gy2."""

    weight: float

    def penalty(self, mean: float) -> tuple[float, float]:
        """Of all of it."""
        return self.weight * mean**2, 2.0 * self.weight * mean


@dataclass(frozen=True)
class MeanOver(OfMean):
    """weight x (mean dose - level)^2 where the mean is above `level` Gy."""

    level: float
    weight: float

    def penalty(self, mean: float) -> tuple[float, float]:
        """Of what is above the level."""
        excess = max(mean - self.level, 0.0)
        return self.weight * excess**2, 2.0 * self.weight * excess


@dataclass(frozen=True)
class MeanUnder(OfMean):
    """weight x (level - mean dose)^2 where the mean is below `level` Gy."""

    level: float
    weight: float

    def penalty(self, mean: float) -> tuple[float, float]:
        """Of what is missing to the level."""
        missing = max(self.level - mean, 0.0)
        return self.weight * missing**2, -2.0 * self.weight * missing


def squared(values: Floats) -> float:
    """Sum of squares, in one thread: a linear algebra library would wake its own for it."""
    return float(np.einsum("i,i->", values, values))


def _squares(off: Floats, weight: float) -> tuple[float, Floats]:
    share = weight / len(off)
    return share * squared(off), 2.0 * share * off


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
            text = _("objective {name} has no voxel of the {count} there are")
            raise BadInput(text.format(name=type(objective).__name__, count=voxels))
