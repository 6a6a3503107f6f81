"""Projected quasi-Newton descent within bounds.

Two-metric projection (Bertsekas, SIAM J Control Optim 20 (1982) 221) with the limited-memory direction of
Nocedal (Math Comp 35 (1980) 773) over the weights that are free: those at a bound that the gradient holds
there stay out of the direction. One evaluation an iteration as a rule.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _

Floats = NDArray[np.float64]
Evaluate = Callable[[Floats], tuple[float, Floats]]

_PAIRS = 16
_SUFFICIENT = 1e-4
_TRIALS = 25
_WINDOW = 8
_STALL = 1e-6


@dataclass(frozen=True)
class Descent:
    """weights, value and gradient at the end; values after each iteration; evaluations of the function."""

    weights: Floats = field(repr=False)
    value: float
    gradient: Floats = field(repr=False)
    values: tuple[float, ...] = field(repr=False)
    converged: bool
    evaluations: int


@njit(nogil=True, cache=True, fastmath=True)
def _dot(first, second, free):  # type: ignore[no-untyped-def]
    total = 0.0
    for k in range(len(free)):
        total += free[k] * first[k] * second[k]
    return total


@njit(nogil=True, cache=True, fastmath=True)
def _add(out, factor, other, free):  # type: ignore[no-untyped-def]
    for k in range(len(free)):
        out[k] += factor * free[k] * other[k]


@njit(nogil=True, cache=True)
def _direction(steps, changes, count, newest, free, out, factors):  # type: ignore[no-untyped-def]
    """Turn minus the gradient in `out` into the quasi-Newton direction; False where no pair is of use.

    free: (n,) 1.0 where a weight may move and 0.0 where not. Plain loops: a vector this short costs a
    threaded library more than the sums.
    """
    scale = 0.0
    for back in range(count):
        row = (newest - back) % len(steps)
        product = _dot(steps[row], changes[row], free)
        square = _dot(changes[row], changes[row], free)
        factors[row, 0] = 0.0
        if product > 1e-12 * square:
            factors[row, 0] = 1.0 / product
            factors[row, 1] = _dot(steps[row], out, free) / product
            scale = scale or product / square
            _add(out, -factors[row, 1], changes[row], free)
    out *= scale
    for back in range(count - 1, -1, -1):
        row = (newest - back) % len(steps)
        if factors[row, 0] > 0.0:
            along = _dot(changes[row], out, free)
            _add(out, factors[row, 1] - along * factors[row, 0], steps[row], free)
    return scale > 0.0


class _Memory:
    """The last pairs of step and change of gradient."""

    def __init__(self, size: int) -> None:
        self.steps, self.changes = np.zeros((_PAIRS, size)), np.zeros((_PAIRS, size))
        self.factors = np.zeros((_PAIRS, 2))
        self.count, self.newest = 0, -1

    def add(self, step: Floats, change: Floats) -> None:
        ones = np.ones(len(step))
        square = float(_dot(step, step, ones)) * float(_dot(change, change, ones))
        if float(_dot(step, change, ones)) > 1e-10 * float(np.sqrt(square)):
            self.newest = (self.newest + 1) % _PAIRS
            self.steps[self.newest], self.changes[self.newest] = step, change
            self.count = min(self.count + 1, _PAIRS)

    def direction(self, free: NDArray[np.bool_], gradient: Floats, unit: float) -> Floats:
        mask = free.astype(np.float64)
        slope = gradient * mask
        out = -slope
        known = self.count > 0 and _direction(
            self.steps, self.changes, self.count, self.newest, mask, out, self.factors
        )
        if known and float(_dot(out, slope, mask)) < 0.0:
            return out
        self.count = 0
        length = float(np.sqrt(np.mean(slope * slope)))
        return -slope * (0.1 * unit / length) if length > 0.0 else np.zeros_like(slope)


def descend(
    evaluate: Evaluate,
    start: Floats,
    bounds: tuple[Floats, Floats],
    tolerance: float,
    floor: float = 0.0,
    most: int = 1000,
    report: Callable[[int, float], None] | None = None,
) -> Descent:
    """Minimise a function of weights within bounds (lower, upper), each (n,), from `start`.

    Converged when the value has fallen by less than `tolerance` of (|value| + floor) in the last 8
    iterations, or when no step within the accuracy of the function lowers it. `most` iterations is a guard,
    reported as not converged. Raises BadInput for bounds that contradict each other, or a function that is
    no number.
    """
    lower, upper = bounds
    if (lower > upper).any():
        raise BadInput(_("bounds of spot weights contradict each other: lower above upper"))
    weights = np.clip(np.asarray(start, dtype=np.float64), lower, upper)
    unit = max(float(np.mean(weights[weights > 0.0])), 1e-6) if (weights > 0.0).any() else 1.0
    value, gradient = _checked(evaluate(weights))
    memory, values, evaluations, converged = _Memory(len(weights)), [value], 1, False
    while len(values) <= most and not converged:
        edge = 1e-9 * unit
        held = ((weights <= lower + edge) & (gradient > 0.0)) | ((weights >= upper - edge) & (gradient < 0.0))
        direction = memory.direction(~held, gradient, unit)
        found = _search(evaluate, weights, value, gradient, direction, bounds)
        evaluations += found.trials
        if found.weights is None:
            if memory.count == 0:
                converged = found.promised <= _STALL * (abs(value) + floor) + 1e-300
                break
            memory.count = 0
            continue
        memory.add(found.weights - weights, found.gradient - gradient)
        weights, value, gradient = found.weights, found.value, found.gradient
        values.append(value)
        if report is not None:
            report(len(values) - 1, value)
        if len(values) > _WINDOW:
            converged = values[-1 - _WINDOW] - value <= tolerance * (abs(value) + floor)
    return Descent(weights, value, gradient, tuple(values[1:]) or (value,), converged, evaluations)


@dataclass(frozen=True)
class _Found:
    weights: Floats | None
    value: float
    gradient: Floats
    trials: int
    promised: float


def _search(
    evaluate: Evaluate,
    weights: Floats,
    value: float,
    gradient: Floats,
    direction: Floats,
    bounds: tuple[Floats, Floats],
) -> _Found:
    """The first point along the projected direction that lowers the value enough (Armijo)."""
    step, promised = 1.0, 0.0
    for trial in range(1, _TRIALS + 1):
        there = np.clip(weights + step * direction, *bounds)
        fall = float(np.sum(gradient * (there - weights)))
        promised = max(promised, -fall)
        if fall >= 0.0:
            return _Found(None, value, gradient, trial - 1, promised)
        new, slope = _checked(evaluate(there))
        if new <= value + _SUFFICIENT * fall:
            return _Found(there, new, slope, trial, promised)
        parabola = -0.5 * fall / max(new - value - fall, 1e-300)
        step *= min(max(parabola, 0.1), 0.5)
    return _Found(None, value, gradient, _TRIALS, promised)


def _checked(found: tuple[float, Floats]) -> tuple[float, Floats]:
    if not np.isfinite(found[0]):
        raise BadInput(_("the objective is no number: check levels, matrices and weights"))
    return found
