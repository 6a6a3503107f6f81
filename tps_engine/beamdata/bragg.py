"""Depth dose of a broad proton beam in water, per proton.

The model of Bortfeld (Med Phys 24 (1997) 2024): primary fluence falls linearly with residual
range, energy straggling and the beam's energy spread blur the depth by a Gaussian whose width is
that at the end of range. Two things differ from the closed form: residual energy comes from the
stopping-power table instead of a power law, so that the range is the table's, and of the energy
lost in nuclear reactions one part stays where the reaction happens and another is carried forward
by secondary protons (an exponential that ends with the range), which gives the build-up behind the entrance
and the dose of degraded protons before the peak. A third: a part of the protons stops short, having lost much
at once, to a nucleus that stayed whole or to a fast electron: their ranges fall short by an exponential.
Without it the Gaussian must be too wide behind the peak to be low enough in it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_banded
from scipy.ndimage import gaussian_filter1d

from tps_engine.beamdata.water import Floats, WaterTable

GY_MM2_PER_MEV_CM2_G = 1.602176634e-8
"""One MeV cm2/g, the integral depth dose of one proton, in Gy mm2."""

_FINE_MM = 0.1


@dataclass(frozen=True)
class DepthDoseParameters:
    """Parameters of the model; lengths in cm as in the literature, see the beam model's schema.

    short_fraction: part of the protons that stop short of the Gaussian. short_length: by how much on average,
    in ranges.
    """

    fluence_loss_per_cm: float
    straggling_factor: float
    local_fraction: float
    secondary_fraction: float
    secondary_length_cm: float
    secondary_length_power: float
    short_fraction: float = 0.0
    short_length: float = 0.0


REFERENCE_RANGE_MM = 157.7
"""Range in water of 150 MeV, at which parameters of growth are stated."""


@dataclass(frozen=True)
class HaloParameters:
    """The dose that nuclear secondaries carry away from the beam, as a second Gaussian.

    weight: its part of the depth dose where it is built up, growing with range to weight_power.
    sigma_mm: its width, to be added to that of the beam, growing with range to sigma_power.
    Both at REFERENCE_RANGE_MM.
    build_up: depth, in ranges, at which it has come to 1 - 1/e of that part.
    end: what is left of its part at the end of range.
    flight: distance, in build-up lengths, in which what flies off gathers the halo's width: its angle.
    life: distance, in build-up lengths, after which 1/e is left of what a slab before a gap gave off: 1 where
    the build-up is that of what stops again; infinite: all of it goes on to the end.
    """

    weight: float
    weight_power: float
    sigma_mm: float
    sigma_power: float
    build_up: float
    end: float = 0.33
    flight: float = 1.0
    life: float = np.inf

    def sigma(self, range_mm: float | Floats) -> Floats:
        """Width in mm for beams of ranges in mm."""
        return np.asarray(self.sigma_mm * (np.asarray(range_mm) / REFERENCE_RANGE_MM) ** self.sigma_power)

    def share(self, range_mm: float, depth: Floats) -> Floats:
        """Part (n,) of the depth dose at depths (n,) mm, falling to `end` of it at the end of range."""
        full = self.weight * (range_mm / REFERENCE_RANGE_MM) ** self.weight_power
        built = 1.0 - np.exp(-depth / (self.build_up * range_mm))
        return np.asarray(full * built * np.interp(depth / range_mm, [0.92, 1.0], [1.0, self.end]))

    def drift(self, range_mm: float, depth: Floats, before: float, gap: float) -> Floats:
        """Variance (n,) in mm2 that a gap of air behind a slab adds to the halo at depths (n,) mm of water.

        before: mm of water in the slab. What is born in it flies off at the angle that gathers the halo's
        width over the flight; what is born behind it does not know the gap. One Gaussian for both.
        """
        length = self.build_up * range_mm
        born = 1.0 - np.exp(-before / length)
        left = born * np.exp(-np.maximum(depth - before, 0.0) / (self.life * length))
        share = left / np.maximum(1.0 - np.exp(-depth / length), max(born, 1e-12))
        angle = float(self.sigma(range_mm)) / (self.flight * length)
        return np.asarray(share * (angle * gap) ** 2)


def range_straggling(range_mm: float, parameters: DepthDoseParameters) -> float:
    """Standard deviation in mm of the range of a monoenergetic beam: Bortfeld's 0.012 R^0.935 (cm)."""
    return float(parameters.straggling_factor * 0.12 * (range_mm / 10.0) ** 0.935)


def peak_sigma(water: WaterTable, energy: float, spread: float, parameters: DepthDoseParameters) -> float:
    """Standard deviation in mm of the range of a beam with an energy spread in MeV."""
    mono = range_straggling(float(water.range_of(energy)), parameters)
    return float(np.hypot(mono, water.range_slope(energy) * spread))


def integral_depth_dose(
    water: WaterTable, energy: float, spread: float, parameters: DepthDoseParameters, depth: Floats
) -> Floats:
    """Laterally integrated dose per proton, (n,) Gy mm2, at depths (n,) in mm of water.

    energy and spread (one sigma) in MeV. Raises BadInput for an energy outside the table.
    """
    found = depth_dose_parts(water, energy, spread, parameters)
    return found.at(depth, found.primary + found.local + found.secondary)


