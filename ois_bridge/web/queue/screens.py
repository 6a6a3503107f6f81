"""Screens: the administrator's page that makes and pairs them, and what a paired browser shows."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput
from ois_bridge.domain.permissions import Action
from ois_bridge.services import accounts
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Context
from ois_bridge.services.queue import screens
from ois_bridge.services.queue.screens import Shown
from ois_bridge.services.queue.settings import titles
from ois_bridge.web import session as web_session
from ois_bridge.web.live import stream
from ois_bridge.web.queue.screen_access import COOKIE, ScreenOf, remember
from ois_bridge.web.render import page
from ois_bridge.web.session import Form, ManyForm, Means, User

router = APIRouter(include_in_schema=False)

PAGES = {"door": "/screen/door", "hall": "/screen/hall", "kiosk": "/kiosk"}


@router.get("/screens")
def listed(request: Request, context: Means, user: User) -> HTMLResponse:
    """The screens of the department."""
    return _page(request, context, user)


@router.post("/screens")
def add(request: Request, context: Means, user: User, form: ManyForm) -> Response:
    """Make one."""
    devices = [str(name) for name in form.getlist("device")]
    fields = {name: str(form.get(name, "")) for name in ("name", "kind", "voice")}
    try:
        screens.add(context, user.caller, fields["name"], fields["kind"], devices, fields["voice"])
    except BadInput as why:
        return _page(request, context, user, 422, str(why))
    return RedirectResponse("/screens", 303)


@router.post("/screens/{key}/remove")
def remove(context: Means, user: User, key: str, _form: Form) -> Response:
    """Remove one."""
    screens.remove(context, user.caller, key)
    return RedirectResponse("/screens", 303)


@router.post("/screens/{key}/pair")
def pair(request: Request, context: Means, user: User, key: str, _form: Form) -> Response:
    """Make this browser the screen; the administrator is logged out of it."""
    secret = screens.pair(context, user.caller, key)
    shown = screens.of_secret(context, secret)
    accounts.close_web_session(context, request.cookies.get(web_session.COOKIE, ""))
    answer = RedirectResponse(PAGES[shown.kind], 303)
    answer.delete_cookie(web_session.COOKIE)
    remember(answer, secret)
    return answer


@router.get("/screen")
def start(shown: ScreenOf) -> Response:
    """The page of this screen's kind."""
    target = PAGES[shown.kind]
    return RedirectResponse(f"{target}/{shown.devices[0]}" if shown.kind == "door" else target, 303)


@router.get("/screen/hall")
def hall(request: Request, context: Means, shown: ScreenOf) -> Response:
    """The waiting hall's screen."""
    return _screen(request, context, shown, "queue/screen.html")


@router.get("/screen/door")
def door_start(shown: ScreenOf) -> Response:
    """The door screen's own address."""
    return start(shown)


@router.get("/screen/door/{device}")
def door(request: Request, context: Means, shown: ScreenOf, device: str) -> Response:
    """The small screen at a room's door."""
    if shown.devices != (device,):
        return start(shown)
    return _screen(request, context, shown, "queue/screen.html")


@router.get("/screen/board")
def board(request: Request, context: Means, shown: ScreenOf) -> Response:
    """What the screen shows now, as a part of its page."""
    return _screen(request, context, shown, "queue/board.html")


@router.get("/screen/calls/{key}.wav")
def sound(context: Means, shown: ScreenOf, key: str) -> Response:
    """A call as sound; `X-Voice: none` where this computer has no voice."""
    content, complete = screens.sound(context, shown, key)
    headers = {"X-Voice": "full" if complete else "none"}
    return Response(content, media_type="audio/wav", headers=headers)


@router.get("/screen/live")
async def live(request: Request, context: Means, shown: ScreenOf) -> Response:
    """Events for a screen."""
    shown.caller.check(Action.LOOK_AT_SCREEN)
    return stream(context.events, {"queue", "screens"}, request.headers.get("last-event-id", ""))


def _screen(request: Request, context: Context, shown: Shown, template: str) -> Response:
    answer = page(request, template, shown=shown, board=screens.board(context, shown), now=context.now())
    remember(answer, request.cookies[COOKIE])
    return answer


def _page(
    request: Request, context: Context, user: WebUser, status: int = 200, error: str = ""
) -> HTMLResponse:
    with context.reading(user.caller, Action.MANAGE_SCREENS) as session:
        rows, devices = screens.all_of_them(session), titles(session)
        return page(
            request,
            "queue/screens.html",
            status,
            rows=rows,
            devices=devices,
            kinds=screens.KINDS,
            voices=screens.VOICES,
            error=error,
        )
