"""Studies, the courses in them, and what becomes of patients after treatment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import ColumnElement, func, select, true
from sqlalchemy.orm import Session, contains_eager, joinedload

from common.errors import BadInput, Refused
from common.text import _
from ois_bridge.domain import follow_up
from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.follow_up import Outcome
from ois_bridge.domain.form_content import readable
from ois_bridge.domain.permissions import Action
from ois_bridge.models.clinical import Course
from ois_bridge.models.record import Enrolment, FollowUp, Study
from ois_bridge.services import deceased
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must
from ois_bridge.services.workflow import rights


@dataclass(frozen=True)
class StudyLine:
    """A study and how many courses are in it."""

    study: Study
    count: int


def studies(session: Session) -> list[StudyLine]:
    """All studies, open ones first."""
    rows = session.execute(
        select(Study, func.count(Enrolment.key))
        .outerjoin(Enrolment, Enrolment.study_key == Study.key)
        .group_by(Study.key)
        .order_by(Study.open.desc(), Study.name)
    )
    return [StudyLine(study, count) for study, count in rows]


def add_study(context: Context, caller: Caller, name: str, criteria: str) -> Study:
    """A new, open study. Raises BadInput for its texts, Refused when the name is taken."""
    name = readable(name.strip(), _("Study"))
    readable(criteria, _("Criteria"))
    if not 1 <= len(name) <= 120 or len(criteria) > 2000:
        raise BadInput(_("Study: a name of at most 120 and criteria of at most 2000 characters."))
    with context.permitted(caller, Action.MANAGE_STUDIES, "study") as session:
        if session.scalar(select(Study.key).where(Study.name == name)) is not None:
            raise Refused(_("There is a study of this name already."))
        study = Study(
            name=name, criteria=criteria.strip(), open=True, created=context.now(), created_by=caller.user
        )
        session.add(study)
        session.flush()
    return study


def open_study(context: Context, caller: Caller, key: str, is_open: bool) -> Study:
    """Open or close a study; a closed one takes no more courses. Raises NotFound."""
    with context.permitted(caller, Action.MANAGE_STUDIES, key, "open" if is_open else "close") as session:
        study = must(session.get(Study, key))
        study.open = is_open
    return study


def enrol(context: Context, caller: Caller, study_key: str, course_key: str) -> Enrolment:
    """Put a course into a study. Raises NotFound, Refused when the study is closed or has it already."""
    with context.permitted(caller, Action.FOLLOW_UP, course_key, "enrol") as session:
        study, course = (
            must(session.get(Study, study_key)),
            rights.check(session, context, caller, course_key),
        )
        if not study.open:
            raise Refused(_("The study is closed: it takes no more courses."))
        if course.state is CourseState.CANCELLED:
            raise Refused(_("A cancelled course cannot be put into a study."))
        known = select(Enrolment.key).where(
            Enrolment.study_key == study.key, Enrolment.course_key == course.key
        )
        if session.scalar(known) is not None:
            raise Refused(_("The course is in this study already."))
        row = Enrolment(study_key=study.key, course_key=course.key, time=context.now(), user=caller.user)
        session.add(row)
        session.flush()
    return row


def withdraw(context: Context, caller: Caller, enrolment_key: str) -> None:
    """Take a course out of a study. Raises NotFound."""
    with context.permitted(caller, Action.FOLLOW_UP, enrolment_key, "withdraw from study") as session:
        row = must(session.get(Enrolment, enrolment_key))
        rights.check(session, context, caller, row.course_key)
        session.delete(row)


def plan(
    context: Context, caller: Caller, course_key: str, start: date, months: Sequence[int]
) -> list[FollowUp]:
    """Plan follow-ups of a course; months that have one already keep it. Raises NotFound, BadInput."""
    dates = follow_up.schedule(start, months)
    with context.permitted(caller, Action.FOLLOW_UP, course_key, "plan") as session:
        course = rights.check(session, context, caller, course_key)
        known = set(session.scalars(select(FollowUp.months).where(FollowUp.course_key == course.key)))
        rows = [
            FollowUp(course_key=course.key, months=month, due=due, outcome="", note="", done_by="")
            for month, due in dates
            if month not in known
        ]
        session.add_all(rows)
    return rows


def enter(context: Context, caller: Caller, key: str, outcome: str, note: str) -> FollowUp:
    """Write what a follow-up found. Raises NotFound, BadInput for an unknown outcome, Refused when done."""
    if outcome not in Outcome.__members__:
        raise BadInput(_("Outcome: one of {all}.").format(all=", ".join(_(one.value) for one in Outcome)))
    if len(readable(note, _("Note"))) > 2000:
        raise BadInput(_("Note: at most 2000 characters are allowed."))
    with context.permitted(caller, Action.FOLLOW_UP, key, "result") as session:
        row = must(session.get(FollowUp, key))
        rights.check(session, context, caller, row.course_key)
        if row.done is not None:
            raise Refused(_("The result of this follow-up was entered before."))
        row.outcome, row.note = outcome, note.strip()
        row.done, row.done_by = context.now(), caller.user
        if outcome == Outcome.DEAD.name:
            _drop_later(session, row)
            deceased.release(session, row.course.patient_key, caller.user, context.now())
    return row


def _drop_later(session: Session, row: FollowUp) -> None:
    """Nobody is asked to come who has died, for whichever course."""
    of_person = select(Course.key).where(Course.patient_key == row.course.patient_key)
    later = select(FollowUp).where(
        FollowUp.course_key.in_(of_person), FollowUp.done.is_(None), FollowUp.key != row.key
    )
    for one in session.scalars(later):
        session.delete(one)


def of_course(session: Session, course_key: str) -> Sequence[FollowUp]:
    """Follow-ups of a course by date."""
    return session.scalars(
        select(FollowUp).where(FollowUp.course_key == course_key).order_by(FollowUp.due)
    ).all()


def enrolments(session: Session, course_key: str) -> Sequence[Enrolment]:
    """Studies that a course is in."""
    return session.scalars(
        select(Enrolment)
        .where(Enrolment.course_key == course_key)
        .options(joinedload(Enrolment.study))
        .order_by(Enrolment.time)
    ).all()


def overdue(
    session: Session, today: date, seen: ColumnElement[bool] | None = None, limit: int = 200
) -> Sequence[FollowUp]:
    """Follow-ups whose day has passed without a result, oldest first. `seen`: a condition on Patient."""
    return session.scalars(
        select(FollowUp)
        .join(FollowUp.course)
        .join(Course.patient)
        .where(FollowUp.done.is_(None), FollowUp.due < today, true() if seen is None else seen)
        .options(contains_eager(FollowUp.course).contains_eager(Course.patient))
        .order_by(FollowUp.due)
        .limit(limit)
    ).all()


def coming(
    session: Session, today: date, seen: ColumnElement[bool] | None = None, limit: int = 100
) -> Sequence[FollowUp]:
    """Follow-ups still to come, next first. `seen`: a condition on Patient."""
    return session.scalars(
        select(FollowUp)
        .join(FollowUp.course)
        .join(Course.patient)
        .where(FollowUp.done.is_(None), FollowUp.due >= today, true() if seen is None else seen)
        .options(contains_eager(FollowUp.course).contains_eager(Course.patient))
        .order_by(FollowUp.due)
        .limit(limit)
    ).all()
