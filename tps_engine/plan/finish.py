"""From metersets to a finished plan: the exact dose, the prescription by it, what became of every wish."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from common.text import _
from tps_engine.optimise import deliverable, delivery_time
from tps_engine.optimise.augmented import Standing
from tps_engine.optimise.objectives import Floats, Index
from tps_engine.plan import review
from tps_engine.plan.aims import LET, PLAN_DOSE, Aim
from tps_engine.plan.beams import to_beams
from tps_engine.plan.effects import DOSE, LET_DOSE, Sums
from tps_engine.plan.goals import SLACK
from tps_engine.plan.request import PlanResult, Reached
from tps_engine.plan.setup import Setup
from tps_engine.plan.solving import Solved
from tps_engine.plan.task import Task

Metersets = NDArray[np.float32]

KEPT_WITHIN = SLACK
"""A constraint counts as kept when the dose that is shown exceeds it by no more: Gy of a fraction, keV/um."""

_STEPS = 12


def exact(setup: Setup, mu: Metersets) -> tuple[Sums, ...]:
    """Sums (voxels,) on the whole dose grid of each beam, without the matrix."""
    beams = to_beams(setup.planned, mu, setup.isocentre, setup.radiation)
    patient, grid = setup.scene.patient, setup.scene.grid
    return tuple(setup.radiation.beam(patient, grid, beam, setup.sums, setup.effects) for beam in beams)


def together(parts: Sequence[Sums]) -> dict[str, Floats]:
    """The sums of all beams."""
    return {name: np.sum([part[name] for part in parts], axis=0) for name in parts[0]}


def corrected(setup: Setup, tasks: Sequence[Task], given: Sequence[Sums], mu: Metersets) -> tuple[Task, ...]:
    """The tasks with what the exact sums have more than their matrices give at these metersets.

    given: of each beam; tasks: one for all beams, or one each.
    """
    groups = [together(given)] if len(tasks) == 1 else list(given)
    parts = setup.parts if len(tasks) > 1 else ((0, len(mu), tasks[0].factor),)
    found = []
    for task, sums, (first, behind, factor) in zip(tasks, groups, parts, strict=True):
        here = {name: values[task.wanted.flat] for name, values in sums.items()}
        names = {PLAN_DOSE, *task.wanted.objectives, *task.wanted.constraints}
        plain = replace(task, offsets={})
        weights = mu[first:behind].astype(np.float64)
        offsets = {
            name: task.effects.values(name, here, factor) - plain.values(name, task.reference, weights)
            for name in sorted(names)
        }
        found.append(replace(task, offsets=offsets))
    return tuple(found)


def to_prescription(setup: Setup, mu: Metersets) -> tuple[Metersets, tuple[Sums, ...]]:
    """Metersets whose exact dose has the prescription as its median in the target, and their sums.

    With constraints, which say how much is enough, nothing is scaled.
    """
    given = exact(setup, mu)
    if setup.task.wanted.constraints:
        return mu, given
    factor = _factor(setup, together(given))
    scaled = deliverable.settle(mu.astype(np.float64), factor, setup.limits)
    if np.allclose(scaled, mu * np.float32(factor), rtol=1e-6, atol=0.0):
        return scaled, tuple({name: factor * part for name, part in one.items()} for one in given)
    return scaled, exact(setup, scaled)


def _factor(setup: Setup, sums: Mapping[str, Floats]) -> float:
    """By which all metersets are multiplied for the target's median to be the prescription."""
    inside = np.flatnonzero(setup.scene.target)
    effects = setup.effects.at(inside)
    factor = 1.0
    for _step in range(_STEPS):
        scaled = {name: factor * values[inside] for name, values in sums.items()}
        median = float(np.median(effects.values(PLAN_DOSE, scaled)))
        factor *= setup.prescription.dose_per_fraction / median
    return factor


def result(setup: Setup, solved: Solved, given: Sequence[Sums]) -> PlanResult:
    """The plan of these metersets, whose exact sums are `given`."""
    scene, shape = setup.scene, setup.scene.grid.shape
    sums = together(given)
    dose = setup.effects.values(PLAN_DOSE, sums).astype(np.float32).reshape(shape)
    task = corrected(setup, (setup.task,), given, solved.mu)[0]
    weights = solved.mu.astype(np.float64)
    goals = reached(setup, task, weights, solved.standings)
    beams = to_beams(setup.planned, solved.mu, setup.isocentre, setup.radiation)
    robust = setup.options.robust is not None
    margin = {} if robust else {"PTV": scene.planning_target}
    let = None
    if LET_DOSE in setup.sums:
        let = np.divide(sums[LET_DOSE], sums[DOSE], out=np.zeros_like(sums[DOSE]), where=sums[DOSE] > 0.0)
    return PlanResult(
        beams=beams,
        grid=scene.grid,
        dose=dose,
        beam_doses=tuple(part.reshape(shape) for part in _shares(setup, given, dose)),
        regions={setup.prescription.target: scene.target, **margin, **scene.organs},
        body=scene.body,
        warnings=review.warnings(scene, setup.planned, dose, setup.prescription) + _broken(goals),
        optimiser=solved.values,
        converged=solved.converged,
        scenarios=task.histograms(scene, weights) if robust else {},
        physical=sums[DOSE].astype(np.float32).reshape(shape),
        let=None if let is None else let.astype(np.float32).reshape(shape),
        fractions=scene.fractions,
        model=setup.effects.model,
        goals=goals,
        time=delivery_time.of_beams(beams, setup.options.timing),
        species=setup.radiation.species,
    )


def _shares(setup: Setup, given: Sequence[Sums], dose: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """What each beam has of the plan's dose, (voxels,) each."""
    constant = setup.effects.constant
    if constant is not None:
        return [(constant * part[DOSE]).astype(np.float32) for part in given]
    total = np.sum([part[DOSE] for part in given], axis=0)
    ratio = np.divide(dose.ravel(), total, out=np.zeros_like(total), where=total > 0.0)
    return [(ratio * part[DOSE]).astype(np.float32) for part in given]


def reached(
    setup: Setup, task: Task, weights: Floats, standings: Sequence[Standing] = ()
) -> tuple[Reached, ...]:
    """What became of every line, in the worst situation. task: corrected by the exact sums."""
    fractions = setup.prescription.fractions
    prices: dict[str, float] = {}
    for standing in standings:
        prices[standing.name] = max(prices.get(standing.name, 0.0), standing.multiplier)
    found = []
    for aim, hard, at in task.wanted.aims:
        unit = 1.0 if aim.quantity == LET else float(fractions)
        excess = max(_excess(task, aim, at, one, weights, fractions) for one in range(len(task.situations)))
        value = aim.level + unit * (excess if aim.most else -excess)
        kept = excess <= KEPT_WITHIN
        price = prices.get(aim.text, 0.0) if hard and kept else 0.0
        found.append(Reached(aim.text, hard, aim.level, value, kept, price))
    return tuple(found)


def _excess(task: Task, aim: Aim, at: Index, situation: int, weights: Floats, fractions: int) -> float:
    values = task.values(aim.quantity, task.situations[situation], weights)[at]
    return float(aim.constraint(at, fractions).excess(values).max())


def _broken(goals: Sequence[Reached]) -> tuple[str, ...]:
    text = _("constraint {name} is not kept: {reached}, wanted {wanted}; relax it, or change fields or goals")
    return tuple(
        text.format(name=goal.text, reached=f"{goal.reached:.2f}", wanted=f"{goal.wanted:.2f}")
        for goal in goals
        if goal.hard and not goal.kept
    )
