"""The hardware's own checks of each spot. Each alone ends the delivery."""

from dataclasses import dataclass

import numpy as np

from simulation.fpga.counting import Shown
from simulation.fpga.model import INDEPENDENT_PRESET, Model
from simulation.fpga.rows import Rows
from simulation.fpga.run import Floats
from simulation.fpga.spotmap import SpotMap

SPOTS_IN_MEAN = 10
"""Spots that a mean position needs before others are compared with it."""

MISMATCH_QUANTUM = 5
"""Counts by which two monitors may differ whatever the size of the spot."""


@dataclass(frozen=True)
class Violation:
    """`input`: the interlock input that goes bad, at `tick`; `position`: place among the spots looked at."""

    input: str
    tick: int
    position: int


@dataclass
class History:
    """Sums along a map: deviations in mm of ended spots, and the beam's secondary counts."""

    x: float = 0.0
    y: float = 0.0
    spots: int = 0
    beam_secondary: int = 0

    def add(self, spots: SpotMap, seen: Shown, ended: int, counted: int) -> None:
        """Take note of what was committed: the first `ended` spots have ended, `counted` were counted."""
        self.x += float(np.sum(seen.x[:ended] - spots.x[seen.index[:ended]]))
        self.y += float(np.sum(seen.y[:ended] - spots.y[seen.index[:ended]]))
        self.spots += ended
        self.beam_secondary += int(np.sum(seen.secondary[:counted]))


def first_violation(
    model: Model, spots: SpotMap, rows: Rows, seen: Shown, history: History
) -> Violation | None:
    """The earliest spot out of tolerance, and the check it fails first in the order of the table below."""
    if not len(seen.index):
        return None
    index, limit = seen.index, model.tolerance
    primary = rows["primary"][index] + seen.primary
    secondary = rows["secondary"][index] + seen.secondary
    beam = history.beam_secondary + np.cumsum(seen.secondary)
    dx, dy = seen.x - spots.x[index], seen.y - spots.y[index]
    shift = np.maximum(_from_mean(dx, history.x, history.spots), _from_mean(dy, history.y, history.spots))
    size = np.maximum(
        np.abs(seen.size_x / spots.size_x[index] - 1.0), np.abs(seen.size_y / spots.size_y[index] - 1.0)
    )
    difference = np.abs(primary - secondary) - MISMATCH_QUANTUM
    table = (
        ("monitor.overdose", beam > INDEPENDENT_PRESET * spots.preset.sum()),
        ("monitor.mismatch", difference > limit["secondary_relative"] * np.maximum(primary, secondary)),
        # Within the limit, not beyond it, is what is asked: a position or size that is not a number is out.
        ("spot.position", ~(np.maximum(np.abs(dx), np.abs(dy)) <= limit["position_absolute_mm"])),
        ("spot.position", ~(shift <= limit["position_relative_mm"])),
        ("spot.size", ~(size <= limit["size_relative"])),
    )
    found = [(int(np.argmax(bad)), name) for name, bad in table if bad.any()]
    if not found:
        return None
    position, name = min(found, key=lambda entry: entry[0])
    return Violation(name, int(seen.end[position]), position)


def _from_mean(deviation: Floats, before: float, count: int) -> Floats:
    """Distance of each deviation from the mean of those of the spots before it, 0 for the first few."""
    sums = before + np.concatenate(([0.0], np.cumsum(deviation)[:-1]))
    counts = count + np.arange(len(deviation))
    mean = np.divide(sums, counts, out=deviation.copy(), where=counts >= SPOTS_IN_MEAN)
    return np.abs(deviation - mean)
