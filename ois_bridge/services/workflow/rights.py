"""Who may look at the work of a patient: a restricted record opens to its team and who works on it."""

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from ois_bridge.models.clinical import Course
from ois_bridge.models.workflow import Task
from ois_bridge.services import access
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must
from ois_bridge.services.workflow.processes import OPEN


def check(session: Session, context: Context, caller: Caller, course_key: str) -> Course:
    """The course. Raises NotFound, RecordClosed for a restricted record that the caller has no part in."""
    course = must(session.get(Course, course_key))
    given = session.scalar(
        select(Task.key)
        .where(Task.course_key == course_key, Task.assignee == caller.user, Task.state.in_(OPEN))
        .limit(1)
    )
    if given is None:
        access.check(session, caller, course.patient_key, context)
    return course


def visible(caller: Caller, context: Context) -> ColumnElement[bool]:
    """The condition on Patient and Task that leaves out what is closed to the caller."""
    return or_(Task.assignee == caller.user, access.visible(caller, context))
