"""The appointment sheet: day, three days, week; on screen and on paper."""

from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy.orm import Session
from starlette.responses import HTMLResponse, Response

from ois_bridge.domain.permissions import Action
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.appointments import booking, sheet
from ois_bridge.services.appointments.sheet import Choice
from ois_bridge.services.context import Context
from ois_bridge.web.appointments import means, paper
from ois_bridge.web.session import Means, User

router = APIRouter(include_in_schema=False)


def choice_of(
    context: Context, user: WebUser, day: str, view: str, devices: str, colour: str, mine: str
) -> Choice:
    """What an address asks for. Raises BadInput."""
    today = booking.today(context)
    return Choice(sheet.parse_day(day, today), view, colour, devices, user.caller.user if mine else "")


@router.get("/appointments")
def appointments(
    request: Request,
    context: Means,
    user: User,
    day: str = "",
    view: str = "day",
    devices: str = "rooms",
    colour: str = "disease",
    mine: str = "",
) -> HTMLResponse:
    """The sheet."""
    choice = choice_of(context, user, day, view, devices, colour, mine)
    with context.reading(user.caller, Action.READ_APPOINTMENTS) as session:
        content = _content(context, session, user, choice)
        return means.show(request, "table.html" if means.is_fragment(request) else "sheet.html", **content)


@router.get("/appointments/sheet.pdf")
def printed(
    context: Means,
    user: User,
    day: str = "",
    view: str = "day",
    devices: str = "rooms",
    colour: str = "disease",
    mine: str = "",
) -> Response:
    """The same sheet on A4."""
    choice = choice_of(context, user, day, view, devices, colour, mine)
    with context.reading(user.caller, Action.READ_APPOINTMENTS) as session:
        shown = sheet.view(session, choice)
    return Response(paper.pdf(shown, choice, context.now(), user.full_name), media_type="application/pdf")


def _content(context: Context, session: Session, user: WebUser, choice: Choice) -> dict[str, Any]:
    return {
        "view": sheet.view(session, choice),
        "choice": choice,
        "today": booking.today(context),
        "devices": list(means.devices_of(session).values()),
        "link": lambda **changes: means.address(choice, **changes),
        "query": means.query(choice),
        **means.rights(user),
    }
