"""The appointment sheet: day, three days, week; on screen and on paper."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request
from sqlalchemy.orm import Session
from starlette.responses import HTMLResponse, Response

from ois_bridge.domain.permissions import Action
from ois_bridge.domain.scheduling.plan import Book
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.appointments import book, booking, handling, sheet
from ois_bridge.services.appointments.cards import COLOURS
from ois_bridge.services.appointments.sheet import Choice
from ois_bridge.services.context import Context
from ois_bridge.web.appointments import means, paper
from ois_bridge.web.session import Means, User

router = APIRouter(include_in_schema=False)

COOKIE = "ptcs_sheet"
"""How this browser saw the sheet last: view, devices, colours; no patient."""

YEAR_S = 365 * 24 * 3600


def choice_of(
    request: Request,
    context: Means,
    user: User,
    day: str = "",
    view: str = "",
    devices: str = "",
    colour: str = "",
    mine: str = "",
) -> Choice:
    """What an address asks for; what it leaves open is as this browser saw the sheet last.

    At first a physician sees the own patients stand out. Raises BadInput.
    """
    kept = dict(parse_qsl(request.cookies.get(COOKIE, "")))
    if view:
        kept = {}
    elif not kept and "physician" in user.caller.roles:
        mine = "1"
    own = mine or kept.get("mine", "")
    return Choice(
        day=sheet.parse_day(day, booking.today(context)),
        view=view or _known(kept, "view", sheet.VIEWS),
        colour=colour or _known(kept, "colour", COLOURS),
        devices=devices or kept.get("devices", "") or "rooms",
        mine=user.caller.user if own else "",
    )


def _known(kept: Mapping[str, str], name: str, allowed: Sequence[str]) -> str:
    """A value of the cookie, which anybody may have written."""
    return kept[name] if kept.get(name) in allowed else allowed[0]


Asked = Annotated[Choice, Depends(choice_of)]


@router.get("/appointments")
def appointments(request: Request, context: Means, user: User, choice: Asked) -> HTMLResponse:
    """The sheet."""
    with context.reading(user.caller, Action.READ_APPOINTMENTS) as session:
        chosen = choice.devices not in ("rooms", "all") and "devices" not in request.query_params
        if chosen and choice.devices not in book.devices(session):
            choice = replace(choice, devices="rooms")
        content = _content(context, session, user, choice)
        template = "table.html" if means.is_fragment(request) else "sheet.html"
        answer = means.show(request, template, **content)
    if request.query_params.get("view"):
        kept = means.query(choice, day="").replace("day=&", "")
        answer.set_cookie(
            COOKIE, kept, max_age=YEAR_S, httponly=True, samesite="strict", path="/appointments"
        )
    return answer


@router.get("/appointments/sheet.pdf")
def printed(context: Means, user: User, choice: Asked) -> Response:
    """The same sheet on A4."""
    with context.reading(user.caller, Action.READ_APPOINTMENTS) as session:
        shown = sheet.view(session, choice)
    return Response(paper.pdf(shown, choice, context.now(), user.full_name), media_type="application/pdf")


@router.get("/appointments/left")
def left(request: Request, context: Means, user: User, choice: Asked) -> HTMLResponse:
    """The list of visits to handle, as a part of the sheet's page."""
    with context.reading(user.caller, Action.READ_APPOINTMENTS) as session:
        return means.show(
            request,
            "left.html",
            left=_left(context, session, sheet.shown_days(session, choice)),
            today=booking.today(context),
            **means.rights(user),
        )


def _left(
    context: Context, session: Session, days: Sequence[date], held: Book | None = None
) -> list[handling.Left]:
    return handling.of_days(session, days[0], days[-1], context.now(), held)


def _now_minute(context: Context, view: sheet.View) -> int | None:
    """Minute of this day, where the sheet shows it."""
    now = means.local(context.now())
    return now.hour * 60 + now.minute if now.date() in {one.day for one in view.days} else None


def _content(context: Context, session: Session, user: WebUser, choice: Choice) -> dict[str, Any]:
    view = sheet.view(session, choice)
    return {
        "view": view,
        "left": _left(context, session, [one.day for one in view.days], view.held),
        "choice": choice,
        "today": booking.today(context),
        "now_minute": _now_minute(context, view),
        "devices": [device for device in view.held.devices.values() if device.active],
        "link": lambda **changes: means.address(choice, **changes),
        "query": means.query(choice),
        **means.rights(user),
    }
