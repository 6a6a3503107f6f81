"""A patient with a treated plan on a real database file, for the tests of the record."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from common import site
from common.state import StateDir
from ois_bridge import process
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.prescription import PrescriptionText
from ois_bridge.domain.registration import PatientEntry
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.services import courses, intake, patients, plans, registration
from ois_bridge.services.context import Caller, Context
from tests.ois_bridge.ois_case import ZHANG, Case

DOCTOR = Caller("physician", frozenset({"physician"}))
PHYSICIST = Caller("physicist", frozenset({"physicist"}))
THERAPIST = Caller("therapist", frozenset({"therapist"}))
DESK = Caller("receptionist", frozenset({"receptionist"}))
CASE = Case("R", replace(ZHANG, patient_id="R-1"))


@dataclass(frozen=True)
class Record:
    """What the tests act on."""

    root: Path
    context: Context
    patient: Patient
    course: Course
    password: str


@contextmanager
def opened(root: Path) -> Iterator[Context]:
    """The means of an OIS in a directory."""
    context = process.build(StateDir(root), site.load())
    try:
        yield context
    finally:
        context.close()


def treated(root: Path, context: Context) -> Record:
    """Registered, prescribed, planned, approved; fraction 1 is half delivered."""
    password = json.loads((root / "keys/demo-accounts.json").read_text())["physician"]
    who = CASE.patient
    entry = PatientEntry(
        patient_id=who.patient_id, name=who.name, birth_date=who.birth_date, sex=who.sex
    )  # fmt: skip
    patient = registration.register(context, DOCTOR, entry)
    for ds in CASE.images():
        intake.store(context, ds, "PTCS_CT")
    course = courses.add(context, DOCTOR, who.patient_id, "C1", "")
    text = PrescriptionText("prostate", 2.0, 3, "constant 1.1", CASE.uid("structure set"))
    wish = patients.prescribe(context, DOCTOR, course.key, text)
    for ds in (CASE.plan(), CASE.dose()):
        intake.store(context, ds, "PTCS_TPS")
    plans.submit(context, PHYSICIST, CASE.uid("plan"), wish.key)
    plans.approve(context, DOCTOR, CASE.uid("plan"), password)
    intake.store(context, CASE.record(1, whole=False), "PTCS_TCS")
    return Record(root, context, patient, course, password)


def book(record: Record, fraction: int, start: datetime, state: AppointmentState) -> str:
    """An appointment of the course; its key."""
    with record.context.database.writing() as session:
        row = Appointment(
            patient_key=record.patient.key, course_key=record.course.key, device="ROOM1", kind="treatment",
            start=start, minutes=30, fraction=fraction, state=state, created=start, created_by="test",
        )  # fmt: skip
        session.add(row)
        session.flush()
        return row.key
