"""From ideal weights to metersets that the machine can deliver."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tps_engine.dose.engine import Influence
from tps_engine.optimise.objectives import Objective
from tps_engine.optimise.solver import Floats, Solution, minimise

_DROP = (0.25, 0.6)
"""Spots below this part of the smallest meterset are dropped in the first and second pass."""


def deliver(
    matrix: Influence,
    objectives: tuple[Objective, ...],
    start: Floats,
    limits: tuple[float, float],
    floor: float = 0.0,
    report: Callable[[int, float], None] | None = None,
) -> Solution:
    """Optimise so that every spot is either off or within limits (smallest, largest) MU.

    First without the smallest meterset; then twice: spots far below it are switched off, the others are
    kept at or above it, and all are optimised again. floor: as in `minimise`.
    """
    smallest, largest = limits
    zero = np.zeros(matrix.spots)
    top = np.full(matrix.spots, largest)
    solution = minimise(matrix, objectives, start, (zero, top), tolerance=3e-2, floor=floor, report=report)
    for part in _DROP:
        keep = solution.weights >= part * smallest
        upper = np.where(keep, top, 0.0)
        last = part == _DROP[-1]
        lower = np.where(keep & last, smallest, 0.0)
        begin = np.clip(solution.weights, lower, upper)
        solution = minimise(matrix, objectives, begin, (lower, upper), floor=floor, report=report)
    return solution


def settle(mu: Floats, factor: float, limits: tuple[float, float]) -> NDArray[np.float32]:
    """Metersets times a factor, spots that are on kept within limits (smallest, largest), as float32.

    float32 is what a plan carries; no value falls below the smallest by rounding.
    """
    smallest, largest = limits
    scaled = np.where(mu > 0.0, np.clip(mu * factor, smallest, largest), 0.0)
    narrow = scaled.astype(np.float32)
    low = (narrow > 0.0) & (narrow.astype(np.float64) < smallest)
    narrow[low] = np.nextafter(narrow[low], np.float32(np.inf))
    return narrow
