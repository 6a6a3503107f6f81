"""Objectives under hard constraints: the augmented Lagrangian of Powell, Hestenes and Rockafellar.

Each round minimises objectives + sum over constraints of mean(max(0, multiplier + penalty x excess)^2) /
(2 penalty) within the bounds of the weights, then moves the multipliers (Nocedal and Wright, Numerical
Optimization, 2006, chapter 17.4). A constraint that stays broken is judged by a last run on the
constraints alone.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from common.errors import BadInput
from common.text import _
from tps_engine.optimise.constraints import Constraint
from tps_engine.optimise.functions import Function, near
from tps_engine.optimise.objectives import Floats
from tps_engine.optimise.quantities import Narrow, Quantity
from tps_engine.optimise.solver import Report, solve

_ROUNDS = 25
_GROWTH = 4.0
_PROGRESS = 0.5
_GIVE_UP = 1e8


@dataclass(frozen=True)
class Limited:
    """Constraints on one quantity."""

    quantity: Quantity = field(repr=False)
    constraints: tuple[Constraint, ...]


@dataclass(frozen=True)
class Standing:
    """How a constraint stands. excess: the largest, in its units; multiplier: the sum of its own.

    The multiplier is how much the objective would fall for each unit by which the limit were relaxed.
    reachable: False when no weights were found that keep it together with the others.
    """

    name: str
    excess: float
    multiplier: float
    kept: bool
    reachable: bool


@dataclass(frozen=True)
class Constrained:
    """weights: (spots,) MU. value: of the objectives alone. rounds: of multipliers."""

    weights: Floats = field(repr=False)
    value: float
    standings: tuple[Standing, ...]
    converged: bool
    rounds: int
    warnings: tuple[str, ...]

    @property
    def feasible(self) -> bool:
        """All constraints kept."""
        return all(standing.kept for standing in self.standings)


@dataclass
class _Dual:
    """Multipliers (m,) and penalty of one constraint, and its largest excess in the last round."""

    multipliers: Floats
    penalty: float
    worst: float = np.inf


class _Lagrangian:
    """The function of one round; objective None: the constraints alone."""

    def __init__(self, objective: Function | None, limited: tuple[Limited, ...], duals: list[_Dual]) -> None:
        self.objective, self.limited, self.duals = objective, limited, duals

    @property
    def spots(self) -> int:
        """Number of weights."""
        return self.limited[0].quantity.spots

    def evaluate(self, weights: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        value, gradient = 0.0, np.zeros(self.spots)
        if self.objective is not None:
            value, gradient = self.objective.evaluate(weights)
        duals = iter(self.duals)
        for group in self.limited:
            values, pull = group.quantity.evaluate(weights)
            slope = np.zeros(group.quantity.voxels)
            for constraint in group.constraints:
                dual, dose = next(duals), values[constraint.voxels]
                excess = constraint.excess(dose)
                pressed = np.maximum(dual.multipliers + dual.penalty * excess, 0.0)
                value += float(np.mean(pressed**2 - dual.multipliers**2)) / (2.0 * dual.penalty)
                slope[constraint.voxels] += constraint.pull(dose, pressed / len(excess))
            gradient = gradient + pull(slope)
        return value, gradient

    def near(self, weights: Floats, margin: float) -> Function:
        """What costs least of the objective; of the constraints all voxels, by packed matrices."""
        objective = near(self.objective, weights, margin) if self.objective is not None else None
        limited = tuple(
            Limited(group.quantity.packed, group.constraints) if isinstance(group.quantity, Narrow) else group
            for group in self.limited
        )
        return _Lagrangian(objective, limited, self.duals)


def minimise_within(
    objective: Function,
    limited: tuple[Limited, ...],
    start: Floats,
    bounds: tuple[Floats, Floats],
    slack: float = 0.005,
    tolerance: float = 1e-3,
    floor: float = 0.0,
    strict: bool = False,
    report: Report | None = None,
) -> Constrained:
    """Minimise an objective while every constraint is kept to within `slack` of its units (Gy, keV/um).

    tolerance, floor, report: as `solver.minimise`, in each round. Constraints that cannot be kept are named
    in `warnings`; strict: raises BadInput naming them. Also raises BadInput for constraints without voxels.
    """
    _check(limited)
    weights = np.clip(start, *bounds)
    duals = _first(objective, limited, weights)
    converged, rounds = False, 0
    while rounds < _ROUNDS and not converged:
        rounds += 1
        loose = tolerance * max(1.0, 30.0 * 0.3**rounds)
        found = solve(_Lagrangian(objective, limited, duals), weights, bounds, loose, floor, report)
        weights = found.weights
        moved = [
            _update(dual, excess) for dual, excess in zip(duals, _excesses(limited, weights), strict=True)
        ]
        kept = all(dual.worst <= slack for dual in duals)
        converged = found.converged and kept and loose <= tolerance and max(moved, default=0.0) <= slack
        if max(dual.penalty for dual in duals) > _GIVE_UP * _scale(objective, limited, weights):
            break
    standings = _standings(limited, duals, weights, bounds, slack)
    warnings = tuple(_sentence(standing, slack) for standing in standings if not standing.kept)
    if strict and warnings:
        raise BadInput("; ".join(warnings))
    value = objective.evaluate(weights)[0]
    return Constrained(weights, value, standings, converged, rounds, warnings)


def _check(limited: tuple[Limited, ...]) -> None:
    if not any(group.constraints for group in limited):
        raise BadInput(_("no constraint is given: use the solver without constraints"))
    for group in limited:
        for constraint in group.constraints:
            where = constraint.voxels
            if not len(where) or where.min() < 0 or where.max() >= group.quantity.voxels:
                raise BadInput(
                    _("constraint {name} has no voxel of the {count} there are").format(
                        name=constraint.name, count=group.quantity.voxels
                    )
                )


def _excesses(limited: tuple[Limited, ...], weights: Floats) -> list[Floats]:
    out = []
    for group in limited:
        values, _pull = group.quantity.evaluate(weights)
        out += [constraint.excess(values[constraint.voxels]) for constraint in group.constraints]
    return out


def _scale(objective: Function, limited: tuple[Limited, ...], weights: Floats) -> float:
    """A penalty at which breaking by a tenth of a unit costs about as much as the objective is worth."""
    return max(objective.evaluate(weights)[0], 1e-3) * 20.0 * max(len(limited), 1)


def _first(objective: Function, limited: tuple[Limited, ...], weights: Floats) -> list[_Dual]:
    penalty = _scale(objective, limited, weights)
    return [_Dual(np.zeros(len(excess)), penalty) for excess in _excesses(limited, weights)]


def _update(dual: _Dual, excess: Floats) -> float:
    """Move the multipliers; how much the constraint was out of balance, in its own units."""
    worst = max(float(excess.max()), 0.0)
    balance = float(np.abs(np.maximum(excess, -dual.multipliers / dual.penalty)).max())
    dual.multipliers = np.maximum(dual.multipliers + dual.penalty * excess, 0.0)
    if worst > _PROGRESS * dual.worst:
        dual.penalty *= _GROWTH
    dual.worst = worst
    return balance


def _standings(
    limited: tuple[Limited, ...],
    duals: list[_Dual],
    weights: Floats,
    bounds: tuple[Floats, Floats],
    slack: float,
) -> tuple[Standing, ...]:
    constraints = [constraint for group in limited for constraint in group.constraints]
    found = []
    for constraint, dual, excess in zip(constraints, duals, _excesses(limited, weights), strict=True):
        worst = float(excess.max())
        shadow = float(np.mean(dual.multipliers))
        found.append(Standing(constraint.name, worst, shadow, worst <= slack, True))
    if all(standing.kept for standing in found):
        return tuple(found)
    alone = [_Dual(np.zeros(len(dual.multipliers)), 1.0) for dual in duals]
    best = solve(_Lagrangian(None, limited, alone), weights, bounds, 1e-4, 1e-12)
    least = [float(excess.max()) for excess in _excesses(limited, best.weights)]
    return tuple(
        replace(standing, reachable=standing.kept or excess <= slack)
        for standing, excess in zip(found, least, strict=True)
    )


def _sentence(standing: Standing, slack: float) -> str:
    if standing.reachable:
        text = _("constraint {name} is exceeded by {excess} (allowed {slack}): more iterations are needed")
    else:
        text = _(
            "constraint {name} cannot be kept together with the others: it is exceeded by {excess} "
            "(allowed {slack}); relax it, or change fields or bounds"
        )
    return text.format(name=standing.name, excess=f"{standing.excess:.3f}", slack=f"{slack:.3f}")
