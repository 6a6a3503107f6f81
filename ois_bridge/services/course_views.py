"""Courses of one patient with all that hangs on them, gathered in a fixed number of queries."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session, joinedload

from ois_bridge.domain.course_states import CourseEvent, CourseState
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.task_states import TaskState
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Course
from ois_bridge.models.forms import FormRecord
from ois_bridge.models.record import (
    ChargingAnswer,
    CourseStage,
    CourseStep,
    Enrolment,
    FollowUp,
    PhysicianReview,
)
from ois_bridge.models.workflow import Task
from ois_bridge.services import courses, summaries
from ois_bridge.services.context import Caller, Context

Row = TypeVar(
    "Row", Appointment, Task, FormRecord, CourseStep, CourseStage, FollowUp, PhysicianReview, Enrolment
)
OPEN = (TaskState.TO_DO, TaskState.TAKEN)


@dataclass(frozen=True)
class CourseView:
    """One course. `may`: steps that the caller may take; `review_due`: None where none is due.

    `coming`, `past`: appointments, next and last first.
    """

    course: Course
    may: tuple[CourseEvent, ...]
    stage: CourseStage | None
    steps: Sequence[CourseStep]
    forms: Sequence[FormRecord]
    tasks: Sequence[Task]
    coming: Sequence[Appointment]
    past: Sequence[Appointment]
    reviews: Sequence[PhysicianReview]
    enrolments: Sequence[Enrolment]
    follow_ups: Sequence[FollowUp]
    charging: ChargingAnswer | None
    summary: FormRecord | None
    treated_since: datetime | None
    review_due: datetime | None

    @property
    def is_history(self) -> bool:
        """Whether the course is folded away."""
        return self.course.state is CourseState.HISTORY

    @property
    def open_tasks(self) -> int:
        """Tasks still to do."""
        return sum(task.state in OPEN for task in self.tasks)


def of_courses(
    context: Context, session: Session, caller: Caller, rows: Sequence[Course]
) -> tuple[CourseView, ...]:
    """Views of the courses of one patient, those of the past last."""
    keys = [course.key for course in rows]
    reads_reviews = caller.may(Action.READ_REVIEWS)
    loaded = _Loaded(
        steps=_of(session, CourseStep, CourseStep.course_key, keys, CourseStep.time),
        stages=_of(session, CourseStage, CourseStage.course_key, keys, CourseStage.time),
        forms=_of(session, FormRecord, FormRecord.course_key, keys, FormRecord.created)
        if caller.may(Action.READ_FORM)
        else {},
        tasks=_of(session, Task, Task.course_key, keys, Task.created),
        visits=_of(session, Appointment, Appointment.course_key, keys, Appointment.start),
        follow_ups=_of(session, FollowUp, FollowUp.course_key, keys, FollowUp.due),
        reviews=_of(session, PhysicianReview, PhysicianReview.course_key, keys, PhysicianReview.time)
        if reads_reviews
        else {},
        enrolments=_enrolments(session, keys),
        charging={
            row.course_key: row
            for row in session.scalars(select(ChargingAnswer).where(ChargingAnswer.course_key.in_(keys)))
        },
        begun=_first_beams(session, keys) if reads_reviews else {},
    )
    views = [_view(context, caller, course, loaded) for course in rows]
    return tuple(sorted(views, key=lambda view: view.is_history))


@dataclass(frozen=True)
class _Loaded:
    steps: Mapping[str, Sequence[CourseStep]]
    stages: Mapping[str, Sequence[CourseStage]]
    forms: Mapping[str, Sequence[FormRecord]]
    tasks: Mapping[str, Sequence[Task]]
    visits: Mapping[str, Sequence[Appointment]]
    follow_ups: Mapping[str, Sequence[FollowUp]]
    reviews: Mapping[str, Sequence[PhysicianReview]]
    enrolments: Mapping[str, Sequence[Enrolment]]
    charging: Mapping[str, ChargingAnswer]
    begun: Mapping[str, datetime]


def _view(context: Context, caller: Caller, course: Course, loaded: _Loaded) -> CourseView:
    now, key = context.now(), course.key
    visits = loaded.visits.get(key, ())
    reviews = loaded.reviews.get(key, ())[::-1]
    forms = loaded.forms.get(key, ())
    stages = loaded.stages.get(key, ())
    begun = loaded.begun.get(key)
    due = None
    if begun is not None and course.state is CourseState.ACTIVE:
        last = max(begun, reviews[0].time) if reviews else begun
        due = last + timedelta(days=context.record.settings.review_days)
    written = [form for form in forms if form.kind == summaries.KIND and form.state.name != "WITHDRAWN"]
    return CourseView(
        course=course,
        may=courses.possible(course) if caller.may(Action.ACT_ON_COURSE) else (),
        stage=stages[-1] if stages and course.stage else None,
        steps=loaded.steps.get(key, ()),
        forms=forms,
        tasks=loaded.tasks.get(key, ()),
        coming=[one for one in visits if one.start >= now],
        past=[one for one in reversed(visits) if one.start < now],
        reviews=reviews,
        enrolments=loaded.enrolments.get(key, ()),
        follow_ups=loaded.follow_ups.get(key, ()),
        charging=loaded.charging.get(key),
        summary=written[-1] if written else None,
        treated_since=begun,
        review_due=due,
    )


def _of(
    session: Session,
    table: type[Row],
    column: InstrumentedAttribute[str] | InstrumentedAttribute[str | None],
    keys: Sequence[str],
    order: InstrumentedAttribute[datetime] | InstrumentedAttribute[object],
) -> dict[str, list[Row]]:
    rows = session.scalars(select(table).where(column.in_(keys)).order_by(order)).all()
    return _grouped(rows)


def _grouped(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.course_key or "", []).append(row)
    return found


def _enrolments(session: Session, keys: Sequence[str]) -> dict[str, list[Enrolment]]:
    rows = session.scalars(
        select(Enrolment)
        .where(Enrolment.course_key.in_(keys))
        .options(joinedload(Enrolment.study))
        .order_by(Enrolment.time)
    ).all()
    return _grouped(rows)


def _first_beams(session: Session, keys: Sequence[str]) -> dict[str, datetime]:
    return {row[0]: row[1] for row in session.execute(courses.first_beams(keys))}
