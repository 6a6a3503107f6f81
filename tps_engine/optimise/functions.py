"""Functions of spot weights that a solver can minimise: objectives on quantities, summed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from common.errors import BadInput
from common.text import _
from tps_engine.dose.engine import Influence
from tps_engine.optimise import screen
from tps_engine.optimise.objectives import Floats, Objective, OfMean, check, total
from tps_engine.optimise.quantities import LinearDose, Narrow, Quantity


class Function(Protocol):
    """A function of spot weights with a gradient."""

    @property
    def spots(self) -> int:
        """Number of weights."""

    def evaluate(self, weights: Floats) -> tuple[float, Floats]:
        """Value and gradient (spots,) at weights (spots,) MU."""


@runtime_checkable
class Local(Function, Protocol):
    """A function that is cheaper near given weights."""

    def near(self, weights: Floats, margin: float) -> Function:
        """The same while no dose moves by more than `margin`, a part of the largest dose at the weights."""


def near(function: Function, weights: Floats, margin: float) -> Function:
    """What costs least near the weights; the function itself where it has nothing cheaper."""
    return function.near(weights, margin) if isinstance(function, Local) else function


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

    def near(self, weights: Floats, margin: float) -> Function:
        """By packed matrices, for the voxels that matter while no dose moves by more than the margin."""
        if not isinstance(self.quantity, Narrow):
            return self
        values, pull = self.quantity.packed.evaluate(weights)
        linear = getattr(self.quantity, "linear", False)
        means = [o for o in self.objectives if linear and isinstance(o, OfMean)]
        others = [o for o in self.objectives if not (linear and isinstance(o, OfMean))]
        masks = screen.chosen(others, values, margin * float(np.abs(values).max(initial=0.0)))
        keep = screen.union(others, masks, len(values))
        quantity, of_means = screen.with_means(self.quantity.narrowed(keep), means, values, pull, weights)
        return _Sparse(quantity, screen.moved(others, masks, keep) + of_means)


class _Sparse(Term):
    """What is left of a term near some weights: perhaps no objective at all."""

    def __post_init__(self) -> None:
        pass


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

    def near(self, weights: Floats, margin: float) -> Function:
        """Of each function what costs least."""
        return Sum(tuple(near(part, weights, margin) for part in self.parts), self.factors)


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
