"""What happens outside a process moves it on: a new course begins it, the record and a review end steps."""

import logging

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import PtcsError
from common.logs import opaque
from ois_bridge.domain import expression
from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.process_steps import BEGINS, Happening, Step
from ois_bridge.models.clinical import Course
from ois_bridge.models.workflow import Task
from ois_bridge.services.context import Context
from ois_bridge.services.workflow import designs, guards, processes

log = logging.getLogger(__name__)


def course_made(session: Session, context: Context, user: str, course: Course) -> list[str]:
    """Begin every process whose drawing says that it begins with such a course; returns their names."""
    asked = {
        "technique": course.technique or "",
        "source": course.source or "",
        "diagnosis": course.diagnosis_code or "",
        "physician": course.physician or "",
    }
    begun = []
    for design in designs.startable(session):
        drawing = designs.read(design.drawing)
        if drawing.begins == BEGINS and (not drawing.when or expression.evaluate(drawing.when, asked)):
            processes.begin(session, context, user, course.key, design.name)
            begun.append(design.name)
    return begun


def happened(
    session: Session, context: Context, user: str, course_key: str, what: Happening, over: bool = False
) -> int:
    """End the open steps of a course that wait for this, in the caller's transaction; returns how many.

    `over`: all fractions are delivered, so that a step that goes round ends for good. A step that a guard
    holds back stays open for a person. What cannot move never undoes the deed: it is logged.
    """
    course = session.get(Course, course_key)
    if course is None or course.state is not CourseState.ACTIVE:
        return 0
    count = 0
    for key in _open(session, course_key):
        task = session.get_one(Task, key)
        if task.state not in processes.OPEN:
            continue
        step = processes.drawing_of(session, task.process).steps.get(task.name)
        if step is None or what not in step.done_on:
            continue
        if guards.lacking(session, f"step.{task.name}", course_key):
            continue
        count += _end(session, context, user, task, _outcome(step, over))
    return count


def _open(session: Session, course_key: str) -> list[str]:
    session.flush()
    query = select(Task.key).where(Task.course_key == course_key, Task.state.in_(processes.OPEN))
    return list(session.scalars(query.order_by(Task.created, Task.key)))


def _outcome(step: Step, over: bool) -> str:
    """Its first outcome goes on; one that can go round does so until the course is delivered."""
    again = len(step.outcomes) > 1 and not over
    return step.outcomes[-1 if again else 0]


def _end(session: Session, context: Context, user: str, task: Task, outcome: str) -> bool:
    try:
        with session.begin_nested():
            processes.move_on(session, context, task, user, outcome)
    except PtcsError as why:
        log.warning("step %s of %s did not end by itself: %s", task.name, opaque(task.course_key), why)
        return False
    return True
