"""What a plan must keep to: hard limits on a quantity, in its own units.

A constraint gives its excess (m,), positive where it is broken, and turns multipliers (m,) into a slope by
the quantity's values at its voxels. Limits on every voxel have one excess a voxel; those on a mean or a
gEUD have one. A DVH point limits every voxel but the share that it may leave out, the hottest or coldest at
that moment: it is not convex, and what is found for it is a local answer.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np

from tps_engine.optimise.objectives import Floats, Index, Mask
from tps_engine.optimise.volume import (
    check_exponent,
    check_volume,
    equivalent_dose,
    exempt,
)


class Constraint(Protocol):
    """A hard limit; name: what the planner calls it."""

    @property
    def name(self) -> str:
        """Shown in reports and warnings."""

    @property
    def voxels(self) -> Index:
        """Where it looks."""

    def excess(self, dose: Floats) -> Floats:
        """(m,) by how much doses (n,) break it, negative where they do not."""

    def pull(self, dose: Floats, multipliers: Floats) -> Floats:
        """(n,) sum over the excesses of multiplier x gradient by dose."""


@dataclass(frozen=True)
class _EachVoxel:
    """`side` x (dose - level) at most 0 in every voxel."""

    name: str
    voxels: Index = field(repr=False)
    level: float
    side: ClassVar[float]

    def excess(self, dose: Floats) -> Floats:
        """One a voxel."""
        return self.side * (dose - self.level)

    def pull(self, _dose: Floats, multipliers: Floats) -> Floats:
        """Each voxel's own."""
        return self.side * multipliers


@dataclass(frozen=True)
class DoseAtMost(_EachVoxel):
    """No voxel above `level`."""

    side = 1.0


@dataclass(frozen=True)
class DoseAtLeast(_EachVoxel):
    """No voxel below `level`."""

    side = -1.0


@dataclass(frozen=True)
class _Volume(_EachVoxel):
    """As `_EachVoxel`, but for a share of the voxels: those that break the level most."""

    volume: float

    def __post_init__(self) -> None:
        check_volume(self.volume)

    def _left_out(self, dose: Floats) -> Mask:
        return exempt(self.side * dose, self.volume if self.side > 0.0 else 1.0 - self.volume)

    def excess(self, dose: Floats) -> Floats:
        """One a voxel; that of voxels left out is not above 0."""
        over = super().excess(dose)
        return np.where(self._left_out(dose), np.minimum(over, 0.0), over)

    def pull(self, dose: Floats, multipliers: Floats) -> Floats:
        """Each voxel's own, none of those left out."""
        return np.where(self._left_out(dose), 0.0, super().pull(dose, multipliers))


@dataclass(frozen=True)
class VolumeAtMost(_Volume):
    """No more than `volume` (0..1) of the voxels above `level`."""

    side = 1.0


@dataclass(frozen=True)
class VolumeAtLeast(_Volume):
    """No less than `volume` (0..1) of the voxels at or above `level`."""

    side = -1.0


@dataclass(frozen=True)
class _Single:
    """`side` x (one number made of all doses - level) at most 0."""

    name: str
    voxels: Index = field(repr=False)
    level: float
    side: ClassVar[float]

    def measure(self, dose: Floats) -> tuple[float, Floats]:
        """The number, and its gradient (n,)."""
        return float(dose.mean()), np.full(len(dose), 1.0 / len(dose))

    def excess(self, dose: Floats) -> Floats:
        """One in all."""
        return np.array([self.side * (self.measure(dose)[0] - self.level)])

    def pull(self, dose: Floats, multipliers: Floats) -> Floats:
        """By the gradient of the number."""
        return self.side * float(multipliers[0]) * self.measure(dose)[1]


@dataclass(frozen=True)
class MeanAtMost(_Single):
    """Mean no higher than `level`."""

    side = 1.0


@dataclass(frozen=True)
class MeanAtLeast(_Single):
    """Mean no lower than `level`."""

    side = -1.0


@dataclass(frozen=True)
class _Eud(_Single):
    exponent: float

    def __post_init__(self) -> None:
        check_exponent(self.exponent)

    def measure(self, dose: Floats) -> tuple[float, Floats]:
        """The gEUD, and its gradient (n,)."""
        return equivalent_dose(dose, self.exponent)


@dataclass(frozen=True)
class EudAtMost(_Eud):
    """No gEUD (exponent >= 1) above `level`."""

    side = 1.0


@dataclass(frozen=True)
class EudAtLeast(_Eud):
    """No gEUD (exponent < 1) below `level`."""

    side = -1.0
