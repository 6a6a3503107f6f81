"""The book of the sheet as the rules see it, read from the database."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.scheduling import calendar
from ois_bridge.domain.scheduling.plan import Book, Device, Effect, Period, Span, Visit, Wish
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.scheduling import CalendarDay, DepartmentDevice, DevicePeriod, VisitWish
from ois_bridge.services.appointments import settings

GONE = (AppointmentState.CANCELLED, AppointmentState.MISSED)
"""These take no place on the sheet."""

MOVABLE = frozenset({AppointmentState.BOOKED})
"""What a computation may move; people may move more (domain/appointment_states.py)."""


def load(session: Session, first: date, last: date) -> Book:
    """The book with all visits from a day to another, and those of the days beside them."""
    rows = between(session, first - timedelta(days=1), last + timedelta(days=1))
    return of_rows(session, rows, working(session))


def working(session: Session) -> dict[date, bool]:
    """The days that are not as their weekday says: True for a make-up working day, False for a holiday."""
    rows = session.execute(select(CalendarDay.day, CalendarDay.kind))
    return {date.fromisoformat(day): kind == "workday" for day, kind in rows}


def of_rows(session: Session, rows: Sequence[Appointment], days: Mapping[date, bool]) -> Book:
    """The book with the visits of some rows."""
    courses = {row.course_key for row in rows if row.course_key}
    return Book(
        rules=settings.rules(),
        devices=devices(session),
        days=days,
        periods=[period_of(row) for row in session.scalars(select(DevicePeriod))],
        visits=[visit_of(row) for row in rows],
        wishes=wishes(session, courses),
    )


def between(session: Session, first: date, last: date, device: str = "") -> Sequence[Appointment]:
    """Appointments that take a place on the sheet and begin on these days, by their start."""
    query = (
        select(Appointment)
        .where(Appointment.start >= settings.midnight(first))
        .where(Appointment.start < settings.midnight(last + timedelta(days=1)))
        .where(Appointment.state.not_in(GONE))
        .options(joinedload(Appointment.patient), joinedload(Appointment.course))
        .order_by(Appointment.start, Appointment.key)
    )
    return session.scalars(query.where(Appointment.device == device) if device else query).all()


def devices(session: Session) -> dict[str, Device]:
    """All devices, in the order of the sheet."""
    rows = session.scalars(select(DepartmentDevice).order_by(DepartmentDevice.position))
    return {row.name: device_of(row) for row in rows}


def device_of(row: DepartmentDevice) -> Device:
    """A device as the rules see it."""
    return Device(
        name=row.name,
        title={"en": row.title_en, "zh": row.title_zh},
        kinds=frozenset(row.kinds.split()),
        particles=frozenset(row.particles.split()),
        beam=row.beam,
        setup=row.setup_min,
        leave=row.leave_min,
        usual=row.usual_min,
        capacity=row.capacity,
        hours={int(day): calendar.spans_of(text) for day, text in json.loads(row.hours).items()},
        active=row.active,
    )


def period_of(row: DevicePeriod) -> Period:
    """A period as the rules see it."""
    return Period(
        device=row.device,
        effect=Effect(row.effect),
        purpose=row.purpose,
        kind=row.kind,
        particle=row.particle,
        weekdays=frozenset(int(digit) for digit in row.weekdays),
        minutes=(row.from_min, row.to_min),
        first=date.fromisoformat(row.first_day) if row.first_day else None,
        last=date.fromisoformat(row.last_day) if row.last_day else None,
        span=Span(row.start, row.finish) if row.start and row.finish else None,
        key=row.key,
        note=row.note,
    )


def visit_of(row: Appointment) -> Visit:
    """An appointment as the rules see it."""
    return Visit(
        key=row.key,
        device=row.device,
        kind=row.kind,
        start=row.start,
        minutes=row.minutes,
        patient=row.patient_key or "",
        course=row.course_key or "",
        particle=row.particle,
        fraction=row.fraction,
        fixed=row.state not in MOVABLE,
    )


def wishes(session: Session, courses: Iterable[str]) -> dict[str, Wish]:
    """What the patients of courses wish."""
    rows = session.scalars(select(VisitWish).where(VisitWish.course_key.in_(list(courses))))
    return {
        row.course_key: Wish(
            row.earliest_min,
            row.latest_min,
            row.preferred_min,
            frozenset(int(digit) for digit in row.weekdays),
            row.per_day,
        )
        for row in rows
    }


def replace_wishes(held: Book, wishes: Mapping[str, Wish]) -> Book:
    """The same book with other wishes."""
    return replace(held, wishes=dict(wishes))


def day_of(at: datetime) -> date:
    """The day of the sheet at an instant."""
    return at.astimezone(settings.rules().zone).date()
