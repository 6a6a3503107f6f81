"""Plans between which to choose: a Pareto surface, and the way along it.

The surface is built by the sandwich method: each plan minimises a weighted sum of the criteria; the convex
hull of the plans bounds the surface from above, the weighted sums from below, and the next sum is taken
where the two lie farthest apart (Bokrantz and Forsgren, INFORMS J Comput 25 (2013) 377). Navigation mixes
plans: for convex criteria a mixture of plans is at least as good as the mixture of their values
(Monz et al., Phys Med Biol 53 (2008) 985).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from common.errors import BadInput
from common.text import _
from tps_engine.optimise.functions import Function, Sum, same_spots
from tps_engine.optimise.objectives import Floats
from tps_engine.optimise.solver import solve

_OTHERS = 0.01
"""Weight of the other criteria in the anchor plan of one, so that it is not needlessly bad in them."""

_LATTICE = 8


@dataclass(frozen=True)
class Criterion:
    """A convex function to trade against others, and what it is called."""

    name: str
    function: Function = field(repr=False)


@dataclass(frozen=True)
class Surface:
    """plans: (p, spots) MU. values: (p, k) of the k criteria. factors: (p, k) weights of each plan's sum.

    gap: the largest distance left between the bounds, as a part of the criteria's ranges.
    """

    names: tuple[str, ...]
    plans: Floats = field(repr=False)
    values: Floats = field(repr=False)
    factors: Floats = field(repr=False)
    gap: float

    @property
    def ideal(self) -> Floats:
        """(k,) the least value of each criterion."""
        return np.asarray(self.values.min(axis=0))

    @property
    def ranges(self) -> Floats:
        """(k,) from the least to the greatest value."""
        return np.asarray(np.maximum(np.ptp(self.values, axis=0), 1e-12))


@dataclass(frozen=True)
class Choice:
    """weights: (spots,) MU. shares: (p,) of the surface's plans. values: (k,) bounds from above."""

    weights: Floats = field(repr=False)
    shares: Floats
    values: Floats


def surface(
    criteria: tuple[Criterion, ...],
    start: Floats,
    bounds: tuple[Floats, Floats],
    plans: int = 15,
    gap: float = 0.03,
    tolerance: float = 1e-2,
    floor: float = 0.0,
    report: Callable[[int, float], None] | None = None,
) -> Surface:
    """Anchor plans of two or more criteria, then plans where the surface is known least, `plans` at most.

    Stops when the gap is below `gap`. Each plan starts from the one that is nearest in its sum.
    tolerance, floor: as `solver.minimise`. report(plans, gap). Raises BadInput for fewer than two criteria
    or fewer plans than criteria.
    """
    count = len(criteria)
    if count < 2 or plans < count:
        raise BadInput(_("a Pareto surface needs two criteria or more, and a plan or more for each"))
    functions = tuple(criterion.function for criterion in criteria)
    same_spots(functions)
    scale = np.array([max(function.evaluate(start)[0], 1e-9) for function in functions])
    # each criterion in units of the start first, then in units of its range on the surface
    factors = [(np.full(count, _OTHERS) + (1.0 - _OTHERS) * np.eye(count)[k]) / scale for k in range(count)]
    found: list[Floats] = []
    for factor in factors:
        found.append(solve(Sum(functions, tuple(factor)), start, bounds, tolerance, floor).weights)
    values = [_values(functions, weights) for weights in found]
    left = np.inf
    while True:
        known = Surface(
            tuple(criterion.name for criterion in criteria),
            np.array(found),
            np.array(values),
            np.array(factors),
            left,
        )
        direction, left = _farthest(known)
        if report is not None:
            report(len(found), left)
        if left <= gap or len(found) >= plans:
            return Surface(known.names, known.plans, known.values, known.factors, left)
        begin = found[int(np.argmin(known.values @ direction))]
        weights = solve(Sum(functions, tuple(direction)), begin, bounds, tolerance, floor).weights
        found.append(weights)
        values.append(_values(functions, weights))
        factors.append(direction)


