"""A delivered fraction with all that belongs to it, read from the OIS."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonPlan
from common.dicom.rt_dose import DoseGrid
from common.errors import BadInput, Refused
from common.text import _
from tps_engine.biology import parameters, stated
from tps_engine.biology.stated import Biology
from tps_engine.evaluate.delivered import DeliveredBeam, combine
from tps_engine.output import Case
from tps_engine.patient import stopping_power
from tps_engine.patient.grid import Grid, resample_nearest
from tps_engine.patient.model import Patient, build
from tps_engine.service.archive import Ois
from tps_engine.service.requests import ReconstructRequest

Dose = NDArray[np.float32]
Masks = dict[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Fraction:
    """Everything about one delivered fraction. planned: RBE-weighted Gy of one fraction, on `grid`.

    biology: what the plan was weighed by, and the delivered dose is. organs: of the prescription.
    """

    plan: IonPlan
    case: Case
    patient: Patient
    organs: tuple[str, ...]
    beams: tuple[DeliveredBeam, ...]
    record_uids: tuple[str, ...]
    number: int
    grid: Grid
    planned: Dose
    biology: Biology


def regions(fraction: Fraction, names: Sequence[str] = ()) -> Masks:
    """Regions on the dose grid, inside the body. names: none for the target and the organs after it."""
    patient, grid = fraction.patient, fraction.grid
    body = resample_nearest(patient.body, patient.grid, grid)
    names = names or (fraction.plan.target, *fraction.organs)
    return {name: resample_nearest(patient.region(name), patient.grid, grid) & body for name in names}


def read(ois: Ois, request: ReconstructRequest) -> Fraction:
    """Fetch and check everything about the fraction whose records are named.

    Raises Refused when plan, records, images and dose do not belong together or a part of the fraction is
    left out, BadInput for what the OIS lacks, BadDicom for what is damaged.
    """
    plan = ois.plan(request.plan_uid)
    biology = stated.read(parameters.load(), plan.rbe_model)
    records = [ois.record(uid) for uid in request.record_uids]
    beams = combine(plan, records)
    number = records[0].fraction
    facts = ois.plan_facts(request.plan_uid)
    _must_be_whole(facts, number, request.record_uids)
    planned = _planned(ois, plan)
    structures = ois.structures(plan.structure_set_uid)
    case = Case(ois.ct(structures), structures)
    if {case.ct.patient.patient_id, structures.patient.patient_id} != {plan.patient.patient_id}:
        raise Refused(_("plan, structure set and CT are not of one patient; nothing was computed"))
    organs = _organs(ois, facts)
    names = dict.fromkeys((*organs, *biology.regions))
    patient = build(case.ct, structures, list(names), plan.target, stopping_power.load())
    nz, ny, nx = planned.dose.shape
    share = np.float32(plan.fractions if planned.summation == "PLAN" else 1)
    return Fraction(
        plan=plan,
        case=case,
        patient=patient,
        organs=organs,
        beams=beams,
        record_uids=tuple(request.record_uids),
        number=number,
        grid=Grid(planned.origin, planned.spacing, (nz, ny, nx)),
        planned=planned.dose / share,
        biology=biology,
    )


def _must_be_whole(facts: dict[str, Any], number: int, given: Sequence[str]) -> None:
    """Raise Refused unless the records given are all parts that the OIS holds of the fraction."""
    parts = next((set(row["parts"]) for row in facts["fractions"] if row["number"] == number), None)
    if parts is None:
        raise Refused(_("the OIS has no fraction {number} of this plan").format(number=number))
    if parts != set(given):
        text = _("fraction {number} has {parts} records, {given} of them were named; name all of them")
        raise Refused(text.format(number=number, parts=len(parts), given=len(parts & set(given))))


def _planned(ois: Ois, plan: IonPlan) -> DoseGrid:
    if not plan.dose_sop_instance_uid:
        raise BadInput(_("the plan names no RT Dose; there is nothing to compare with"))
    dose = ois.dose(plan.dose_sop_instance_uid)
    if (
        dose.plan_sop_instance_uid != plan.sop_instance_uid
        or dose.patient.patient_id != plan.patient.patient_id
    ):
        raise Refused(_("the RT Dose that the plan names was computed for another plan or patient"))
    if dose.dose_type != "EFFECTIVE" or dose.summation not in ("PLAN", "FRACTION"):
        raise BadInput(
            _("the planned RT Dose is {kind} {summation}: allowed is EFFECTIVE of the whole plan").format(
                kind=dose.dose_type, summation=dose.summation
            )
        )
    return dose


def _organs(ois: Ois, facts: dict[str, Any]) -> tuple[str, ...]:
    """The organs that the plan's prescription names; none before the plan was submitted for one."""
    key = facts.get("prescription_id")
    return tuple(organ["name"] for organ in ois.prescription(key)["organs"]) if key else ()
