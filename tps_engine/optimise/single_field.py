"""Single-field uniform dose: every field optimised alone to its share of the dose."""

from collections.abc import Sequence

import numpy as np

from common.errors import BadInput
from common.text import _
from tps_engine.dose.engine import Influence, side_by_side
from tps_engine.optimise import products
from tps_engine.optimise.functions import on_dose
from tps_engine.optimise.objectives import Floats, Objective
from tps_engine.optimise.solver import Report, Solution, solve


def single_field_uniform(
    fields: Sequence[Influence],
    objectives: tuple[Objective, ...],
    starts: Sequence[Floats],
    upper: Sequence[Floats],
    shares: Sequence[float] | None = None,
    tolerance: float = 1e-2,
    floor: float = 0.0,
    report: Report | None = None,
) -> Solution:
    """Weights of all fields, one after the other; each alone gives its share of the dose that is asked for.

    fields: a matrix each, of the same voxels. shares: parts of the dose, equal ones by default; each field is
    optimised as if it gave the whole dose, and its weights are then scaled by its share. upper: bounds of
    the scaled weights. Raises BadInput for shares that do not sum to 1.
    """
    parts = tuple(shares) if shares is not None else (1.0 / len(fields),) * len(fields)
    if len(parts) != len(fields) or min(parts) <= 0.0 or abs(sum(parts) - 1.0) > 1e-6:
        raise BadInput(_("each field needs a share above 0 of the dose, together 1"))
    weights, values, converged = [], [], True
    for matrix, start, top, part in zip(fields, starts, upper, parts, strict=True):
        function = on_dose(matrix, objectives, factor=1.0 / part)
        found = solve(function, start * part, (np.zeros(matrix.spots), top), tolerance, floor, report)
        weights.append(found.weights)
        values += list(found.values)
        converged = converged and found.converged
    together = np.concatenate(weights)
    return Solution(together, products.dose(side_by_side(fields), together), tuple(values), converged)
