"""What the booking form asks for: courses of a patient, and the number of the next fraction."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from common.errors import Refused
from common.text import _
from ois_bridge.domain import search_parts
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.scheduling.plan import Kind
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.models.scheduling import WaitingVisit
from ois_bridge.services.appointments import book, settings
from ois_bridge.services.search.conditions import in_parts

MOST = 8


def courses_of(session: Session, wanted: str) -> Sequence[Course]:
    """Active courses of patients whose number, barcode or name holds a text, the newest first."""
    piece = search_parts.fold(wanted.strip())
    if not piece:
        return []
    query = (
        select(Course)
        .join(Course.patient)
        .where(in_parts(piece), Course.state == CourseState.ACTIVE)
        .options(joinedload(Course.patient))
        .order_by(Course.created.desc())
        .limit(MOST)
    )
    return session.scalars(query).all()


def with_chosen(session: Session, wanted: str, key: str) -> tuple[list[Course], Course | None]:
    """Courses that a search finds, the chosen one among them, and the chosen one (None without a key)."""
    found = list(courses_of(session, wanted))
    chosen = course(session, key) if key else None
    if chosen is not None and chosen.key not in {one.key for one in found}:
        found.insert(0, chosen)
    return found, chosen


def course(session: Session, key: str) -> Course | None:
    """A course with its patient."""
    return session.scalar(select(Course).where(Course.key == key).options(joinedload(Course.patient)))


def next_fraction(session: Session, course_key: str) -> int:
    """One more than the highest fraction that is booked or treated, or waits for a time."""
    booked = select(func.max(Appointment.fraction)).where(
        Appointment.course_key == course_key,
        Appointment.kind == Kind.TREATMENT,
        Appointment.state.not_in(book.GONE),
    )
    waiting = select(func.max(WaitingVisit.fraction)).where(WaitingVisit.course_key == course_key)
    return max(session.scalar(booked) or 0, session.scalar(waiting) or 0) + 1


def require_free_fraction(session: Session, course_key: str, fraction: int | None) -> None:
    """Raise Refused where a visit to come is booked for a fraction: two people booked at once. One that was
    begun and is not whole is booked again.
    """
    if not course_key or fraction is None:
        return
    start = session.scalar(
        select(Appointment.start)
        .where(
            Appointment.course_key == course_key,
            Appointment.fraction == fraction,
            Appointment.kind == Kind.TREATMENT,
            Appointment.state.in_((AppointmentState.BOOKED, AppointmentState.SIGNED_IN)),
        )
        .limit(1)
    )
    if start is not None:
        at = start.astimezone(settings.rules().zone)
        raise Refused(
            _("Fraction {n} of this course is booked already, on {at}; look at the sheet again.").format(
                n=fraction, at=f"{at:%Y-%m-%d %H:%M}"
            )
        )


def patient_of(session: Session, key: str) -> Patient | None:
    """A patient by key."""
    return session.get(Patient, key)
