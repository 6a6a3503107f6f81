"""The task monitor (计划任务): every physicist's current plans, and what the rules know of each."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from ois_bridge.domain.course_states import CourseState
from ois_bridge.models.accounts import Account, AccountRole
from ois_bridge.models.clinical import Course
from ois_bridge.models.workflow import Task
from ois_bridge.models.workflow_log import AssignmentNote, StaffProfile
from ois_bridge.services.context import Context
from ois_bridge.services.workflow import assigning
from ois_bridge.services.workflow.processes import OPEN

ROLE = "physicist"
NEWEST = 30


@dataclass(frozen=True)
class Person:
    """One physicist. load: open plans, each by its complexity; share: of the highest load, percent."""

    user: str
    full_name: str
    profile: StaffProfile | None
    absent: bool
    tasks: Sequence[Task]
    load: float
    share: int


def people(session: Session, context: Context) -> list[Person]:
    """Physicists and their open tasks."""
    accounts = session.scalars(
        select(Account)
        .join(AccountRole, AccountRole.account_key == Account.key)
        .where(AccountRole.role == ROLE, Account.active)
        .order_by(Account.full_name)
    ).all()
    profiles = {row.user: row for row in session.scalars(select(StaffProfile))}
    mine: dict[str, list[Task]] = {}
    for task in _open(session):
        mine.setdefault(task.assignee, []).append(task)
    work = assigning.rule().work
    loads = {user: sum(work(task.course.technique) for task in tasks) for user, tasks in mine.items()}
    highest = max(loads.values(), default=0.0) or 1.0
    return [
        Person(
            one.user,
            one.full_name,
            profiles.get(one.user),
            one.user in profiles and assigning.absent(profiles[one.user], context.now()),
            mine.get(one.user, []),
            loads.get(one.user, 0.0),
            round(100 * loads.get(one.user, 0.0) / highest),
        )
        for one in accounts
    ]


def unassigned(session: Session) -> list[Task]:
    """Open tasks of the role that nobody was given."""
    return [task for task in _open(session) if not task.assignee]


def notes(session: Session) -> Sequence[tuple[AssignmentNote, Task]]:
    """The newest assignments with their tasks."""
    rows = session.execute(
        select(AssignmentNote, Task)
        .join(Task, Task.key == AssignmentNote.task_key)
        .options(joinedload(Task.course).joinedload(Course.patient))
        .order_by(AssignmentNote.time.desc())
        .limit(NEWEST)
    )
    return [(note, task) for note, task in rows]


def _open(session: Session) -> list[Task]:
    return list(
        session.scalars(
            select(Task)
            .join(Task.course)
            .options(joinedload(Task.course).joinedload(Course.patient))
            .where(Task.role == ROLE, Task.state.in_(OPEN), Course.state == CourseState.ACTIVE)
            .order_by(Task.due.is_(None), Task.due)
        ).unique()
    )
