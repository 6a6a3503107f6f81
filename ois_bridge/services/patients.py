"""Patients, courses, prescriptions: what people enter."""

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.dicom import structures
from common.dicom.plan import PatientIdentity
from common.errors import Refused
from common.text import _
from ois_bridge.domain import prescription
from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.prescription import PrescriptionText
from ois_bridge.models.archive import DicomInstance, DicomSeries
from ois_bridge.models.clinical import Course, Patient, PrescribedOrgan, Prescription
from ois_bridge.services import access, archive
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.errors import NotFound

T = TypeVar("T")


def prescribe(context: Context, caller: Caller, course_key: str, text: PrescriptionText) -> Prescription:
    """A new prescription in a course. Raises NotFound, BadInput for a value, Refused for another
    patient's structure set.
    """
    with context.permitted(caller, Action.PRESCRIBE, course_key) as session:
        course = must(session.get(Course, course_key))
        access.check(session, caller, course.patient_key, context)
        if course.state is not CourseState.ACTIVE:
            raise Refused(
                _("The course is {state}: only an active one can be planned, booked or treated.").format(
                    state=_(course.state.value)
                )
            )
        prescription.checked(text)
        structures = session.get(DicomInstance, text.structure_set_uid)
        if structures is None or structures.series.patient_key != course.patient_key:
            raise Refused(_("Structure set: none with this UID has arrived for this patient; send it first."))
        row = Prescription(
            course_key=course.key,
            target=text.target.strip(),
            dose_per_fraction=text.dose_per_fraction,
            fractions=text.fractions,
            rbe_model=text.rbe_model.strip(),
            structure_set_uid=text.structure_set_uid,
            created=context.now(),
            created_by=caller.user,
        )
        row.organs = [
            PrescribedOrgan(position=place, name=goal.name.strip(), max_gy=goal.max_gy)
            for place, goal in enumerate(text.organs)
        ]
        session.add(row)
        session.flush()
    return row


def by_id(session: Session, patient_id: str) -> Patient | None:
    """The patient with a patient ID; of a record that was merged, the one that stayed."""
    found = with_number(session, patient_id)
    return living(session, found) if found is not None else None


def with_number(session: Session, patient_id: str) -> Patient | None:
    """The record with a patient ID, merged or not: what objects with that number state."""
    return session.scalar(select(Patient).where(Patient.patient_id == patient_id))


def living(session: Session, patient: Patient) -> Patient:
    """The record that stayed after all merges; the same one as a rule."""
    while patient.merged_into:
        patient = session.get_one(Patient, patient.merged_into)
    return patient


def regions(context: Context, structure_sets: Sequence[DicomInstance]) -> list[str]:
    """Names of the regions of structure sets, sorted. Raises Tampered for one altered at rest."""
    found = (structures.from_dataset(archive.load(context, row)) for row in structure_sets)
    return sorted({name for one in found for name in one.rois})


def identity_of(patient: Patient) -> PatientIdentity:
    """The registered identity."""
    return PatientIdentity(patient.patient_id, patient.name, patient.birth_date, patient.sex)


def stated(series: DicomSeries) -> PatientIdentity:
    """The identity that a series' own objects state."""
    return PatientIdentity(series.stated_id, series.stated_name, series.stated_birth_date, series.stated_sex)


def must(found: T | None) -> T:
    """What was looked up. Raises NotFound."""
    if found is None:
        raise NotFound(_("There is no such entry in the OIS."))
    return found
