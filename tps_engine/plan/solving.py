"""From a task to metersets that the machine can deliver: time, reduction, warm start, constraints."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tps_engine.optimise import deliverable, reduction
from tps_engine.optimise.augmented import Standing
from tps_engine.optimise.deliverable import Minimise
from tps_engine.optimise.delivery_time import TimeCost, Timing
from tps_engine.optimise.lbfgs import Descent
from tps_engine.optimise.objectives import Floats
from tps_engine.plan.aims import PLAN_DOSE
from tps_engine.plan.earlier import weights_of
from tps_engine.plan.request import PlanOptions
from tps_engine.plan.setup import Setup, equal_start
from tps_engine.plan.task import Record, Report, Task

_ROUGH = 3e-2
_SCALINGS = 3
_SMALL_LAYER = 0.1  # of a layer's usual meterset: less than this is pressed to none


@dataclass(frozen=True)
class Solved:
    """mu: (spots,) f4, each off or within the machine's limits. values: of the objectives, with
    what broken constraints add, in all iterations.
    """

    mu: NDArray[np.float32] = field(repr=False)
    values: tuple[float, ...] = field(repr=False)
    converged: bool
    standings: tuple[Standing, ...] = ()


def first_pass(setup: Setup, report: Report) -> tuple[Solved, tuple[Task, ...]]:
    """Metersets by the matrices, whose median target dose is the prescription unless constraints decide.

    Also the tasks that were solved, one for each part of the setup. Raises BadInput for spots that give the
    target no dose, and an earlier plan that has none of them.
    """
    begin = weights_of(setup.options.start, setup) if setup.options.start else None
    found: list[Descent] = []
    tasks: list[Task] = []
    told, heard = _listening(report)
    standings: tuple[Standing, ...] = ()
    for first, behind, factor in setup.parts:
        task = setup.task.part(first, behind, factor) if setup.options.uniform else setup.task
        start = equal_start(task, setup.prescription.dose_per_fraction)
        if begin is not None:
            start = _scaled(begin[first:behind], task, setup.prescription.dose_per_fraction)
        record = Record()
        descent, task = _deliver(setup, task, start, setup.layers[first:behind], heard, record)
        found.append(descent)
        tasks.append(task)
        standings += record.standings
    mu = np.concatenate([one.weights for one in found])
    mu32 = _normalise(setup, mu) if not setup.task.wanted.constraints else _settled(setup, mu)
    return Solved(mu32, tuple(told), all(one.converged for one in found), standings), tuple(tasks)


def last_pass(setup: Setup, tasks: tuple[Task, ...], mu: NDArray[np.float32], report: Report) -> Solved:
    """Deliverable metersets optimised once more; tasks: with the exact doses' offsets."""
    weights, standings, converged = [], [], True
    told, heard = _listening(report)
    for (first, behind, _factor), task in zip(setup.parts, tasks, strict=True):
        record = Record()
        minimise = task.minimiser(heard, record)
        found = deliverable.touch_up(minimise, mu[first:behind].astype(np.float64), setup.limits)
        weights.append(found.weights)
        standings += list(record.standings)
        converged = converged and found.converged
    return Solved(_settled(setup, np.concatenate(weights)), tuple(told), converged, tuple(standings))


def _listening(report: Report) -> tuple[list[float], Report]:
    """A list of all values reported, and what to report them to."""
    told: list[float] = []

    def heard(iteration: int, value: float) -> None:
        told.append(value)
        report(iteration, value)

    return told, heard


def _deliver(
    setup: Setup, task: Task, start: Floats, layers: NDArray[np.int64], report: Report, record: Record
) -> tuple[Descent, Task]:
    options, limits = setup.options, setup.limits
    kept = np.ones(task.spots, dtype=np.bool_)
    bounds = (np.zeros(task.spots), np.full(task.spots, limits[1]))
    if task.wanted.constraints or options.time > 0.0 or options.reduction:
        start = task.free().minimiser(report)(start, bounds, _ROUGH).weights
    if options.time > 0.0:
        task = replace(task, extra=(time_cost(task, start, layers, options),))
        start = task.free().minimiser(report)(start, bounds, _ROUGH).weights
    if options.reduction:
        start, kept = _reduced(task.free(), start, layers, bounds[1], options)
    minimise = _only(task.minimiser(report, record), kept)
    return deliverable.deliver(minimise, start, limits), task


def time_cost(task: Task, weights: Floats, layers: NDArray[np.int64], options: PlanOptions) -> TimeCost:
    """Seconds, weighed so that all of them are worth `options.time` times the objectives at these weights."""
    group = np.unique(layers, return_inverse=True)[1].astype(np.int64)
    used = np.bincount(group, weights)
    little = max(_SMALL_LAYER * float(np.median(used[used > 0.0])), 1e-9) if used.any() else 1.0
    seconds = TimeCost(group, 1.0, options.timing or Timing(), little)
    value = task.function(weights).evaluate(weights)[0] + task.wanted.negligible
    return replace(seconds, weight=options.time * value / max(seconds.evaluate(weights)[0], 1e-9))


def _reduced(
    task: Task, start: Floats, layers: NDArray[np.int64], upper: Floats, options: PlanOptions
) -> tuple[Floats, NDArray[np.bool_]]:
    """Weights and which of them may be on after layers, then spots, were dropped."""
    asked = options.reduction
    assert asked is not None
    weights, kept, floor = start, np.ones(len(start), dtype=np.bool_), task.wanted.negligible
    function = task.function(start)
    if asked.layers is not None:
        done = reduction.reduce_layers(function, weights, layers, upper, asked.layers, _ROUGH, floor)
        weights, kept = done.weights, done.kept
    if asked.spots is not None:
        top = np.where(kept, upper, 0.0)
        done = reduction.reduce_spots(function, weights, top, asked.spots, _ROUGH, floor)
        weights, kept = done.weights, kept & done.kept
    return weights, kept


def _only(minimise: Minimise, kept: NDArray[np.bool_]) -> Minimise:
    """The minimiser with all other spots off."""
    if kept.all():
        return minimise

    def kept_only(start: Floats, bounds: tuple[Floats, Floats], tolerance: float) -> Descent:
        lower, upper = (np.where(kept, bound, 0.0) for bound in bounds)
        return minimise(np.where(kept, start, 0.0), (lower, upper), tolerance)

    return kept_only


def _scaled(weights: Floats, task: Task, dose: float) -> Floats:
    """An earlier plan's metersets with the median of the target at the prescription."""
    for _step in range(_SCALINGS):
        reached = task.values(PLAN_DOSE, task.situations[0], weights)[task.wanted.target]
        median = float(np.median(reached))
        if not median > 0.0:
            return equal_start(task, dose)
        weights = weights * (dose / median)
    return weights


def _normalise(setup: Setup, mu: Floats) -> NDArray[np.float32]:
    """Metersets whose median target dose is the prescription, each within the machine's limits."""
    task, dose = setup.task, setup.prescription.dose_per_fraction
    inside = np.flatnonzero(setup.scene.target.ravel()[task.wanted.flat])
    for _attempt in range(_SCALINGS):
        median = float(np.median(task.values(PLAN_DOSE, task.situations[0], mu)[inside]))
        mu = deliverable.settle(mu, dose / median, setup.limits).astype(np.float64)
    return mu.astype(np.float32)


def _settled(setup: Setup, mu: Floats) -> NDArray[np.float32]:
    return deliverable.settle(mu, 1.0, setup.limits)
