"""What the booking form asks for: courses of a patient, and the number of the next fraction."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from ois_bridge.domain import search_parts
from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.scheduling.plan import Kind
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.services.appointments import book
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
    """One more than the highest fraction that is booked or treated."""
    query = select(func.max(Appointment.fraction)).where(
        Appointment.course_key == course_key,
        Appointment.kind == Kind.TREATMENT,
        Appointment.state.not_in(book.GONE),
    )
    return (session.scalar(query) or 0) + 1


def patient_of(session: Session, key: str) -> Patient | None:
    """A patient by key."""
    return session.get(Patient, key)
