"""Functions of spot weights that a solver can minimise: objectives on quantities, summed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from common.errors import BadInput
from common.text import _
from tps_engine.dose.engine import Influence
from tps_engine.optimise.objectives import Floats, Objective, check, total
from tps_engine.optimise.quantities import LinearDose, Quantity


class Function(Protocol):
    """A function of spot weights with a gradient."""

    @property
    def spots(self) -> int:
        """Number of weights."""

    def evaluate(self, weights: Floats) -> tuple[float, Floats]:
        """Value and gradient (spots,) at weights (spots,) MU."""


@dataclass(frozen=True)
class Term:
    """Objectives on one quantity."""

    quantity: Quantity = field(repr=False)
    objectives: tuple[Objective, ...]

    def __post_init__(self) -> None:
        check(self.objectives, self.quantity.voxels)

    @property
    def spots(self) -> int:
        """Number of weights."""
        return self.quantity.spots

    def evaluate(self, weights: Floats) -> tuple[float, Floats]:
        """Value and gradient; the quantity is calculated once for all objectives."""
        values, pull = self.quantity.evaluate(weights)
        value, slope = total(self.objectives, values)
        return value, pull(slope)


@dataclass(frozen=True)
class Sum:
    """factor x function, summed over functions of the same weights."""

    parts: tuple[Function, ...]
    factors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        same_spots(self.parts)
        if self.factors and len(self.factors) != len(self.parts):
            raise BadInput(_("a sum of functions needs a factor for each, or none"))

    @property
    def spots(self) -> int:
        """Number of weights."""
        return self.parts[0].spots

    def evaluate(self, weights: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        value, gradient = 0.0, np.zeros(self.spots)
        for factor, part in zip(self.factors or (1.0,) * len(self.parts), self.parts, strict=True):
            if factor != 0.0:
                this, slope = part.evaluate(weights)
                value += factor * this
                gradient += factor * slope
        return value, gradient


def on_dose(matrix: Influence, objectives: tuple[Objective, ...], factor: float = 1.0) -> Term:
    """Objectives on factor x matrix @ weights."""
    return Term(LinearDose(matrix, factor), objectives)


def same_spots(parts: Sequence[Function]) -> None:
    """Raise BadInput for no function, or functions of different numbers of weights."""
    counts = {part.spots for part in parts}
    if len(counts) != 1:
        raise BadInput(
            _("functions of {counts} spots cannot be combined: all must be of the same fields").format(
                counts=", ".join(str(count) for count in sorted(counts)) or "-"
            )
        )
