"""Pages of the front desk: registration with photo, known patients, data from HIS, labels, changes."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import date
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from common.errors import BadInput, LinkLost, Refused, Unauthorised
from common.text import _
from common.text import language as language_now
from ois_bridge.domain import chinese
from ois_bridge.domain.identity import readable_date
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.registration import NAMES, CourseEntry, PatientEntry
from ois_bridge.domain.rules import SOURCE
from ois_bridge.models.clinical import Patient
from ois_bridge.services import access, diagnoses, labels, patient_changes, patients, photos, registration
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Context
from ois_bridge.services.known import known
from ois_bridge.services.photos import MOST_BYTES
from ois_bridge.web.render import page
from ois_bridge.web.session import Form, Means, User, new_token

router = APIRouter(include_in_schema=False)
PICTURE = "data:image/"
SUGGESTED = 400


@router.get("/patients/new")
def new_patient(request: Request, context: Means, user: User) -> HTMLResponse:
    """The registration form."""
    return _form_page(request, context, user, {"submission": new_token()})


@router.post("/patients/new")
def register(request: Request, context: Means, user: User, form: Form) -> Response:
    """Register a patient; what was typed stays where it is refused."""
    try:
        patient = registration.register(
            context,
            user.caller,
            _entry(form),
            _course(form),
            _picture(form),
            form.get("submission", ""),
            other_person=bool(form.get("other_person")),
        )
    except Unauthorised:
        raise
    except (BadInput, Refused) as why:
        return _form_page(request, context, user, form, 422, str(why))
    return RedirectResponse(f"/patients/{patient.key}?done=registered", 303)


@router.post("/patients/new/known")
def known_patients(request: Request, context: Means, user: User, form: Form) -> HTMLResponse:
    """Patients who may be the person that is being typed, as a piece of the form."""
    with context.reading(user.caller, Action.REGISTER_PATIENT) as session:
        return page(request, "registration/known.html", found=known(session, _entry(form)))


@router.post("/patients/new/his")
def from_his(context: Means, user: User, form: Form) -> Response:
    """What the hospital's system knows of a number, for the script of the form."""
    user.caller.check(Action.REGISTER_PATIENT)
    try:
        found = context.desk.his.find(form.get("hospital_number", ""), form.get("id_card", ""))
    except (LinkLost, BadInput) as why:
        return JSONResponse({"found": None, "said": str(why), "well": False})
    if found is None:
        return JSONResponse(
            {"found": None, "said": _("The hospital system knows no such person."), "well": False}
        )
    data = {**asdict(found), "birth_date": readable_date(found.birth_date)}
    return JSONResponse(
        {"found": data, "said": _("Data of the hospital system are filled in; check them."), "well": True}
    )


@router.post("/patients/{key}/visits")
def return_visit(request: Request, context: Means, user: User, key: str, form: Form) -> Response:
    """A known patient comes again: one more course instead of a second record."""
    try:
        registration.return_visit(context, user.caller, key, _course(form), form.get("submission", ""))
    except Unauthorised:
        raise
    except (BadInput, Refused) as why:
        return _form_page(request, context, user, form, 422, str(why))
    return RedirectResponse(f"/patients/{key}?done=course", 303)


@router.get("/patients/{key}/photo")
def photo(context: Means, user: User, key: str) -> Response:
    """A patient's photo."""
    return Response(photos.of_patient(context, user.caller, key), media_type="image/jpeg")


@router.get("/patients/{key}/label.pdf")
def label(context: Means, user: User, key: str, masked: bool = False) -> Response:
    """A patient's label as PDF."""
    content = labels.pdf(context, user.caller, key, masked, language_now())
    return Response(content, media_type="application/pdf")


@router.get("/patients/{key}/edit")
def edit_page(request: Request, context: Means, user: User, key: str, done: str = "") -> HTMLResponse:
    """The form that changes a patient's data, and their earlier values."""
    message = _("The changes are kept.") if done == "changed" else ""
    return _edit_page(request, context, user, key, None, done=message)


@router.post("/patients/{key}/edit")
def edit(request: Request, context: Means, user: User, key: str, form: Form) -> Response:
    """Change a patient's data; what was typed stays where it is refused."""
    try:
        changed = patient_changes.change(
            context, user.caller, key, _entry(form), form.get("seen", ""), _picture(form)
        )
    except Unauthorised:
        raise
    except (BadInput, Refused) as why:
        return _edit_page(request, context, user, key, form, 422, error=str(why))
    return RedirectResponse(f"/patients/{key}/edit?done={'changed' if changed else ''}", 303)


def _form_page(
    request: Request,
    context: Context,
    user: WebUser,
    form: Mapping[str, str],
    status: int = 200,
    error: str = "",
) -> HTMLResponse:
    with context.reading(user.caller, Action.REGISTER_PATIENT) as session:
        content: dict[str, Any] = {
            "form": form,
            "physicians": registration.physicians(session),
            "diagnoses": diagnoses.search(session, "", SUGGESTED),
            "found": known(session, _entry(form)),
            "sources": SOURCE,
            "his": context.desk.his.connected,
            "today": date.today().isoformat(),
            "most_bytes": MOST_BYTES,
        }
        return page(request, "registration/new.html", status, error=error, **content)


def _edit_page(
    request: Request,
    context: Context,
    user: WebUser,
    key: str,
    form: Mapping[str, str] | None,
    status: int = 200,
    **messages: str,
) -> HTMLResponse:
    with context.reading(user.caller, Action.EDIT_PATIENT) as session:
        patient = patients.must(session.get(Patient, key))
        access.check(session, user.caller, key, context)
        born = patient.birth_date
        shown = {
            **asdict(patient_changes.entry_of(patient)),
            "name": chinese.written(patient.name),
            "birth_date": f"{born[:4]}-{born[4:6]}-{born[6:]}",
        }
        content: dict[str, Any] = {
            "patient": patient,
            "form": form or shown,
            "seen": patient_changes.stamp(patient),
            "changes": patient_changes.history(session, key),
            "names": NAMES,
            "today": date.today().isoformat(),
            "most_bytes": MOST_BYTES,
        }
        return page(request, "registration/edit.html", status, **content, **messages)


def _entry(form: Mapping[str, str]) -> PatientEntry:
    names = [field.name for field in fields(PatientEntry)]
    return PatientEntry(**{name: form.get(name, "") for name in names})


def _course(form: Mapping[str, str]) -> CourseEntry:
    names = [field.name for field in fields(CourseEntry) if field.name != "name"]
    return CourseEntry(name=form.get("course_name", ""), **{name: form.get(name, "") for name in names})


def _picture(form: Mapping[str, str]) -> bytes:
    """The picture in the form's hidden field, as the script wrote it. Raises BadInput."""
    text = form.get("photo", "")
    if not text:
        return b""
    head, _comma, data = text.partition(";base64,")
    if not head.startswith(PICTURE) or len(data) > MOST_BYTES * 4 // 3 + 4:
        raise BadInput(_("Photo: this is no JPEG, PNG or WebP picture, or it is too big."))
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as why:
        raise BadInput(_("Photo: this is no JPEG, PNG or WebP picture, or it is too big.")) from why
