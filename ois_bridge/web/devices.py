"""Device states and fault reports (故障监控)."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Refused
from common.text import _
from ois_bridge.domain.fault_states import FAULT_TABLE, FaultEvent
from ois_bridge.domain.permissions import Action
from ois_bridge.services import devices
from ois_bridge.web.board import local_time
from ois_bridge.web.render import page, refusal
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)

TONE = {"FAULT": "bad", "ALARM": "warn", "UNKNOWN": "warn", "": "bad", "DISABLE": "warn", "INIT": "warn"}
IDLE = dict.fromkeys(("OFF", "STANDBY", "CLOSE"), "idle")
SYMBOL = {"bad": "✖", "warn": "!", "good": "●", "idle": "○"}


@router.get("/devices")
def states(request: Request, context: Means, user: User, done: str = "") -> HTMLResponse:
    """All devices, and the fault reports."""
    message = (
        _("The fault is reported; those who repair and plan see it at once.") if done == "reported" else ""
    )
    return _page(request, context, user, done=message)


def _page(
    request: Request,
    context: Means,
    user: User,
    status: int = 200,
    error: str = "",
    done: str = "",
    typed: Mapping[str, str] | None = None,
) -> HTMLResponse:
    with context.reading(user.caller, Action.READ_DEVICES) as session:
        picture = context.machines.picture(context.now())
        rows = sorted(
            picture.devices, key=lambda row: (_order(row.reading.state), row.reading.room, row.reading.device)
        )
        content: dict[str, Any] = {
            "picture": picture,
            "rows": rows,
            "tone": {**TONE, **IDLE},
            "symbol": SYMBOL,
            "reports": devices.reports(session),
            "table": FAULT_TABLE,
            "typed": typed or {},
            "places": context.names.places.known(context.database, context.now()),
        }
        part = request.headers.get("hx-target") == "devices"
        return page(
            request,
            "devices/list.html" if part else "devices/page.html",
            status,
            error=error,
            done=done,
            **content,
        )


def _order(state: str) -> int:
    return {"bad": 0, "warn": 1}.get(TONE.get(state, "good"), 2)


@router.post("/devices/faults")
def report(request: Request, context: Means, user: User, form: Form) -> Response:
    """Report a fault."""
    try:
        devices.report(
            context,
            user.caller,
            form.get("device", ""),
            form.get("summary", ""),
            form.get("effect", ""),
            local_time(form.get("started", "")),
        )
    except BadInput as why:
        return _page(request, context, user, 422, str(why), typed=form)
    return RedirectResponse("/devices?done=reported", 303)


@router.post("/devices/faults/{key}/{event}")
def move(request: Request, context: Means, user: User, key: str, event: str, form: Form) -> Response:
    """A step of a report's life."""
    if event not in FaultEvent.__members__:
        raise BadInput(_("Steps are {names}.").format(names=", ".join(FaultEvent.__members__)))
    try:
        devices.move(context, user.caller, key, FaultEvent[event], form.get("text", ""))
    except (BadInput, Refused) as why:
        return _page(request, context, user, refusal(why), str(why))
    return RedirectResponse("/devices", 303)
