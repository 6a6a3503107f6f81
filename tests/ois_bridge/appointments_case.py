"""A department with patients whose courses may be booked, put straight into an OIS's database."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from common.state import StateDir
from ois_bridge import settings as server
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.form_states import FormState
from ois_bridge.domain.scheduling import calendar
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.models.database import Database
from ois_bridge.models.forms import FormRecord
from ois_bridge.services.appointments import book, settings
from ois_bridge.services.context import Caller
from ois_bridge.services.search import parts

RECEPTIONIST = Caller("receptionist", frozenset({"receptionist"}))
THERAPIST = Caller("therapist", frozenset({"therapist"}))
PHYSICIST = Caller("physicist", frozenset({"physicist"}))
PHYSICIAN = Caller("physician", frozenset({"physician"}))
SURNAMES, GIVEN = "王李张刘陈杨赵黄周吴", "伟芳娜敏静强磊军洋勇艳杰"
DISEASES = ("prostate", "lung", "nasopharynx", "liver", "chordoma", "oesophagus")


@dataclass(frozen=True)
class Made:
    """Keys of a patient and of the course."""

    patient: str
    course: str


def patient(session: Session, number: int, ready: bool = True, phone: str = "") -> Made:
    """A patient with an active course; `ready`: all forms that a booking needs are approved."""
    now = datetime.now(UTC)
    name = f"{SURNAMES[number % 10]}^{GIVEN[number % 12]}{GIVEN[number // 12 % 12]}"
    row = Patient(
        patient_id=f"S{number:05d}", name=name, birth_date="19600101", sex="MF"[number % 2], phone=phone,
        alerts="pacemaker" if number % 7 == 3 else "", registered=now, registered_by="test",
    )  # fmt: skip
    session.add(row)
    session.flush()
    parts.put(session, row)
    course = Course(
        patient_key=row.key, name="C1", diagnosis=DISEASES[number % 6],
        physician="physician" if number % 3 else "chen", created=now, created_by="test",
    )  # fmt: skip
    session.add(course)
    session.flush()
    for kind in ("consent", "simulation-sheet", "plan-request", "treatment-sheet") if ready else ():
        session.add(
            FormRecord(
                course_key=course.key, kind=kind, version=1, content={}, state=FormState.APPROVED,
                created=now, created_by="test", changed=now, changed_by="test",
            )
        )  # fmt: skip
    session.flush()
    return Made(row.key, course.key)


def workday(session: Session, after: date, ahead: int = 7) -> date:
    """A working day at least `ahead` days after a day."""
    days = book.load(session, after, after).days
    return calendar.working_days(days, after + timedelta(days=ahead), 1)[0]


def at(day: date, hour: int, minute: int = 0) -> datetime:
    """A time of the sheet."""
    return datetime.combine(day, time(hour, minute), settings.rules().zone)


def put(session: Session, made: Made | None, device: str, start: datetime, **changes: object) -> Appointment:
    """A row on the sheet, without asking the rules."""
    values: dict[str, object] = {
        "patient_key": made.patient if made else None, "course_key": made.course if made else None,
        "device": device, "kind": "treatment", "start": start, "minutes": 20, "particle": "proton",
        "state": AppointmentState.BOOKED, "created": datetime.now(UTC), "created_by": "test", **changes,
    }  # fmt: skip
    row = Appointment(**values)
    session.add(row)
    session.flush()
    return row


@contextmanager
def into(state: Path) -> Iterator[Session]:
    """A transaction in the database of an OIS that runs in a state directory."""
    database = Database(server.load(StateDir(state)).database, migrate=False)
    try:
        with database.writing() as session:
            yield session
    finally:
        database.close()
