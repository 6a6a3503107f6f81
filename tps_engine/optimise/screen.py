"""The part of a function that matters near given weights: packed matrices, and of their rows only some.

A voxel far below the level of an overdose objective has no share in value or gradient, and most voxels of a
patient are such. `Near` functions give a cheaper one that is the same while no dose moves by more than a
margin. Nothing holds the doses there: who minimises the cheaper function chooses its rows anew from time to
time, and ends on the function itself (`lbfgs.descend`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from tps_engine.optimise.objectives import Floats, Index, Mask, Objective, OfMean
from tps_engine.optimise.quantities import Pull, Quantity


@runtime_checkable
class Screened(Protocol):
    """An objective to which some of its voxels do not matter while doses stay near what they are."""

    def matters(self, dose: Floats, margin: float) -> Mask:
        """(n,) the voxels without which value and gradient are the same for doses within `margin`."""

    def among(self, keep: Mask, voxels: Index) -> Objective:
        """The same penalty, of the doses to keep (n,) alone, which are at `voxels` then."""


@dataclass(frozen=True)
class _Moved:
    """An objective whose voxels have other numbers."""

    voxels: Index = field(repr=False)
    evaluate: Callable[[Floats], tuple[float, Floats]]


@dataclass(frozen=True)
class WithMeans:
    """A linear quantity's values, and behind them mean doses: each rows[k] . weights + constants[k]."""

    quantity: Quantity = field(repr=False)
    rows: Floats = field(repr=False)
    constants: Floats

    @property
    def voxels(self) -> int:
        """Number of values."""
        return self.quantity.voxels + len(self.constants)

    @property
    def spots(self) -> int:
        """Number of weights."""
        return self.quantity.spots

    def evaluate(self, weights: Floats) -> tuple[Floats, Pull]:
        """Values and the way back."""
        values, pull = self.quantity.evaluate(weights)
        inner = len(values)
        means = np.einsum("ks,s->k", self.rows, weights) + self.constants

        def both(slope: Floats) -> Floats:
            return np.asarray(pull(slope[:inner]) + np.einsum("k,ks->s", slope[inner:], self.rows))

        return np.concatenate([values, means]), both


def chosen(objectives: Sequence[Objective], values: Floats, margin: float) -> list[Mask]:
    """Of each objective's voxels those that matter while values (voxels,) move by at most `margin`."""
    return [
        objective.matters(values[objective.voxels], margin)
        if isinstance(objective, Screened)
        else np.ones(len(objective.voxels), dtype=np.bool_)
        for objective in objectives
    ]


def union(objectives: Sequence[Objective], masks: Sequence[Mask], voxels: int) -> Mask:
    """(voxels,) where one of the objectives needs a value."""
    keep = np.zeros(voxels, dtype=np.bool_)
    for objective, mask in zip(objectives, masks, strict=True):
        keep[objective.voxels[mask]] = True
    return keep


def moved(objectives: Sequence[Objective], masks: Sequence[Mask], keep: Mask) -> tuple[Objective, ...]:
    """The objectives on the kept voxels, numbered in their order; those without any are left out."""
    numbers = np.cumsum(keep) - 1
    made: list[Objective] = []
    for objective, mask in zip(objectives, masks, strict=True):
        if mask.any():
            voxels = numbers[objective.voxels[mask]]
            if isinstance(objective, Screened):
                made.append(objective.among(mask, voxels))
            else:
                made.append(_Moved(voxels, objective.evaluate))
    return tuple(made)


def with_means(
    quantity: Quantity, means: Sequence[OfMean], values: Floats, pull: Pull, weights: Floats
) -> tuple[Quantity, tuple[Objective, ...]]:
    """A quantity with the means that objectives look at, and the objectives on those.

    values, pull: of the whole linear quantity at the weights.
    """
    if not means:
        return quantity, ()
    rows = []
    for objective in means:
        share = np.zeros(len(values))
        share[objective.voxels] = 1.0 / len(objective.voxels)
        rows.append(pull(share))
    table = np.array(rows)
    constants = np.array([values[objective.voxels].mean() for objective in means]) - np.einsum(
        "ks,s->k", table, weights
    )
    made = tuple(
        _Moved(np.array([quantity.voxels + k]), objective.evaluate) for k, objective in enumerate(means)
    )
    return WithMeans(quantity, table, constants), made
