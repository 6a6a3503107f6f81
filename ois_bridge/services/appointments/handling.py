"""What the sheet cannot show at a place: visits that somebody has to find a place for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, aliased, joinedload

from common.text import _
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.fraction_states import FractionState
from ois_bridge.domain.scheduling.plan import Book, Kind
from ois_bridge.domain.words import N_
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.models.delivery import VisitDelivery
from ois_bridge.models.scheduling import WaitingVisit
from ois_bridge.models.treatment import Fraction
from ois_bridge.services.appointments import book, replan, settings

BACK = timedelta(days=7)
"""For how long a missed visit stays in the list."""

NO_PLACE = N_("no place any more")
WAITS = N_("waits for a time")
MISSED = N_("missed, not booked anew")
PARTIAL = N_("fraction not completed")
ORDER = (NO_PLACE, PARTIAL, WAITS, MISSED)


@dataclass(frozen=True)
class Left:
    """One visit to handle. `kind`: one of ORDER; `why`: more of it; `visit`, `day`: where to go on."""

    kind: str
    why: str
    patient: Patient
    course: Course | None
    when: datetime | None
    day: date
    device: str
    visit: str = ""


def of_days(session: Session, first: date, last: date, now: datetime, held: Book | None = None) -> list[Left]:
    """Visits to handle: without a place on these days, and missed, waiting or half delivered until now.

    `held`: as in `replan.conflicts`.
    """
    found = [
        *_no_place(session, first, last, now, held),
        *_partial(session),
        *_waiting(session, first, last, now),
        *_missed(session, now),
    ]
    return sorted(found, key=lambda one: (ORDER.index(one.kind), one.day, one.patient.key))


def _no_place(session: Session, first: date, last: date, now: datetime, held: Book | None) -> Iterator[Left]:
    found = replan.conflicts(session, first, last, now, held)
    bad = [(visit.key, why) for visit, why in found if visit.patient]
    rows = _rows(session, [key for key, _why in bad]) if bad else {}
    for key, why in bad:
        yield _left(NO_PLACE, why, rows[key])


def _partial(session: Session) -> Iterator[Left]:
    """Fractions that were begun and are not whole, of courses that go on; the newest visit of each."""
    query = (
        select(Appointment, Fraction.number)
        .join(VisitDelivery, VisitDelivery.appointment_key == Appointment.key)
        .join(Fraction, Fraction.key == VisitDelivery.fraction_key)
        .join(Course, Course.key == Appointment.course_key)
        .where(Fraction.state == FractionState.PARTIAL, Course.state == CourseState.ACTIVE)
        .options(joinedload(Appointment.patient), joinedload(Appointment.course))
        .order_by(Appointment.start)
    )
    newest = {(row.course_key, number): row for row, number in session.execute(query)}
    for (_course, number), row in newest.items():
        yield _left(PARTIAL, _("fraction {n}").format(n=number), row)


def _waiting(session: Session, first: date, last: date, now: datetime) -> Iterator[Left]:
    """Waiting visits of these days, and of days that are over."""
    today = book.day_of(now)
    wanted = (WaitingVisit.day >= first.isoformat()) & (WaitingVisit.day <= last.isoformat())
    query = (
        select(WaitingVisit)
        .where(wanted | (WaitingVisit.day < today.isoformat()))
        .options(joinedload(WaitingVisit.patient), joinedload(WaitingVisit.course))
        .order_by(WaitingVisit.day, WaitingVisit.created)
    )
    for row in session.scalars(query):
        yield Left(WAITS, "", row.patient, row.course, None, date.fromisoformat(row.day), row.device)


def _missed(session: Session, now: datetime) -> Iterator[Left]:
    """Missed treatments of the last days whose fraction has no other visit, of courses that go on."""
    other = aliased(Appointment)
    again = exists().where(
        other.course_key == Appointment.course_key,
        other.fraction == Appointment.fraction,
        other.kind == Kind.TREATMENT,
        other.state.not_in(book.GONE),
    )
    query = (
        select(Appointment)
        .join(Course, Course.key == Appointment.course_key)
        .where(
            Appointment.state == AppointmentState.MISSED,
            Appointment.kind == Kind.TREATMENT,
            Appointment.start >= now - BACK,
            Appointment.start <= now,
            Course.state == CourseState.ACTIVE,
            ~again,
        )
        .options(joinedload(Appointment.patient), joinedload(Appointment.course))
        .order_by(Appointment.start)
    )
    for row in session.scalars(query):
        yield _left(MISSED, _("fraction {n}").format(n=row.fraction) if row.fraction else "", row)


def _rows(session: Session, keys: Sequence[str]) -> dict[str, Appointment]:
    query = (
        select(Appointment)
        .where(Appointment.key.in_(keys))
        .options(joinedload(Appointment.patient), joinedload(Appointment.course))
    )
    return {row.key: row for row in session.scalars(query)}


def _left(kind: str, why: str, row: Appointment) -> Left:
    assert row.patient is not None, "machine QA has nobody who waits for a place"
    when = row.start.astimezone(settings.rules().zone)
    return Left(kind, why, row.patient, row.course, when, when.date(), row.device, row.key)
