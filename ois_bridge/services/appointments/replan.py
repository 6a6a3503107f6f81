"""A device is down: its visits find other places, as few as possible, as little away as possible."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.scheduling import calendar, constraints
from ois_bridge.domain.scheduling.plan import Book, Effect, Kind, Period, Span, Visit
from ois_bridge.domain.scheduling.problem import Place, board
from ois_bridge.domain.scheduling.proposal import Content, Left, Move
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.scheduling import ScheduleProposal
from ois_bridge.services.appointments import book, day_problem, proposals, solver
from ois_bridge.services.appointments.day_problem import DayProblem, Item
from ois_bridge.services.appointments.model import Model, stay_near
from ois_bridge.services.context import Caller, Context

LONGEST = timedelta(days=14)
DAYS_AFTER = 7
"""Working days after the fault on which a visit that finds no place on its day is put."""

SECONDS = 2.0
MOVED, ELSEWHERE = 60, 15
"""What it costs, in minutes of shift, to move a visit that need not move, and to send one to another room."""

NEIGHBOURS = timedelta(hours=2)


@dataclass(frozen=True)
class Fault:
    """A device is down from an instant to another."""

    device: str
    start: datetime
    finish: datetime
    note: str = ""


def propose(context: Context, caller: Caller, fault: Fault) -> ScheduleProposal:
    """Compute where the visits of a device that is down can go. Raises BadInput, Refused without OR-Tools."""
    if not fault.start < fault.finish <= fault.start + LONGEST:
        raise BadInput(_("A fault ends after it begins, and within 14 days; enter a longer one in parts."))
    now = context.now()
    with context.permitted(caller, Action.PLAN_SHEET, fault.device) as session:
        if fault.device not in book.devices(session):
            raise BadInput(_("There is no device {name} in use.").format(name=fault.device))
        content = compute(session, fault, now)
        return proposals.enter(session, "replan", book.day_of(fault.start), content, caller.user, now)


def compute(session: Session, fault: Fault, now: datetime) -> Content:
    """Everything that a fault moves, day by day."""
    first, last = book.day_of(fault.start), book.day_of(fault.finish)
    held = _with_fault(book.load(session, first, last + timedelta(days=3 * DAYS_AFTER)), fault)
    rows = {row.key: row for row in book.between(session, first - timedelta(days=1), last)}
    moves: list[Move] = []
    left: list[Left] = []
    for number in range(-1, (last - first).days + 1):
        day = first + timedelta(days=number)
        hit = [visit for visit in held.visits if _hit(visit, fault) and book.day_of(visit.start) == day]
        if hit:
            held, new, over = _day(held, day, hit, rows, now)
            moves += new
            left += over
    held, later, left = _later(held, left, last, now)
    period = {
        "device": fault.device,
        "start": fault.start.isoformat(),
        "finish": fault.finish.isoformat(),
        "note": fault.note[:200],
    }
    return Content((*moves, *later), tuple(left), _facts(moves, later, left), period)


def conflicts(
    session: Session, first: date, last: date, now: datetime, held: Book | None = None
) -> list[tuple[Visit, str]]:
    """Booked visits of some days that the rules forbid as they are now (a holiday, a device taken away).

    `held`: the book of these days and those beside them, where the caller has read it already.
    """
    held = held or book.load(session, first, last)
    found = []
    for visit in held.visits:
        if visit.start >= now and first <= book.day_of(visit.start) <= last:
            hard = [one.text for one in constraints.possible(held, visit, now)]
            if hard:
                found.append((visit, " ".join(dict.fromkeys(hard))))
    return found


def for_conflicts(context: Context, caller: Caller, first: date, last: date) -> ScheduleProposal:
    """A proposal that moves visits which the rules forbid by now to the next days that have a place."""
    now = context.now()
    with context.permitted(caller, Action.PLAN_SHEET, first.isoformat()) as session:
        held = book.load(session, first, last + timedelta(days=3 * DAYS_AFTER))
        bad = [(visit, why) for visit, why in conflicts(session, first, last, now) if not visit.fixed]
        left = [Left(visit.patient, visit.course, why, visit.key) for visit, why in bad if visit.patient]
        held, moves, left = _later(held, left, first - timedelta(days=1), now)
        content = Content(tuple(moves), tuple(left), _facts([], moves, left))
        return proposals.enter(session, "replan", first, content, caller.user, now)


def _with_fault(held: Book, fault: Fault) -> Book:
    down = Period(fault.device, Effect.FORBIDDEN, "fault", span=Span(fault.start, fault.finish))
    return replace(held, periods=[*held.periods, down])


def _hit(visit: Visit, fault: Fault) -> bool:
    return visit.device == fault.device and visit.span.overlaps(Span(fault.start, fault.finish))


def _day(
    held: Book, day: date, hit: Sequence[Visit], rows: dict[str, Appointment], now: datetime
) -> tuple[Book, list[Move], list[Left]]:
    """The visits of a day: those that are hit alone, and with their neighbours where that is not enough."""
    may = [visit for visit in hit if visit.patient and _may_move(rows[visit.key])]
    left = [
        Left(
            visit.patient,
            visit.course,
            _("This visit is under way or is machine QA; settle it by hand."),
            visit.key,
        )
        for visit in hit
        if visit not in may
    ]
    near = [
        visit
        for visit in held.visits
        if visit not in hit
        and not visit.fixed
        and visit.kind == Kind.TREATMENT
        and _neighbour(visit, may)
        and not constraints.possible(held, visit, now)
    ]
    made, found = _solved(held, day, may, [], now)
    if len(found) < len(may) and near:
        made, found = _solved(held, day, may, near, now)
    content = day_problem.content(made, board(made.problem, found), lambda item, _visit: _reason(item, hit))
    moved = {move.key: move.visit() for move in content.moves}
    held = replace(held, visits=[moved.get(visit.key, visit) for visit in held.visits])
    return held, list(content.moves), [*left, *content.left]


def _may_move(row: Appointment) -> bool:
    return row.state in (AppointmentState.BOOKED, AppointmentState.SIGNED_IN)


def _neighbour(visit: Visit, hit: Sequence[Visit]) -> bool:
    return any(abs(visit.start - other.start) <= NEIGHBOURS for other in hit)


def _reason(item: Item, hit: Sequence[Visit]) -> str:
    if item.visit in hit:
        return _("The device is down at its time.")
    return _("It makes room for a visit of the device that is down.")


def _solved(
    held: Book, day: date, hit: Sequence[Visit], near: Sequence[Visit], now: datetime
) -> tuple[DayProblem, list[Place]]:
    """The day with these visits free; the places found for those that are hit and their neighbours."""
    cp: Any = solver.solver()
    items = [Item(visit, _devices(held, visit), old=visit) for visit in (*hit, *near)]
    made = day_problem.make(held, day, items, now)
    jobs = {job.key: job for job in made.problem.jobs}
    model = Model(cp, made.problem, 0, 2880, roomy=False)
    for one in made.problem.fixed:
        model.hold(one)
    for visit in (*hit, *near):
        if visit.key in jobs:
            old = day_problem.place_of(held, day, visit)
            freed = model.free(jobs[visit.key], old if visit in near else None)
            if freed is not None:
                stay_near(model, freed, old, MOVED if visit in near else 0, ELSEWHERE)
    model.separate_particles()
    return made, list(model.solve(SECONDS)) if jobs else []


def _devices(held: Book, visit: Visit) -> tuple[str, ...]:
    able = [
        device.name
        for device in held.devices.values()
        if device.active
        and visit.kind in device.kinds
        and (not visit.particle or not device.particles or visit.particle in device.particles)
    ]
    return tuple(able)


def _later(
    held: Book, left: Sequence[Left], last: date, now: datetime
) -> tuple[Book, list[Move], list[Left]]:
    """Visits without a place, each at the nearest time of the working days after its own and after `last`."""
    moves: list[Move] = []
    still: list[Left] = []
    visits = {visit.key: visit for visit in held.visits}
    for one in left:
        visit = visits.get(one.key)
        found = None if visit is None or visit.fixed else _next_place(held, visit, last, now)
        if visit is None or found is None:
            still.append(one)
            continue
        held = replace(held, visits=[found if other.key == found.key else other for other in held.visits])
        item = Item(visit, (), old=visit)
        moves.append(day_problem.move_of(item, found, why=one.why))
    return held, moves, still


def _next_place(held: Book, visit: Visit, last: date, now: datetime) -> Visit | None:
    start = max(max(last, book.day_of(visit.start)) + timedelta(days=1), book.day_of(now))
    clock = day_problem.minute(held, book.day_of(visit.start), visit.start)
    for day in calendar.working_days(held.days, start, DAYS_AFTER):
        trial = replace(visit, start=day_problem.instant(held, day, clock))
        near = constraints.near(held, trial)
        for away in range(0, 12 * 60, held.rules.slot):
            for at in sorted({clock - away, clock + away}):
                for name in (visit.device, *(n for n in _devices(held, visit) if n != visit.device)):
                    trial = replace(visit, device=name, start=day_problem.instant(held, day, at))
                    if constraints.possible(near, trial, now):
                        continue
                    if not any(one.hard for one in constraints.check(near, trial, now)):
                        return trial
    return None


def _facts(moves: Sequence[Move], later: Sequence[Move], left: Sequence[Left]) -> dict[str, float]:
    shifts = [
        abs((datetime.fromisoformat(move.start) - datetime.fromisoformat(move.old_start)).total_seconds())
        / 60
        for move in moves
    ]
    return {
        "moved": len(moves),
        "other_day": len(later),
        "left": len(left),
        "shift": round(sum(shifts) / len(shifts), 1) if shifts else 0.0,
    }
