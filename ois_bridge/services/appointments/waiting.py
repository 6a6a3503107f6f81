"""Visits of a day that have no time yet: the list that the optimiser places."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from common.errors import BadInput, Refused
from common.text import _
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.scheduling.plan import PARTICLE_TEXT, Kind
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Course, Prescription
from ois_bridge.models.scheduling import VisitWish, WaitingVisit
from ois_bridge.services import courses, deliveries
from ois_bridge.services.appointments import book, finding, settings
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must
from ois_bridge.services.workflow import guards

RECENT = timedelta(days=10)
"""A course is under treatment when its last visit was at most this long ago."""


def of_day(session: Session, day: date) -> Sequence[WaitingVisit]:
    """Waiting visits of a day, in the order in which they were asked for."""
    query = (
        select(WaitingVisit)
        .where(WaitingVisit.day == day.isoformat())
        .options(joinedload(WaitingVisit.patient), joinedload(WaitingVisit.course))
        .order_by(WaitingVisit.created, WaitingVisit.key)
    )
    return session.scalars(query).all()


def add(
    context: Context, caller: Caller, day: date, course_key: str, device: str, minutes: int, particle: str
) -> WaitingVisit:
    """Put a treatment on the list of a day; `device` empty: any. Raises Refused, BadInput, NotFound."""
    with context.permitted(caller, Action.BOOK_APPOINTMENT, course_key) as session:
        return enter(session, day, course_key, device, minutes, particle, caller.user, context.now())


def enter(
    session: Session,
    day: date,
    course_key: str,
    device: str,
    minutes: int,
    particle: str,
    user: str,
    now: datetime,
) -> WaitingVisit:
    """The same in the caller's transaction."""
    course = courses.must_be_active(session, course_key)
    guards.may_book(session, course.key, Kind.TREATMENT)
    if particle not in PARTICLE_TEXT or not 5 <= minutes <= 480:
        raise BadInput(_("A particle and 5 to 480 minutes are needed."))
    if device and device not in book.devices(session):
        raise BadInput(_("There is no device {name} in use.").format(name=device))
    wish = session.get(VisitWish, course.key)
    there = [one for one in of_day(session, day) if one.course_key == course.key]
    if len(there) >= (wish.per_day if wish is not None else 1):
        raise Refused(_("This course waits on that day already; look at the list again."))
    row = WaitingVisit(
        day=day.isoformat(),
        patient_key=course.patient_key,
        course_key=course.key,
        device=device,
        kind=Kind.TREATMENT,
        minutes=minutes,
        particle=particle,
        fraction=finding.next_fraction(session, course.key),
        created=now,
        created_by=user,
    )
    session.add(row)
    session.flush()
    return row


def remove(context: Context, caller: Caller, key: str) -> None:
    """Take a visit off the list. Raises NotFound."""
    with context.permitted(caller, Action.BOOK_APPOINTMENT, key) as session:
        session.delete(must(session.get(WaitingVisit, key)))


def gather(context: Context, caller: Caller, day: date) -> int:
    """Put every course under treatment that has fractions left and no visit on a day onto its list.

    Each as its last visit was: room, minutes, particle. Returns how many were added.
    """
    with context.permitted(caller, Action.BOOK_APPOINTMENT, day.isoformat()) as session:
        last = _last_visits(session, day)
        there = {row.course_key for row in book.between(session, day, day)}
        there |= {row.course_key for row in of_day(session, day)}
        left = _fractions_left(session, list(last))
        added = 0
        for course, row in last.items():
            if (
                course not in there
                and left.get(course, 0) > 0
                and not guards.lacking(session, "book-treatment", course)
            ):
                enter(session, day, course, row.device, row.minutes, row.particle, caller.user, context.now())
                added += 1
        return added


def _last_visits(session: Session, day: date) -> dict[str, Appointment]:
    """The last treatment before a day of each active course."""
    midnight = settings.midnight(day)
    query = (
        select(Appointment)
        .join(Course, Course.key == Appointment.course_key)
        .where(
            Course.state == CourseState.ACTIVE,
            Appointment.kind == Kind.TREATMENT,
            Appointment.start < midnight,
            Appointment.start >= midnight - RECENT,
            Appointment.state != AppointmentState.CANCELLED,
        )
        .order_by(Appointment.start)
    )
    return {row.course_key: row for row in session.scalars(query) if row.course_key}


def _fractions_left(session: Session, course_keys: Sequence[str]) -> dict[str, int]:
    """Prescribed fractions less those booked, treated or waiting; without a prescription those of the
    approved treatment sheet count.
    """
    wanted = select(Prescription.course_key, func.max(Prescription.fractions)).where(
        Prescription.course_key.in_(course_keys)
    )
    used = select(Appointment.course_key, func.count()).where(
        Appointment.course_key.in_(course_keys),
        Appointment.kind == Kind.TREATMENT,
        Appointment.state.not_in(book.GONE),
    )
    waiting = select(WaitingVisit.course_key, func.count()).where(WaitingVisit.course_key.in_(course_keys))
    taken = Counter({row[0]: row[1] for row in session.execute(used.group_by(Appointment.course_key))})
    taken.update({row[0]: row[1] for row in session.execute(waiting.group_by(WaitingVisit.course_key))})
    asked = {row[0]: row[1] for row in session.execute(wanted.group_by(Prescription.course_key))}
    return {
        key: (asked.get(key) or deliveries.on_the_sheet(session, key)) - taken[key] for key in course_keys
    }
