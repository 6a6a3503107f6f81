"""The objectives of a standard plan: cover the target, fall off around it, spare organs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.optimise.constraints import Constraint
from tps_engine.optimise.objectives import Index, MeanDose, Objective, Overdose, Underdose
from tps_engine.patient import masks
from tps_engine.plan.aims import PLAN_DOSE, Aim, parse
from tps_engine.plan.request import PlanOptions, Prescription
from tps_engine.plan.scene import Scene

RING_MM = 25.0
"""How far around the planning target the dose is asked to fall."""

SLACK = 0.002
"""What the optimiser may exceed a constraint by, Gy of a fraction or keV/um; it aims as far inside."""

_FAR_STRIDE = 12
_NEGLIGIBLE = 0.002  # root mean square deviation in the target, part of the prescription
TARGET_WEIGHT = 100.0
"""Of the target's objectives, which are mean squares of the deviation."""

_WEIGHTS = {"under": TARGET_WEIGHT, "over": 100.0, "ring": 20.0, "far": 5.0, "limit": 30.0, "mean": 0.5}


@dataclass(frozen=True)
class Wanted:
    """flat: (n,) voxels of the dose grid that anything looks at; objectives and constraints index into it.

    objectives: by quantity; the first of the plan's dose is on the target. constraints: likewise. aims: what
    the planner added, each with where it looks. negligible: a value of the objectives that no clinician
    would tell from 0, Gy2.
    """

    flat: NDArray[np.int64] = field(repr=False)
    objectives: Mapping[str, tuple[Objective, ...]]
    constraints: Mapping[str, tuple[Constraint, ...]]
    aims: tuple[tuple[Aim, bool, Index], ...]
    negligible: float

    @property
    def target(self) -> Index:
        """Where the prescription is wanted."""
        return self.objectives[PLAN_DOSE][0].voxels


def wanted_of(scene: Scene, prescription: Prescription, options: PlanOptions, beyond: float = 0.0) -> Wanted:
    """The standard objectives and those of the planner. Raises BadInput for one on no voxel.

    beyond: as `standard` takes it.
    """
    aims = [(parse(text), False) for text in options.objectives]
    aims += [(parse(text), True) for text in options.constraints]
    flat, found = standard(scene, prescription, beyond)
    place = np.full(scene.grid.size, -1, dtype=np.int64)
    place[flat] = np.arange(len(flat))
    objectives: dict[str, list[Objective]] = {PLAN_DOSE: list(found)}
    constraints: dict[str, list[Constraint]] = {}
    placed = []
    for aim, hard in aims:
        at = place[np.flatnonzero(scene.drawn[aim.region])]
        if not len(at):
            raise BadInput(
                _("{text}: the region has no voxel on the dose grid; take a finer one").format(text=aim.text)
            )
        placed.append((aim, hard, at))
        if hard:
            constraints.setdefault(aim.quantity, []).append(aim.constraint(at, prescription.fractions, SLACK))
        else:
            objectives.setdefault(aim.quantity, []).append(aim.objective(at, prescription.fractions))
    return Wanted(
        flat,
        {name: tuple(group) for name, group in objectives.items()},
        {name: tuple(group) for name, group in constraints.items()},
        tuple(placed),
        _WEIGHTS["under"] * (_NEGLIGIBLE * prescription.dose_per_fraction) ** 2,
    )


def standard(
    scene: Scene, wanted: Prescription, beyond: float = 0.0
) -> tuple[NDArray[np.int64], tuple[Objective, ...]]:
    """Voxels (n,) that are looked at, and objectives on them in RBE-weighted Gy per fraction.

    Planning target: no less than the prescription and no more than 2 % above; around it a ring in which
    the dose falls to half; farther away a sample of the body below 80 %; organs: low mean dose outside
    the planning target, and no more than their limit. The dose falls from `beyond` mm around the target on:
    up to there the target itself can come in some scenario.
    """
    dose = wanted.dose_per_fraction
    grid, body, planning_target = scene.grid, scene.body, scene.planning_target
    far_off = masks.distance_outside(planning_target, grid, RING_MM)
    ring = body & np.isfinite(far_off) & ~planning_target
    rest = np.zeros_like(body)
    rest.ravel()[np.flatnonzero(body & ~np.isfinite(far_off))[::_FAR_STRIDE]] = True
    used = planning_target | ring | rest
    for mask in scene.organs.values():
        used |= mask
    for part in scene.fractions.values():
        used |= part > 0.0
    flat = np.flatnonzero(used)
    place = np.full(grid.size, -1, dtype=np.int64)
    place[flat] = np.arange(len(flat))

    def at(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        return place[np.flatnonzero(mask)]

    levels = dose * (1.0 - 0.5 * np.clip((far_off[ring] - beyond) / 20.0, 0.0, 1.0))
    found: list[Objective] = [
        Underdose(at(planning_target), 1.0 * dose, _WEIGHTS["under"]),
        Overdose(at(planning_target), 1.02 * dose, _WEIGHTS["over"]),
    ]
    if ring.any():
        found.append(Overdose(at(ring), levels, _WEIGHTS["ring"]))
    if rest.any():
        found.append(Overdose(at(rest), 0.8 * dose, _WEIGHTS["far"]))
    limits = {organ.name: organ.max_gy for organ in wanted.organs}
    for name, limit in limits.items():
        mask = scene.organs.get(name, np.zeros_like(body))
        outside = mask & ~planning_target
        if outside.any():
            found.append(MeanDose(at(outside), _WEIGHTS["mean"]))
            if limit is not None:
                found.append(Overdose(at(outside), limit / wanted.fractions, _WEIGHTS["limit"]))
    return flat, tuple(found)
