"""What leaves the house: put into the deed's transaction, sent by a chore, visible, sent again on request.

An attempt is counted before it is made: a process killed between commit and note sends the message once
more under the same key, and never more often than the pauses allow.
"""

import json
import logging
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from common.errors import BadInput, LinkLost, Refused, Tampered
from common.logs import opaque
from common.text import _
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.outgoing_states import (
    MOST_TRIES,
    OUTGOING_TABLE,
    OutgoingEvent,
    OutgoingState,
    pause,
)
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.state_table import step
from ois_bridge.domain.words import N_
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.outbox import Outgoing
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.errors import Coded, NotFound
from ois_bridge.services.ports import Message

log = logging.getLogger(__name__)

BATCH = 10
"""Messages of one round: a slow gateway must not keep the other chores waiting for long."""

QUEUE_SOON = "queue-soon"
OF_VISITS = frozenset(
    {QUEUE_SOON, "appointment-made", "appointment-moved", "appointment-cancelled", "device-fault"}
)
TOO_LATE = N_("Not sent: its time is over.")

LONGEST = 2000
LONGEST_ERROR = 500
PURGED_AT_ONCE = 500


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
    # one that waits goes first: "moved to 10:00" must not come after "moved to 11:00"
    before = session.scalar(select(func.max(Outgoing.next_try)).where(*_waiting_for(channel, recipient)))
    row = Outgoing(
        channel=channel,
        kind=kind,
        about=about,
        recipient=recipient,
        content=content,
        state=OutgoingState.QUEUED,
        tries=0,
        next_try=max(before or now, now),
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
            .order_by(Outgoing.next_try, Outgoing.created)
            .limit(BATCH)
        ).all()
    return sum(_attempt(context, key) for key in due)


def _waiting_for(channel: str, recipient: str) -> tuple[ColumnElement[bool], ...]:
    return (
        Outgoing.state == OutgoingState.QUEUED,
        Outgoing.channel == channel,
        Outgoing.recipient == recipient,
    )


def _attempt(context: Context, key: str) -> bool:
    message = _counted(context, key)
    if message is None:
        return False
    error, lasting = "", False
    try:
        context.messenger.send(message)
    except (Refused, BadInput, Tampered) as why:
        error, lasting = _kept_error(why), True
    except (LinkLost, OSError) as why:
        error = _kept_error(why)
    _note(context, key, error, lasting)
    return not error


def _kept_error(why: Exception) -> str:
    """What is kept of an error: its msgid and values where it has them, else its words."""
    if isinstance(why, Coded):
        values = {name: str(value)[:80] for name, value in why.values.items()}
        return json.dumps({"text": why.text, "values": values})[:LONGEST_ERROR]
    return (str(why) or type(why).__name__)[:LONGEST_ERROR]


def error_of(row: Outgoing) -> str:
    """What was wrong with the last attempt, in the reader's language; empty where nothing was."""
    try:
        kept = json.loads(row.error)
        return _(kept["text"]).format(**kept["values"])
    except (ValueError, TypeError, KeyError):
        return row.error


def purge(context: Context) -> int:
    """Remove messages that were sent or cancelled longer ago than they are kept; returns how many.

    Those that could not be sent stay until somebody sends or cancels them. Called by a chore.
    """
    before = context.now() - context.keep_messages
    old = (
        select(Outgoing.key)
        .where(
            Outgoing.state.in_((OutgoingState.SENT, OutgoingState.CANCELLED)),
            func.coalesce(Outgoing.sent, Outgoing.created) < before,
        )
        .limit(PURGED_AT_ONCE)
    )
    with context.database.reading() as session:
        keys = session.scalars(old).all()
    if not keys:
        return 0
    with context.deed("ois", "remove old messages", "outbox", f"{len(keys)} messages") as session:
        session.execute(delete(Outgoing).where(Outgoing.key.in_(keys)))
    context.events.publish("outbox")
    return len(keys)


def _counted(context: Context, key: str) -> Message | None:
    """The message, its attempt counted; nothing when somebody was quicker."""
    with context.database.writing() as session:
        row = session.get(Outgoing, key, with_for_update=True)
        now = context.now()
        if row is None or row.state is not OutgoingState.QUEUED or row.next_try > now:
            return None
        if _too_late(session, row, now):
            row.state = step(OUTGOING_TABLE, row.state, OutgoingEvent.CANCEL)
            row.error = json.dumps({"text": TOO_LATE, "values": {}})
            return None
        row.tries += 1
        row.next_try = now + pause(row.tries)
        return Message(row.key, row.channel, row.kind, row.recipient, row.content)


def _too_late(session: Session, row: Outgoing, now: datetime) -> bool:
    """Whether what a message tells is over: "two before you" of a visit that was called, an appointment
    in the past of somebody who has none to come.
    """
    visit = session.get(Appointment, row.about) if row.kind in OF_VISITS and row.about else None
    if visit is None:
        return False
    if row.kind == QUEUE_SOON:
        return visit.state is not AppointmentState.SIGNED_IN
    to_come = select(Appointment.key).where(
        Appointment.patient_key == visit.patient_key,
        Appointment.start >= now,
        Appointment.state == AppointmentState.BOOKED,
    )
    return visit.start < now and session.scalar(to_come.limit(1)) is None


def _note(context: Context, key: str, error: str, lasting: bool) -> None:
    with context.database.writing() as session:
        row = session.get(Outgoing, key, with_for_update=True)
        if row is None or row.state is not OutgoingState.QUEUED:
            return
        row.error = error
        if not error:
            row.state, row.sent = step(OUTGOING_TABLE, row.state, OutgoingEvent.SEND), context.now()
        elif lasting or row.tries >= MOST_TRIES:
            row.state = step(OUTGOING_TABLE, row.state, OutgoingEvent.GIVE_UP)
        else:
            session.execute(
                update(Outgoing)
                .where(*_waiting_for(row.channel, row.recipient), Outgoing.created > row.created)
                .where(Outgoing.next_try < row.next_try)
                .values(next_try=row.next_try)
            )
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


def open_counts(session: Session) -> dict[OutgoingState, int]:
    """How many messages wait, and how many could not be sent."""
    states = (OutgoingState.QUEUED, OutgoingState.FAILED)
    query = select(Outgoing.state, func.count()).where(Outgoing.state.in_(states)).group_by(Outgoing.state)
    return {row[0]: row[1] for row in session.execute(query)}


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
