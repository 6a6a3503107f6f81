"""Who may open a record: restricted to its care team, colleagues taken in and let go, opened again."""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Refused, Unauthorised
from ois_bridge.domain.permissions import Action
from ois_bridge.models.clinical import Patient
from ois_bridge.services import access, patients
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Context
from ois_bridge.web.render import page
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)


@router.get("/patients/{key}/access")
def who(request: Request, context: Means, user: User, key: str) -> HTMLResponse:
    """Who may open the record."""
    return _page(request, context, user, key, {})


@router.post("/patients/{key}/access")
def act(request: Request, context: Means, user: User, key: str, form: Form) -> Response:
    """Restrict the record, take a colleague in or let one go, or open the record to everybody again."""
    try:
        match form.get("act", ""):
            case "restrict":
                access.restrict(context, user.caller, key, form.get("reason", ""))
            case "add":
                access.add_member(context, user.caller, key, form.get("user", ""))
            case "remove":
                access.remove_member(context, user.caller, key, form.get("user", ""))
            case "release":
                access.release(context, user.caller, key)
            case _:
                return _page(request, context, user, key, form, 422)
    except Unauthorised:
        raise
    except (BadInput, Refused) as why:
        return _page(request, context, user, key, form, 422, str(why))
    return RedirectResponse(f"/patients/{key}/access", 303)


def _page(
    request: Request,
    context: Context,
    user: WebUser,
    key: str,
    form: Mapping[str, str],
    status: int = 200,
    error: str = "",
) -> HTMLResponse:
    with context.reading(user.caller, Action.RESTRICT_RECORD) as session:
        patient = patients.must(session.get(Patient, key))
        access.check(session, user.caller, key, context)
        standing = access.standing(session, context, key)
        inside = {row.user for row in standing.team if row.until is None} | {*standing.in_charge}
        return page(
            request,
            "patient/access.html",
            status,
            patient=patient,
            standing=standing,
            others=[one for one in access.colleagues(session) if one.user not in inside],
            form=form,
            error=error,
        )
