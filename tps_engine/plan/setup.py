"""A plan before it is optimised: the patient, fields laid out, their matrices and what is asked of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from common.dicom.ct import CtVolume
from common.dicom.structures import StructureSet
from common.errors import BadInput
from common.text import _
from tps_engine.optimise.objectives import Floats
from tps_engine.patient.stopping_power import CtCalibration
from tps_engine.plan import forecast
from tps_engine.plan import radiation as machines
from tps_engine.plan.aims import PLAN_DOSE
from tps_engine.plan.effects import DOSE, Effects
from tps_engine.plan.goals import Wanted, wanted_of
from tps_engine.plan.radiation import Machine, Radiation
from tps_engine.plan.request import FieldRequest, PlanOptions, Prescription, Progress
from tps_engine.plan.scene import PlannedField, Scene, build_scene, lay_out
from tps_engine.plan.situations import Maker, situations
from tps_engine.plan.task import Task


@dataclass(frozen=True)
class Setup:
    """effects: on the whole dose grid. isocentre: patient mm."""

    prescription: Prescription
    options: PlanOptions
    radiation: Radiation
    scene: Scene = field(repr=False)
    planned: tuple[PlannedField, ...] = field(repr=False)
    isocentre: tuple[float, float, float]
    effects: Effects = field(repr=False)
    task: Task = field(repr=False)

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest MU of a spot."""
        smallest, largest = self.radiation.limits
        return max(smallest, self.options.least_mu), largest

    @property
    def sums(self) -> frozenset[str]:
        """Names of the sums that the plan needs."""
        return sums_of(self.effects, self.task.wanted)

    @property
    def parts(self) -> tuple[tuple[int, int, float], ...]:
        """Spots first .. behind that are optimised together, and the factor to the dose they stand for."""
        behind = np.cumsum([len(one.layout) for one in self.planned])
        if not self.options.uniform:
            return ((0, int(behind[-1]), 1.0),)
        count = len(self.planned)
        shares = self.options.shares or (1.0 / count,) * count
        firsts = [0, *behind[:-1]]
        return tuple((int(a), int(b), 1.0 / s) for a, b, s in zip(firsts, behind, shares, strict=True))

    @property
    def layers(self) -> NDArray[np.int64]:
        """(spots,) number of each spot's layer, over all fields."""
        found, count = [], 0
        for one in self.planned:
            number = np.unique(one.layout.energy, return_inverse=True)[1]
            found.append(count + number)
            count += int(number.max()) + 1
        return np.concatenate(found).astype(np.int64)


def prepare(
    images: tuple[CtVolume, StructureSet],
    prescription: Prescription,
    fields: Sequence[FieldRequest],
    machine: Machine,
    options: PlanOptions,
    calibration: CtCalibration,
    progress: Progress,
) -> Setup:
    """Everything that the optimiser needs. Raises BadInput as `planning.make_plan` does."""
    _check(fields, options)
    progress(0.0, _("patient model"))
    radiation = machines.on_device(machines.of(machine), options.device)
    radiation, model = machines.with_model(radiation, options.model, prescription.rbe_model)
    layout = options.layout or radiation.layout
    options = replace(
        options,
        layout=options.robust.wider(layout) if options.robust else layout,
        timing=options.timing or radiation.timing,
    )
    expected = forecast.forecast(images, prescription, fields, radiation, model, options, calibration)
    if expected is not None:
        forecast.refuse_too_large(expected)
    scene = build_scene(*images, prescription, options, calibration)
    effects = radiation.effects(model, scene.grid.shape, scene.drawn, options.tissues)
    progress(0.1, _("spots and layers"))
    isocentre = scene.isocentre
    planned = tuple(lay_out(scene, request, isocentre, radiation, options) for request in fields)
    progress(0.15, _("dose influence"))
    task = build_task(scene, planned, prescription, radiation, options, effects)
    return Setup(prescription, options, radiation, scene, planned, isocentre, effects, task)


def build_task(
    scene: Scene,
    planned: Sequence[PlannedField],
    prescription: Prescription,
    machine: Machine,
    options: PlanOptions,
    effects: Effects,
) -> Task:
    """Objectives, constraints, matrices. Raises BadInput for what cannot be asked, and too little memory."""
    errors = options.robust
    if errors is None:
        wanted = wanted_of(scene, prescription, options)
    else:
        beyond = max(errors.shift, 0.01 * errors.range_percent * _deepest(planned, machines.of(machine)))
        exposed = replace(scene, planning_target=scene.covered)
        wanted = wanted_of(exposed, prescription, options, beyond)
    for name in (*wanted.objectives, *wanted.constraints):
        effects.check(name)
    near = effects.at(wanted.flat)
    maker = Maker(machines.of(machine), planned, sums_of(effects, wanted), near)
    made = situations(scene, maker, wanted.flat, errors, options.memory)
    return Task(made, wanted, errors.aim if errors else "nominal", near)


def sums_of(effects: Effects, wanted: Wanted) -> frozenset[str]:
    """Names of the sums that all quantities asked for are made of."""
    names = (PLAN_DOSE, *wanted.objectives, *wanted.constraints)
    return frozenset({DOSE, *(part for name in names for part in effects.sums(name))})


def equal_start(task: Task, dose: float) -> Floats:
    """Equal metersets (spots,) that give the target a dose in Gy on average. Raises BadInput for no dose."""
    weights = np.ones(task.spots)
    for _step in range(4):
        mean = float(task.values(PLAN_DOSE, task.situations[0], weights)[task.wanted.target].mean())
        if not mean > 0.0:
            raise BadInput(_("the spots give the target no dose; check the target and the field angles"))
        weights *= dose / mean
    return weights


def _check(fields: Sequence[FieldRequest], options: PlanOptions) -> None:
    if not fields:
        raise BadInput(_("a plan needs one field or more"))
    if len({one.name for one in fields}) != len(fields):
        raise BadInput(_("two fields have one name; give each its own"))
    shares = options.shares
    if shares is not None and (
        len(shares) != len(fields) or min(shares) <= 0.0 or abs(sum(shares) - 1.0) > 1e-6
    ):
        raise BadInput(_("each field needs a share above 0 of the dose, together 1"))
    if options.robust is not None and options.robust.accumulate and not options.robust.phases:
        raise BadInput(_("a dose over the breathing cycle needs its phases; give one CT or more"))


def _deepest(planned: Sequence[PlannedField], radiation: Radiation) -> float:
    """Depth in mm of the deepest layer's peak."""
    energy = max(float(one.layout.energy.max()) for one in planned)
    return float(np.interp(energy, radiation.energies, radiation.peaks()[0]))
