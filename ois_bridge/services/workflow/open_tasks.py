"""The open tasks of the roles, as work lists show them: read once for each version of the data.

The database counts the changes of what these lists are made of (models/versions.py). A list asks for the
number first; while it stays, the rows of the last reader are the truth and are used again. Rows that were
read under a number may be newer than it, never older.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Select, bindparam, case, exists, select
from sqlalchemy.orm import Session

from common.text import language
from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.task_states import TASK_TABLE, TaskState
from ois_bridge.models.access import Restriction
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.models.database import Database
from ois_bridge.models.versions import WORK_LISTS, DataVersion
from ois_bridge.models.workflow import Task

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
            case((restricted, True), else_=False),
        )
        .select_from(Task)
        .join(Course, Course.key == Task.course_key)
        .join(Patient, Patient.key == Course.patient_key)
    )  # fmt: skip


_VERSION = select(DataVersion.number).where(DataVersion.name == WORK_LISTS)
_OPEN = (
    rows_of()
    .where(
        Task.state.in_(OPEN),
        Task.role.in_(bindparam("roles", expanding=True)),
        Course.state == CourseState.ACTIVE,
    )
    .order_by(Task.due.is_(None), Task.due, Task.created, Task.key)
)


@dataclass(frozen=True)
class _Kept:
    version: int
    rows: Sequence[Row]


class OpenTasks:
    """Open tasks by set of roles. Threads may ask at once: one reads, the others take what it read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reading: dict[tuple[str, ...], threading.Lock] = {}
        self._kept: dict[tuple[str, ...], _Kept] = {}

    def of(self, database: Database, session: Session, roles: frozenset[str]) -> Sequence[Row]:
        """Open tasks of active courses, late ones first, then by due time.

        Nobody's right is looked at but the role: the caller leaves out what a person may not see.
        """
        wanted = tuple(sorted(roles))
        if session.get_bind().get_execution_options().get("ptcs_writes", False):
            return _read(session, wanted)  # what is not committed yet is nobody else's
        version = next((int(number) for (number,) in database.glance(_VERSION)), 0)
        with self._lock:
            turn = self._reading.setdefault(wanted, threading.Lock())
        with turn:
            kept = self._kept.get(wanted)
            if kept is None or kept.version < version:
                kept = self._kept[wanted] = _Kept(version, _read(session, wanted))
        return kept.rows


def _read(session: Session, roles: tuple[str, ...]) -> Sequence[Row]:
    return [Row._make(found) for found in session.connection().execute(_OPEN, {"roles": list(roles)})]
