"""The queue of one device, and of all: sign in, call, call again, pass over, in the room, finished."""

from collections.abc import Callable, Mapping

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Refused, Unauthorised
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.models.appointments import Appointment
from ois_bridge.services import alerts
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must
from ois_bridge.services.queue import calling, listing, sign_in
from ois_bridge.services.queue.settings import titles
from ois_bridge.services.queue.sign_in import Asked, SignedIn
from ois_bridge.web.entry import YEAR_S
from ois_bridge.web.render import page
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)

DEVICE = "ptcs_device"
"""The cookie that remembers which device's queue this workstation shows."""

DEEDS: Mapping[str, Callable[[Context, Caller, str], object]] = {
    "sign-in": sign_in.of_visit,
    "call": calling.call,
    "pass": calling.pass_over,
    "enter": calling.enter,
    "finish": calling.finish,
    "miss": calling.miss,
    "leave": calling.leave,
}


@router.get("/queue")
def queue(request: Request, context: Means, user: User, device: str = "", part: bool = False) -> Response:
    """The queue of this workstation's device."""
    wanted = device or request.cookies.get(DEVICE, "")
    answer = _page(request, context, user, wanted, part=part)
    if device:
        answer.set_cookie(DEVICE, device, max_age=YEAR_S, httponly=True, samesite="strict", path="/")
    return answer


@router.get("/queue/rooms")
def rooms(request: Request, context: Means, user: User, part: bool = False) -> HTMLResponse:
    """All rooms at a glance."""
    with context.reading(user.caller, Action.READ_QUEUE) as session:
        queues = listing.of_devices(session, list(titles(session)), context.now())
        return page(request, "queue/rooms_part.html" if part else "queue/rooms.html", queues=queues)


@router.post("/queue/sign-in")
def sign_in_by_code(request: Request, context: Means, user: User, form: Form) -> HTMLResponse:
    """Sign in by a scan at the workstation."""
    device = form.get("device", "")
    try:
        done = sign_in.by_code(
            context, user.caller, form.get("code", ""), "barcode", device, form.get("wanted", "")
        )
    except Unauthorised:
        raise
    except Refused as why:
        return _page(request, context, user, device, part=True, error=str(why))
    if isinstance(done, Asked):
        return _page(request, context, user, device, part=True, asked=done, code=form.get("code", ""))
    return _page(request, context, user, device, part=True, done=_said(done))


@router.post("/queue/visits/{key}/{deed}")
def do(request: Request, context: Means, user: User, key: str, deed: str, form: Form) -> HTMLResponse:
    """One step of a visit."""
    device = form.get("device", "")
    try:
        if deed == "forward":
            priority = 0 if form.get("back") else 1
            calling.put_forward(context, user.caller, key, priority, form.get("reason", ""))
        elif deed in DEEDS:
            DEEDS[deed](context, user.caller, key)
        else:
            raise BadInput(_("Steps are {names}.").format(names=", ".join(DEEDS)))
    except Unauthorised:
        raise
    except (Refused, BadInput) as why:
        return _page(request, context, user, device, part=True, error=str(why))
    return _page(request, context, user, device, part=True)


@router.get("/queue/visits/{key}")
def one_visit(context: Means, user: User, key: str) -> Response:
    """The patient of a visit."""
    with context.reading(user.caller, Action.READ_QUEUE) as session:
        visit = must(session.get(Appointment, key))
        return RedirectResponse(f"/patients/{visit.patient_key}", 303)


def _page(
    request: Request,
    context: Context,
    user: WebUser,
    wanted: str,
    part: bool = False,
    error: str = "",
    done: str = "",
    asked: Asked | None = None,
    code: str = "",
) -> HTMLResponse:
    with context.reading(user.caller, Action.READ_QUEUE) as session:
        devices = titles(session)
        device = wanted if wanted in devices else next(iter(devices), "")
        found = listing.of_device(session, device, context.now()) if device else None
        return page(
            request,
            "queue/part.html" if part else "queue/page.html",
            devices=devices,
            device=device,
            queue=found,
            may_call=user.caller.may(Action.CALL_PATIENTS),
            may_sign_in=user.caller.may(Action.SIGN_IN_FOR),
            may_put_forward=user.caller.may(Action.PUT_FORWARD),
            alerts_of=alerts.of,
            asked=asked,
            code=code,
            error=error,
            done=done,
        )


def _said(done: SignedIn) -> str:
    text = _("Signed in before: number {n}") if done.again else _("Signed in: number {n}")
    return text.format(n=done.number)