def navigate(known: Surface, wish: Floats, limits: Floats | None = None) -> Choice:
    """The mixture of plans that comes nearest to a wish (k,), with no criterion above its limit (k,).

    Nearest: the largest excess over the wish, in parts of the ranges, is least; among equals the sum
    of all criteria. Raises BadInput naming the criterion whose limit no mixture keeps.
    """
    if np.shape(wish) != (len(known.names),) or (limits is not None and np.shape(limits) != np.shape(wish)):
        raise BadInput(_("a wish and limits need one value for each of the criteria: {names}").format(
            names=", ".join(known.names)))  # fmt: skip
    plans, count = len(known.plans), len(known.names)
    unit = known.values / known.ranges
    above = np.hstack([unit.T, -np.ones((count, 1))])
    rows, right = [above], [np.asarray(wish) / known.ranges]
    if limits is not None:
        reachable(known, limits)
        rows.append(np.hstack([unit.T, np.zeros((count, 1))]))
        right.append(np.asarray(limits) / known.ranges + 1e-9)
    cost = np.r_[1e-4 * unit.sum(axis=1), 1.0]
    result = linprog(
        cost,
        A_ub=np.vstack(rows),
        b_ub=np.concatenate(right),
        A_eq=np.r_[np.ones(plans), 0.0][None],
        b_eq=[1.0],
        bounds=[(0.0, 1.0)] * plans + [(None, None)],
        method="highs",
    )
    if not result.success:
        raise BadInput(_("these limits cannot be kept together: relax one of {names}").format(
            names=", ".join(known.names)))  # fmt: skip
    shares = np.asarray(result.x[:plans])
    return Choice(shares @ known.plans, shares, shares @ known.values)


def reachable(known: Surface, limits: Floats) -> Floats:
    """(k,) the least value of each criterion while the others keep their limits (k,): the sliders' ends.

    Raises BadInput naming the first criterion whose limit cannot be kept, alone or with those before it.
    """
    unit, right = (known.values / known.ranges).T, np.asarray(limits) / known.ranges + 1e-9
    for k, name in enumerate(known.names):
        least = _least(unit, right, k, np.arange(k))
        if least > right[k] + 1e-6:
            raise BadInput(
                _(
                    "no plan keeps {name} at or below {limit}: {least} is the least with the other limits"
                ).format(name=name, limit=f"{limits[k]:.4g}", least=f"{least * known.ranges[k]:.4g}")
            )
    count = len(known.names)
    found = [_least(unit, right, k, np.delete(np.arange(count), k)) for k in range(count)]
    return np.array(found) * known.ranges


def _least(unit: Floats, right: Floats, k: int, kept: NDArray[np.int64]) -> float:
    """The least value of criterion k where the limits `kept` hold; infinite where they cannot."""
    plans = unit.shape[1]
    result = linprog(
        unit[k], A_ub=unit[kept], b_ub=right[kept], A_eq=np.ones((1, plans)), b_eq=[1.0], method="highs"
    )
    return float(result.fun) if result.success else np.inf


def _values(functions: tuple[Function, ...], weights: Floats) -> Floats:
    return np.array([function.evaluate(weights)[0] for function in functions])


def _farthest(known: Surface) -> tuple[Floats, float]:
    """The weights (k,) of a sum whose bounds lie farthest apart, and by how much, in parts of the ranges."""
    unit = (known.values - known.ideal) / known.ranges
    cuts = known.factors * known.ranges
    cuts /= cuts.sum(axis=1, keepdims=True)
    best, apart = np.full(len(known.names), 1.0 / len(known.names)), 0.0
    for direction in _simplex(len(known.names)):
        upper = float((unit @ direction).min())
        result = linprog(
            direction, A_ub=-cuts, b_ub=-np.einsum("ij,ij->i", cuts, unit), bounds=(0.0, None), method="highs"
        )
        if result.success and upper - float(result.fun) > apart:
            best, apart = direction, upper - float(result.fun)
    return best / known.ranges, apart


def _simplex(count: int) -> Floats:
    """Lattice of weights (n, k) above 0 that sum to 1; coarser for more criteria."""
    steps = max(_LATTICE * 3 // count, count + 1)
    grid = np.stack(np.meshgrid(*[np.arange(steps + 1)] * (count - 1), indexing="ij"), axis=-1)
    grid = grid.reshape(-1, count - 1)
    inside = grid[grid.sum(axis=1) <= steps]
    whole = np.column_stack([inside, steps - inside.sum(axis=1)]).astype(np.float64)
    return np.asarray((whole + 0.02) / (steps + 0.02 * count))
