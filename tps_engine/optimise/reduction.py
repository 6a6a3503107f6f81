"""Fewer layers and fewer spots for nearly the same plan."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.optimise.functions import Function
from tps_engine.optimise.objectives import Floats
from tps_engine.optimise.solver import solve

_REFUSALS = 3
_HALVINGS = 5


@dataclass(frozen=True)
class Reduced:
    """weights: (spots,) MU, 0 where dropped. value, reference: objective after and before.

    kept: (spots,) which may be on. dropped: numbers of the layers dropped, in order (none for spots).
    """

    weights: Floats = field(repr=False)
    value: float
    reference: float
    kept: NDArray[np.bool_] = field(repr=False)
    dropped: tuple[int, ...] = ()


def reduce_layers(
    function: Function,
    weights: Floats,
    group: NDArray[np.int64],
    upper: Floats,
    loss: float,
    tolerance: float = 1e-2,
    floor: float = 0.0,
    report: Callable[[int, float], None] | None = None,
) -> Reduced:
    """Drop layers, cheapest first, while the objective stays within (1 + loss) of its value (+ loss x floor).

    weights: optimised metersets; group: (spots,) layer number of each spot; upper: (spots,) bound. The cost
    of a layer is first taken as the rise of the objective when it is switched off and nothing else moves;
    then the rest is optimised again, from where it was. Stops after three layers in turn could not go.
    report(layers dropped, objective) after each. Raises BadInput for a loss below 0.
    """
    _check(loss, weights, group)
    best = _optimised(function, weights, weights > -1.0, upper, tolerance, floor)
    allowed = best.value + loss * (best.value + floor)
    dropped: list[int] = []
    refused: set[int] = set()
    in_turn = 0
    while in_turn < _REFUSALS:
        candidates = [int(k) for k in np.unique(group[best.kept]) if int(k) not in refused]
        if len(candidates) < 2:
            break
        costs = [function.evaluate(np.where(group == layer, 0.0, best.weights))[0] for layer in candidates]
        layer = candidates[int(np.argmin(costs))]
        kept = best.kept & (group != layer)
        tried = _optimised(function, best.weights, kept, upper, tolerance, floor)
        if tried.value > allowed:
            refused.add(layer)
            in_turn += 1
            continue
        in_turn = 0
        dropped.append(layer)
        best = Reduced(tried.weights, tried.value, best.reference, kept, tuple(dropped))
        if report is not None:
            report(len(dropped), best.value)
    return best


def reduce_spots(
    function: Function,
    weights: Floats,
    upper: Floats,
    loss: float,
    tolerance: float = 1e-2,
    floor: float = 0.0,
) -> Reduced:
    """Drop as many of the weakest spots as the objective allows, as `reduce_layers`; found by halving."""
    _check(loss, weights, weights)
    best = _optimised(function, weights, weights > -1.0, upper, tolerance, floor)
    allowed = best.value + loss * (best.value + floor)
    order = np.argsort(best.weights, kind="stable")
    full = best
    low, high = int((best.weights <= 0.0).sum()), len(order)
    for _step in range(_HALVINGS):
        count = (low + high) // 2
        if count in {low, high}:
            break
        kept = np.ones(len(order), dtype=np.bool_)
        kept[order[:count]] = False
        tried = _optimised(function, full.weights, kept, upper, tolerance, floor)
        if tried.value <= allowed:
            low, best = count, Reduced(tried.weights, tried.value, full.reference, kept)
        else:
            high = count
    return best


def _optimised(
    function: Function,
    weights: Floats,
    kept: NDArray[np.bool_],
    upper: Floats,
    tolerance: float,
    floor: float,
) -> Reduced:
    top = np.where(kept, upper, 0.0)
    found = solve(function, np.minimum(weights, top), (np.zeros(len(weights)), top), tolerance, floor)
    return Reduced(found.weights, found.value, found.value, kept)


def _check(loss: float, weights: Floats, group: NDArray[np.generic]) -> None:
    if loss < 0.0:
        raise BadInput(_("the loss of objective that a reduction may cost must be 0 or more"))
    if len(group) != len(weights):
        raise BadInput(_("every spot needs the number of its layer"))
