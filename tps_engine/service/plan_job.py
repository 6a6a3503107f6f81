"""Job `plan`: prescription and images from the OIS, plan and dose back to it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common.dicom import ion_plan, rt_dose
from common.errors import LinkLost, Refused
from common.site import Site
from common.state import StateDir
from common.text import _
from tps_engine import output
from tps_engine.beamdata.model import BeamModel
from tps_engine.biology import parameters
from tps_engine.biology import stated as biology
from tps_engine.biology.stated import Biology
from tps_engine.output import Case
from tps_engine.patient import stopping_power
from tps_engine.plan.planning import make_plan
from tps_engine.plan.request import FieldRequest, OrganLimit, PlanOptions, Prescription
from tps_engine.scripting.plan import Plan
from tps_engine.service.archive import Ois
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
            known = biology.stated(parameters.load(), wanted.rbe_model, request.tissues)
            plan = self._plan(case, wanted, request, _scaled(order.report))
            answer = {**_answer(plan), "biology": _biology(known)}
            order.report(_PLANNED, _("draws the pictures"))
            order.keep("dose_planes.png", plan.planes().png)
            order.keep("dvh.png", plan.histograms().png)
            order.report(_DRAWN, _("sends plan and dose to the OIS"))
            return {**_store(ois, plan, self.site.machine), **answer}

    def _plan(self, case: Case, wanted: Prescription, request: PlanRequest, report: Report) -> Plan:
        model, calibration = self.beam_model(), stopping_power.load()
        fields = [FieldRequest(field.name, field.gantry, field.couch) for field in request.fields]
        options = PlanOptions(margin=request.margin_mm, tissues=request.tissues)
        result = make_plan(case.ct, case.structures, wanted, fields, model, options, report, calibration)
        return Plan(case, wanted, model, calibration, result, options)


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
    if request.rbe_model not in ("", found["rbe_model"]):
        raise Refused(
            _(
                "the prescription is by the RBE model {prescribed}, the request by {asked}; prescribe it so"
            ).format(prescribed=found["rbe_model"], asked=request.rbe_model)
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


def _biology(known: Biology) -> dict[str, Any]:
    """The model that the doses are weighed by, with its parameter set, and alpha/beta in Gy by region."""
    name, version = known.parameters
    return {
        "model": known.model.name,
        "parameter_set": name,
        "version": version,
        "alpha_beta": dict(known.ratios),
    }


def _answer(plan: Plan) -> dict[str, Any]:
    wanted, result = plan.prescription, plan.result
    found = plan.histogram()
    shown = {name: one for name, one in found.items() if name != "PTV" or name == wanted.target}
    return {
        "metrics": output.metrics(shown, wanted.target, wanted.dose_per_fraction),
        "spots": result.spots,
        "layers": result.layers,
        "warnings": list(plan.warnings),
    }


def _store(ois: Ois, plan: Plan, machine: str) -> dict[str, str]:
    """Dose, then plan: a plan in the OIS always finds its dose there."""
    ion, dose = plan.objects(machine)
    objects = [rt_dose.to_dataset(dose), ion_plan.to_dataset(ion)]
    try:
        ois.store(objects)
    except (Refused, LinkLost) as why:
        text = _("the plan is not in the OIS, post the job again: {why}")
        raise type(why)(text.format(why=why)) from why
    return {"plan_uid": ion.sop_instance_uid, "dose_uid": dose.sop_instance_uid}
