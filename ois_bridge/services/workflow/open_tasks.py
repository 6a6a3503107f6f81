"""The open tasks of the roles, as work lists show them: read once, then what was changed since.

The database counts the changes of what these lists are made of (models/versions.py). A list asks for the
numbers first; while they stay, the rows of the last reader are the truth and are used again. Where tasks were
changed, only those are read; where something else was that lists show, all are. Numbers and rows are read in
one transaction, so that they belong together.
"""

import threading
from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, case, exists, select
from sqlalchemy.orm import Session

from common.text import language
from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.task_states import TASK_TABLE, TaskState
from ois_bridge.models.access import Restriction
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.models.database import Database
from ois_bridge.models.versions import TASKS, WORK_LISTS, DataVersion, TaskChange
from ois_bridge.models.workflow import ProcessRecord, Task

OPEN = tuple(state for state, steps in TASK_TABLE.items() if steps)
"""States of tasks that are not over."""


class Row(NamedTuple):
    """One task with what a list shows of its course and patient, and what it is narrowed by."""

    key: str
    process_key: str
    course_key: str
    name: str
    title: str
    title_zh: str
    deed: str
    role: str
    assignee: str
    form_kind: str
    state: TaskState
    outcome: str
    comment: str
    created: datetime
    due: datetime | None
    done: datetime | None
    patient_key: str
    patient_id: str
    patient_name: str
    sex: str
    id_card: str
    hospital_number: str
    barcode: str
    pinyin: str
    initials: str
    diagnosis: str
    diagnosis_en: str
    diagnosis_code: str
    icd11: str
    icd10: str
    physician: str
    technique: str
    source: str
    restricted: bool
    process_name: str
    course_name: str

    @property
    def diagnosis_text(self) -> str:
        """The diagnosis in the reader's language; a person's own words as they were written."""
        return self.diagnosis if language() == "zh" or not self.diagnosis_en else self.diagnosis_en


def rows_of() -> Select[*tuple[object, ...]]:
    """The columns of a Row, joined; to be narrowed and ordered."""
    restricted = exists().where(Restriction.patient_key == Patient.key)
    return (
        select(
            Task.key, Task.process_key, Task.course_key, Task.name, Task.title, Task.title_zh, Task.deed,
            Task.role, Task.assignee, Task.form_kind, Task.state, Task.outcome, Task.comment, Task.created,
            Task.due, Task.done,
            Patient.key, Patient.patient_id, Patient.name, Patient.sex, Patient.id_card,
            Patient.hospital_number, Patient.barcode, Patient.pinyin, Patient.initials,
            Course.diagnosis, Course.diagnosis_en, Course.diagnosis_code, Course.icd11, Course.icd10,
            Course.physician, Course.technique, Course.source,
            case((restricted, True), else_=False), ProcessRecord.name, Course.name,
        )
        .select_from(Task)
        .join(ProcessRecord, ProcessRecord.key == Task.process_key)
        .join(Course, Course.key == Task.course_key)
        .join(Patient, Patient.key == Course.patient_key)
    )  # fmt: skip


_NUMBERS = select(DataVersion.name, DataVersion.number).where(DataVersion.name.in_((WORK_LISTS, TASKS)))
_CHANGED = select(TaskChange.task_key).where(TaskChange.number > bindparam("since")).limit(bindparam("most"))
_OPEN = (
    rows_of()
    .where(
        Task.state.in_(OPEN),
        Task.role.in_(bindparam("roles", expanding=True)),
        Course.state == CourseState.ACTIVE,
    )
    .order_by(Task.due.is_(None), Task.due, Task.created, Task.key)
)
_OPEN_OF = _OPEN.where(Task.key.in_(bindparam("keys", expanding=True)))
FEW = 200
"""When more tasks were changed, all are read."""
_NEVER = datetime.max.replace(tzinfo=UTC)

Roles = tuple[str, ...]


class _Numbers(NamedTuple):
    """How often lists and tasks were changed."""

    lists: int
    tasks: int


@dataclass(frozen=True)
class _Kept:
    numbers: _Numbers
    rows: Sequence[Row]


class OpenTasks:
    """Open tasks by set of roles. Threads may ask at once: one reads, the others take what it read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reading: dict[Roles, threading.Lock] = {}
        self._kept: dict[Roles, _Kept] = {}

    def of(self, database: Database, session: Session, roles: frozenset[str]) -> Sequence[Row]:
        """Open tasks of active courses, late ones first, then by due time.

        Nobody's right is looked at but the role: the caller leaves out what a person may not see.
        """
        wanted = tuple(sorted(roles))
        if session.get_bind().get_execution_options().get("ptcs_writes", False):
            return _read(session, wanted)  # what is not committed yet is nobody else's
        numbers = _numbers(database.glance(_NUMBERS))
        with self._lock:
            turn = self._reading.setdefault(wanted, threading.Lock())
        with turn:
            kept = self._kept.get(wanted)
            if kept is None or _behind(kept.numbers, numbers):
                kept = self._kept[wanted] = _brought_up(session, wanted, kept)
        return kept.rows


def _numbers(rows: Iterable[Any]) -> _Numbers:
    found = {name: int(number) for name, number in rows}
    return _Numbers(found.get(WORK_LISTS, 0), found.get(TASKS, 0))


def _behind(one: _Numbers, other: _Numbers) -> bool:
    return one.lists < other.lists or one.tasks < other.tasks


def _brought_up(session: Session, roles: Roles, kept: _Kept | None) -> _Kept:
    """The rows as this session's transaction sees them; one that began too early sees older ones than are
    kept, and leaves those.
    """
    connection = session.connection()
    numbers = _numbers(connection.execute(_NUMBERS))
    if kept is None or kept.numbers.lists < numbers.lists:
        return _Kept(numbers, _read(session, roles))
    if not _behind(kept.numbers, numbers):
        return kept
    asked = {"since": kept.numbers.tasks, "most": FEW + 1}
    changed = {key for (key,) in connection.execute(_CHANGED, asked)}
    if len(changed) > FEW:
        return _Kept(numbers, _read(session, roles))
    rows = [row for row in kept.rows if row.key not in changed]
    values = {"roles": list(roles), "keys": list(changed)}
    for found in connection.execute(_OPEN_OF, values):
        insort(rows, Row._make(found), key=_order)
    return _Kept(numbers, rows)


def _order(row: Row) -> tuple[datetime, datetime, str]:
    """As the database orders them."""
    return row.due or _NEVER, row.created, row.key


def _read(session: Session, roles: Roles) -> Sequence[Row]:
    return [Row._make(found) for found in session.connection().execute(_OPEN, {"roles": list(roles)})]
