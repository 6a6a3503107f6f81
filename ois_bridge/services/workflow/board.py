"""The whiteboard (主管病人视图): patients by where their process stands."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from common import authority
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.models.workflow import ProcessRecord
from ois_bridge.services.closed_records import closed_to
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.workflow import designs
from ois_bridge.services.workflow.open_tasks import Row

MOST = 60
"""Cards of one column; the rest is counted."""
EVERY = frozenset(authority.ROLES)


@dataclass
class Column:
    """One state: a step of the process, and the tasks in it. `number`: all of them, shown or not."""

    step: str
    title: str
    role: str
    tasks: list[Row] = field(default_factory=list)
    number: int = 0


def columns(session: Session, context: Context, caller: Caller, name: str, whose: str) -> Sequence[Column]:
    """Columns of a process in its order. whose: mine (physician in charge, or given to me) or all.

    Raises NotFound for an unknown process.
    """
    drawing = designs.read(designs.active(session, name).drawing)
    found = {step.name: Column(step.name, step.title, step.role) for step in drawing.steps.values()}
    user = caller.user
    rows = [
        row for row in context.open_tasks.of(context.database, session, EVERY) if row.process_name == name
    ]
    if whose == "mine":
        rows = [row for row in rows if user in (row.physician, row.assignee)]
    closed = frozenset[str]()
    if any(row.restricted for row in rows):
        closed = frozenset(closed_to(context.database, user, caller.roles, context.now()))
    for row in rows:
        if row.patient_key in closed and row.assignee != user:
            continue
        # a step that only an older version has stands at the end
        column = found.get(row.name) or found.setdefault(row.name, Column(row.name, row.title, row.role))
        column.number += 1
        if column.number <= MOST:
            column.tasks.append(row)
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
