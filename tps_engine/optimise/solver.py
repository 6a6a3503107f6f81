"""Spot weights that minimise objectives within bounds; it stops when the objective no longer falls."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tps_engine.dose.engine import Influence
from tps_engine.optimise import products
from tps_engine.optimise.functions import Function, on_dose
from tps_engine.optimise.lbfgs import Descent, descend
from tps_engine.optimise.objectives import Objective

Floats = NDArray[np.float64]
Report = Callable[[int, float], None]


@dataclass(frozen=True)
class Solution:
    """weights: (spots,) MU. dose: (voxels,) Gy of these weights. values: objective after each iteration."""

    weights: Floats = field(repr=False)
    dose: Floats = field(repr=False)
    values: tuple[float, ...] = field(repr=False)
    converged: bool


def minimise(
    matrix: Influence,
    objectives: tuple[Objective, ...],
    start: Floats,
    bounds: tuple[Floats, Floats],
    tolerance: float = 1e-2,
    floor: float = 0.0,
    report: Report | None = None,
) -> Solution:
    """Minimise the objectives of dose = matrix @ weights, with lower <= weights <= upper (spots,).

    start: any weights, those of an earlier plan too. Converged when the objective has fallen by less than
    `tolerance` of (its value + `floor`) in the last 8 iterations; a value well below `floor` is as good as
    none. report(iteration, value) is called after each. Raises BadInput for an objective without voxels or
    bounds that contradict each other.
    """
    function = on_dose(matrix, objectives)
    found = solve(function, start, bounds, tolerance, floor, report)
    return Solution(found.weights, products.dose(matrix, found.weights), found.values, found.converged)


def solve(
    function: Function,
    start: Floats,
    bounds: tuple[Floats, Floats],
    tolerance: float = 1e-2,
    floor: float = 0.0,
    report: Report | None = None,
) -> Descent:
    """Minimise any function of weights; arguments as `minimise`, errors as `lbfgs.descend`."""
    return descend(function.evaluate, start, bounds, tolerance, floor, report=report)
