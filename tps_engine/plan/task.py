"""What the optimiser is given: objectives and constraints, in one situation or in many."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tps_engine.evaluate.dvh import Dvh, dvh
from tps_engine.optimise import augmented, robust
from tps_engine.optimise.augmented import Limited, Standing
from tps_engine.optimise.deliverable import Minimise
from tps_engine.optimise.functions import Function, Sum, Term
from tps_engine.optimise.lbfgs import Descent
from tps_engine.optimise.objectives import Floats, Objective, Underdose
from tps_engine.optimise.quantities import Accumulated, Corrected, Quantity
from tps_engine.optimise.solver import solve
from tps_engine.optimise.volume import DvhMin, EudMin
from tps_engine.plan.aims import PLAN_DOSE
from tps_engine.plan.effects import Effects
from tps_engine.plan.goals import SLACK, Wanted
from tps_engine.plan.scene import Scene
from tps_engine.plan.situations import Situation

Report = Callable[[int, float], None]

_TEMPERATURE = 0.02
_COLD = (Underdose, DvhMin, EudMin)


@dataclass
class Record:
    """What the last run of a minimiser found about the constraints."""

    standings: tuple[Standing, ...] = ()


@dataclass(frozen=True)
class Task:
    """situations: the nominal one first. aim: nominal, worst, expected or voxel.

    factor: what the spots' dose is multiplied by (single fields as if they gave the whole dose). offsets:
    (n,) by quantity, what exact values have more, in every situation alike. extra: of the metersets alone.
    """

    situations: tuple[Situation, ...] = field(repr=False)
    wanted: Wanted = field(repr=False)
    aim: str
    effects: Effects = field(repr=False)
    factor: float = 1.0
    offsets: Mapping[str, Floats] = field(default_factory=dict, repr=False)
    extra: tuple[Function, ...] = ()

    @property
    def spots(self) -> int:
        """Number of weights."""
        return next(iter(self.situations[0].phases[0].values())).spots

    @property
    def names(self) -> tuple[str, ...]:
        """Of the situations."""
        return tuple(one.name for one in self.situations)

    @property
    def reference(self) -> Situation:
        """Nothing wrong, on the image that the plan is shown on."""
        first = self.situations[0]
        return replace(first, phases=first.phases[:1])

    def part(self, first: int, behind: int, factor: float) -> "Task":
        """The task of the spots first .. behind alone."""
        parts = tuple(one.part(first, behind) for one in self.situations)
        return replace(self, situations=parts, factor=factor, offsets={})

    def free(self) -> "Task":
        """Without constraints."""
        return replace(self, wanted=replace(self.wanted, constraints={}))

    def quantity(self, name: str, situation: Situation) -> Quantity:
        """A quantity in a situation, corrected where the exact values are known."""
        parts = tuple(self.effects.quantity(name, one, self.factor) for one in situation.phases)
        found = parts[0] if len(parts) == 1 else Accumulated(parts, (1.0 / len(parts),) * len(parts))
        return Corrected(found, self.offsets[name]) if name in self.offsets else found

    def values(self, name: str, situation: Situation, weights: Floats) -> Floats:
        """(n,) a quantity of these metersets, corrected."""
        return self.quantity(name, situation).evaluate(weights)[0]

    def function(self, weights: Floats) -> Function:
        """All objectives as one function; of the worst situation a smooth maximum near these weights."""
        functions = self._functions()
        if self.aim == "worst" and len(functions) > 1:
            worst = max(function.evaluate(weights)[0] for function in functions)
            temperature = max(_TEMPERATURE * (worst + self.wanted.negligible), 1e-12)
            return robust.WorstCase(functions, temperature)
        if self.aim == "expected":
            return robust.expected(functions, (1.0 / len(functions),) * len(functions))
        return self._voxelwise() if self.aim == "voxel" else functions[0]

    def minimiser(self, report: Report, record: Record | None = None) -> Minimise:
        """The minimiser of this task; report(iteration, value) after each; record: of the constraints."""
        floor = self.wanted.negligible
        if any(self.wanted.constraints.values()):
            return self._within(report, record or Record())
        if self.aim == "worst":
            functions = self._functions()
            return lambda start, bounds, tolerance: robust.minimise_worst(
                functions, start, bounds, tolerance, floor, report
            )

        def minimise(start: Floats, bounds: tuple[Floats, Floats], tolerance: float) -> Descent:
            return solve(self.function(start), start, bounds, tolerance, floor, report)

        return minimise

    def histograms(self, scene: Scene, weights: Floats) -> dict[str, dict[str, Dvh]]:
        """Dose-volume histograms of target and organs by situation, RBE-weighted Gy of one fraction."""
        inside = {
            name: scene.fractions.get(name, mask).ravel()[self.wanted.flat]
            for name, mask in {scene.target_name: scene.target, **scene.organs}.items()
            if mask.any()
        }
        found = {}
        for situation in self.situations:
            dose = np.maximum(self.values(PLAN_DOSE, situation, weights), 0.0)
            found[situation.name] = {
                region: dvh(dose, part, 1000.0 * scene.grid.voxel_cm3) for region, part in inside.items()
            }
        return found

    def _functions(self) -> tuple[Function, ...]:
        return tuple(self._function(one, self.wanted.objectives) for one in self.situations)

    def _function(self, situation: Situation, asked: Mapping[str, tuple[Objective, ...]]) -> Function:
        terms: list[Function] = [Term(self.quantity(name, situation), some) for name, some in asked.items()]
        parts = (*terms, *self.extra)
        return parts[0] if len(parts) == 1 else Sum(parts)

    def _voxelwise(self) -> Function:
        """Coldest and hottest of each voxel for the plan's dose; the mean over situations for the rest."""
        doses = tuple(self.quantity(PLAN_DOSE, one) for one in self.situations)
        on_dose = self.wanted.objectives[PLAN_DOSE]
        cold = tuple(one for one in on_dose if isinstance(one, _COLD))
        hot = tuple(one for one in on_dose if not isinstance(one, _COLD))
        rest = {name: some for name, some in self.wanted.objectives.items() if name != PLAN_DOSE}
        parts: list[Function] = [robust.VoxelWorst(doses, cold, hot), *self.extra]
        share = 1.0 / len(self.situations)
        factors = [1.0] * len(parts)
        for name, some in rest.items():
            parts += [Term(self.quantity(name, one), some) for one in self.situations]
            factors += [share] * len(self.situations)
        return Sum(tuple(parts), tuple(factors))

    def _within(self, report: Report, record: Record) -> Minimise:
        limited = tuple(
            Limited(self.quantity(name, situation), group)
            for situation in self.situations
            for name, group in self.wanted.constraints.items()
        )

        def minimise(start: Floats, bounds: tuple[Floats, Floats], tolerance: float) -> Descent:
            found = augmented.minimise_within(
                self.function(start), limited, start, bounds, SLACK, tolerance, self.wanted.negligible,
                report=report,
            )  # fmt: skip
            record.standings = found.standings
            nothing = np.zeros(len(found.weights))
            return Descent(found.weights, found.value, nothing, (found.value,), found.converged, found.rounds)

        return minimise


def flat_of(dose: NDArray[np.floating], wanted: Wanted) -> Floats:
    """(n,) values of an array (nz, ny, nx) in the optimiser's voxels."""
    return dose.ravel()[wanted.flat].astype(np.float64)
