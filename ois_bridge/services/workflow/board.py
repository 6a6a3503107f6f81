"""The whiteboard (主管病人视图): patients by where their process stands."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session, contains_eager

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
    query = (
        select(Task)
        .join(ProcessRecord, ProcessRecord.key == Task.process_key)
        .join(Task.course)
        .join(Course.patient)
        .options(contains_eager(Task.course).contains_eager(Course.patient))
        .where(
            ProcessRecord.name == name,
            Task.state.in_(OPEN),
            Course.state == CourseState.ACTIVE,
            rights.visible(caller, context),
        )
        .order_by(Task.due.is_(None), Task.due, Task.created)
    )
    if whose == "mine":
        query = query.where((Course.physician == caller.user) | (Task.assignee == caller.user))
    for task in session.scalars(query).unique():
        # a step that only an older version has stands at the end
        column = found.setdefault(task.name, Column(task.name, task.title, task.role))
        column.number += 1
        if len(column.tasks) < MOST:
            column.tasks.append(task)
    return list(found.values())


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
