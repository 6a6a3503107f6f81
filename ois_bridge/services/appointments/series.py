"""A whole course booked in one go: computed, shown as a proposal, and then kept or thrown away."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy.orm import Session

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.scheduling import series
from ois_bridge.domain.scheduling.plan import Kind, Visit
from ois_bridge.domain.scheduling.proposal import Content, Left, Move
from ois_bridge.models.scheduling import ScheduleProposal, VisitWish
from ois_bridge.services import courses
from ois_bridge.services.appointments import book, proposals
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.workflow import guards

WEEKS_AHEAD = 30


@dataclass(frozen=True)
class Asked:
    """A course to book. `preferred`, `earliest`, `latest`: minutes of the day, 0 for none."""

    course_key: str
    device: str
    particle: str
    minutes: int
    first: date
    count: int
    fraction: int
    pattern: str
    preferred: int
    earliest: int = 0
    latest: int = 0
    weekdays: str = ""


def propose(context: Context, caller: Caller, asked: Asked) -> ScheduleProposal:
    """Compute and keep a proposal for a course; its wishes are kept with the course.

    Raises Refused (course not active, a guard), BadInput, NotFound.
    """
    now = context.now()
    _check(asked)
    with context.permitted(caller, Action.BOOK_APPOINTMENT, asked.course_key) as session:
        course = courses.must_be_active(session, asked.course_key)
        guards.may_book(session, course.key, Kind.TREATMENT)
        keep_wish(session, asked, caller.user, now)
        session.flush()
        last = asked.first + timedelta(weeks=WEEKS_AHEAD)
        held = book.load(session, asked.first, last)
        wishes = {**held.wishes, **book.wishes(session, [course.key])}
        held = book.replace_wishes(held, wishes)
        visit = Visit(
            key="new",
            device=asked.device,
            kind=Kind.TREATMENT,
            start=datetime.now(UTC),
            minutes=asked.minutes,
            patient=course.patient_key,
            course=course.key,
            particle=asked.particle,
        )
        result = series.propose(held, _series(asked, visit), now)
        return proposals.enter(session, "course", asked.first, _content(result, visit), caller.user, now)


def _series(asked: Asked, visit: Visit) -> series.Series:
    return series.Series(visit, asked.first, asked.count, asked.fraction, asked.pattern, asked.preferred)


def _check(asked: Asked) -> None:
    """Raises BadInput."""
    minutes = (asked.preferred, asked.earliest, asked.latest)
    if not all(0 <= minute <= 24 * 60 for minute in minutes) or not set(asked.weekdays) <= set("1234567"):
        raise BadInput(_("Times of the day and weekdays are needed for the patient's wishes."))
    if not 1 <= asked.fraction <= 200:
        raise BadInput(_("Fraction: allowed are 1 to 200."))


def keep_wish(session: Session, asked: Asked, user: str, now: datetime) -> None:
    """Keep what the patient wishes with the course, in the caller's transaction."""
    row = session.get(VisitWish, asked.course_key) or VisitWish(course_key=asked.course_key)
    row.earliest_min, row.latest_min = asked.earliest, asked.latest
    row.preferred_min, row.weekdays = asked.preferred, "".join(sorted(asked.weekdays))
    row.per_day = 2 if asked.pattern == "twice" else 1
    row.changed, row.changed_by = now, user
    session.add(row)


def _content(result: series.Result, visit: Visit) -> Content:
    moves = tuple(
        Move(
            key="",
            device=one.device,
            start=one.start.isoformat(),
            minutes=one.minutes,
            kind=one.kind,
            particle=one.particle,
            fraction=one.fraction,
            patient=one.patient,
            course=one.course,
            notes=notes,
        )
        for one, notes in result.visits
    )
    left = tuple(
        Left(patient=visit.patient, course=visit.course, why=why, day=day.isoformat())
        for day, why in result.skipped
    )
    return Content(moves, left, _facts(result))


def _facts(result: series.Result) -> Mapping[str, float]:
    return {"visits": len(result.visits), "skipped": len(result.skipped)}
