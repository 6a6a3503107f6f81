"""Plans that hold in every scenario: set-up shifts, ranges, phases of breathing.

Expected value and worst case: Fredriksson, Forsgren, Haardemark, Med Phys 38 (2011) 1672. Voxel-wise worst
case: Lomax's composite of the highest and lowest doses; Pflugfelder, Wilkens, Oelfke, Phys Med Biol 53
(2008) 1689.
"""

from dataclasses import dataclass, field

import numpy as np

from common.errors import BadInput
from common.text import _
from tps_engine.optimise import screen
from tps_engine.optimise.functions import Function, Sum, near, same_spots
from tps_engine.optimise.lbfgs import Descent
from tps_engine.optimise.objectives import Floats, Objective, check, total
from tps_engine.optimise.quantities import Narrow, Quantity
from tps_engine.optimise.solver import Report, solve

_SMOOTH = (0.1, 0.02, 0.004)
"""Temperatures of the worst case in turn, as parts of its value."""


def expected(scenarios: tuple[Function, ...], probabilities: tuple[float, ...]) -> Sum:
    """The mean of the scenarios' values. Raises BadInput unless probabilities are >= 0 and sum to 1."""
    if len(scenarios) != len(probabilities) or min(probabilities, default=-1.0) < 0.0:
        raise BadInput(_("each scenario needs a probability of 0 or more"))
    if abs(sum(probabilities) - 1.0) > 1e-6:
        raise BadInput(_("the probabilities of the scenarios must sum to 1"))
    return Sum(scenarios, probabilities)


@dataclass(frozen=True)
class WorstCase:
    """Smooth maximum over scenarios: T log(sum of exp(value / T)); above the true one by T log(n) at most.

    temperature: T, in units of the objective, above 0.
    """

    scenarios: tuple[Function, ...] = field(repr=False)
    temperature: float

    def __post_init__(self) -> None:
        same_spots(self.scenarios)
        if not self.temperature > 0.0:
            raise BadInput(_("the temperature of a worst case must be above 0"))

    @property
    def spots(self) -> int:
        """Number of weights."""
        return self.scenarios[0].spots

    def evaluate(self, weights: Floats) -> tuple[float, Floats]:
        """Value and gradient; gradients of scenarios that do not count are not kept."""
        found = [scenario.evaluate(weights) for scenario in self.scenarios]
        values = np.array([value for value, _slope in found])
        shares = np.exp((values - values.max()) / self.temperature)
        value = float(values.max() + self.temperature * np.log(shares.sum()))
        shares /= shares.sum()
        gradient = np.zeros(self.spots)
        for share, (_value, slope) in zip(shares, found, strict=True):
            gradient += share * slope
        return value, gradient

    def near(self, weights: Floats, margin: float) -> Function:
        """Of each scenario what costs least."""
        return WorstCase(tuple(near(one, weights, margin) for one in self.scenarios), self.temperature)


def minimise_worst(
    scenarios: tuple[Function, ...],
    start: Floats,
    bounds: tuple[Floats, Floats],
    tolerance: float = 1e-2,
    floor: float = 0.0,
    report: Report | None = None,
) -> Descent:
    """Minimise the worst scenario by smooth maxima of falling temperature; arguments as `solver.minimise`.

    The last temperature is 0.4 % of the value: the true maximum is met within 0.4 % x log(scenarios).
    """
    if not scenarios:
        raise BadInput(_("a worst case needs one scenario or more"))
    weights = np.clip(start, *bounds)
    values: tuple[float, ...] = ()
    evaluations = 0
    for part in _SMOOTH:
        worst = max(scenario.evaluate(weights)[0] for scenario in scenarios)
        function = WorstCase(scenarios, max(part * (worst + floor), 1e-12))
        found = solve(function, weights, bounds, tolerance, floor, report)
        weights, values = found.weights, values + found.values
        evaluations += found.evaluations + len(scenarios)
    return Descent(weights, found.value, found.gradient, values, found.converged, evaluations)


@dataclass(frozen=True)
class VoxelWorst:
    """Objectives on the lowest (`cold`) and the highest (`hot`) value of each voxel over all scenarios.

    cold: objectives against too little (target); hot: against too much. The gradient is that of the scenario
    with the extreme value in each voxel: a subgradient where two scenarios are equal.
    """

    quantities: tuple[Quantity, ...] = field(repr=False)
    cold: tuple[Objective, ...]
    hot: tuple[Objective, ...]

    def __post_init__(self) -> None:
        if len({(quantity.voxels, quantity.spots) for quantity in self.quantities}) != 1:
            raise BadInput(_("scenarios must have the same voxels and spots"))
        check((*self.cold, *self.hot), self.quantities[0].voxels)

    @property
    def spots(self) -> int:
        """Number of weights."""
        return self.quantities[0].spots

    def evaluate(self, weights: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        found = [quantity.evaluate(weights) for quantity in self.quantities]
        low, lowest = found[0][0].copy(), np.zeros(self.quantities[0].voxels, dtype=np.int64)
        high, highest = low.copy(), lowest.copy()
        for number, (values, _pull) in enumerate(found[1:], start=1):
            below, above = values < low, values > high
            low[below], lowest[below] = values[below], number
            high[above], highest[above] = values[above], number
        cold, cold_slope = total(self.cold, low)
        hot, hot_slope = total(self.hot, high)
        gradient = np.zeros(self.spots)
        for number, (_values, pull) in enumerate(found):
            slope = np.where(lowest == number, cold_slope, 0.0) + np.where(highest == number, hot_slope, 0.0)
            if slope.any():
                gradient += pull(slope)
        return cold + hot, gradient

    def near(self, weights: Floats, margin: float) -> Function:
        """By packed matrices, for the voxels that matter while no dose moves by more than the margin."""
        quantities = [quantity for quantity in self.quantities if isinstance(quantity, Narrow)]
        if len(quantities) < len(self.quantities):
            return self
        doses = [quantity.packed.evaluate(weights)[0] for quantity in quantities]
        wide = margin * max(float(np.abs(dose).max(initial=0.0)) for dose in doses)
        cold = screen.chosen(self.cold, np.minimum.reduce(doses), wide)
        hot = screen.chosen(self.hot, np.maximum.reduce(doses), wide)
        keep = screen.union((*self.cold, *self.hot), (*cold, *hot), len(doses[0]))
        return _Sparse(
            tuple(quantity.narrowed(keep) for quantity in quantities),
            screen.moved(self.cold, cold, keep),
            screen.moved(self.hot, hot, keep),
        )


class _Sparse(VoxelWorst):
    """What is left near some weights: perhaps no objective at all."""

    def __post_init__(self) -> None:
        pass
