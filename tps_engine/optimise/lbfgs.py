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
Nearer = Callable[[Floats], Evaluate]

_PAIRS = 16
_SUFFICIENT = 1e-4
_TRIALS = 25
_WINDOW = 8
_STALL = 1e-6
_NEAR, _LONGER, _LONGEST, _EXACT = 10.0, 2.0, 150.0, 12.0
"""Iterations until what is cheapest near the weights is chosen anew: at first, times what each time, at most;
and after how many on the function itself."""


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
def _three(step, change, out, free):  # type: ignore[no-untyped-def]
    """Products step . change, change . change and step . out, over the free weights."""
    product, square, along = 0.0, 0.0, 0.0
    for k in range(len(free)):
        masked = free[k] * change[k]
        product += masked * step[k]
        square += masked * change[k]
        along += step[k] * out[k]
    return product, square, along


@njit(nogil=True, cache=True, fastmath=True)
def _add(out, factor, other, free):  # type: ignore[no-untyped-def]
    for k in range(len(free)):
        out[k] += factor * free[k] * other[k]


@njit(nogil=True, cache=True)
def _direction(steps, changes, count, newest, free, out, factors):  # type: ignore[no-untyped-def]
    """Turn minus the gradient in `out` into the quasi-Newton direction; False where no pair is of use.

    free: (n,) 1.0 where a weight may move and 0.0 where not; out is 0 where not. Plain loops: a vector this
    short costs a threaded library more than the sums.
    """
    scale = 0.0
    for back in range(count):
        row = (newest - back) % len(steps)
        product, square, along = _three(steps[row], changes[row], out, free)
        factors[row, 0] = 0.0
        if product > 1e-12 * square:
            factors[row, 0] = 1.0 / product
            factors[row, 1] = along / product
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


class _Run:
    """A descent on its way: the function in use, where it is, and how far it fell in the last iterations.

    In use is what costs least near the weights, made anew from time to time, and the function itself (last)
    to decide whether the descent has converged; without `nearer` always the function itself.
    """

    def __init__(self, evaluate: Evaluate, nearer: Nearer | None, start: Floats) -> None:
        self.exact, self.nearer = evaluate, nearer
        self.memory, self.evaluations, self.bias = _Memory(len(start)), 0, 0.0
        self.period = _NEAR / _LONGER
        self.weights, self.value = start, np.nan
        self.values: list[float] = []
        self.falls = [np.inf] * _WINDOW
        self.turn(last=nearer is None)
        self.first = self.value

    def turn(self, last: bool) -> None:
        """Go to the function itself (last), or to what is cheapest near the weights now.

        What the value jumps by counts as a fall: it is yet to fall by that much, or no longer does.
        """
        self.last, self.since, before = last, 0, self.value
        # what served until now is let go first: it holds a matrix
        self.evaluate = self.exact
        if not last and self.nearer is not None:
            self.evaluate = self.nearer(self.weights)
            self.period = min(self.period * _LONGER, _LONGEST)
        self.value, self.gradient = _checked(self.evaluate(self.weights))
        self.evaluations += 1
        if self.values:
            self.bias = self.value - before if last else self.bias
            self.falls = [*self.falls[1:], abs(self.value - before)]

    def step(self, bounds: tuple[Floats, Floats], unit: float) -> "_Found":
        """One iteration; the weights of what is found are None where no step lowers the value."""
        (lower, upper), edge = bounds, 1e-9 * unit
        held = (self.weights <= lower + edge) & (self.gradient > 0.0)
        held |= (self.weights >= upper - edge) & (self.gradient < 0.0)
        direction = self.memory.direction(~held, self.gradient, unit)
        found = _search(self.evaluate, self.weights, self.value, self.gradient, direction, bounds)
        self.evaluations += found.trials
        if found.weights is not None:
            self.memory.add(found.weights - self.weights, found.gradient - self.gradient)
            self.falls = [*self.falls[1:], self.value - found.value]
            self.weights, self.value, self.gradient = found.weights, found.value, found.gradient
            self.values.append(self.value)
            self.since += 1
        return found

    @property
    def stale(self) -> bool:
        """Whether to choose anew what is cheapest."""
        return self.nearer is not None and self.since >= (_EXACT if self.last else self.period)


def descend(
    evaluate: Evaluate,
    start: Floats,
    bounds: tuple[Floats, Floats],
    tolerance: float,
    floor: float = 0.0,
    most: int = 1000,
    report: Callable[[int, float], None] | None = None,
    nearer: Nearer | None = None,
    enough: float = -np.inf,
) -> Descent:
    """Minimise a function of weights within bounds (lower, upper), each (n,), from `start`.

    Converged when the value has fallen by less than `tolerance` of (|value| + floor) in the last 8
    iterations, when it is `enough` or less, or when no step within the accuracy of the function lowers it.
    nearer: makes a cheaper function that is nearly the same near given weights. It serves in place of the
    function, made anew after 10 iterations and then less and less often; whether the descent has converged
    the function itself decides. `most` iterations is a guard, reported as not converged. Raises BadInput for
    bounds that contradict each other, or a function that is no number.
    """
    lower, upper = bounds
    if (lower > upper).any():
        raise BadInput(_("bounds of spot weights contradict each other: lower above upper"))
    begin = np.clip(np.asarray(start, dtype=np.float64), lower, upper)
    unit = max(float(np.mean(begin[begin > 0.0])), 1e-6) if (begin > 0.0).any() else 1.0
    run, converged = _Run(evaluate, nearer, begin), False
    while len(run.values) < most and not converged:
        found = run.step(bounds, unit)
        stuck = found.weights is None and run.memory.count == 0
        if found.weights is None:
            run.memory.count = 0
        elif report is not None:
            report(len(run.values), run.value)
        scale = abs(run.value) + floor
        settled = sum(run.falls) <= tolerance * scale or run.value + run.bias * (not run.last) <= enough
        if run.last and (settled or stuck):
            converged = settled or found.promised <= _STALL * scale + 1e-300
            break
        if settled or stuck or run.stale:
            run.turn(last=settled or stuck)
            converged = run.last and run.value <= enough
    values = tuple(run.values) or (run.first,)
    return Descent(run.weights, run.value, run.gradient, values, converged, run.evaluations)


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
