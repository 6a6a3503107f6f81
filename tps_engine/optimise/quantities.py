"""What objectives may look at: functions of the spot weights in every voxel, and the way back.

A quantity gives its values for weights, and a function that turns a slope by those values into the slope
by each weight (the transposed Jacobian). Dose, LET x dose and the alpha- and sqrt(beta)-weighted doses are
linear in the weights; LETd and RBE-weighted doses are functions of two of these in each voxel.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.biology.parameters import RbeModel
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
class _Pair:
    """A quantity that depends, in each voxel, on two linear ones."""

    first: Influence | Packed = field(repr=False)
    second: Influence | Packed = field(repr=False)

    def __post_init__(self) -> None:
        if (self.first.voxels, self.first.spots) != (self.second.voxels, self.second.spots):
            raise BadInput(
                _("the two matrices of a quantity differ in spots or voxels; make both of one field")
            )

    @property
    def voxels(self) -> int:
        """Number of values."""
        return self.first.voxels

    @property
    def spots(self) -> int:
        """Number of weights."""
        return self.first.spots

    def evaluate(self, weights: Floats) -> tuple[Floats, Pull]:
        """Values and the way back."""
        value, by_first, by_second = self.combine(
            products.dose(self.first, weights), products.dose(self.second, weights)
        )

        def pull(slope: Floats) -> Floats:
            return products.back(self.first, slope * by_first) + products.back(self.second, slope * by_second)

        return value, pull

    @property
    def packed(self) -> Self:
        """The same by packed matrices."""
        return replace(self, first=packed(self.first), second=packed(self.second))

    def narrowed(self, keep: Mask) -> Self:
        """By packed matrices, for the voxels to keep (voxels,) alone, in their order."""
        first, second = (narrowed(packed(matrix), keep) for matrix in (self.first, self.second))
        tissue = {
            one.name: getattr(self, one.name)[keep]
            for one in fields(self)
            if isinstance(getattr(self, one.name), np.ndarray)
        }
        return replace(self, first=first, second=second, **tissue)

    def combine(self, first: Floats, second: Floats) -> tuple[Floats, Floats, Floats]:
        """Value and its two derivatives in each voxel."""
        raise NotImplementedError


@dataclass(frozen=True)
class LetWeighted(_Pair):
    """dose x (1 + c LETd), Gy: first is the dose, second the LET x dose matrix (keV/um Gy per MU).

    c in um/keV, 0.04 as in Unkelbach et al., Int J Radiat Oncol Biol Phys 96 (2016) 1097.
    """

    c: float = 0.04

    def combine(self, first: Floats, second: Floats) -> tuple[Floats, Floats, Floats]:
        """Value and its two derivatives in each voxel."""
        return first + self.c * second, np.ones_like(first), np.full_like(first, self.c)


@dataclass(frozen=True)
class AverageLet(_Pair):
    """Dose-averaged LET, keV/um: second (LET x dose) over first (dose).

    `negligible` Gy is added to the dose, so that voxels without dose have LETd 0 and no slope without bound.
    """

    negligible: float = 0.01

    def combine(self, first: Floats, second: Floats) -> tuple[Floats, Floats, Floats]:
        """Value and its two derivatives in each voxel."""
        dose = np.maximum(first, 0.0) + self.negligible
        return second / dose, -second / dose**2, 1.0 / dose


@dataclass(frozen=True)
class IonDose(_Pair):
    """RBE-weighted dose in Gy (RBE) of ions by the linear-quadratic model.

    first: alpha x dose per MU; second: sqrt(beta) x dose per MU (Zaider and Rossi 1980; Kraemer and Scholz,
    Phys Med Biol 45 (2000) 3319). Effect e = A w + (B w)^2, and dose = (sqrt(ax^2 + 4 bx e) - ax) / (2 bx)
    with the photon parameters alpha_x (1/Gy) and beta_x (1/Gy2) of each voxel (voxels,), or one for all.
    """

    alpha_x: Floats | float = 0.1
    beta_x: Floats | float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if np.min(self.alpha_x) <= 0.0 or np.min(self.beta_x) <= 0.0:
            raise BadInput(_("photon alpha and beta must be above 0 in every voxel"))

    def combine(self, first: Floats, second: Floats) -> tuple[Floats, Floats, Floats]:
        """Value and its two derivatives in each voxel."""
        effect = np.maximum(first + second**2, 0.0)
        root = np.sqrt(np.square(self.alpha_x) + 4.0 * np.asarray(self.beta_x) * effect)
        by_effect = 1.0 / root
        return (root - self.alpha_x) / (2.0 * np.asarray(self.beta_x)), by_effect, 2.0 * second * by_effect


@dataclass(frozen=True)
class ProtonDose(_Pair):
    """RBE-weighted dose in Gy (RBE) of protons by a model that is linear in LETd.

    first: dose, second: LET x dose. With M = dose x RBE_max and N = dose x RBE_min, both linear in the
    weights, and ab the photon alpha/beta in Gy (voxels,): dose_RBE = (sqrt(ab^2 + 4 ab M + 4 N^2) - ab) / 2,
    the equation of `biology.rbe`.
    """

    model: RbeModel | None = None
    alpha_beta: Floats | float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model is None:
            raise BadInput(_("an RBE-weighted dose needs a model; take one of a parameter set"))
        if np.min(self.alpha_beta) <= 0.0:
            raise BadInput(_("dose and LET must not be negative, and alpha/beta must be above 0"))

    def combine(self, first: Floats, second: Floats) -> tuple[Floats, Floats, Floats]:
        """Value and its two derivatives in each voxel."""
        assert self.model is not None
        ab = np.asarray(self.alpha_beta, dtype=np.float64)
        highest, lowest = self.model.rbe_max, self.model.rbe_min
        m_let = highest.per_let * ab**highest.alpha_beta_power
        n_let = lowest.per_let * ab**lowest.alpha_beta_power
        m, m_on = _positive(highest.constant * first + m_let * second)
        n, n_on = _positive(lowest.constant * first + n_let * second)
        root = np.sqrt(ab**2 + 4.0 * ab * m + 4.0 * n**2)
        by_m, by_n = m_on * ab / root, n_on * 2.0 * n / root
        return (
            0.5 * (root - ab),
            by_m * highest.constant + by_n * lowest.constant,
            by_m * m_let + by_n * n_let,
        )


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


def _positive(value: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    on = value > 0.0
    return np.where(on, value, 0.0), on
