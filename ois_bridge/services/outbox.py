"""What leaves the house: put into the deed's transaction, sent by a chore, visible, sent again on request.

An attempt is counted before it is made: a process killed between commit and note sends the message once
more under the same key, and never more often than the pauses allow.
"""

import logging
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import BadInput, LinkLost, Refused, Tampered
from common.logs import opaque
from common.text import _
from ois_bridge.domain.outgoing_states import (
    MOST_TRIES,
    OUTGOING_TABLE,
    OutgoingEvent,
    OutgoingState,
    pause,
)
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.state_table import step
from ois_bridge.models.outbox import Outgoing
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.errors import NotFound
from ois_bridge.services.ports import Message

log = logging.getLogger(__name__)

BATCH = 10
"""Messages of one round: a slow gateway must not keep the other chores waiting for long."""

LONGEST = 2000


def put(
    session: Session,
    channel: str,
    kind: str,
    recipient: str,
    content: str,
    user: str,
    now: datetime,
    about: str = "",
) -> Outgoing:
    """Queue a message in the caller's transaction: it leaves if and only if the deed is committed.

    Raises BadInput for an empty or over-long recipient or content.
    """
    if not 1 <= len(recipient) <= 120 or not 1 <= len(content) <= LONGEST:
        raise BadInput(_("A message needs a recipient and a text of 1 to {n} characters.").format(n=LONGEST))
    row = Outgoing(
        channel=channel,
        kind=kind,
        about=about,
        recipient=recipient,
        content=content,
        state=OutgoingState.QUEUED,
        tries=0,
        next_try=now,
        error="",
        created=now,
        created_by=user,
    )
    session.add(row)
    return row


def known(session: Session, kind: str, about: str) -> bool:
    """Whether a message of this kind about this thing was ever put."""
    found = select(Outgoing.key).where(Outgoing.about == about, Outgoing.kind == kind).limit(1)
    return session.scalar(found) is not None


def send_due(context: Context) -> int:
    """Send what is due, oldest first; returns how many were taken by their receivers. Called by a chore."""
    with context.database.reading() as session:
        due = session.scalars(
            select(Outgoing.key)
            .where(Outgoing.state == OutgoingState.QUEUED, Outgoing.next_try <= context.now())
            .order_by(Outgoing.next_try)
            .limit(BATCH)
        ).all()
    return sum(_attempt(context, key) for key in due)


def _attempt(context: Context, key: str) -> bool:
    message = _counted(context, key)
    if message is None:
        return False
    error, lasting = "", False
    try:
        context.messenger.send(message)
    except (Refused, BadInput, Tampered) as why:
        error, lasting = str(why), True
    except (LinkLost, OSError) as why:
        error = str(why) or type(why).__name__
    _note(context, key, error, lasting)
    return not error


def _counted(context: Context, key: str) -> Message | None:
    """The message, its attempt counted; nothing when somebody was quicker."""
    with context.database.writing() as session:
        row = session.get(Outgoing, key, with_for_update=True)
        now = context.now()
        if row is None or row.state is not OutgoingState.QUEUED or row.next_try > now:
            return None
        row.tries += 1
        row.next_try = now + pause(row.tries)
        return Message(row.key, row.channel, row.kind, row.recipient, row.content)


def _note(context: Context, key: str, error: str, lasting: bool) -> None:
    with context.database.writing() as session:
        row = session.get(Outgoing, key, with_for_update=True)
        if row is None or row.state is not OutgoingState.QUEUED:
            return
        row.error = error[:500]
        if not error:
            row.state, row.sent = step(OUTGOING_TABLE, row.state, OutgoingEvent.SEND), context.now()
        elif lasting or row.tries >= MOST_TRIES:
            row.state = step(OUTGOING_TABLE, row.state, OutgoingEvent.GIVE_UP)
        log.info("message %s: %s after %d attempts", opaque(key), row.state.name, row.tries)
    context.events.publish("outbox")


def listed(
    session: Session, state: OutgoingState | None = None, before: datetime | None = None, limit: int = 50
) -> Sequence[Outgoing]:
    """Messages, the newest first; `before`: those put earlier (the next page)."""
    query = select(Outgoing).order_by(Outgoing.created.desc(), Outgoing.key).limit(limit)
    if state is not None:
        query = query.where(Outgoing.state == state)
    if before is not None:
        query = query.where(Outgoing.created < before)
    return session.scalars(query).all()


def send_again(context: Context, caller: Caller, key: str) -> None:
    """Queue a failed or cancelled message once more, under its own key. Raises NotFound, Refused."""
    _take(context, caller, key, OutgoingEvent.SEND_AGAIN)


def cancel(context: Context, caller: Caller, key: str) -> None:
    """Do not send a message. Raises NotFound, Refused for one that was sent."""
    _take(context, caller, key, OutgoingEvent.CANCEL)


def _take(context: Context, caller: Caller, key: str, event: OutgoingEvent) -> None:
    with context.permitted(caller, Action.MANAGE_OUTBOX, key, event.name) as session:
        row = session.get(Outgoing, key, with_for_update=True)
        if row is None:
            raise NotFound(_("There is no such message."))
        row.state = step(OUTGOING_TABLE, row.state, event)
        if event is OutgoingEvent.SEND_AGAIN:
            row.tries, row.next_try, row.error = 0, context.now(), ""
    context.events.publish("outbox")
