"""Measured against planned spot positions in the isocentric plane."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tps_engine.evaluate.delivered import DeliveredBeam

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BeamCentroids:
    """One beam: measured - planned position of each spot, mm. NaN where a spot got no beam.

    dx, dy: (n,). absolute: (n,) length of (dx, dy). relative: (n,) the same after the mean deviation of
    the spot's layer (weighted by MU) is taken off: what is left when a layer is shifted as a whole.
    """

    number: int
    dx: Floats
    dy: Floats
    absolute: Floats
    relative: Floats

    @property
    def max_mm(self) -> float:
        """Largest absolute deviation, mm; 0 when no spot got beam."""
        return _largest(self.absolute)

    @property
    def max_relative_mm(self) -> float:
        """Largest deviation relative to the layer, mm."""
        return _largest(self.relative)


def _largest(values: Floats) -> float:
    return float(np.nanmax(values)) if np.isfinite(values).any() else 0.0


def compare_beam(beam: DeliveredBeam) -> BeamCentroids:
    """Deviations of one beam."""
    dx, dy = beam.x - beam.planned_x, beam.y - beam.planned_y
    relative = np.hypot(dx - _layer_mean(beam, dx), dy - _layer_mean(beam, dy))
    return BeamCentroids(beam.number, dx, dy, np.hypot(dx, dy), relative)


def _layer_mean(beam: DeliveredBeam, deviation: Floats) -> Floats:
    """(n,) mean deviation, weighted by MU, of the layer that each spot lies in."""
    moment = np.where(beam.hit, np.nan_to_num(deviation) * beam.mu, 0.0)
    total = np.bincount(beam.layer, moment, len(beam.energies))
    weight = np.bincount(beam.layer, beam.mu, len(beam.energies))
    mean: Floats = total / np.where(weight > 0, weight, np.nan)
    return mean[beam.layer]


def compare(beams: Sequence[DeliveredBeam]) -> tuple[BeamCentroids, ...]:
    """Deviations of all beams."""
    return tuple(compare_beam(beam) for beam in beams)


def mean_mm(beams: Sequence[BeamCentroids]) -> float:
    """Mean absolute deviation of all spots that got beam, mm; 0 when none did."""
    values = np.concatenate([beam.absolute[np.isfinite(beam.absolute)] for beam in beams])
    return float(values.mean()) if values.size else 0.0
