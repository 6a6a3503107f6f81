"""Spot weights that minimise a sum of objectives within bounds: projected quasi-Newton (L-BFGS-B).

Byrd, Lu, Nocedal, Zhu (1995), as in scipy. It stops when the objective no longer falls, not at a count.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from common.errors import BadInput
from tps_engine.dose.engine import Influence
from tps_engine.optimise import products
from tps_engine.optimise.objectives import Objective, check, total

Floats = NDArray[np.float64]

_WINDOW = 8
_MOST = 1000


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
    report: Callable[[int, float], None] | None = None,
) -> Solution:
    """Minimise the objectives of dose = matrix @ weights, with lower <= weights <= upper (spots,).

    Converged when the objective has fallen by less than `tolerance` of (its value + `floor`) in the last 8
    iterations; a value well below `floor` is as good as none. report(iteration, value) is called after
    each. Raises BadInput for an objective without voxels or bounds that contradict each other.
    """
    check(objectives, matrix.voxels)
    lower, upper = bounds
    if (lower > upper).any():
        raise BadInput("bounds of spot weights contradict each other: lower above upper")
    values: list[float] = []
    # unit steps in scaled weights are steps of comparable dose
    unit = max(float(np.mean(start[start > 0.0])), 1e-6) if (start > 0.0).any() else 1.0
    state = _State(matrix, objectives, unit)

    def after(intermediate_result: object) -> None:
        values.append(float(getattr(intermediate_result, "fun", np.nan)) * state.size)
        if report is not None:
            report(len(values), values[-1])
        if len(values) > _WINDOW and values[-1 - _WINDOW] - values[-1] < tolerance * (values[-1] + floor):
            state.converged = True
            raise StopIteration

    found = minimize(
        state.value,
        np.clip(start, lower, upper) / unit,
        jac=True,
        method="L-BFGS-B",
        bounds=np.column_stack([lower, upper]) / unit,
        callback=after,
        options={"maxiter": _MOST, "maxfun": 2 * _MOST, "maxcor": 12, "ftol": 0.0, "gtol": 1e-7},
    )
    weights = np.clip(np.asarray(found.x) * unit, lower, upper)
    return Solution(
        weights, products.dose(matrix, weights), tuple(values), state.converged or bool(found.success)
    )


class _State:
    """The function that the minimiser calls, in scaled weights and scaled values."""

    def __init__(self, matrix: Influence, objectives: tuple[Objective, ...], unit: float) -> None:
        self.matrix, self.objectives, self.unit = matrix, objectives, unit
        self.size = 0.0
        self.converged = False

    def value(self, scaled: Floats) -> tuple[float, Floats]:
        """Objective and its gradient by scaled weights; the first value is taken as 1."""
        dose = products.dose(self.matrix, scaled * self.unit)
        value, slope = total(self.objectives, dose)
        if self.size == 0.0:
            self.size = value if value > 0.0 else 1.0
        return value / self.size, products.back(self.matrix, slope) * (self.unit / self.size)
