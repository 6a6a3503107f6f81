"""Spot weights that minimise objectives within bounds; it stops when the objective no longer falls."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tps_engine.dose.engine import Influence
from tps_engine.optimise import products
from tps_engine.optimise.functions import Function, Local, near, on_dose
from tps_engine.optimise.lbfgs import Descent, Evaluate, descend
from tps_engine.optimise.objectives import Objective

Floats = NDArray[np.float64]
Report = Callable[[int, float], None]

_WIDEST, _NARROWING, _NARROWEST = 0.25, 0.6, 0.03
"""By what part of the largest dose a voxel may be below a level and still be looked at: first, and later."""


@dataclass(frozen=True)
class Solution:
    """weights: (spots,) MU. dose: (voxels,) Gy of these weights. values: objective after each iteration."""

    weights: Floats = field(repr=False)
    dose: Floats = field(repr=False)
    values: tuple[float, ...] = field(repr=False)
    converged: bool


class _Nearer:
    """What costs least near the weights of the moment; the margin of doses narrows as the weights settle."""

    def __init__(self, function: Function) -> None:
        self.function, self.margin, self.last = function, _WIDEST, np.nan

    def __call__(self, weights: Floats) -> Evaluate:
        made = near(self.function, weights, self.margin)
        self.margin = max(self.margin * _NARROWING, _NARROWEST)
        return made.evaluate


def minimise(
    matrix: Influence,
    objectives: tuple[Objective, ...],
    start: Floats,
    bounds: tuple[Floats, Floats],
    tolerance: float = 1e-2,
    floor: float = 0.0,
    report: Report | None = None,
    enough: float = -np.inf,
) -> Solution:
    """Minimise the objectives of dose = matrix @ weights, with lower <= weights <= upper (spots,).

    start: any weights, those of an earlier plan too. Converged when the objective has fallen by less than
    `tolerance` of (its value + `floor`) in the last 8 iterations, or is `enough` or less; a value well below
    `floor` is as good as none. report(iteration, value) is called after each. Raises BadInput for an
    objective without voxels or bounds that contradict each other.
    """
    function = on_dose(matrix, objectives)
    found = solve(function, start, bounds, tolerance, floor, report, enough)
    return Solution(found.weights, products.dose(matrix, found.weights), found.values, found.converged)


def solve(
    function: Function,
    start: Floats,
    bounds: tuple[Floats, Floats],
    tolerance: float = 1e-2,
    floor: float = 0.0,
    report: Report | None = None,
    enough: float = -np.inf,
) -> Descent:
    """Minimise any function of weights; arguments as `minimise`, errors as `lbfgs.descend`.

    On the way it looks at the voxels that matter alone, by packed matrices, and reports those values;
    it ends on the function itself.
    """
    nearer = _Nearer(function) if isinstance(function, Local) else None
    return descend(
        function.evaluate, start, bounds, tolerance, floor, report=report, nearer=nearer, enough=enough
    )
