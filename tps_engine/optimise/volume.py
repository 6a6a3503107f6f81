"""Objectives on dose-volume points and on the generalised equivalent uniform dose (gEUD).

gEUD = (mean of dose^a)^(1/a) (Niemierko, Med Phys 26 (1999) 1100): a > 1 looks at hot spots (organs),
a < 0 at cold ones (targets).
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np

from common.errors import BadInput
from common.text import _
from tps_engine.optimise.objectives import Floats, Index, Mask, squared

_TINY = 1e-6
"""gEUD with a < 1 takes doses below this as this, Gy: its slope has no bound at dose 0."""


def exempt(rank: Floats, share: float) -> Mask:
    """(n,) the voxels of highest rank, `share` (0..1) of all: those that a DVH point leaves alone."""
    return _extreme(-rank, _count(share, len(rank)))


def equivalent_dose(dose: Floats, exponent: float) -> tuple[float, Floats]:
    """The gEUD in Gy of doses (n,), and its gradient (n,)."""
    safe = np.maximum(dose, _TINY) if exponent < 1.0 else np.maximum(dose, 0.0)
    # relative to the dose that dominates, so that no power overflows
    scale = max(float(safe.min() if exponent < 0.0 else safe.max()), _TINY)
    ratio = safe / scale
    mean = max(float(np.mean(ratio**exponent)), 1e-300)
    slope = mean ** (1.0 / exponent - 1.0) * ratio ** (exponent - 1.0) / len(dose)
    return scale * mean ** (1.0 / exponent), np.where(dose >= safe, slope, 0.0)


@dataclass(frozen=True)
class _Dvh:
    """weight x mean of the squared part of `side` x (dose - level) above 0, but for the voxels left out."""

    voxels: Index = field(repr=False)
    level: float
    volume: float
    weight: float
    side: ClassVar[float]

    def __post_init__(self) -> None:
        check_volume(self.volume)

    @property
    def exempt(self) -> float:
        """The share of the voxels that may be left out: those that break the level most."""
        return self.volume if self.side > 0.0 else 1.0 - self.volume

    def evaluate(self, dose: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        out = exempt(self.side * dose, self.exempt)
        over = np.where(out, 0.0, np.maximum(self.side * (dose - self.level), 0.0))
        share = self.weight / len(dose)
        return share * squared(over), 2.0 * share * self.side * over

    def matters(self, dose: Floats, margin: float) -> Mask:
        """(n,) where the level is broken for some dose within `margin` of these doses, left out or not."""
        return self.side * (dose - self.level) > -margin

    def among(self, keep: Mask, voxels: Index) -> Self:
        """The same penalty, of the doses to keep (n,) alone: as many of them are left out as of all."""
        spare = min(_count(self.exempt, len(keep)) / max(len(voxels), 1), 1.0)
        volume = spare if self.side > 0.0 else 1.0 - spare
        return replace(self, voxels=voxels, volume=volume, weight=self.weight * len(voxels) / len(keep))


@dataclass(frozen=True)
class DvhMax(_Dvh):
    """No more than `volume` (0..1) of the voxels above `level` Gy.

    weight x mean of (dose - level)^2 over the voxels above the level that are not among the `volume`
    hottest ones; continuous, and differentiable wherever no two doses at that border are equal.
    """

    side = 1.0


@dataclass(frozen=True)
class DvhMin(_Dvh):
    """No less than `volume` (0..1) of the voxels at or above `level` Gy; as `DvhMax`, below the level."""

    side = -1.0


@dataclass(frozen=True)
class _Eud:
    voxels: Index = field(repr=False)
    level: float
    exponent: float
    weight: float
    side: ClassVar[float]

    def __post_init__(self) -> None:
        check_exponent(self.exponent)

    def evaluate(self, dose: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        value, slope = equivalent_dose(dose, self.exponent)
        over = max(self.side * (value - self.level), 0.0)
        return self.weight * over**2, 2.0 * self.weight * self.side * over * slope


@dataclass(frozen=True)
class EudMax(_Eud):
    """weight x (gEUD - level)^2 where the gEUD is above `level` Gy."""

    side = 1.0


@dataclass(frozen=True)
class EudMin(_Eud):
    """weight x (level - gEUD)^2 where the gEUD is below `level` Gy."""

    side = -1.0


def check_volume(volume: float) -> None:
    """Raise BadInput unless 0 <= volume <= 1."""
    if not 0.0 <= volume <= 1.0:
        raise BadInput(_("DVH volume {volume}: give a part of the structure, 0 to 1").format(volume=volume))


def check_exponent(exponent: float) -> None:
    """Raise BadInput for the exponent 0, of which the gEUD is not defined."""
    if exponent == 0.0 or not np.isfinite(exponent):
        text = _("gEUD exponent {exponent}: allowed is any number but 0 (above 1 organs, below 0 targets)")
        raise BadInput(text.format(exponent=exponent))


def _count(share: float, voxels: int) -> int:
    return int(share * voxels + 1e-9)


def _extreme(rank: Floats, count: int) -> Mask:
    out = np.zeros(len(rank), dtype=np.bool_)
    if count >= len(rank):
        out[:] = True
    elif count > 0:
        out[np.argpartition(rank, count - 1)[:count]] = True
    return out
