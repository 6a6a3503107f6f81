"""Follow-up and studies: what is overdue, what comes, results, enrolment."""

from datetime import date

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Refused, Unauthorised
from common.text import _
from ois_bridge.domain.follow_up import parsed_months
from ois_bridge.domain.permissions import Action
from ois_bridge.models.clinical import Course
from ois_bridge.services import access, follow_up
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Context
from ois_bridge.services.patients import must
from ois_bridge.web import record, record_words
from ois_bridge.web.render import page
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)


@router.get("/follow-up")
def lists(request: Request, context: Means, user: User, done: str = "") -> HTMLResponse:
    """What is overdue, what comes next, and the studies."""
    return _lists(request, context, user, done=record_words.done(done, {}))


@router.post("/studies")
def add_study(request: Request, context: Means, user: User, form: Form) -> Response:
    """A new study."""
    try:
        follow_up.add_study(context, user.caller, form.get("name", ""), form.get("criteria", ""))
    except Unauthorised:
        raise
    except (BadInput, Refused) as why:
        return _lists(request, context, user, 422, error=str(why))
    return RedirectResponse("/follow-up?done=study", 303)


@router.post("/studies/{key}/{state}")
def open_study(context: Means, user: User, key: str, state: str, _form: Form) -> Response:
    """Open or close a study."""
    must(state if state in ("open", "close") else None)
    follow_up.open_study(context, user.caller, key, state == "open")
    return RedirectResponse("/follow-up?done=study", 303)


@router.post("/courses/{key}/follow-up")
def plan(request: Request, context: Means, user: User, key: str, form: Form) -> Response:
    """Plan follow-ups of a course."""
    patient = _patient_of(context, key)
    try:
        months = parsed_months(form.get("months", ""))
        follow_up.plan(context, user.caller, key, _day(form.get("start", "")), months)
    except BadInput as why:
        return record.patient_page(request, context, user, patient, 422, error=str(why))
    return RedirectResponse(f"/patients/{patient}?done=follow-up#s-follow-up", 303)


@router.post("/courses/{key}/enrol")
def enrol(request: Request, context: Means, user: User, key: str, form: Form) -> Response:
    """Put a course into a study."""
    patient = _patient_of(context, key)
    try:
        follow_up.enrol(context, user.caller, form.get("study", ""), key)
    except Unauthorised:
        raise
    except Refused as why:
        return record.patient_page(request, context, user, patient, 409, error=str(why))
    return RedirectResponse(f"/patients/{patient}?done=follow-up#s-follow-up", 303)


@router.post("/enrolments/{key}/withdraw")
def withdraw(context: Means, user: User, key: str, form: Form) -> Response:
    """Take a course out of a study."""
    follow_up.withdraw(context, user.caller, key)
    return RedirectResponse(f"/patients/{form.get('patient', '')}?done=follow-up#s-follow-up", 303)


@router.post("/follow-up/{key}")
def enter(request: Request, context: Means, user: User, key: str, form: Form) -> Response:
    """Write what a follow-up found."""
    patient = form.get("patient", "")
    try:
        follow_up.enter(context, user.caller, key, form.get("outcome", ""), form.get("note", ""))
    except Unauthorised:
        raise
    except (BadInput, Refused) as why:
        return record.patient_page(request, context, user, patient, 409, error=str(why))
    return RedirectResponse(f"/patients/{patient}?done=follow-up#s-follow-up", 303)


def _lists(
    request: Request, context: Context, user: WebUser, status: int = 200, **messages: str
) -> HTMLResponse:
    today, seen = context.now().astimezone().date(), access.visible(user.caller, context)
    with context.reading(user.caller, Action.FOLLOW_UP) as session:
        return page(
            request,
            "patient/follow_up_list.html",
            status,
            overdue=follow_up.overdue(session, today, seen),
            coming=follow_up.coming(session, today, seen),
            studies=follow_up.studies(session),
            **messages,
        )


def _patient_of(context: Context, course_key: str) -> str:
    with context.database.reading() as session:
        return must(session.get(Course, course_key)).patient_key


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as why:
        raise BadInput(_("Follow-up: the day it is counted from is needed, as YYYY-MM-DD.")) from why
