"""The optimiser at work: a day is computed in a thread, watched by its progress, shown as a proposal."""

import logging
import threading
from datetime import date, timedelta

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from common.errors import PtcsError, Refused
from common.text import _, language, set_language
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.scheduling import proposal
from ois_bridge.domain.scheduling.plan import Book, Kind, Visit
from ois_bridge.domain.scheduling.proposal import Content
from ois_bridge.models.scheduling import ScheduleProposal
from ois_bridge.services.appointments import book, day_problem, proposals, solver, waiting
from ois_bridge.services.appointments.day_problem import DayProblem, Item
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must

log = logging.getLogger(__name__)


def begin(context: Context, caller: Caller, day: date, rearrange: bool) -> str:
    """Start computing a day; returns the key of the proposal, which is RUNNING until it is OPEN or FAILED.

    `rearrange`: booked visits may move too. Raises Refused when there is nothing to place.
    """
    solver.solver()
    with context.permitted(caller, Action.PLAN_SHEET, day.isoformat()) as session:
        caller.check(Action.BOOK_APPOINTMENT)
        made = problem(session, context, day, rearrange)
        if not made.items:
            raise Refused(_("There is nothing to place on this day; put visits onto the list first."))
        row = proposals.enter(session, "day", day, Content(), caller.user, context.now(), running=True)
    thread = threading.Thread(
        target=_compute, args=(context, row.key, made, language()), name="optimiser", daemon=True
    )
    thread.start()
    return row.key


def problem(session: Session, context: Context, day: date, rearrange: bool) -> DayProblem:
    """The waiting visits of a day, and with `rearrange` its booked treatments, as a problem."""
    held = book.load(session, day - timedelta(days=1), day + timedelta(days=1))
    rows = waiting.of_day(session, day)
    held = book.replace_wishes(
        held, {**held.wishes, **book.wishes(session, [row.course_key for row in rows])}
    )
    items = []
    for row in rows:
        visit = Visit(
            row.key, row.device, row.kind, day_problem.instant(held, day, 720), row.minutes, row.patient_key,
            row.course_key, row.particle, row.fraction,
        )  # fmt: skip
        items.append(Item(visit, _devices(held, row.device, row.kind, row.particle), waiting=row.key))
    if rearrange:
        items += [
            Item(visit, _devices(held, "", visit.kind, visit.particle), old=visit)
            for visit in held.visits
            if book.day_of(visit.start) == day and not visit.fixed and visit.kind == Kind.TREATMENT
        ]
    return day_problem.make(held, day, items, context.now())


def _devices(held: Book, wanted: str, kind: str, particle: str) -> tuple[str, ...]:
    if wanted:
        return (wanted,)
    return tuple(
        device.name
        for device in held.devices.values()
        if device.active and kind in device.kinds and (not particle or particle in device.particles)
    )


def _compute(context: Context, key: str, made: DayProblem, speech: str) -> None:
    """Border of the thread: whatever happens, the proposal says it."""
    set_language(speech)
    try:
        board = solver.optimise(made.problem, lambda part: _progress(context, key, part))
        _finish(context, key, proposal.dump(day_problem.content(made, board)))
    except (PtcsError, SQLAlchemyError, ArithmeticError, LookupError, ValueError, RuntimeError) as why:
        log.exception("optimiser failed")
        text = (
            str(why)
            if isinstance(why, PtcsError)
            else _("The optimiser failed; the log of the OIS says more.")
        )
        _finish(context, key, None, text)


def _progress(context: Context, key: str, part: float) -> None:
    with context.database.writing() as session:
        row = session.get(ScheduleProposal, key)
        if row is not None and part - row.progress >= 0.2:
            row.progress = part


def _finish(context: Context, key: str, content: str | None, error: str = "") -> None:
    with context.database.writing() as session:
        row = must(session.get(ScheduleProposal, key))
        row.state, row.error, row.progress = ("FAILED" if error else "OPEN"), error, 1.0
        row.content = content or row.content
