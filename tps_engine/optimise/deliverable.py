"""From ideal weights to metersets that the machine can deliver."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tps_engine.optimise.lbfgs import Descent

Floats = NDArray[np.float64]
Minimise = Callable[[Floats, tuple[Floats, Floats], float], Descent]
"""Minimises a function of weights from a start, within (lower, upper) bounds, to a tolerance."""

_DROP = (0.25, 0.6)
"""Spots below this part of the smallest meterset are dropped in the first and second pass."""
_ROUGH, _FINE = 3e-2, 1e-2
"""Tolerances of the first pass and of the others."""


def deliver(minimise: Minimise, start: Floats, limits: tuple[float, float]) -> Descent:
    """Optimise so that every spot is either off or within limits (smallest, largest) MU.

    First without the smallest meterset; then twice: spots far below it are switched off, the others are
    kept at or above it, and all are optimised again.
    """
    smallest, largest = limits
    top = np.full(len(start), largest)
    found = minimise(start, (np.zeros(len(start)), top), _ROUGH)
    for part in _DROP:
        keep = found.weights >= part * smallest
        upper = np.where(keep, top, 0.0)
        last = part == _DROP[-1]
        lower = np.where(keep & last, smallest, 0.0)
        found = minimise(np.clip(found.weights, lower, upper), (lower, upper), _FINE)
    return found


def touch_up(minimise: Minimise, weights: Floats, limits: tuple[float, float]) -> Descent:
    """Optimise deliverable weights once more: spots that are off stay off, the others within limits."""
    on = weights > 0.0
    lower, upper = np.where(on, limits[0], 0.0), np.where(on, limits[1], 0.0)
    return minimise(np.clip(weights, lower, upper), (lower, upper), _FINE)


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
