"""Images, plans and records of seeded courses: made outside, taken in at the times of their course.

`wanted` says which courses could have them and when each step of theirs was done; `take_in` keeps what was
made (in the way of every object), the physician prescribes, the physicist submits, the physician approves.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from sqlalchemy import select
from sqlalchemy.orm import Session

from common.dicom import ion_record, modules
from common.errors import BadDicom, Refused
from common.text import _
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.prescription import OrganGoal, PrescriptionText
from ois_bridge.domain.scheduling.plan import Kind
from ois_bridge.domain.task_states import TaskState
from ois_bridge.models.accounts import Account, AccountRole
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Course, Patient, Prescription
from ois_bridge.models.workflow import Task
from ois_bridge.services import intake, patients, plans
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.demo import department, people
from ois_bridge.services.demo.course_life import Clock, shifted
from ois_bridge.services.forms import records

TECHNIQUE = "IMPT"
ARRIVES_WITH = {
    modules.CT_IMAGE: ("simulation", "PTCS_CT"),
    modules.RT_STRUCTURE_SET: ("contouring", "PTCS_TPS"),
    modules.RT_DOSE: ("planning", "PTCS_TPS"),
    modules.RT_ION_PLAN: ("planning", "PTCS_TPS"),
}
"""SOP class -> the task whose end it arrives with, and who sends it."""

RECORDS_FROM = "PTCS_TCS"
ENTRY = timedelta(minutes=3)
"""From the patient's visit to the first beam."""


@dataclass(frozen=True)
class Deed:
    """A step of the course: when it was done, and by whom."""

    at: datetime
    user: str


def wanted(context: Context, caller: Caller) -> dict[str, Any]:
    """Seeded courses whose planning is done and that have no prescription yet, and what they need.

    {machine, therapists, courses: [{id, patient, diagnosis, target, dose_per_fraction, fractions, done:
    {task: time}, treated: [time of the first beam]}]}. Raises Unauthorised, Refused
    where real patients may be.
    """
    with context.reading(caller, Action.SEED_DEPARTMENT) as session:
        department.seeded(session)
        therapists = session.scalars(
            select(Account.user)
            .join(AccountRole, AccountRole.account_key == Account.key)
            .where(AccountRole.role == "therapist")
            .order_by(Account.user)
        ).all()
        described = [_described(session, course) for course in _courses(session)]
    return {
        "machine": context.machine,
        "therapists": list(therapists),
        "courses": [one for one in described if one],
    }


def take_in(
    context: Context, caller: Caller, course_key: str, contents: Sequence[bytes], organs: Mapping[str, float]
) -> None:
    """Keep the objects of one course, each at its time, with the prescription and the plan's approval.

    contents: DICOM files. organs: highest dose of the whole course by region, Gy (RBE). Raises Refused for
    a course that is nobody's made-up one or that has a prescription, BadDicom, Unauthorised.
    """
    with context.permitted(caller, Action.SEED_DEPARTMENT, "department", course_key) as session:
        course = patients.must(session.get(Course, course_key))
        if course not in _courses(session):
            raise Refused(_("Objects are made for seeded courses without a prescription alone."))
        asked, done = _asked(session, course_key), _done(session, course_key)
    clock, secret = Clock(context.now()), secrets.token_urlsafe(32)
    then = shifted(context, clock, secret)
    kinds: dict[str, list[Dataset]] = {}
    for ds in map(_read, contents):
        kinds.setdefault(str(ds.get("SOPClassUID", "")), []).append(ds)
    for sop_class, (task, sender) in ARRIVES_WITH.items():
        clock.at = done[task].at
        for ds in kinds.get(sop_class, ()):
            intake.store(then, ds, sender)
    text = PrescriptionText(
        **asked,
        rbe_model="constant 1.1",
        structure_set_uid=_uid(kinds, modules.RT_STRUCTURE_SET),
        organs=tuple(OrganGoal(name, dose) for name, dose in organs.items()),
    )
    _agree(then, clock, secret, course_key, done, text, _uid(kinds, modules.RT_ION_PLAN))
    for ds in sorted(kinds.get(modules.RT_ION_RECORD, ()), key=_ended):
        clock.at = _ended(ds)
        intake.store(then, ds, RECORDS_FROM)


