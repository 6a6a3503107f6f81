"""Notices on the screens, announcements of faults, and how patients and staff want to be told."""

from collections.abc import Mapping
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Unauthorised
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.models.queue import Contact
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Context
from ois_bridge.services.queue import board_notices
from ois_bridge.services.queue.settings import titles
from ois_bridge.web.render import page
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)

SAID = {
    "written": lambda: _("The notice is on the screens from its time on."),
    "removed": lambda: _("The notice is taken down."),
    "told": lambda: _("The way to be told is kept."),
}


@router.get("/queue/notices")
def notices(
    request: Request, context: Means, user: User, said: str = "", concerned: int | None = None
) -> HTMLResponse:
    """Notices on the screens, and the form for a fault."""
    done = SAID[said]() if said in SAID else ""
    if concerned is not None:
        done = _("Announced: {n} appointments are concerned.").format(n=concerned)
    return _page(request, context, user, done=done)


@router.post("/queue/notices")
def write(request: Request, context: Means, user: User, form: Form) -> Response:
    """Put a line on the screens."""
    try:
        start, finish = _time(form.get("start", "")), _time(form.get("finish", ""))
        board_notices.write(
            context, user.caller, form.get("text_zh", ""), form.get("text_en", ""), start, finish
        )
    except BadInput as why:
        return _page(request, context, user, form, 422, str(why))
    return RedirectResponse("/queue/notices?said=written", 303)


@router.post("/queue/notices/{key}/remove")
def remove(context: Means, user: User, key: str, _form: Form) -> Response:
    """Take a line down."""
    board_notices.take_down(context, user.caller, key)
    return RedirectResponse("/queue/notices?said=removed", 303)


@router.post("/queue/faults")
def announce_fault(request: Request, context: Means, user: User, form: Form) -> Response:
    """Tell patients and staff of a fault."""
    try:
        until = _time(form.get("until", ""))
        count = board_notices.announce_fault(context, user.caller, form.get("device", ""), until)
    except BadInput as why:
        return _page(request, context, user, form, 422, str(why))
    return RedirectResponse(f"/queue/notices?concerned={count}", 303)


@router.get("/queue/contact")
def own_contact(request: Request, context: Means, user: User, said: str = "") -> HTMLResponse:
    """How one of the staff wants to be told."""
    with context.database.reading() as session:
        contact = session.get(Contact, ("staff", user.caller.user))
    return _contact_page(request, contact, done=SAID[said]() if said in SAID else "")


@router.post("/queue/contact")
def set_own_contact(request: Request, context: Means, user: User, form: Form) -> Response:
    """Keep it."""
    try:
        board_notices.set_own_contact(
            context,
            user.caller,
            form.get("phone", ""),
            form.get("wechat", ""),
            "sms" in form,
            "wechat_on" in form,
            form.get("language", ""),
        )
    except BadInput as why:
        with context.database.reading() as session:
            contact = session.get(Contact, ("staff", user.caller.user))
        return _contact_page(request, contact, status=422, error=str(why), form=form)
    return RedirectResponse("/queue/contact?said=told", 303)


@router.get("/queue/contact/{patient_key}")
def patient_contact(
    request: Request, context: Means, user: User, patient_key: str, said: str = ""
) -> HTMLResponse:
    """How a patient wants to be told."""
    with context.reading(user.caller, Action.EDIT_NOTICE_WAYS) as session:
        patient, contact = board_notices.patient_contact(session, context, user.caller, patient_key)
    return _contact_page(request, contact, patient=patient, done=SAID[said]() if said in SAID else "")


@router.post("/queue/contact/{patient_key}")
def set_patient_contact(
    request: Request, context: Means, user: User, patient_key: str, form: Form
) -> Response:
    """Keep it."""
    try:
        board_notices.set_patient_contact(
            context,
            user.caller,
            patient_key,
            form.get("wechat", ""),
            "sms" in form,
            "wechat_on" in form,
            form.get("language", ""),
        )
    except BadInput as why:
        with context.reading(user.caller, Action.EDIT_NOTICE_WAYS) as session:
            patient, contact = board_notices.patient_contact(session, context, user.caller, patient_key)
        return _contact_page(request, contact, patient=patient, status=422, error=str(why), form=form)
    return RedirectResponse(f"/queue/contact/{patient_key}?said=told", 303)


def _contact_page(
    request: Request,
    contact: Contact | None,
    patient: object = None,
    status: int = 200,
    error: str = "",
    done: str = "",
    form: Mapping[str, str] | None = None,
) -> HTMLResponse:
    way = contact or Contact(phone="", wechat="", sms=True, wechat_on=True, language="zh")
    return page(
        request,
        "queue/contact.html",
        status,
        way=way,
        patient=patient,
        form=form or {},
        sms=way.sms if form is None else "sms" in form,
        wechat_on=way.wechat_on if form is None else "wechat_on" in form,
        error=error,
        done=done,
    )


def _time(text: str) -> datetime:
    """A time of a form, in the zone of this computer. Raises BadInput."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as why:
        raise BadInput(_("A time as YYYY-MM-DD HH:MM is needed.")) from why


def _page(
    request: Request,
    context: Context,
    user: WebUser,
    form: Mapping[str, str] | None = None,
    status: int = 200,
    error: str = "",
    done: str = "",
) -> HTMLResponse:
    if not (user.caller.may(Action.WRITE_NOTICES) or user.caller.may(Action.ANNOUNCE_FAULT)):
        raise Unauthorised(_("Notices are written by therapists, the front desk and administrators."))
    with context.database.reading() as session:
        now = context.now().astimezone()
        return page(
            request,
            "queue/notices.html",
            status,
            rows=board_notices.to_come(session, now),
            devices=titles(session),
            now=now,
            form=form or {},
            error=error,
            done=done,
        )
