"""Plans between which to choose: a Pareto surface of a setup, and a deliverable plan anywhere on it.

Criteria are the target's standard objectives, and mean doses or gEUDs of regions. A choice is a mixture of
the surface's plans; its dose is then mimicked by metersets that the machine can deliver.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from common.dicom.ct import CtVolume
from common.dicom.structures import StructureSet
from common.errors import BadInput
from common.text import _
from tps_engine.optimise import deliverable, pareto
from tps_engine.optimise.functions import Term
from tps_engine.optimise.objectives import Floats, MeanDose, Objective, SquaredDeviation
from tps_engine.optimise.pareto import Choice, Criterion, Surface
from tps_engine.patient.stopping_power import CtCalibration
from tps_engine.plan.aims import PLAN_DOSE, Aim, parse
from tps_engine.plan.goals import TARGET_WEIGHT
from tps_engine.plan.planning import complete, counting, silent
from tps_engine.plan.radiation import Machine
from tps_engine.plan.request import FieldRequest, PlanOptions, PlanResult, Prescription, Progress
from tps_engine.plan.setup import Setup, equal_start, prepare
from tps_engine.plan.solving import Solved

_GAP = 0.03
_IN_TARGET, _ELSEWHERE = 100.0, 50.0
_LOOSE = 1.001
_METRICS = ("mean", "gEUD")


@dataclass(frozen=True)
class Explored:
    """names: of the criteria, the target's first. surface: in Gy2 of a fraction."""

    setup: Setup = field(repr=False)
    surface: Surface = field(repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the criteria."""
        return self.surface.names

    def shown(self, values: Floats) -> Floats:
        """Criteria (..., k) as a planner reads them: Gy over all fractions; the target's is a root mean."""
        return np.asarray(
            np.sqrt(np.maximum(values, 0.0) / self._weights) * self.setup.prescription.fractions
        )

    def inner(self, shown: Floats) -> Floats:
        """The inverse of `shown`."""
        return np.asarray(self._weights * np.square(shown / self.setup.prescription.fractions))

    @property
    def _weights(self) -> Floats:
        return np.array([TARGET_WEIGHT, *(1.0 for _name in self.names[1:])])


def criterion(text: str) -> Aim:
    """A criterion: REGION: mean or REGION: gEUD and its exponent, 1 or more. Raises BadInput."""
    aim = parse(f"{text} < 0, weight 1")
    if aim.metric not in _METRICS or aim.quantity != PLAN_DOSE:
        raise BadInput(
            _("criterion {text}: give REGION: mean, or REGION: gEUD8 with an exponent of 1 or more").format(
                text=text
            )
        )
    return aim


def explore(
    images: tuple[CtVolume, StructureSet],
    prescription: Prescription,
    fields: Sequence[FieldRequest],
    machine: Machine,
    options: PlanOptions,
    calibration: CtCalibration,
    criteria: Sequence[str],
    plans: int = 12,
    progress: Progress = silent,
) -> Explored:
    """The surface of the target's objectives and the criteria, of `plans` plans at most.

    Raises BadInput as `planning.make_plan`, for no criterion or one that is not convex, and for options that
    a mixture of plans does not keep (constraints, robustness, single fields, reduction, time).
    """
    _check(options)
    asked = [criterion(text) for text in criteria]
    if not asked or len({aim.text for aim in asked}) != len(asked):
        raise BadInput(_("give one criterion or more, each once"))
    lines = (*options.objectives, *(aim.text for aim in asked))
    setup = prepare(
        images, prescription, fields, machine, replace(options, objectives=lines), calibration, progress
    )
    if setup.effects.constant is None:
        raise BadInput(_("choosing between mixed plans needs a constant RBE or physical dose"))
    task = setup.task
    quantity = task.quantity(PLAN_DOSE, task.situations[0])
    every = task.wanted.objectives[PLAN_DOSE]
    even = tuple(one for one in every[: -len(asked)] if not isinstance(one, MeanDose))
    on_target = Term(quantity, even)
    found = [Criterion(_("{target}: deviation").format(target=prescription.target), on_target)]
    for text, one in zip(criteria, every[-len(asked) :], strict=True):
        found.append(Criterion(text, Term(quantity, (one,))))
    top = np.full(task.spots, setup.limits[1])
    start = equal_start(task, prescription.dose_per_fraction)

    def report(count: int, _gap: float) -> None:
        progress(0.3 + 0.7 * count / plans, _("plans to choose from"))

    floor = task.wanted.negligible
    known = pareto.surface(tuple(found), start, (np.zeros(task.spots), top), plans, _GAP, 1e-2, floor, report)
    return Explored(setup, known)


def choose(explored: Explored, limits: Mapping[str, float]) -> Choice:
    """The mixture with criteria by name at or below limits, as `shown`.

    Among those the one that is best in the target; where the target has a limit itself, the one whose other
    criteria without a limit come nearest to their least.
    Raises BadInput for an unknown name, and naming the criterion whose limit no mixture keeps.
    """
    known = explored.surface
    strange = sorted(set(limits) - set(known.names))
    if strange:
        raise BadInput(
            _("no criterion named {name}: there are {known}").format(
                name=strange[0], known=", ".join(known.names)
            )
        )
    asked = np.array([limits.get(name, np.inf) for name in known.names])
    most = np.where(np.isfinite(asked), explored.inner(asked), _LOOSE * known.values.max(axis=0) + 1e-9)
    eager = np.isinf(asked)
    if eager[0]:
        eager[1:] = False
    return pareto.navigate(known, np.where(eager, known.ideal, most), most)


def finish(
    explored: Explored, choice: Choice, limits: Mapping[str, float], progress: Progress = silent
) -> PlanResult:
    """A deliverable plan whose dose is nearest to that of a choice; limits: told of in its goals."""
    setup = explored.setup
    task = setup.task
    level = task.values(PLAN_DOSE, task.situations[0], choice.weights)
    target = task.wanted.target
    other = np.setdiff1d(np.arange(len(level)), target)
    mimic: tuple[Objective, ...] = (SquaredDeviation(target, level[target], _IN_TARGET),)
    if len(other):
        mimic += (SquaredDeviation(other, level[other], _ELSEWHERE),)
    at = {aim.region: voxels for aim, _hard, voxels in task.wanted.aims}
    wished = [parse(f"{name} < {limit:.6g}") for name, limit in limits.items() if name != explored.names[0]]
    aims = tuple((aim, False, at[aim.region]) for aim in wished)
    task = replace(task, wanted=replace(task.wanted, objectives={PLAN_DOSE: mimic}, aims=aims))
    setup = replace(setup, task=task)
    found = deliverable.deliver(task.minimiser(counting(progress, 0.0, 0.7)), choice.weights, setup.limits)
    mu = deliverable.settle(found.weights, 1.0, setup.limits)
    return complete(setup, Solved(mu, found.values, found.converged), (task,), progress)


def _check(options: PlanOptions) -> None:
    lost = [
        name
        for name in ("constraints", "robust", "uniform", "reduction", "time", "start")
        if getattr(options, name)
    ]
    if lost:
        raise BadInput(
            _("plans to choose from do not go with {names}: ask for it in the final plan").format(
                names=", ".join(lost)
            )
        )
