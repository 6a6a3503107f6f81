"""Job `plan`: prescription and images from the OIS, plan and dose back to it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.dicom import ion_plan, modules, rt_dose
from common.errors import LinkLost, Refused
from common.site import Site
from common.state import StateDir
from common.text import _
from tps_engine.beamdata.model import BeamModel
from tps_engine.evaluate import figures
from tps_engine.evaluate.drawing import Volume
from tps_engine.patient import contours
from tps_engine.patient.grid import Grid
from tps_engine.plan.planning import make_plan
from tps_engine.plan.request import FieldRequest, OrganLimit, PlanOptions, PlanResult, Prescription
from tps_engine.service import output
from tps_engine.service.archive import Ois
from tps_engine.service.output import Case
from tps_engine.service.requests import PlanRequest
from tps_engine.service.worker import Order, Report

_READ, _PLANNED, _DRAWN = 0.08, 0.92, 0.96


@dataclass(frozen=True)
class PlanJob:
    """Makes plans for one site."""

    state: StateDir
    site: Site
    beam_model: Callable[[], BeamModel]

    def __call__(self, request: PlanRequest, order: Order) -> dict[str, Any]:
        """Run one job. Raises what it refuses; nothing is stored before everything is computed."""
        if request.machine != self.site.machine:
            raise Refused(
                _("machine {asked}: this site has {machine}").format(
                    asked=request.machine, machine=self.site.machine
                )
            )
        with Ois(self.state, order.token) as ois:
            order.report(0.0, _("reads prescription and images"))
            wanted, case = _read(ois, request)
            result = make_plan(
                case.ct,
                case.structures,
                wanted,
                [FieldRequest(field.name, field.gantry, field.couch) for field in request.fields],
                self.beam_model(),
                PlanOptions(margin=request.margin_mm),
                _scaled(order.report),
            )
            answer = _answer(result, wanted)
            order.report(_PLANNED, _("draws the pictures"))
            _draw(order, case, result, wanted)
            order.report(_DRAWN, _("sends plan and dose to the OIS"))
            return {**_store(ois, case, wanted, result, self.site.machine), **answer}


def _scaled(report: Report) -> Report:
    return lambda share, step: report(_READ + (_PLANNED - _READ) * share, step)


def _read(ois: Ois, request: PlanRequest) -> tuple[Prescription, Case]:
    """Prescription, structure set and CT. Raises Refused when they are of different patients."""
    found = ois.prescription(request.prescription_id)
    structures = ois.structures(found["structure_set_uid"])
    ct = ois.ct(structures)
    patients = {found["patient_id"], structures.patient.patient_id, ct.patient.patient_id}
    if patients != {request.patient_id}:
        raise Refused(
            _("prescription, structure set, CT and request are not of one patient; nothing was planned")
        )
    limits = tuple(OrganLimit(organ["name"], organ["max_gy"]) for organ in found["organs"])
    wanted = Prescription(
        target=found["target"],
        dose_per_fraction=float(found["dose_per_fraction"]),
        fractions=int(found["fractions"]),
        organs=limits,
        rbe_model=found["rbe_model"],
    )
    return wanted, Case(ct, structures)


def _answer(result: PlanResult, wanted: Prescription) -> dict[str, Any]:
    regions = {name: mask for name, mask in result.regions.items() if name != "PTV" or name == wanted.target}
    found = output.histograms(result.dose, regions, result.grid)
    warnings = list(result.warnings)
    if not result.converged:
        warnings.append(_("the optimisation ended before it converged; review the plan with care"))
    return {
        "metrics": output.metrics(found, wanted.target, wanted.dose_per_fraction),
        "spots": result.spots,
        "layers": result.layers,
        "warnings": warnings,
    }


def _draw(order: Order, case: Case, result: PlanResult, wanted: Prescription) -> None:
    nz, ny, nx = case.ct.hu.shape
    grid = Grid(case.ct.origin, case.ct.spacing, (nz, ny, nx))
    target = contours.rasterise(case.structures.roi(wanted.target).contours, grid)
    scene = figures.Backdrop(
        Volume(case.ct.hu, grid), Volume(target, grid), wanted.target, wanted.dose_per_fraction
    )
    doses = [(_("planned"), Volume(result.dose, result.grid))]
    order.keep("dose_planes.png", figures.dose_planes(scene, doses, _("Planned dose of one fraction")))
    found = output.histograms(result.dose, result.regions, result.grid)
    order.keep(
        "dvh.png", figures.dvh_chart(found, None, wanted.dose_per_fraction, _("Dose-volume histograms"))
    )


def _store(ois: Ois, case: Case, wanted: Prescription, result: PlanResult, machine: str) -> dict[str, str]:
    """Dose, then plan: a plan in the OIS always finds its dose there."""
    plan_uid, dose_uid = modules.new_uid(), modules.new_uid()
    plan = output.ion_plan(case, wanted, result.beams, machine, (plan_uid, dose_uid))
    # Dose Summation Type PLAN is the dose of all fractions (PS3.3 C.8.8.3).
    total = result.dose * np.float32(wanted.fractions)
    dose = output.dose_grid(plan, total, result.grid, dose_uid, summation="PLAN")
    objects = [rt_dose.to_dataset(dose), ion_plan.to_dataset(plan)]
    try:
        ois.store(objects)
    except (Refused, LinkLost) as why:
        text = _("the plan is not in the OIS, post the job again: {why}")
        raise type(why)(text.format(why=why)) from why
    return {"plan_uid": plan_uid, "dose_uid": dose_uid}
