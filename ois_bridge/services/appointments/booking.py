"""Appointments made, moved and cancelled by hand: each step checked by the rules in its own transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from common.errors import BadInput, Refused
from common.text import _
from ois_bridge.domain.appointment_states import APPOINTMENT_TABLE, AppointmentEvent, AppointmentState
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.scheduling import constraints
from ois_bridge.domain.scheduling.constraints import Finding
from ois_bridge.domain.scheduling.plan import KIND_TEXT, PARTICLE_TEXT, Kind, Visit
from ois_bridge.domain.state_table import step
from ois_bridge.models.appointments import Appointment
from ois_bridge.services import courses, deliveries, events, notices
from ois_bridge.services.appointments import book, finding, settings
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must
from ois_bridge.services.queue import moved as queue_place
from ois_bridge.services.workflow import guards

LONGEST_NOTE = 200


@dataclass(frozen=True)
class Wanted:
    """A visit to book. `start` with its zone. For machine QA without a course."""

    device: str
    kind: str
    start: datetime
    minutes: int
    course_key: str = ""
    particle: str = ""
    fraction: int | None = None
    note: str = ""


def of_day(session: Session, day: date, device: str = "") -> Sequence[Appointment]:
    """Appointments of a day of the sheet, on one device or on all, by their start; no cancelled ones."""
    return book.between(session, day, day, device)


def of_patient(session: Session, patient_key: str) -> Sequence[Appointment]:
    """All appointments of a patient, past and cancelled ones too, by their start."""
    query = select(Appointment).where(Appointment.patient_key == patient_key).order_by(Appointment.start)
    return session.scalars(query).all()


def one(session: Session, key: str) -> Appointment:
    """An appointment with its patient and course. Raises NotFound."""
    query = (
        select(Appointment)
        .where(Appointment.key == key)
        .options(joinedload(Appointment.patient), joinedload(Appointment.course))
    )
    return must(session.scalar(query))


def make(context: Context, caller: Caller, wanted: Wanted) -> Appointment:
    """Book a visit. Raises Refused with every rule against it, BadInput, NotFound."""
    with context.permitted(caller, action_for(wanted.kind), wanted.course_key or wanted.device) as session:
        row = enter(session, wanted, caller.user, context.now())
        notices.appointment_made(session, row, caller.user, context.now())
        deliveries.booked(session, context, caller.user, [row.course_key] if row.course_key else [])
    return row


def enter(session: Session, wanted: Wanted, user: str, now: datetime) -> Appointment:
    """Put a visit on the sheet in the caller's transaction. Raises Refused, BadInput, NotFound."""
    visit = checked(session, wanted)
    require(findings(session, visit, now))
    finding.require_free_fraction(session, visit.course, visit.fraction)
    row = Appointment(
        patient_key=visit.patient or None,
        course_key=visit.course or None,
        device=visit.device,
        kind=visit.kind,
        start=visit.start,
        minutes=visit.minutes,
        fraction=visit.fraction,
        particle=visit.particle,
        note=wanted.note.strip(),
        state=AppointmentState.BOOKED,
        created=now,
        created_by=user,
    )
    session.add(row)
    session.flush()
    events.announce(session, "appointments", row.device)
    return row


def checked(session: Session, wanted: Wanted) -> Visit:
    """The visit that is wanted: course active, guards passed. Raises BadInput, Refused, NotFound."""
    if wanted.kind not in KIND_TEXT or wanted.particle not in ("", *PARTICLE_TEXT):
        raise BadInput(
            _("Kind or particle: allowed are {names}.").format(names=", ".join((*KIND_TEXT, *PARTICLE_TEXT)))
        )
    if wanted.start.tzinfo is None or len(wanted.note) > LONGEST_NOTE:
        raise BadInput(
            _("A time with its zone and a note of at most {n} characters are needed.").format(n=LONGEST_NOTE)
        )
    if wanted.fraction is not None and not 1 <= wanted.fraction <= 200:
        raise BadInput(_("Fraction: allowed are 1 to 200."))
    visit = Visit(
        key="",
        device=wanted.device,
        kind=wanted.kind,
        start=wanted.start.astimezone(UTC),
        minutes=wanted.minutes,
        particle=wanted.particle,
        fraction=wanted.fraction,
    )
    if wanted.kind == Kind.QA:
        return replace(visit, particle="", fraction=None)
    course = courses.must_be_active(session, wanted.course_key)
    guards.may_book(session, course.key, wanted.kind)
    treatment = wanted.kind == Kind.TREATMENT
    return replace(
        visit,
        patient=course.patient_key,
        course=course.key,
        particle=wanted.particle if treatment else "",
        fraction=wanted.fraction if treatment else None,
    )


