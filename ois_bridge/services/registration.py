"""Registration of out- and in-patients: one form, one transaction, no person twice."""

import re
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session, lazyload

from common.dicom.plan import PatientIdentity
from common.errors import Refused
from common.text import _
from ois_bridge.domain import chinese, identity, registration
from ois_bridge.domain.barcode import BarcodeRule
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.registration import CourseEntry, PatientEntry
from ois_bridge.models.accounts import Account, AccountRole
from ois_bridge.models.archive import DicomSeries
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.models.record import Diagnosis
from ois_bridge.models.registration import SerialNumber, Submission
from ois_bridge.services import access, courses, known, patients, photos
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.search import parts
from ois_bridge.services.workflow import happenings

REMEMBERED = timedelta(days=2)
"""For how long a form is known to have been taken."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{0,64}")


def register(
    context: Context,
    caller: Caller,
    entry: PatientEntry,
    course: CourseEntry | None = None,
    photo: bytes = b"",
    submission: str = "",
    other_person: bool = True,
) -> Patient:
    """A new patient, with the first course where one is given; series that arrived earlier and agree with
    the identity become theirs. A form sent twice (same `submission`) makes one patient.

    `other_person`: the caller has looked at patients of the same name and birth date.
    Raises BadInput for a field, Refused for a person or number that is registered already.
    """
    picture = photos.checked(photo) if photo else b""
    path = photos.new_path() if picture else ""
    staged = context.desk.photos.stage(picture) if picture else None
    subject = entry.patient_id or entry.id_card or entry.name
    try:
        with context.permitted(caller, Action.REGISTER_PATIENT, subject) as session:
            before = _taken(session, submission)
            if before is not None:
                return before
            patient = _new_patient(context, session, caller, entry, other_person)
            _adopt_series(session, patient)
            if course is not None:
                _new_course(context, session, caller, patient, course)
            if staged is not None:
                context.desk.photos.publish(staged, path)
                patient.photo = path
            _remember(context, session, submission, patient)
    except BaseException:
        if path:
            context.desk.photos.remove(path)
        raise
    finally:
        if staged is not None:
            context.desk.photos.discard(staged)
    return patient


def return_visit(
    context: Context, caller: Caller, key: str, course: CourseEntry, submission: str = ""
) -> Patient:
    """A known patient comes again: a new course. Raises NotFound, BadInput."""
    with context.permitted(caller, Action.REGISTER_PATIENT, key, "course") as session:
        patient = patients.living(session, patients.must(session.get(Patient, key)))
        access.check(session, caller, patient.key, context)
        if _taken(session, submission) is None:
            _new_course(context, session, caller, patient, course)
            _remember(context, session, submission, patient)
    return patient


def physicians(session: Session) -> list[Account]:
    """Doctors who may be in charge, by name."""
    found = (
        select(Account)
        .join(Account.role_rows)
        .where(Account.active, AccountRole.role == "physician")
        .options(lazyload(Account.role_rows))
        .order_by(Account.full_name)
    )
    return list(session.scalars(found))


def refuse_duplicates(session: Session, entry: PatientEntry, own_key: str = "") -> None:
    """Raise Refused where a number of the entry belongs to another patient."""
    numbers = replace(entry, name="", birth_date="")
    for row in known.known(session, numbers):
        if row.patient.key != own_key:
            raise Refused(
                _("This patient is registered already ({why}); open that record instead.").format(
                    why=_(row.why)
                )
            )


def next_number(session: Session, context: Context, rule: BarcodeRule) -> str:
    """The next number by a rule, in the caller's transaction."""
    today = context.now().astimezone().date()
    series = rule.series(today)
    row = session.get(SerialNumber, f"{series}:{rule.digits}")
    if row is None:
        row = SerialNumber(series=f"{series}:{rule.digits}", last=0)
        session.add(row)
    row.last += 1
    return rule.make(today, row.last)


