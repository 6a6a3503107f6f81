"""Objectives on dose-volume points and on the generalised equivalent uniform dose (gEUD).

gEUD = (mean of dose^a)^(1/a) (Niemierko, Med Phys 26 (1999) 1100): a > 1 looks at hot spots (organs),
a < 0 at cold ones (targets).
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.optimise.objectives import Floats, Index

_TINY = 1e-6
"""gEUD with a < 1 takes doses below this as this, Gy: its slope has no bound at dose 0."""


def exempt_above(dose: Floats, volume: float) -> NDArray[np.bool_]:
    """(n,) the hottest voxels, `volume` (0..1) of all, that a maximum DVH point leaves alone."""
    return _extreme(-dose, int(volume * len(dose) + 1e-9))


def exempt_below(dose: Floats, volume: float) -> NDArray[np.bool_]:
    """(n,) the coldest voxels that a minimum DVH point at `volume` (0..1) leaves alone."""
    return _extreme(dose, int((1.0 - volume) * len(dose) + 1e-9))


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
class DvhMax:
    """No more than `volume` (0..1) of the voxels above `level` Gy.

    weight x mean of (dose - level)^2 over the voxels above the level that are not among the `volume`
    hottest ones; continuous, and differentiable wherever no two doses at that border are equal.
    """

    voxels: Index = field(repr=False)
    level: float
    volume: float
    weight: float

    def __post_init__(self) -> None:
        check_volume(self.volume)

    def evaluate(self, dose: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        excess = np.where(exempt_above(dose, self.volume), 0.0, np.maximum(dose - self.level, 0.0))
        share = self.weight / len(dose)
        return share * float(excess @ excess), 2.0 * share * excess


@dataclass(frozen=True)
class DvhMin:
    """No less than `volume` (0..1) of the voxels at or above `level` Gy; as `DvhMax`, below the level."""

    voxels: Index = field(repr=False)
    level: float
    volume: float
    weight: float

    def __post_init__(self) -> None:
        check_volume(self.volume)

    def evaluate(self, dose: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        missing = np.where(exempt_below(dose, self.volume), 0.0, np.maximum(self.level - dose, 0.0))
        share = self.weight / len(dose)
        return share * float(missing @ missing), -2.0 * share * missing


@dataclass(frozen=True)
class EudMax:
    """weight x (gEUD - level)^2 where the gEUD is above `level` Gy."""

    voxels: Index = field(repr=False)
    level: float
    exponent: float
    weight: float

    def __post_init__(self) -> None:
        check_exponent(self.exponent)

    def evaluate(self, dose: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        value, slope = equivalent_dose(dose, self.exponent)
        excess = max(value - self.level, 0.0)
        return self.weight * excess**2, 2.0 * self.weight * excess * slope


@dataclass(frozen=True)
class EudMin:
    """weight x (level - gEUD)^2 where the gEUD is below `level` Gy."""

    voxels: Index = field(repr=False)
    level: float
    exponent: float
    weight: float

    def __post_init__(self) -> None:
        check_exponent(self.exponent)

    def evaluate(self, dose: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        value, slope = equivalent_dose(dose, self.exponent)
        missing = max(self.level - value, 0.0)
        return self.weight * missing**2, -2.0 * self.weight * missing * slope


def check_volume(volume: float) -> None:
    """Raise BadInput unless 0 <= volume <= 1."""
    if not 0.0 <= volume <= 1.0:
        raise BadInput(_("DVH volume {volume}: give a part of the structure, 0 to 1").format(volume=volume))


def check_exponent(exponent: float) -> None:
    """Raise BadInput for the exponent 0, of which the gEUD is not defined."""
    if exponent == 0.0 or not np.isfinite(exponent):
        text = _("gEUD exponent {exponent}: allowed is any number but 0 (above 1 organs, below 0 targets)")
        raise BadInput(text.format(exponent=exponent))


def _extreme(rank: Floats, count: int) -> NDArray[np.bool_]:
    out = np.zeros(len(rank), dtype=np.bool_)
    if count >= len(rank):
        out[:] = True
    elif count > 0:
        out[np.argpartition(rank, count - 1)[:count]] = True
    return out