def findings(session: Session, visit: Visit, now: datetime) -> list[Finding]:
    """Everything against a visit, by the rules of the sheet."""
    day = book.day_of(visit.start)
    held = book.load(session, day - timedelta(days=1), day + timedelta(days=1))
    if visit.course and visit.course not in held.wishes:
        held = replace(held, wishes={**held.wishes, **book.wishes(session, [visit.course])})
    return constraints.check(held, visit, now)


def require(found: Sequence[Finding]) -> None:
    """Raise Refused with all hard findings."""
    hard = list(dict.fromkeys(finding.text for finding in found if finding.hard))
    if hard:
        raise Refused(" ".join(hard))


def move(
    context: Context, caller: Caller, key: str, device: str, start: datetime, revision: int | None = None
) -> Appointment:
    """Move a visit. `revision`: as the caller saw it; another one means that somebody was quicker.

    Raises Refused with every rule against it, NotFound.
    """
    with context.deed(caller.user, "move an appointment", key) as session:
        caller.check(Action.READ_APPOINTMENTS)
        row = one(session, key)
        caller.check(action_for(row.kind))
        _require_seen(row, revision)
        before = row.start
        shift(session, row, device, start, context.now())
        notices.appointment_moved(session, row, before, caller.user, context.now())
    return row


def shift(session: Session, row: Appointment, device: str, start: datetime, now: datetime) -> None:
    """Move a row in the caller's transaction. Raises Refused, BadInput."""
    if start.tzinfo is None:
        raise BadInput(_("A time with its zone is needed."))
    start = start.astimezone(UTC)
    after = step(APPOINTMENT_TABLE, row.state, AppointmentEvent.MOVE)
    signed_in = row.state is AppointmentState.SIGNED_IN
    if signed_in and book.day_of(start) != book.day_of(row.start):
        raise Refused(_("The patient is signed in; undo the sign-in before a move to another day."))
    if row.course_key:
        courses.must_be_active(session, row.course_key)
    moved = replace(book.visit_of(row), device=device, start=start)
    require(findings(session, moved, now))
    if row.state is AppointmentState.MISSED:
        finding.require_free_fraction(session, row.course_key or "", row.fraction)
    events.announce(session, "appointments", row.device)
    old_device, old_start = row.device, row.start
    row.device, row.start, row.state = device, start, after
    row.revision += 1
    queue_place.follow(session, row, old_device, old_start, now)
    events.announce(session, "appointments", device)


def _require_seen(row: Appointment, revision: int | None) -> None:
    if revision is not None and row.revision != revision:
        raise Refused(_("Somebody has moved this appointment in the meantime; look at the sheet again."))


def cancel(
    context: Context, caller: Caller, key: str, reason: str, revision: int | None = None
) -> Appointment:
    """Cancel a visit, with a reason, which stands before its note. `revision`: as for a move.

    Raises Refused, NotFound.
    """
    if not 1 <= len(reason.strip()) <= LONGEST_NOTE:
        raise BadInput(_("A reason of 1 to {n} characters is needed.").format(n=LONGEST_NOTE))
    with context.deed(caller.user, "cancel an appointment", key) as session:
        caller.check(Action.READ_APPOINTMENTS)
        row = one(session, key)
        caller.check(action_for(row.kind))
        _require_seen(row, revision)
        row.state = step(APPOINTMENT_TABLE, row.state, AppointmentEvent.CANCEL)
        row.note = " · ".join(filter(None, (reason.strip(), row.note)))[:LONGEST_NOTE]
        row.revision += 1
        events.announce(session, "appointments", row.device)
        events.announce(session, "queue", row.device)
        notices.appointment_cancelled(session, row, caller.user, context.now())
    return row


def action_for(kind: str) -> Action:
    """The right that a visit of a kind needs."""
    return Action.BOOK_QA if kind == Kind.QA else Action.BOOK_APPOINTMENT


def today(context: Context) -> date:
    """The day of the sheet now."""
    return settings.today(context.now())
