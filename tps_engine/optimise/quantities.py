"""What objectives may look at: functions of the spot weights in every voxel, and the way back.

A quantity gives its values for weights, and a function that turns a slope by those values into the slope
by each weight (the transposed Jacobian). Dose, LET x dose and the alpha- and sqrt(beta)-weighted doses are
linear in the weights; LETd and RBE-weighted doses are functions of two of these in each voxel (`paired`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np

from common.errors import BadInput
from common.text import _
from tps_engine.dose.engine import Influence
from tps_engine.optimise import products
from tps_engine.optimise.objectives import Floats, Mask
from tps_engine.optimise.packed import Packed, narrowed, packed

Pull = Callable[[Floats], Floats]
"""From a slope (voxels,) by a quantity's values to the slope (spots,) by the weights."""


class Quantity(Protocol):
    """A function of spot weights with one value a voxel."""

    @property
    def voxels(self) -> int:
        """Number of values."""

    @property
    def spots(self) -> int:
        """Number of weights."""

    def evaluate(self, weights: Floats) -> tuple[Floats, Pull]:
        """Values (voxels,) at weights (spots,) MU, and the way back."""


@runtime_checkable
class Narrow(Quantity, Protocol):
    """A quantity that can be had faster, and for some voxels alone."""

    @property
    def packed(self) -> Quantity:
        """The same by packed matrices, as exact as their codes."""

    def narrowed(self, keep: Mask) -> Quantity:
        """By packed matrices, for the voxels to keep (voxels,) alone, in their order."""


@dataclass(frozen=True)
class LinearDose:
    """factor x matrix @ weights: physical dose (factor 1), a constant RBE, LET x dose times c."""

    matrix: Influence | Packed = field(repr=False)
    factor: float = 1.0
    linear = True

    @property
    def voxels(self) -> int:
        """Number of values."""
        return self.matrix.voxels

    @property
    def spots(self) -> int:
        """Number of weights."""
        return self.matrix.spots

    def evaluate(self, weights: Floats) -> tuple[Floats, Pull]:
        """Values in Gy (or what matrix x factor has) and the way back."""
        return self.factor * products.dose(self.matrix, weights), self._pull

    def _pull(self, slope: Floats) -> Floats:
        return self.factor * products.back(self.matrix, slope)

    @property
    def packed(self) -> "LinearDose":
        """The same by a packed matrix."""
        return replace(self, matrix=packed(self.matrix))

    def narrowed(self, keep: Mask) -> "LinearDose":
        """By a packed matrix, for the voxels to keep (voxels,) alone, in their order."""
        return replace(self, matrix=narrowed(packed(self.matrix), keep))


@dataclass(frozen=True)
class Accumulated:
    """Weighted sum of quantities of the same voxels: the dose of a breathing cycle from its phases.

    shares: part of the time in each phase; together 1.
    """

    parts: tuple[Quantity, ...] = field(repr=False)
    shares: tuple[float, ...]

    @property
    def linear(self) -> bool:
        """Whether values are linear in the weights, up to constants."""
        return all(getattr(part, "linear", False) for part in self.parts)

    @property
    def packed(self) -> "Accumulated":
        """The same by packed matrices."""
        return replace(
            self, parts=tuple(part.packed if isinstance(part, Narrow) else part for part in self.parts)
        )

    def narrowed(self, keep: Mask) -> "Accumulated":
        """By packed matrices, for the voxels to keep (voxels,) alone, in their order."""
        return replace(self, parts=tuple(_narrowed(part, keep) for part in self.parts))

    def __post_init__(self) -> None:
        if len(self.parts) != len(self.shares) or not self.parts or abs(sum(self.shares) - 1.0) > 1e-6:
            raise BadInput(_("phases need a share of the time each, together 1"))

    @property
    def voxels(self) -> int:
        """Number of values."""
        return self.parts[0].voxels

    @property
    def spots(self) -> int:
        """Number of weights."""
        return self.parts[0].spots

    def evaluate(self, weights: Floats) -> tuple[Floats, Pull]:
        """Values and the way back."""
        found = [part.evaluate(weights) for part in self.parts]
        value = sum(share * values for share, (values, _back) in zip(self.shares, found, strict=True))

        def pull(slope: Floats) -> Floats:
            parts = [share * back(slope) for share, (_values, back) in zip(self.shares, found, strict=True)]
            return np.asarray(np.sum(parts, axis=0))

        return np.asarray(value), pull


@dataclass(frozen=True)
class Corrected:
    """A quantity by matrices, and what an exact calculation adds to it at weights near by, (voxels,)."""

    approximate: Quantity = field(repr=False)
    offset: Floats = field(repr=False)

    @property
    def voxels(self) -> int:
        """Number of values."""
        return self.approximate.voxels

    @property
    def spots(self) -> int:
        """Number of weights."""
        return self.approximate.spots

    @property
    def linear(self) -> bool:
        """Whether values are linear in the weights, up to constants."""
        return bool(getattr(self.approximate, "linear", False))

    @property
    def packed(self) -> "Corrected":
        """The same by packed matrices."""
        inner = self.approximate
        return replace(self, approximate=inner.packed if isinstance(inner, Narrow) else inner)

    def narrowed(self, keep: Mask) -> "Corrected":
        """By packed matrices, for the voxels to keep (voxels,) alone, in their order."""
        return Corrected(_narrowed(self.approximate, keep), self.offset[keep])

    def evaluate(self, weights: Floats) -> tuple[Floats, Pull]:
        """Values (voxels,) at weights (spots,), and the map from their gradient to the weights'."""
        values, pull = self.approximate.evaluate(weights)
        return values + self.offset, pull


@dataclass(frozen=True)
class _Some:
    """Some values of a quantity that must be calculated as a whole."""

    whole: Quantity
    keep: Mask = field(repr=False)

    @property
    def voxels(self) -> int:
        return int(np.count_nonzero(self.keep))

    @property
    def spots(self) -> int:
        return self.whole.spots

    def evaluate(self, weights: Floats) -> tuple[Floats, Pull]:
        values, pull = self.whole.evaluate(weights)

        def spread_out(slope: Floats) -> Floats:
            out = np.zeros(len(self.keep))
            out[self.keep] = slope
            return pull(out)

        return values[self.keep], spread_out


def _narrowed(quantity: Quantity, keep: Mask) -> Quantity:
    return quantity.narrowed(keep) if isinstance(quantity, Narrow) else _Some(quantity, keep)
