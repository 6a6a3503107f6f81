"""The department's order: versions, the active one, and a look at today's queue before it becomes active."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.queue.order import Rule, checked_rule, ordered
from ois_bridge.models.queue import QueueRule
from ois_bridge.services import events
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must
from ois_bridge.services.queue import listing
from ois_bridge.services.queue.settings import active_rule


def versions(session: Session) -> Sequence[QueueRule]:
    """All versions, the newest first."""
    return session.scalars(select(QueueRule).order_by(QueueRule.version.desc())).all()


def add(context: Context, caller: Caller, name: str, content: Mapping[str, Any]) -> QueueRule:
    """A new version, not yet active. Raises BadInput for a rule that cannot be."""
    name = name.strip()
    if not 1 <= len(name) <= 64:
        raise BadInput(_("A name of 1 to 64 characters is needed."))
    checked_rule(content)
    with context.permitted(caller, Action.SET_QUEUE_RULE, "queue rule") as session:
        last = session.scalar(select(func.max(QueueRule.version))) or 0
        row = QueueRule(
            version=last + 1,
            name=name,
            content=json.dumps(dict(content), sort_keys=True),
            active=False,
            created=context.now(),
            created_by=caller.user,
        )
        session.add(row)
    return row


def activate(context: Context, caller: Caller, version: int) -> None:
    """Let a version order the queues from now on; version 0 is the configuration's. Raises NotFound."""
    with context.permitted(caller, Action.SET_QUEUE_RULE, f"queue rule {version}") as session:
        for row in session.scalars(select(QueueRule).where(QueueRule.active).with_for_update()):
            row.active = False
        session.flush()
        if version:
            chosen = must(session.get(QueueRule, version))
            chosen.active, chosen.activated, chosen.activated_by = True, context.now(), caller.user
        events.announce(session, "queue", "*")


def preview(context: Context, session: Session, device: str, rule: Rule) -> list[tuple[int, int]]:
    """Queue numbers of those who wait at a device: (in force, by this rule), place by place."""
    now = context.now()
    waiting = [one for one, _visit in listing.waiting_rows(session, device, now)]
    before, after = ordered(waiting, active_rule(session), now), ordered(waiting, rule, now)
    return [(old.number, new.number) for old, new in zip(before, after, strict=True)]
