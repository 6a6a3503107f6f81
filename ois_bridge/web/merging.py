"""Two records of one person: found, compared side by side, merged; and a merge undone."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Refused, Unauthorised
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.models.clinical import Patient
from ois_bridge.models.merging import PatientMerge
from ois_bridge.services import access, merging, patient_changes, patients
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Context
from ois_bridge.services.known import known
from ois_bridge.services.search import find
from ois_bridge.web.render import page
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)
MOST = 8
SHOWN = (
    "name", "birth_date", "sex", "patient_id", "id_card", "hospital_number", "barcode", "phone", "address"
)  # fmt: skip


@router.get("/patients/{key}/merge")
def start(request: Request, context: Means, user: User, key: str, done: str = "") -> HTMLResponse:
    """Records that may be the same person, and earlier merges."""
    return _page(request, context, user, key, {}, done=done)


@router.post("/patients/{key}/merge/find")
def look_for(request: Request, context: Means, user: User, key: str, form: Form) -> HTMLResponse:
    """Look for the other record, or compare with the one that was chosen."""
    return _page(request, context, user, key, form)


@router.post("/patients/{key}/merge")
def merge(request: Request, context: Means, user: User, key: str, form: Form) -> Response:
    """Merge."""
    other, stays = form.get("other", ""), form.get("stays", "")
    gone = other if stays == key else key
    try:
        if stays not in (key, other):
            raise BadInput(_("Choose which of the two records stays."))
        merging.merge(context, user.caller, stays, gone, form.get("reason", ""), bool(form.get("sure")))
    except Unauthorised:
        raise
    except (BadInput, Refused) as why:
        return _page(request, context, user, key, form, 422, error=str(why))
    return RedirectResponse(f"/patients/{stays}?done=merged", 303)


@router.post("/merges/{key}/undo")
def undo(request: Request, context: Means, user: User, key: str, _form: Form) -> Response:
    """Undo a merge."""
    with context.reading(user.caller, Action.MERGE_PATIENTS) as session:
        kept = patients.must(session.get(PatientMerge, key)).kept_key
    try:
        merging.undo(context, user.caller, key)
    except Refused as why:
        return _page(request, context, user, kept, {}, 422, error=str(why))
    return RedirectResponse(f"/patients/{kept}/merge?done=undone", 303)


def _page(
    request: Request,
    context: Context,
    user: WebUser,
    key: str,
    form: Mapping[str, str],
    status: int = 200,
    done: str = "",
    error: str = "",
) -> HTMLResponse:
    content: dict[str, Any] = {"form": form, "other": None, "differs": (), "found": [], "error": error}
    with context.reading(user.caller, Action.MERGE_PATIENTS) as session:
        patient = patients.must(session.get(Patient, key))
        access.check(session, user.caller, key, context)
        if form.get("other"):
            try:
                two = merging.pair(session, context, user.caller, key, form["other"])
                content |= {"other": two.gone, "differs": two.differs}
            except Refused as why:
                content["error"] = error or str(why)
        text = form.get("text", "").strip()
        if text:
            content["found"] = find.page(session, find.Query(text), limit=MOST).patients
        elif not form:
            content["found"] = [row.patient for row in known(session, patient_changes.entry_of(patient))]
        content["found"] = [row for row in content["found"] if row.key != key and not row.merged_into]
        return page(
            request,
            "merging/page.html",
            status,
            patient=patient,
            merges=merging.of_patient(session, key),
            fields=SHOWN,
            undone=done == "undone",
            looked=bool(text),
            **content,
        )
