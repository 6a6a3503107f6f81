"""Print and export of one patient's record."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from common.errors import BadInput, Refused, Unauthorised
from common.text import language
from ois_bridge.domain.permissions import Action
from ois_bridge.models.clinical import Patient
from ois_bridge.services import access, overview
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Context
from ois_bridge.services.export import choice, package
from ois_bridge.services.patients import must
from ois_bridge.web.render import page
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)


@router.get("/patients/{key}/export")
def export_form(request: Request, context: Means, user: User, key: str) -> HTMLResponse:
    """What is to be exported."""
    return _page(request, context, user, key)


@router.post("/patients/{key}/export")
def export(request: Request, context: Means, user: User, key: str, form: Form) -> Response:
    """The export as a file."""
    try:
        wish = choice.checked(
            form.get("format", ""),
            form.get("language", language()),
            [part for part in choice.PARTS if form.get(f"part-{part}")],
            [name.removeprefix("series-") for name in form if name.startswith("series-")],
        )
        made = package.make(context, user.caller, key, wish)
    except Unauthorised:
        raise
    except (BadInput, Refused) as why:
        return _page(request, context, user, key, 409, str(why))
    headers = {
        "Content-Disposition": f'attachment; filename="{made.name}"',
        "Content-Length": str(made.size),
    }
    return StreamingResponse(made.chunks(), media_type=made.media, headers=headers)


def _page(
    request: Request, context: Context, user: WebUser, key: str, status: int = 200, error: str = ""
) -> HTMLResponse:
    with context.reading(user.caller, Action.EXPORT_RECORD) as session:
        patient = must(session.get(Patient, key))
        access.check(session, user.caller, key, context)
        series = overview.series_of(session, key) if user.caller.may(Action.READ_INSTANCES) else ()
        return page(
            request,
            "patient/export.html",
            status,
            patient=patient,
            series=series,
            parts=choice.PARTS,
            error=error,
        )
