"""Patients, courses, prescriptions, and what the archive holds of a patient."""

from typing import Any

from fastapi import APIRouter

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.prescription import OrganGoal, PrescriptionText
from ois_bridge.domain.registration import PatientEntry
from ois_bridge.interfaces.rest import schemas
from ois_bridge.interfaces.rest.callers import By, Means
from ois_bridge.models.clinical import Prescription
from ois_bridge.services import access, archive, courses, patients, registration, views
from ois_bridge.services.search import find

router = APIRouter(tags=["patients"])


@router.post("/patients", status_code=201, response_model=schemas.Patient)
def register(context: Means, caller: By, body: schemas.PatientBody) -> Any:
    """Register a patient (front desk, physician, physicist). Numbers left out are made by rule."""
    data = body.model_dump()
    if data["patient_id"] is None:
        data["patient_id"] = ""
    elif not data["patient_id"]:
        raise BadInput(_("Patient ID: leave it out to have one made, or give 1 to 64 characters."))
    return views.patient(registration.register(context, caller, PatientEntry(**data)))


@router.get("/patients", response_model=list[schemas.Patient])
def list_patients(context: Means, caller: By, search: str = "") -> Any:
    """Newest patients, or the first 100 with a name or number of which `search` is a piece."""
    with context.reading(caller, Action.READ_PATIENTS) as session:
        return [views.patient(row) for row in find.page(session, find.Query(search), limit=100).patients]


@router.get("/patients/{patient_id}", response_model=schemas.PatientWithCourses)
def one_patient(context: Means, caller: By, patient_id: str) -> Any:
    """One patient with courses."""
    with context.reading(caller, Action.READ_PATIENTS) as session:
        patient = patients.must(patients.by_id(session, patient_id))
        access.check(session, caller, patient.key, context)
        return views.patient_with_courses(patient)


@router.get("/patients/{patient_id}/instances", response_model=list[schemas.Instance])
def instances(context: Means, caller: By, patient_id: str, modality: str = "") -> Any:
    """What the archive holds of a patient; `modality` is CT, RTSTRUCT, RTPLAN, RTDOSE or RTRECORD."""
    with context.reading(caller, Action.READ_INSTANCES) as session:
        patient = patients.must(patients.by_id(session, patient_id))
        access.check(session, caller, patient.key, context)
        return [views.instance(row) for row in archive.of_patient(session, patient.key, modality)]


@router.post("/patients/{patient_id}/courses", status_code=201)
def add_course(context: Means, caller: By, patient_id: str, body: schemas.CourseBody) -> schemas.Created:
    """Add a course (physician)."""
    course = courses.add(context, caller, patient_id, body.name, body.diagnosis)
    return schemas.Created(id=course.key)


@router.post("/courses/{course_id}/prescriptions", status_code=201)
def prescribe(context: Means, caller: By, course_id: str, body: schemas.PrescriptionBody) -> schemas.Created:
    """Prescribe (physician)."""
    text = PrescriptionText(
        target=body.target,
        dose_per_fraction=body.dose_per_fraction,
        fractions=body.fractions,
        rbe_model=body.rbe_model,
        structure_set_uid=body.structure_set_uid,
        organs=tuple(OrganGoal(organ.name, organ.max_gy) for organ in body.organs),
    )
    return schemas.Created(id=patients.prescribe(context, caller, course_id, text).key)


@router.get("/prescriptions/{prescription_id}", response_model=schemas.Prescription)
def prescription(context: Means, caller: By, prescription_id: str) -> Any:
    """One prescription."""
    with context.reading(caller, Action.READ_PRESCRIPTION) as session:
        wish = patients.must(session.get(Prescription, prescription_id))
        access.check(session, caller, wish.course.patient_key, context)
        return views.prescription(wish)
