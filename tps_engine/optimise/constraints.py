"""What a plan must keep to: hard limits on a quantity, in its own units.

A constraint gives its excess (m,), positive where it is broken, and turns multipliers (m,) into a slope by
the quantity's values at its voxels. Limits on every voxel have one excess a voxel; those on a mean or a
gEUD have one. A DVH point limits every voxel but the share that it may leave out, the hottest or coldest at
that moment: it is not convex, and what is found for it is a local answer.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from tps_engine.optimise.objectives import Floats, Index
from tps_engine.optimise.volume import (
    check_exponent,
    check_volume,
    equivalent_dose,
    exempt_above,
    exempt_below,
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
class DoseAtMost:
    """No voxel above `level`."""

    name: str
    voxels: Index = field(repr=False)
    level: float

    def excess(self, dose: Floats) -> Floats:
        """One a voxel."""
        return dose - self.level

    def pull(self, _dose: Floats, multipliers: Floats) -> Floats:
        """Each voxel's own."""
        return multipliers


@dataclass(frozen=True)
class DoseAtLeast:
    """No voxel below `level`."""

    name: str
    voxels: Index = field(repr=False)
    level: float

    def excess(self, dose: Floats) -> Floats:
        """One a voxel."""
        return self.level - dose

    def pull(self, _dose: Floats, multipliers: Floats) -> Floats:
        """Each voxel's own."""
        return -multipliers


@dataclass(frozen=True)
class VolumeAtMost:
    """No more than `volume` (0..1) of the voxels above `level`."""

    name: str
    voxels: Index = field(repr=False)
    level: float
    volume: float

    def __post_init__(self) -> None:
        check_volume(self.volume)

    def excess(self, dose: Floats) -> Floats:
        """One a voxel; that of voxels left out is not above 0."""
        return np.where(
            exempt_above(dose, self.volume), np.minimum(dose - self.level, 0.0), dose - self.level
        )

    def pull(self, dose: Floats, multipliers: Floats) -> Floats:
        """Each voxel's own, none of those left out."""
        return np.where(exempt_above(dose, self.volume), 0.0, multipliers)


@dataclass(frozen=True)
class VolumeAtLeast:
    """No less than `volume` (0..1) of the voxels at or above `level`."""

    name: str
    voxels: Index = field(repr=False)
    level: float
    volume: float

    def __post_init__(self) -> None:
        check_volume(self.volume)

    def excess(self, dose: Floats) -> Floats:
        """One a voxel; that of voxels left out is not above 0."""
        return np.where(
            exempt_below(dose, self.volume), np.minimum(self.level - dose, 0.0), self.level - dose
        )

    def pull(self, dose: Floats, multipliers: Floats) -> Floats:
        """Each voxel's own, none of those left out."""
        return np.where(exempt_below(dose, self.volume), 0.0, -multipliers)


@dataclass(frozen=True)
class MeanAtMost:
    """Mean no higher than `level`."""

    name: str
    voxels: Index = field(repr=False)
    level: float

    def excess(self, dose: Floats) -> Floats:
        """One in all."""
        return np.array([float(dose.mean()) - self.level])

    def pull(self, dose: Floats, multipliers: Floats) -> Floats:
        """Shared by all voxels."""
        return np.full(len(dose), float(multipliers[0]) / len(dose))


@dataclass(frozen=True)
class MeanAtLeast:
    """Mean no lower than `level`."""

    name: str
    voxels: Index = field(repr=False)
    level: float

    def excess(self, dose: Floats) -> Floats:
        """One in all."""
        return np.array([self.level - float(dose.mean())])

    def pull(self, dose: Floats, multipliers: Floats) -> Floats:
        """Shared by all voxels."""
        return np.full(len(dose), -float(multipliers[0]) / len(dose))


@dataclass(frozen=True)
class EudAtMost:
    """No gEUD (exponent >= 1) above `level`."""

    name: str
    voxels: Index = field(repr=False)
    level: float
    exponent: float

    def __post_init__(self) -> None:
        check_exponent(self.exponent)

    def excess(self, dose: Floats) -> Floats:
        """One in all."""
        return np.array([equivalent_dose(dose, self.exponent)[0] - self.level])

    def pull(self, dose: Floats, multipliers: Floats) -> Floats:
        """By the gradient of the gEUD."""
        return float(multipliers[0]) * equivalent_dose(dose, self.exponent)[1]


@dataclass(frozen=True)
class EudAtLeast:
    """No gEUD (exponent < 1) below `level`."""

    name: str
    voxels: Index = field(repr=False)
    level: float
    exponent: float

    def __post_init__(self) -> None:
        check_exponent(self.exponent)

    def excess(self, dose: Floats) -> Floats:
        """One in all."""
        return np.array([self.level - equivalent_dose(dose, self.exponent)[0]])

    def pull(self, dose: Floats, multipliers: Floats) -> Floats:
        """By the gradient of the gEUD."""
        return -float(multipliers[0]) * equivalent_dose(dose, self.exponent)[1]
