"""Faces and fingerprints of a patient: enrolled with consent, removed."""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, LinkLost, Refused, Unauthorised
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.models.clinical import Patient
from ois_bridge.services import access, patients
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Context
from ois_bridge.services.queue import features
from ois_bridge.services.queue.settings import titles
from ois_bridge.web.render import page
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)


@router.get("/patients/{key}/features")
def listed(request: Request, context: Means, user: User, key: str, done: str = "") -> HTMLResponse:
    """What is enrolled, and the form that enrols."""
    said = {
        "enrolled": _("Enrolled: the patient can sign in with it from now on."),
        "removed": _("Removed here and in the readers."),
        "half": _("Removed here. A reader did not answer: delete the features there by hand."),
    }
    return _page(request, context, user, key, {}, done=said.get(done, ""))


@router.post("/patients/{key}/features")
def enrol(request: Request, context: Means, user: User, key: str, form: Form) -> Response:
    """Enrol whom the reader sees."""
    consent = form.get("consent", "") if form.get("agreed") else ""
    try:
        features.enrol(context, user.caller, key, form.get("device", ""), form.get("kind", ""), consent)
    except Unauthorised:
        raise
    except (BadInput, Refused, LinkLost) as why:
        return _page(request, context, user, key, form, 422, error=str(why))
    return RedirectResponse(f"/patients/{key}/features?done=enrolled", 303)


@router.post("/patients/{key}/features/{which}/remove")
def remove(context: Means, user: User, key: str, which: str, _form: Form) -> Response:
    """Remove one."""
    everywhere = features.remove(context, user.caller, key, which)
    return RedirectResponse(f"/patients/{key}/features?done={'removed' if everywhere else 'half'}", 303)


def _page(
    request: Request,
    context: Context,
    user: WebUser,
    key: str,
    form: Mapping[str, str],
    status: int = 200,
    **messages: str,
) -> HTMLResponse:
    with context.reading(user.caller, Action.ENROL_FEATURES) as session:
        patient = patients.must(session.get(Patient, key))
        access.check(session, user.caller, key, context)
        return page(
            request,
            "queue/features.html",
            status,
            patient=patient,
            rows=[(features.handle(row.template), row) for row in features.of_patient(session, key)],
            kinds=features.KINDS,
            devices=titles(session),
            form=form,
            **messages,
        )
