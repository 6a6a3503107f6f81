"""To-do and done: what waits for a person, what they did, how much of each kind."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Integer, Select, cast, func, or_, select
from sqlalchemy.orm import Session, contains_eager, joinedload

from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.form_content import CONTROL
from ois_bridge.domain.task_states import TaskState
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.models.workflow import Task
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.workflow import rights
from ois_bridge.services.workflow.processes import OPEN

PAGE = 50


@dataclass(frozen=True)
class Wish:
    """What a list is narrowed to. `text`: patient's ID, name, pinyin, diagnosis; `step`: kind of work."""

    text: str = ""
    step: str = ""
    physician: str = ""
    technique: str = ""
    diagnosis: str = ""
    source: str = ""
    sex: str = ""
    whose: str = ""
    page: int = 1


@dataclass(frozen=True)
class Count:
    """How many tasks of a step there are, and how many of them are late."""

    step: str
    title: str
    title_zh: str
    number: int
    late: int = 0


@dataclass(frozen=True)
class Found:
    """One page of a list."""

    tasks: Sequence[Task]
    total: int
    page: int

    @property
    def pages(self) -> int:
        """Number of pages, at least 1."""
        return max(1, -(-self.total // PAGE))


def to_do(session: Session, context: Context, caller: Caller, wish: Wish) -> Found:
    """Open tasks that the caller may do, late ones first, then by due time."""
    query = _narrowed(_base().where(*_may_do(context, caller, wish.whose)), wish)
    return _page(session, query.order_by(Task.due.is_(None), Task.due, Task.created), query, wish.page)


def done(session: Session, context: Context, caller: Caller, wish: Wish) -> Found:
    """Tasks that the caller did, newest first."""
    query = _narrowed(
        _base().where(
            Task.done_by == caller.user, Task.state == TaskState.DONE, rights.visible(caller, context)
        ),
        wish,
    )
    return _page(session, query.order_by(Task.done.desc()), query, wish.page)


def counts(session: Session, context: Context, caller: Caller, whose: str = "") -> list[Count]:
    """Open tasks by step."""
    late = func.sum(func.coalesce(cast(Task.due < context.now(), Integer), 0))
    rows = session.execute(
        select(Task.name, func.max(Task.title), func.max(Task.title_zh), func.count(), late)
        .join(Task.course)
        .join(Course.patient)
        .where(*_may_do(context, caller, whose))
        .group_by(Task.name)
        .order_by(func.count().desc(), Task.name)
    )
    return [
        Count(name, title, chinese, number, int(late or 0)) for name, title, chinese, number, late in rows
    ]


def done_counts(session: Session, caller: Caller) -> list[Count]:
    """The caller's done tasks by step."""
    rows = session.execute(
        select(Task.name, func.max(Task.title), func.max(Task.title_zh), func.count())
        .where(Task.done_by == caller.user, Task.state == TaskState.DONE)
        .group_by(Task.name)
        .order_by(func.count().desc(), Task.name)
    )
    return [Count(*row) for row in rows]


def waiting(session: Session, context: Context, caller: Caller) -> int:
    """Number of open tasks that the caller may do."""
    return (
        session.scalar(
            select(func.count())
            .select_from(Task)
            .join(Task.course)
            .join(Course.patient)
            .where(*_may_do(context, caller, ""))
        )
        or 0
    )


def of_course(session: Session, course_key: str) -> Sequence[Task]:
    """Open tasks of a course, whoever does them."""
    return session.scalars(
        select(Task).where(Task.course_key == course_key, Task.state.in_(OPEN)).order_by(Task.created)
    ).all()


def _may_do(context: Context, caller: Caller, whose: str) -> list[ColumnElement[bool]]:
    """Open, of a role of the caller, not given to somebody else, in a course that goes on."""
    mine: ColumnElement[bool] = Task.assignee == caller.user
    if whose != "mine":
        mine = or_(Task.assignee == "", mine)
    return [
        Task.state.in_(OPEN),
        Task.role.in_(sorted(caller.roles)),
        mine,
        Course.state == CourseState.ACTIVE,
        rights.visible(caller, context),
    ]


def _base() -> Select[Task]:
    return (
        select(Task)
        .join(Task.course)
        .join(Course.patient)
        .options(contains_eager(Task.course).contains_eager(Course.patient), joinedload(Task.process))
    )


def _narrowed(query: Select[Task], wish: Wish) -> Select[Task]:
    text = CONTROL.sub("", wish.text).strip()
    if text:
        query = query.where(
            or_(
                Patient.patient_id.startswith(text, autoescape=True),
                Patient.hospital_number == text,
                Patient.id_card == text,
                Patient.barcode == text,
                Patient.name.icontains(text, autoescape=True),
                Patient.pinyin.startswith(text.lower(), autoescape=True),
                Patient.initials.startswith(text.lower(), autoescape=True),
                Course.diagnosis.icontains(text, autoescape=True),
            )
        )
    for column, value in (
        (Task.name, wish.step),
        (Course.physician, wish.physician),
        (Course.technique, wish.technique),
        (Course.source, wish.source),
        (Patient.sex, wish.sex),
    ):
        if value:
            query = query.where(column == CONTROL.sub("", value))
    code = CONTROL.sub("", wish.diagnosis)
    if code:
        named = (Course.diagnosis_code, Course.icd11, Course.icd10)
        query = query.where(or_(*(column.startswith(code, autoescape=True) for column in named)))
    return query


def _page(session: Session, ordered: Select[Task], query: Select[Task], page: int) -> Found:
    counted = query.with_only_columns(func.count(Task.key)).options().order_by(None)
    total = session.scalar(counted) or 0
    page = min(max(1, page), max(1, -(-total // PAGE)))
    rows = session.scalars(ordered.limit(PAGE).offset((page - 1) * PAGE)).unique().all()
    return Found(rows, total, page)
