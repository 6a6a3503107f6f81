"""A small department for the tests of the queue: real database, a clock that a test moves."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from common import site
from common.state import StateDir
from ois_bridge import process
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.form_states import FormState
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.models.forms import FormRecord
from ois_bridge.services.context import Caller, Context

THERAPIST = Caller("therapist", frozenset({"therapist"}))
ADMINISTRATOR = Caller("administrator", frozenset({"administrator"}))
KIOSK = Caller("screen", frozenset({"screen"}))
TODAY = datetime(2026, 11, 23).astimezone()
"""Midnight in the zone of this computer."""


def at(clock: str, day: int = 0) -> datetime:
    """A time of today or of another day."""
    hours, minutes = clock.split(":")
    return (TODAY + timedelta(days=day, hours=int(hours), minutes=int(minutes))).astimezone(UTC)


class Clock:
    """A time that a test moves."""

    def __init__(self, text: str = "08:00") -> None:
        self.time = at(text)

    def __call__(self) -> datetime:
        return self.time

    def set(self, text: str, day: int = 0) -> None:
        self.time = at(text, day)


def build(root: Path, clock: Clock) -> Context:
    """The means of an OIS."""
    return replace(process.build(StateDir(root), site.load()), now=clock)


def patient(means: Context, number: str, name: str = "张^明", **more: str) -> str:
    """A patient with an active course that may be treated; returns the patient's key."""
    with means.database.writing() as session:
        row = Patient(
            patient_id=number,
            name=name,
            birth_date=more.pop("birth_date", "19600229"),
            sex="M",
            registered=means.now(),
            registered_by="test",
            **more,
        )
        session.add(row)
        session.flush()
        course = Course(
            patient_key=row.key,
            name="C1",
            diagnosis="prostate cancer",
            created=means.now(),
            created_by="test",
        )
        session.add(course)
        session.flush()
        for kind in ("consent", "treatment-sheet"):
            session.add(
                FormRecord(
                    course_key=course.key, kind=kind, version=1, content={}, state=FormState.APPROVED,
                    created=means.now(), created_by="test", changed=means.now(), changed_by="test",
                )
            )  # fmt: skip
        return row.key


def visit(means: Context, patient_key: str, device: str, clock: str, day: int = 0, **more: object) -> str:
    """An appointment; returns its key."""
    with means.database.writing() as session:
        course = session.query(Course).filter_by(patient_key=patient_key).one()
        row = Appointment(
            patient_key=patient_key,
            course_key=course.key,
            device=device,
            kind="treatment",
            start=at(clock, day),
            minutes=20,
            state=AppointmentState.BOOKED,
            created=means.now(),
            created_by="test",
            **more,
        )
        session.add(row)
        session.flush()
        return row.key


def appointment(means: Context, key: str) -> Appointment:
    """An appointment as it is now."""
    with means.database.reading() as session:
        found = session.get(Appointment, key)
        assert found is not None
        return found
