"""Tasks that are late are marked once, and who should do them is told."""

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import cache

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import BadConfig
from common.text import translate
from common.yaml_file import CONFIG, read
from ois_bridge.domain.course_states import CourseState
from ois_bridge.models.accounts import Account, AccountRole
from ois_bridge.models.clinical import Course
from ois_bridge.models.workflow import Task
from ois_bridge.services import events, notices, outbox
from ois_bridge.services.context import Context
from ois_bridge.services.workflow.processes import OPEN

log = logging.getLogger(__name__)

FILE = CONFIG / "department/reminders.yaml"
KIND = "task-late"
BATCH = 200


@cache
def _settings() -> tuple[str, bool]:
    content = read(FILE).content
    if not isinstance(content, dict) or set(content) != {"channel", "contacts"}:
        raise BadConfig(f"{FILE.name}: channel and contacts are needed, and nothing else")
    return str(content["channel"] or ""), content["contacts"] is True


def channel() -> str:
    """The channel of notices to groups; empty: there are none. Raises BadConfig."""
    return _settings()[0]


def by_contact() -> bool:
    """Whether each of the staff is told the way they asked for. Raises BadConfig."""
    return _settings()[1]


def remind(context: Context) -> int:
    """Mark tasks whose time is over and put a notice for each person; returns how many. Called by a chore.

    A notice names the kind of work or how many, never a patient.
    """
    now = context.now()
    late = (
        select(Task)
        .join(Course, Course.key == Task.course_key)
        .where(Task.state.in_(OPEN), Task.due < now, Task.reminded.is_(None))
        # tasks of an interrupted course wait: nobody can do them
        .where(Course.state == CourseState.ACTIVE)
    )
    with context.database.reading() as session:
        if session.scalar(late.with_only_columns(Task.key).limit(1)) is None:
            return 0
    with context.database.writing() as session:
        tasks = session.scalars(late.order_by(Task.due).limit(BATCH)).all()
        for task in tasks:
            task.reminded = now
        if channel():
            _tell(session, tasks, now)
        if by_contact():
            _tell_each(session, tasks, now)
        events.announce(session, "tasks")
    events.publish_announced(session, context.events)
    log.info("%d tasks became late", len(tasks))
    return len(tasks)


def _tell(session: Session, tasks: Sequence[Task], now: datetime) -> None:
    """One notice for each person and kind of work."""
    told: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        told.setdefault((task.assignee or f"role:{task.role}", task.name), []).append(task)
    for (who, _name), same in told.items():
        chinese = translate("{n} late: {title}", "zh").format(
            n=len(same), title=same[0].title_zh or same[0].title
        )
        text = f"{chinese} / {len(same)} late: {same[0].title}"
        outbox.put(session, channel(), KIND, who, text, "chore", now)


def _tell_each(session: Session, tasks: Sequence[Task], now: datetime) -> None:
    """One notice for everybody who should do late tasks: their own, and those of nobody in their role."""
    members: dict[str, list[str]] = {}
    rows = session.execute(
        select(AccountRole.role, Account.user)
        .join(Account, Account.key == AccountRole.account_key)
        .where(Account.active)
    )
    for role, user in rows:
        members.setdefault(role, []).append(user)
    late = Counter(
        user for task in tasks for user in ([task.assignee] if task.assignee else members.get(task.role, []))
    )
    for user, count in sorted(late.items()):
        notices.tasks_due(session, user, count, "chore", now)
