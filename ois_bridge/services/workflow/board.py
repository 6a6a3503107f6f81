"""The whiteboard (主管病人视图): patients by where their process stands."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session, joinedload

from ois_bridge.domain.course_states import CourseState
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.models.workflow import ProcessRecord, Task
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.workflow import designs, rights
from ois_bridge.services.workflow.processes import OPEN

MOST = 60
"""Cards of one column; the rest is counted."""


@dataclass
class Column:
    """One state: a step of the process, and the tasks in it. `number`: all of them, shown or not."""

    step: str
    title: str
    role: str
    tasks: list[Task] = field(default_factory=list)
    number: int = 0


def columns(session: Session, context: Context, caller: Caller, name: str, whose: str) -> Sequence[Column]:
    """Columns of a process in its order. whose: mine (physician in charge, or given to me) or all.

    Raises NotFound for an unknown process.
    """
    drawing = designs.read(designs.active(session, name).drawing)
    found = {step.name: Column(step.name, step.title, step.role) for step in drawing.steps.values()}
    wanted = [ProcessRecord.name == name, Task.state.in_(OPEN), Course.state == CourseState.ACTIVE]
    wanted.append(rights.visible(caller, context))
    if whose == "mine":
        wanted.append((Course.physician == caller.user) | (Task.assignee == caller.user))
    for step, title, role, number in session.execute(_counted().where(*wanted).group_by(Task.name)):
        # a step that only an older version has stands at the end
        found.setdefault(step, Column(step, title, role)).number = number
    for task in session.scalars(_first(wanted)).unique():
        found[task.name].tasks.append(task)
    return list(found.values())


def _counted() -> Select[str, str, str, int]:
    return (
        select(Task.name, func.max(Task.title), func.max(Task.role), func.count())
        .join(Task.process)
        .join(Task.course)
        .join(Course.patient)
    )


def _first(wanted: Sequence[ColumnElement[bool]]) -> Select[Task]:
    """The first cards of each column."""
    order = (Task.due.is_(None), Task.due, Task.created)
    place = func.row_number().over(partition_by=Task.name, order_by=order).label("place")
    numbered = (
        select(Task.key, place)
        .join(Task.process)
        .join(Task.course)
        .join(Course.patient)
        .where(*wanted)
        .subquery()
    )
    return (
        select(Task)
        .join(numbered, numbered.c.key == Task.key)
        .options(joinedload(Task.course).joinedload(Course.patient))
        .where(numbered.c.place <= MOST)
        .order_by(*order)
    )


def of_course(session: Session, course_key: str) -> Sequence[ProcessRecord]:
    """Processes of a course, newest first."""
    return session.scalars(
        select(ProcessRecord)
        .where(ProcessRecord.course_key == course_key)
        .order_by(ProcessRecord.created.desc())
    ).all()


def patient_of(session: Session, process: ProcessRecord) -> Patient:
    """Whose process it is."""
    return session.get_one(Course, process.course_key).patient
