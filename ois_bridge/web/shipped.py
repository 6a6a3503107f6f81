"""Designs that came with a new version of the software, beside those in use."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Refused
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Context
from ois_bridge.services.workflow import shipped
from ois_bridge.web.render import page, refusal
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)


@router.get("/processes/shipped")
def offers(request: Request, context: Means, user: User, done: str = "") -> HTMLResponse:
    """What is offered, with the differences."""
    said = {
        "taken": _("The new version is in use; what runs keeps its own."),
        "declined": _("The department's own stays in use; this design is not offered again."),
    }
    return _page(request, context, user, done=said.get(done, ""))


@router.post("/processes/shipped/{kind}/{name}/{sha256}")
def answer(
    request: Request, context: Means, user: User, kind: str, name: str, sha256: str, form: Form
) -> Response:
    """Take an offer, or keep one's own."""
    try:
        if form.get("answer") == "take":
            shipped.take(context, user.caller, kind, name, sha256)
            return RedirectResponse("/processes/shipped?done=taken", 303)
        shipped.decline(context, user.caller, kind, name, sha256)
    except (Refused, BadInput) as why:
        return _page(request, context, user, refusal(why), error=str(why))
    return RedirectResponse("/processes/shipped?done=declined", 303)


def _page(
    request: Request, context: Context, user: WebUser, status: int = 200, **messages: str
) -> HTMLResponse:
    with context.reading(user.caller, Action.DESIGN) as session:
        found = shipped.offers(session)
        return page(request, "designs/shipped.html", status, offers=found, **messages)
