"""To-do and done: what waits for a person, what they did, how much of each kind."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from ois_bridge.domain.form_content import CONTROL
from ois_bridge.domain.task_states import TaskState
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.models.workflow import Task
from ois_bridge.services.closed_records import closed_to
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.workflow import rights
from ois_bridge.services.workflow.open_tasks import OPEN, Row, rows_of

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

    tasks: Sequence[Row]
    total: int
    page: int

    @property
    def pages(self) -> int:
        """Number of pages, at least 1."""
        return max(1, -(-self.total // PAGE))


def to_do(session: Session, context: Context, caller: Caller, wish: Wish) -> Found:
    """Open tasks that the caller may do, late ones first, then by due time."""
    return to_do_and_counts(session, context, caller, wish)[0]


def to_do_and_counts(
    session: Session, context: Context, caller: Caller, wish: Wish
) -> tuple[Found, list[Count]]:
    """`to_do`, and `counts` of the same moment."""
    mine = _mine(session, context, caller, wish.whose)
    found = _narrowed(mine, wish)
    page = min(max(1, wish.page), max(1, -(-len(found) // PAGE)))
    return Found(found[(page - 1) * PAGE : page * PAGE], len(found), page), _counted(mine, context.now())


def done(session: Session, context: Context, caller: Caller, wish: Wish) -> Found:
    """Tasks that the caller did, newest first."""
    query = _conditions(
        rows_of().where(
            Task.done_by == caller.user, Task.state == TaskState.DONE, rights.visible(caller, context)
        ),
        wish,
    )
    total = session.scalar(query.with_only_columns(func.count(Task.key))) or 0
    page = min(max(1, wish.page), max(1, -(-total // PAGE)))
    ordered = query.order_by(Task.done.desc(), Task.key).limit(PAGE).offset((page - 1) * PAGE)
    return Found([Row._make(found) for found in session.execute(ordered)], total, page)


def one(session: Session, key: str) -> Row | None:
    """A task by its key, whoever does it."""
    found = session.execute(rows_of().where(Task.key == key)).one_or_none()
    return None if found is None else Row._make(found)


def counts(session: Session, context: Context, caller: Caller, whose: str = "") -> list[Count]:
    """Open tasks by step."""
    return _counted(_mine(session, context, caller, whose), context.now())


def _counted(mine: Sequence[Row], now: datetime) -> list[Count]:
    # without a due time they stand at the end
    late = bisect_left(mine, True, key=lambda row: row.due is None or row.due >= now)
    numbers, late_numbers = Counter(row.name for row in mine), Counter(row.name for row in mine[:late])
    titles = {row.name: row for row in mine}
    return [
        Count(name, titles[name].title, titles[name].title_zh, number, late_numbers[name])
        for name, number in sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
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
    return len(_mine(session, context, caller, ""))


def of_course(session: Session, course_key: str) -> Sequence[Task]:
    """Open tasks of a course, whoever does them."""
    return session.scalars(
        select(Task).where(Task.course_key == course_key, Task.state.in_(OPEN)).order_by(Task.created)
    ).all()


def _mine(session: Session, context: Context, caller: Caller, whose: str) -> list[Row]:
    """Open, of a role of the caller, not given to somebody else, in a course that goes on; of restricted
    records those that are open to the caller.
    """
    rows = context.open_tasks.of(context.database, session, caller.roles)
    user = caller.user
    allowed = (user,) if whose == "mine" else ("", user)
    mine = [row for row in rows if row.assignee in allowed]
    if not any(row.restricted for row in mine):
        return mine
    closed = closed_to(context.database, user, caller.roles, context.now())
    return [row for row in mine if row.patient_key not in closed]


def _narrowed(rows: list[Row], wish: Wish) -> list[Row]:
    """The rows that fit a wish, as `_conditions` says it to the database."""
    text = CONTROL.sub("", wish.text).strip().lower()
    if text:
        rows = [row for row in rows if _has(row, text)]
    code = CONTROL.sub("", wish.diagnosis).lower()
    if code:
        rows = [
            row
            for row in rows
            if any(one.lower().startswith(code) for one in (row.diagnosis_code, row.icd11, row.icd10))
        ]
    for name, value in (
        ("name", wish.step),
        ("physician", wish.physician),
        ("technique", wish.technique),
        ("source", wish.source),
        ("sex", wish.sex),
    ):
        if value:
            exact = CONTROL.sub("", value)
            rows = [row for row in rows if getattr(row, name) == exact]
    return rows


def _has(row: Row, text: str) -> bool:
    """Whether a lower-case text names the task's patient or diagnosis."""
    return (
        text in row.patient_name.lower()
        or row.patient_id.lower().startswith(text)
        or row.pinyin.startswith(text)
        or row.initials.startswith(text)
        or text in row.diagnosis.lower()
        or text in row.diagnosis_en.lower()
        or text in (row.hospital_number.lower(), row.id_card.lower(), row.barcode.lower())
    )


def _conditions(query: Select[*tuple[object, ...]], wish: Wish) -> Select[*tuple[object, ...]]:
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
                Course.diagnosis_en.icontains(text, autoescape=True),
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
