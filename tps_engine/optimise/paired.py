"""Quantities of two linear ones in each voxel: LETd, and RBE-weighted dose of protons and of ions."""

from dataclasses import dataclass, field, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.biology.parameters import RbeModel
from tps_engine.dose.engine import Influence
from tps_engine.optimise import products
from tps_engine.optimise.objectives import Floats, Mask
from tps_engine.optimise.packed import Packed, narrowed, packed
from tps_engine.optimise.quantities import Pull


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


def _positive(value: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    on = value > 0.0
    return np.where(on, value, 0.0), on
