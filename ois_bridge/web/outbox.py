"""The page of messages that leave the house: what waits, what failed and why, sending again."""

from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from common.errors import BadInput, Refused, Unauthorised
from common.text import _
from ois_bridge.domain.outgoing_states import OUTGOING_TABLE, OutgoingEvent, OutgoingState, masked_recipient
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.words import N_
from ois_bridge.services import outbox
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Context
from ois_bridge.web.render import page
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)

PAGE = 50
KINDS = {
    "appointment-made": N_("appointment made"),
    "appointment-moved": N_("appointment moved"),
    "appointment-cancelled": N_("appointment cancelled"),
    "queue-soon": N_("soon to be called"),
    "device-fault": N_("device fault, to patients"),
    "device-fault-staff": N_("device fault, to staff"),
    "task-due": N_("tasks are due"),
    "task-late": N_("tasks are late, to a group"),
}
CHANNELS = {"sms": N_("text message"), "wechat": N_("WeChat")}
STEPS = {"again": outbox.send_again, "cancel": outbox.cancel}


@router.get("/outbox")
def messages(
    request: Request, context: Means, user: User, state: str = "", before: str = "", part: bool = False
) -> HTMLResponse:
    """Messages, the newest first, with masked recipients and without their texts."""
    return _page(request, context, user, state, before, part)


@router.post("/outbox/{key}/{step}")
def take(request: Request, context: Means, user: User, key: str, step: str, form: Form) -> HTMLResponse:
    """Send again or cancel one."""
    if step not in STEPS:
        raise BadInput(_("Steps are {names}.").format(names=", ".join(STEPS)))
    try:
        STEPS[step](context, user.caller, key)
    except Unauthorised:
        raise
    except Refused as why:
        return _page(request, context, user, form.get("state", ""), "", True, error=str(why))
    return _page(request, context, user, form.get("state", ""), "", True)


def _page(
    request: Request,
    context: Context,
    user: WebUser,
    state: str,
    before: str,
    part: bool,
    status: int = 200,
    error: str = "",
) -> HTMLResponse:
    wanted = OutgoingState[state] if state in OutgoingState.__members__ else None
    with context.reading(user.caller, Action.MANAGE_OUTBOX) as session:
        rows = outbox.listed(session, wanted, _moment(before), PAGE + 1)
        return page(
            request,
            "outbox/rows.html" if part else "outbox/page.html",
            status,
            rows=rows[:PAGE],
            more=rows[PAGE - 1].created.isoformat() if len(rows) > PAGE else "",
            states=OutgoingState,
            counts=outbox.open_counts(session),
            state=wanted,
            table=OUTGOING_TABLE,
            Event=OutgoingEvent,
            masked=masked_recipient,
            error_of=outbox.error_of,
            kinds=KINDS,
            channels=CHANNELS,
            error=error,
        )


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError as why:
        raise BadInput(_("A time as YYYY-MM-DDTHH:MM:SS+00:00 is needed.")) from why
    if found is not None and found.tzinfo is None:
        raise BadInput(_("A time as YYYY-MM-DDTHH:MM:SS+00:00 is needed."))
    return found