def _agree(
    then: Context,
    clock: Clock,
    secret: str,
    course_key: str,
    done: Mapping[str, Deed],
    text: PrescriptionText,
    plan_uid: str,
) -> None:
    """The physician prescribes, the physicist submits, the physician approves if they did by then."""
    clock.at = done["plan-request"].at
    physician = Caller(done["plan-request"].user, frozenset({"physician"}))
    prescription = patients.prescribe(then, physician, course_key, text)
    clock.at = done["planning"].at
    plans.submit(then, Caller(done["planning"].user, frozenset({"physicist"})), plan_uid, prescription.key)
    if "plan-approval" in done:
        clock.at = done["plan-approval"].at
        plans.approve(then, Caller(done["plan-approval"].user, frozenset({"physician"})), plan_uid, secret)


def _courses(session: Session) -> Sequence[Course]:
    query = (
        select(Course)
        .join(Patient, Patient.key == Course.patient_key)
        .where(
            Patient.patient_id.startswith(people.PREFIX, autoescape=True),
            Course.state == CourseState.ACTIVE,
            Course.technique == TECHNIQUE,
            Course.key.in_(
                select(Task.course_key).where(Task.name == "planning", Task.state == TaskState.DONE)
            ),
            Course.key.not_in(select(Prescription.course_key)),
        )
        .order_by(Patient.patient_id)
    )
    return session.scalars(query).all()


def _described(session: Session, course: Course) -> dict[str, Any]:
    """One course as the maker of its objects needs it; nothing while a step before planning is done anew."""
    done, asked = _done(session, course.key), _asked(session, course.key)
    if not asked or not {task for task, _sender in ARRIVES_WITH.values()} <= set(done):
        return {}
    who = patients.identity_of(course.patient)
    return {
        "id": course.key,
        "patient": {
            "patient_id": who.patient_id, "name": who.name, "birth_date": who.birth_date, "sex": who.sex,
        },
        "diagnosis": course.diagnosis_code,
        **asked,
        "done": {name: deed.at.isoformat() for name, deed in done.items()},
        "treated": [moment.isoformat() for moment in _visits(session, course.key)],
    }  # fmt: skip


def _asked(session: Session, course_key: str) -> dict[str, Any]:
    """Target, dose and fractions of the plan request's first line."""
    form = records.current(session, course_key, "plan-request")
    doses: Any = form.content.get("doses") if form is not None else None
    if not doses:
        return {}
    first = doses[0]
    return {
        "target": str(first["target"]),
        "dose_per_fraction": float(first["dose_per_fraction"]),
        "fractions": int(first["fractions"]),
    }


def _done(session: Session, course_key: str) -> dict[str, Deed]:
    """Each task's last end."""
    query = select(Task).where(Task.course_key == course_key, Task.state == TaskState.DONE)
    rows = session.scalars(query.order_by(Task.done))
    return {row.name: Deed(row.done, row.done_by) for row in rows if row.done is not None}


def _visits(session: Session, course_key: str) -> Sequence[datetime]:
    query = select(Appointment).where(
        Appointment.course_key == course_key,
        Appointment.kind == Kind.TREATMENT,
        Appointment.state == AppointmentState.DONE,
    )
    return [(row.entered or row.start) + ENTRY for row in session.scalars(query.order_by(Appointment.start))]


def _read(content: bytes) -> Dataset:
    try:
        return dcmread(BytesIO(content))
    except (InvalidDicomError, EOFError, ValueError) as why:
        raise BadDicom(_("This is no DICOM object.")) from why


def _uid(kinds: Mapping[str, Sequence[Dataset]], sop_class: str) -> str:
    found = kinds.get(sop_class, ())
    if len(found) != 1:
        raise Refused(_("One structure set and one plan are needed, {n} came.").format(n=len(found)))
    return str(found[0].SOPInstanceUID)


def _ended(ds: Dataset) -> datetime:
    """When the last beam of a record ended."""
    return datetime.fromtimestamp(ion_record.from_dataset(ds).end_ns / 1e9, tz=UTC)