@dataclass(frozen=True)
class DepthDoseParts:
    """Energy per mm that a proton leaves in thin cells of water, (n,) MeV/mm, before the range is blurred.

    middle: (n,) mm. primary, local, secondary: from protons that did not react, from reactions on the spot,
    from secondary protons. primary_let: primary times LET, MeV/mm keV/um. residual: (n,) mm to the end of
    range. sigma: of the range, mm. short_fraction: part of the protons whose range is shorter than that by
    short_length mm on average.
    """

    middle: Floats
    primary: Floats
    local: Floats
    secondary: Floats
    primary_let: Floats
    residual: Floats
    sigma: float
    short_fraction: float = 0.0
    short_length: float = 0.0

    def at(self, depth: Floats, values: Floats) -> Floats:
        """Values (n,) of the cells, blurred by the range's width, at depths in mm, in Gy mm2 for MeV/mm."""
        blurred = gaussian_filter1d(
            self._shortened(values), self.sigma / _FINE_MM, mode="nearest", truncate=6.0
        )
        # MeV/mm in water of 1 g/cm3 is 10 MeV cm2/g
        return np.asarray(np.interp(depth, self.middle, blurred, right=0.0)) * (10.0 * GY_MM2_PER_MEV_CM2_G)

    def _shortened(self, values: Floats) -> Floats:
        """Values (n,) of the cells when a part of the protons has an exponentially shorter range."""
        if self.short_fraction <= 0.0 or self.short_length <= 0.0:
            return values
        kept = np.exp(-_FINE_MM / self.short_length)
        # a proton shorter by d has at a depth what the others have d deeper
        bands = np.tile([[1.0], [-kept]], len(values))
        short = solve_banded((1, 0), bands, (1.0 - kept) * values[::-1])[::-1]
        return np.asarray((1.0 - self.short_fraction) * values + self.short_fraction * short)


def depth_dose_parts(
    water: WaterTable, energy: float, spread: float, parameters: DepthDoseParameters
) -> DepthDoseParts:
    """The parts of the depth dose of a beam; energy and spread in MeV. Raises BadInput outside the table.

    Stopping power diverges at the end of range, so what a cell holds is exact: of dose the difference of
    energy over the cell, of dose times LET the difference of the integral of stopping power over energy.
    """
    range_mm = float(water.range_of(energy))
    sigma = peak_sigma(water, energy, spread, parameters)
    edges = np.arange(0.0, range_mm + 6.0 * sigma + 20.0, _FINE_MM)
    middle = 0.5 * (edges[1:] + edges[:-1])
    residual = np.maximum(range_mm - middle, 0.0)
    lost = parameters.fluence_loss_per_cm / 10.0
    entrance = 1.0 + lost * range_mm
    fluence = (1.0 + lost * residual) / entrance
    kinetic = water.energy_of(np.maximum(range_mm - edges, 0.0))
    squared = water.stopping_integral(kinetic)
    reactions = np.where(residual > 0.0, lost / entrance, 0.0) * water.energy_of(residual)
    return DepthDoseParts(
        middle=middle,
        primary=fluence * (kinetic[:-1] - kinetic[1:]) / _FINE_MM,
        local=parameters.local_fraction * reactions,
        secondary=parameters.secondary_fraction * _carried_forward(reactions, range_mm, parameters),
        primary_let=fluence * (squared[:-1] - squared[1:]) / _FINE_MM,
        residual=residual,
        sigma=sigma,
        short_fraction=parameters.short_fraction,
        short_length=parameters.short_length * range_mm,
    )


def _carried_forward(reactions: Floats, range_mm: float, parameters: DepthDoseParameters) -> Floats:
    """Spread the energy of each cell over the depths from there to the end of range, falling exponentially.

    No secondary proton goes deeper than the primary would have. The length grows with the range.
    """
    growth = (range_mm / REFERENCE_RANGE_MM) ** parameters.secondary_length_power
    length = max(10.0 * parameters.secondary_length_cm * growth, _FINE_MM)
    left = np.maximum(range_mm - _FINE_MM * (np.arange(len(reactions)) + 0.5), 0.0)
    # a sum of cells: exp(-x/length) at the middles of the cells that are left, made to sum to 1
    cells = np.maximum(np.ceil(left / _FINE_MM), 1.0)
    fall = np.exp(-_FINE_MM / length)
    source = reactions * (1.0 - fall) / (1.0 - fall**cells)
    # spread[i] = fall * spread[i - 1] + source[i], as a matrix of two diagonals
    diagonals = np.vstack([np.ones(len(source)), np.full(len(source), -fall)])
    spread = solve_banded((1, 0), diagonals, source)
    return np.asarray(np.where(left > 0.0, spread, 0.0))


def peak_depth(depth: Floats, dose: Floats) -> float:
    """Depth of the largest dose of a sampled curve, mm, refined by a parabola."""
    top = int(np.clip(np.argmax(dose), 1, len(dose) - 2))
    before, here, after = dose[top - 1 : top + 2]
    bend = before - 2.0 * here + after
    shift = 0.0 if bend == 0.0 else 0.5 * (before - after) / bend
    return float(depth[top] + shift * (depth[1] - depth[0]))


def distal_depth(depth: Floats, dose: Floats, level: float) -> float:
    """Depth in mm behind the peak at which a sampled curve falls to `level` (0..1) of its maximum."""
    top = int(np.argmax(dose))
    wanted = level * dose[top]
    after = top + int(np.argmax(dose[top:] < wanted))
    step = (dose[after - 1] - wanted) / (dose[after - 1] - dose[after])
    return float(depth[after - 1] + step * (depth[after] - depth[after - 1]))
