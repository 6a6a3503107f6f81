"""Devices of the facility as the department sees them, and the reports of their faults."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.fault_states import FAULT_TABLE, FaultEvent, FaultState
from ois_bridge.domain.form_content import readable
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.state_table import step
from ois_bridge.models.faults import FaultReport
from ois_bridge.services import events
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must

NEWEST = 50


def watch(context: Context) -> None:
    """Read the facility once; a change is announced. Called by a chore."""
    if context.machines.take(context.now()):
        context.events.publish("devices")


def report(
    context: Context, caller: Caller, device: str, summary: str, effect: str, started: datetime | None
) -> FaultReport:
    """A new fault report. Raises BadInput for an empty text or a time ahead."""
    with context.permitted(caller, Action.REPORT_FAULT, device, "fault report") as session:
        now = context.now()
        if not 1 <= len(device.strip()) <= 120 or not 3 <= len(summary.strip()) <= 200 or len(effect) > 500:
            raise BadInput(_("A fault report needs the device and what is wrong (3 to 200 characters)."))
        for text in (device, summary, effect):
            readable(text, _("Fault report"))
        if started is not None and started > now + timedelta(minutes=1):
            raise BadInput(_("The fault cannot have begun in the future."))
        row = FaultReport(
            device=device.strip(),
            summary=summary.strip(),
            effect=effect.strip(),
            solution="",
            state=FaultState.REPORTED,
            started=started or now,
            created=now,
            created_by=caller.user,
            changed=now,
            changed_by=caller.user,
        )
        session.add(row)
        session.flush()
        events.announce(session, "devices", row.device)
    return row


def move(context: Context, caller: Caller, key: str, event: FaultEvent, text: str) -> None:
    """A step of a report's life; `text`: what was done. Raises NotFound, Refused, BadInput."""
    with context.permitted(caller, Action.REPORT_FAULT, key, event.name) as session:
        row = must(session.get(FaultReport, key))
        row.state = step(FAULT_TABLE, row.state, event)
        if event is FaultEvent.SOLVE:
            if not 3 <= len(text.strip()) <= 500:
                raise BadInput(_("Say in 3 to 500 characters what was done."))
            row.solution, row.ended = readable(text.strip(), _("What was done")), context.now()
        elif event is FaultEvent.REOPEN:
            row.ended = None
        row.changed, row.changed_by = context.now(), caller.user
        events.announce(session, "devices", row.device)


def reports(session: Session) -> Sequence[FaultReport]:
    """Open reports, then the newest of the others."""
    return session.scalars(
        select(FaultReport)
        .order_by(FaultReport.state == FaultState.CLOSED, FaultReport.started.desc())
        .limit(NEWEST)
    ).all()


def open_faults(session: Session) -> Sequence[FaultReport]:
    """Faults that keep devices from working now: for the plan of the day."""
    return session.scalars(
        select(FaultReport)
        .where(FaultReport.state.in_((FaultState.REPORTED, FaultState.IN_REPAIR)))
        .order_by(FaultReport.started)
    ).all()
