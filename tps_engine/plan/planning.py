"""From images, regions and a prescription to beams with metersets and their dose."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from common.dicom.ct import CtVolume
from common.dicom.structures import StructureSet
from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.model import BeamModel
from tps_engine.dose.beam import beam_dose
from tps_engine.dose.engine import Influence
from tps_engine.optimise import deliverable, products
from tps_engine.patient import stopping_power
from tps_engine.patient.grid import Floats
from tps_engine.plan import review
from tps_engine.plan.beams import to_beams
from tps_engine.plan.goals import OptimisationVoxels
from tps_engine.plan.request import FieldRequest, PlanOptions, PlanResult, Prescription, Progress
from tps_engine.plan.scene import PlannedField, Scene, build_scene, lay_out
from tps_engine.plan.task import build_task

Doses = tuple[NDArray[np.float32], ...]
"""RBE-weighted dose of each beam, (nz, ny, nx) Gy of one fraction."""


def _silent(_fraction: float, _step: str) -> None:
    """Report to nobody."""


def make_plan(
    ct: CtVolume,
    structures: StructureSet,
    prescription: Prescription,
    fields: Sequence[FieldRequest],
    beam_model: BeamModel,
    options: PlanOptions | None = None,
    progress: Progress = _silent,
    calibration: stopping_power.CtCalibration | None = None,
) -> PlanResult:
    """An intensity-modulated plan: spots, optimised metersets within the machine's limits, and their dose.

    Raises BadInput for: no such region, a target cut by the image edge or outside the body, a field that
    enters the body where the image ends, a target out of the machine's range or scan limits, no field,
    CT values that are no numbers, a dose matrix that does not fit in memory.
    """
    if not fields:
        raise BadInput(_("a plan needs one field or more"))
    chosen = options or PlanOptions()
    progress(0.0, _("patient model"))
    if chosen.robust is not None:
        chosen = replace(chosen, layout=chosen.robust.wider(chosen.layout))
    scene = build_scene(ct, structures, prescription, chosen, calibration or stopping_power.load())
    progress(0.1, _("spots and layers"))
    isocentre = scene.isocentre
    planned = [lay_out(scene, request, isocentre, beam_model, chosen) for request in fields]
    progress(0.15, _("dose influence"))
    task = build_task(scene, planned, prescription, beam_model, chosen.robust)
    matrix, wanted = task.matrices[0], task.wanted
    limits = (beam_model.minimum_mu, beam_model.maximum_mu)
    progress(0.3, _("optimisation"))
    start = _start(matrix, wanted, prescription)
    solution = deliverable.deliver(task.minimiser(_counting(progress, 0.3, 0.75)), start, limits)
    mu = _normalise(matrix, solution.weights, scene, wanted, prescription, limits)
    progress(0.75, _("dose calculation"))
    exact = partial(_exact, scene, planned, beam_model, prescription)
    # The matrix is quick and approximate: the last pass works on its difference to the dose that is shown.
    offset = task.offset(sum_of(exact(mu)), mu)
    finer = task.minimiser(_counting(progress, 0.8, 0.9), offset)
    solution = deliverable.touch_up(finer, mu.astype(np.float64), limits)
    mu = solution.weights.astype(np.float32)
    progress(0.9, _("dose calculation"))
    mu, doses = _to_prescription(exact, mu, scene, prescription, limits)
    dose = sum_of(doses)
    progress(1.0, _("plan finished"))
    return PlanResult(
        beams=to_beams(planned, mu, isocentre, beam_model),
        grid=scene.grid,
        dose=dose,
        beam_doses=doses,
        regions=_regions(scene, prescription, chosen),
        body=scene.body,
        warnings=review.warnings(scene, planned, dose, prescription),
        optimiser=solution.values,
        converged=solution.converged,
        scenarios=task.histograms(scene, mu, prescription, task.offset(dose, mu)) if chosen.robust else {},
    )


def sum_of(doses: Doses) -> NDArray[np.float32]:
    """The dose of all beams."""
    return np.asarray(np.sum(doses, axis=0, dtype=np.float32))


def _exact(
    scene: Scene,
    planned: Sequence[PlannedField],
    beam_model: BeamModel,
    prescription: Prescription,
    mu: NDArray[np.float32],
) -> Doses:
    """RBE-weighted dose of each beam at these metersets, without the matrix."""
    factor = np.float32(prescription.rbe)
    beams = to_beams(planned, mu, scene.isocentre, beam_model)
    return tuple(factor * beam_dose(scene.patient, scene.grid, beam, beam_model) for beam in beams)


def _to_prescription(
    exact: Callable[[NDArray[np.float32]], Doses],
    mu: NDArray[np.float32],
    scene: Scene,
    prescription: Prescription,
    limits: tuple[float, float],
) -> tuple[NDArray[np.float32], Doses]:
    """Metersets whose exact dose has the prescription as its median in the target, and that dose."""
    doses = exact(mu)
    factor = prescription.dose_per_fraction / float(np.median(sum_of(doses)[scene.target]))
    scaled = deliverable.settle(mu.astype(np.float64), factor, limits)
    if np.allclose(scaled, mu * np.float32(factor), rtol=1e-6, atol=0.0):
        return scaled, tuple(np.float32(factor) * dose for dose in doses)
    return scaled, exact(scaled)


def _regions(scene: Scene, prescription: Prescription, options: PlanOptions) -> dict[str, NDArray[np.bool_]]:
    """What the plan is judged on; a robust one has no planning target."""
    margin = {} if options.robust else {"PTV": scene.planning_target}
    return {prescription.target: scene.target, **margin, **scene.organs}


def _start(matrix: Influence, wanted: OptimisationVoxels, prescription: Prescription) -> Floats:
    """Equal weights that give the planning target the prescription on average."""
    ones = np.ones(matrix.spots)
    mean = float(products.dose(matrix, ones)[wanted.objectives[0].voxels].mean())
    if mean <= 0.0:
        raise BadInput(_("the spots give the target no dose; check the target and the field angles"))
    return ones * (prescription.dose_per_fraction / mean)


def _counting(progress: Progress, first: float, last: float) -> Callable[[int, float], None]:
    """Turn iterations into a fraction that approaches the end of a step from `first` to `last`."""
    done = 0

    def report(_iteration: int, _value: float) -> None:
        nonlocal done
        done += 1
        progress(first + (last - first) * (1.0 - 0.985**done), _("optimisation"))

    return report


def _normalise(
    matrix: Influence,
    weights: Floats,
    scene: Scene,
    wanted: OptimisationVoxels,
    prescription: Prescription,
    limits: tuple[float, float],
) -> NDArray[np.float32]:
    """Metersets whose median target dose is the prescription, each within the machine's limits."""
    inside = np.flatnonzero(scene.target.ravel()[wanted.flat])
    mu = weights
    for _attempt in range(3):
        median = float(np.median(products.dose(matrix, mu)[inside]))
        mu = deliverable.settle(mu, prescription.dose_per_fraction / median, limits).astype(np.float64)
    return mu.astype(np.float32)
