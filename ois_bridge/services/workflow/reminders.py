"""Tasks that are late are marked once, and who should do them is told."""

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import cache

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import BadConfig
from common.text import translate
from common.yaml_file import CONFIG, read
from ois_bridge.models.workflow import Task
from ois_bridge.services import events, outbox
from ois_bridge.services.context import Context
from ois_bridge.services.workflow.processes import OPEN

log = logging.getLogger(__name__)

FILE = CONFIG / "department/reminders.yaml"
KIND = "task-late"
BATCH = 200


@cache
def channel() -> str:
    """The channel of notices to staff; empty: they stand in the lists only. Raises BadConfig."""
    content = read(FILE).content
    if not isinstance(content, dict) or set(content) != {"channel"}:
        raise BadConfig(f"{FILE.name}: channel is needed, and nothing else")
    return str(content["channel"] or "")


def remind(context: Context) -> int:
    """Mark tasks whose time is over and put a notice for each person; returns how many. Called by a chore.

    The notice names the kind of work and how many, never a patient.
    """
    now = context.now()
    with context.database.reading() as session:
        late = session.scalar(
            select(Task.key).where(Task.state.in_(OPEN), Task.due < now, Task.reminded.is_(None)).limit(1)
        )
    if late is None:
        return 0
    with context.database.writing() as session:
        tasks = session.scalars(
            select(Task)
            .where(Task.state.in_(OPEN), Task.due < now, Task.reminded.is_(None))
            .order_by(Task.due)
            .limit(BATCH)
        ).all()
        for task in tasks:
            task.reminded = now
        if channel():
            _tell(session, tasks, now)
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
