"""Downtime: the lists of a day on paper, and the paper taken back in."""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Refused
from common.text import language
from ois_bridge.domain.permissions import Action
from ois_bridge.services import downtime
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.appointments import book, booking, sheet
from ois_bridge.services.context import Context
from ois_bridge.services.downtime import Said
from ois_bridge.web.appointments import means
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)


@router.get("/downtime")
def start(request: Request, context: Means, user: User, day: str = "", done: int = 0) -> HTMLResponse:
    """The day's visits with what the paper says of them."""
    return _page(request, context, user, day, {}, done=done)


@router.get("/downtime/{day}.pdf")
def printed(context: Means, user: User, day: str) -> Response:
    """The lists of a day."""
    wanted = sheet.parse_day(day, booking.today(context))
    content = downtime.printed(context, user.caller, wanted, language())
    return Response(content, media_type="application/pdf")


@router.post("/downtime")
def take_in(request: Request, context: Means, user: User, form: Form) -> Response:
    """Enter what the paper says; what was typed stays where it is refused."""
    day = form.get("day", "")
    wanted = sheet.parse_day(day, booking.today(context))
    try:
        count = downtime.take_in(context, user.caller, wanted, _said(form))
    except (BadInput, Refused) as why:
        return _page(request, context, user, day, form, 422, error=str(why))
    return RedirectResponse(f"/downtime?day={wanted.isoformat()}&done={count}", 303)


def _said(form: Mapping[str, str]) -> list[Said]:
    keys = [
        name.removeprefix("outcome-") for name, value in form.items() if name.startswith("outcome-") and value
    ]
    return [
        Said(key, **{part: form.get(f"{part}-{key}", "") for part in ("outcome", "arrived", "ended", "note")})
        for key in keys
    ]


def _page(
    request: Request,
    context: Context,
    user: WebUser,
    day: str,
    form: Mapping[str, str],
    status: int = 200,
    done: int = 0,
    error: str = "",
) -> HTMLResponse:
    wanted = sheet.parse_day(day, booking.today(context))
    with context.reading(user.caller, Action.READ_APPOINTMENTS) as session:
        return means.show(
            request,
            "downtime.html",
            status,
            day=wanted,
            rows=downtime.of_day(session, wanted),
            outcomes=downtime.OUTCOME,
            devices=book.devices(session),
            may_take=user.caller.may(Action.TAKE_PAPER),
            form=form,
            entered=done,
            error=error,
        )
