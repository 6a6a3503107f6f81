"""Proposals: kept as a whole in one transaction, after every visit has passed the rules again."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta

from sqlalchemy.orm import Session

from common.errors import Refused
from common.text import _
from ois_bridge.domain.appointment_states import APPOINTMENT_TABLE, AppointmentEvent, AppointmentState
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.scheduling import constraints, proposal
from ois_bridge.domain.scheduling.plan import Book, Effect, Kind, Visit
from ois_bridge.domain.scheduling.proposal import Content, Move
from ois_bridge.domain.state_table import step
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Course
from ois_bridge.models.scheduling import DevicePeriod, ScheduleProposal, WaitingVisit
from ois_bridge.services import courses, deliveries, events, notices
from ois_bridge.services.appointments import book, finding
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must
from ois_bridge.services.queue import moved as queue_place
from ois_bridge.services.workflow import guards


def enter(
    session: Session, kind: str, day: date, content: Content, user: str, now: datetime, running: bool = False
) -> ScheduleProposal:
    """A new proposal in the caller's transaction."""
    row = ScheduleProposal(
        kind=kind,
        state="RUNNING" if running else "OPEN",
        day=day.isoformat(),
        content=proposal.dump(content),
        progress=0.0 if running else 1.0,
        created=now,
        created_by=user,
    )
    session.add(row)
    session.flush()
    return row


def one(session: Session, key: str) -> tuple[ScheduleProposal, Content]:
    """A proposal and what it says. Raises NotFound."""
    row = must(session.get(ScheduleProposal, key))
    return row, proposal.load(row.content)


def discard(context: Context, caller: Caller, key: str) -> None:
    """Throw a proposal away. Raises Refused when it was decided before, NotFound."""
    with context.permitted(caller, Action.PLAN_SHEET, key) as session:
        row, _content = one(session, key)
        _decide(row, caller.user, context.now(), "DISCARDED")


def keep(context: Context, caller: Caller, key: str) -> ScheduleProposal:
    """Put a proposal on the sheet, all of it or nothing. Visits that found no place stay where they are.

    Raises Refused naming what no longer fits, NotFound.
    """
    now = context.now()
    with context.permitted(caller, Action.PLAN_SHEET, key) as session:
        row, content = one(session, key)
        if row.kind != "replan":
            caller.check(Action.BOOK_APPOINTMENT)
        _decide(row, caller.user, now, "KEPT")
        if content.period:
            session.add(_period(content, caller.user, now))
            session.flush()
        _put(session, content.moves, caller.user, now)
        deliveries.booked(
            session, context, caller.user, {move.course for move in content.moves if move.course}
        )
    return row


def _decide(row: ScheduleProposal, user: str, now: datetime, state: str) -> None:
    if row.state != "OPEN":
        raise Refused(_("This proposal is no longer open; compute a new one."))
    row.state, row.decided, row.decided_by = state, now, user


def _put(session: Session, moves: Sequence[Move], user: str, now: datetime) -> None:
    visits = [move.visit() for move in moves]
    if not visits:
        return
    check_all(_book(session, visits), visits, now)
    for course in sorted({move.course for move in moves if move.course}):
        with _naming(session, course):
            courses.must_be_active(session, course)
    for course, kind in sorted({(move.course, move.kind) for move in moves if move.course and not move.key}):
        with _naming(session, course):
            guards.may_book(session, course, kind)
    for move, visit in zip(moves, visits, strict=True):
        _moved(session, move, visit, user, now) if move.key else _made(session, move, visit, user, now)


@contextmanager
def _naming(session: Session, course_key: str) -> Iterator[None]:
    """Among the patients of a whole day a refusal says whose visit it is about."""
    try:
        yield
    except Refused as why:
        number = must(session.get(Course, course_key)).patient.patient_id
        again = _("The sheet has changed; compute the proposal again.")
        raise Refused(f"{again} {number}: {why}") from why


def _book(session: Session, visits: Sequence[Visit]) -> Book:
    """The book with the visits at their new places instead of the old ones."""
    days = sorted(book.day_of(visit.start) for visit in visits)
    held = book.load(session, days[0] - timedelta(days=1), days[-1] + timedelta(days=1))
    keys = {visit.key for visit in visits}
    wishes = book.wishes(session, {visit.course for visit in visits if visit.course})
    others = [visit for visit in held.visits if visit.key not in keys]
    return replace(held, visits=[*others, *visits], wishes={**held.wishes, **wishes})


def check_all(held: Book, visits: Iterable[Visit], now: datetime) -> None:
    """Raise Refused with the first visits that the rules forbid."""
    found = []
    for visit in visits:
        hard = [one.text for one in constraints.check(constraints.near(held, visit), visit, now) if one.hard]
        if hard:
            at = visit.start.astimezone(held.rules.zone)
            found.append(f"{at:%Y-%m-%d %H:%M}: {' '.join(dict.fromkeys(hard))}")
    if found:
        raise Refused(_("The sheet has changed; compute the proposal again.") + " " + " ".join(found[:3]))


def _made(session: Session, move: Move, visit: Visit, user: str, now: datetime) -> None:
    if move.waiting:
        waiting = session.get(WaitingVisit, move.waiting)
        if waiting is None:
            raise Refused(
                _("A waiting visit was placed or removed in the meantime; compute the proposal again.")
            )
        session.delete(waiting)
        session.flush()
    finding.require_free_fraction(session, visit.course, visit.fraction)
    row = Appointment(
        patient_key=visit.patient or None,
        course_key=visit.course or None,
        device=visit.device,
        kind=visit.kind,
        start=visit.start,
        minutes=visit.minutes,
        fraction=visit.fraction,
        particle=visit.particle if visit.kind == Kind.TREATMENT else "",
        state=AppointmentState.BOOKED,
        created=now,
        created_by=user,
    )
    session.add(row)
    session.flush()
    events.announce(session, "appointments", row.device)
    notices.appointment_made(session, row, user, now)


def _moved(session: Session, move: Move, visit: Visit, user: str, now: datetime) -> None:
    row = must(session.get(Appointment, move.key))
    if row.start != datetime.fromisoformat(move.old_start) or row.device != move.old_device:
        raise Refused(_("Somebody has moved one of these appointments in the meantime; compute it again."))
    row.state = step(APPOINTMENT_TABLE, row.state, AppointmentEvent.MOVE)
    before, old_device = row.start, row.device
    events.announce(session, "appointments", row.device)
    row.device, row.start = visit.device, visit.start
    row.revision += 1
    queue_place.follow(session, row, old_device, before, now)
    events.announce(session, "appointments", row.device)
    notices.appointment_moved(session, row, before, user, now)


def _period(content: Content, user: str, now: datetime) -> DevicePeriod:
    said = content.period
    return DevicePeriod(
        device=said["device"],
        effect=Effect.FORBIDDEN,
        purpose="fault",
        start=datetime.fromisoformat(said["start"]),
        finish=datetime.fromisoformat(said["finish"]),
        note=said["note"],
        created=now,
        created_by=user,
    )