def _new_patient(
    context: Context, session: Session, caller: Caller, entry: PatientEntry, other_person: bool
) -> Patient:
    who = registration.checked(entry, context.now().astimezone().date())
    refuse_duplicates(session, who)
    if not other_person and known.known(session, who):
        raise Refused(
            _("A patient with this name and birth date is registered: open that record, or say that this is "
              "another person.")
        )  # fmt: skip
    patient = Patient(
        patient_id=who.patient_id or _free_id(context, session),
        name=who.name,
        birth_date=who.birth_date,
        sex=who.sex,
        id_card=who.id_card,
        hospital_number=who.hospital_number,
        barcode=who.barcode.upper() or free_barcode(context, session),
        phone=who.phone,
        address=who.address,
        registered=context.now(),
        registered_by=caller.user,
    )
    set_sounds(patient)
    session.add(patient)
    session.flush()
    parts.put(session, patient)
    return patient


def set_sounds(patient: Patient) -> None:
    """Pinyin and initials of the name."""
    characters = chinese.chinese_of(patient.name)
    patient.pinyin = chinese.pinyin(characters)[:120]
    patient.initials = chinese.initials(characters)[:32]


def _free_id(context: Context, session: Session) -> str:
    while True:
        number = next_number(session, context, context.desk.patient_ids)
        if patients.with_number(session, number) is None:
            return number


def free_barcode(context: Context, session: Session) -> str:
    """The next barcode by rule that no patient has."""
    while True:
        code = next_number(session, context, context.desk.barcodes)
        if session.scalar(select(Patient.key).where(Patient.barcode == code)) is None:
            return code


def _adopt_series(session: Session, patient: Patient) -> None:
    waiting = session.scalars(
        select(DicomSeries).where(
            DicomSeries.stated_id == patient.patient_id, DicomSeries.patient_key.is_(None)
        )
    )
    who = PatientIdentity(patient.patient_id, patient.name, patient.birth_date, patient.sex)
    for series in waiting:
        if not identity.contradictions(who, patients.stated(series)):
            series.patient_key = patient.key


def _new_course(
    context: Context, session: Session, caller: Caller, patient: Patient, entry: CourseEntry
) -> Course:
    entry = registration.checked_course(entry)
    if entry.physician and entry.physician not in {row.user for row in physicians(session)}:
        raise Refused(_("Doctor in charge: choose one of the list."))
    count = len(session.scalars(select(Course.key).where(Course.patient_key == patient.key)).all())
    course = Course(
        patient_key=patient.key,
        name=entry.name or f"C{count + 1}",
        diagnosis="",
        technique=entry.technique,
        source=entry.source,
        ward=entry.ward,
        bed=entry.bed,
        physician=entry.physician,
        created=context.now(),
        created_by=caller.user,
    )
    code = _diagnosis_code(session, entry.diagnosis)
    courses.set_diagnosis(session, course, code, "" if code == entry.diagnosis else entry.diagnosis)
    session.add(course)
    session.flush()
    happenings.course_made(session, context, caller.user, course)
    return course


def _diagnosis_code(session: Session, text: str) -> str:
    """The code of the department's diagnosis that a text names by code or name; empty for other words."""
    if not text:
        return ""
    named = (Diagnosis.code == text) | (Diagnosis.name == text) | (Diagnosis.name_en == text)
    found = session.scalar(
        select(Diagnosis.code).where(Diagnosis.active, named).order_by(Diagnosis.source).limit(1)
    )
    return found or ""


def _taken(session: Session, submission: str) -> Patient | None:
    """The patient that a form made when it came before."""
    if not _TOKEN.fullmatch(submission):
        raise Refused(_("This form is damaged; open the page again."))
    row = session.get(Submission, submission) if submission else None
    return session.get(Patient, row.patient_key) if row is not None else None


def _remember(context: Context, session: Session, submission: str, patient: Patient) -> None:
    if submission:
        session.execute(delete(Submission).where(Submission.made < context.now() - REMEMBERED))
        session.add(Submission(token=submission, patient_key=patient.key, made=context.now()))
