"""The one flat page of a patient, and what is entered from it: courses, prescriptions, steps of plans."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Refused, Tampered
from common.text import _, language
from ois_bridge.domain.alerts import ALERTS
from ois_bridge.domain.course_states import CourseEvent
from ois_bridge.domain.follow_up import Outcome
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.plan_line import SYMBOL
from ois_bridge.domain.prescription import OrganGoal, PrescriptionText
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.services import (
    access,
    alerts,
    archive,
    courses,
    follow_up,
    overview,
    patients,
    plan_line,
    plans,
    reports,
)
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Context
from ois_bridge.web import record_words
from ois_bridge.web.render import page
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)


@router.get("/patients/{key}")
def one_patient(request: Request, context: Means, user: User, key: str, done: str = "") -> Response:
    """Everything of a patient on one page; of a merged record, the one that stayed."""
    with context.reading(user.caller, Action.READ_PATIENTS) as session:
        found = patients.must(session.get(Patient, key))
        stayed = patients.living(session, found).key
    if stayed != key:
        return RedirectResponse(f"/patients/{stayed}?done=stayed", 303)
    message = record_words.done(done, request.query_params)
    try:
        return patient_page(request, context, user, key, done=message)
    except access.RecordClosed as why:
        context.refused(user.caller.user, Action.READ_PATIENTS.value, key, why)
        return page(request, "patient/closed.html", 403, key=key)


@router.post("/patients/{key}/open")
def open_in_need(request: Request, context: Means, user: User, key: str, form: Form) -> Response:
    """Open a restricted record with a reason; one that says too little stays to be completed."""
    reason = form.get("reason", "")
    try:
        access.open_in_need(context, user.caller, key, reason)
    except BadInput as why:
        return page(request, "patient/closed.html", 422, key=key, reason=reason, error=str(why))
    return RedirectResponse(f"/patients/{key}", 303)


def patient_page(
    request: Request, context: Context, user: WebUser, key: str, status: int = 200, **messages: str
) -> HTMLResponse:
    """The patient's page, with what became of the last form."""
    with context.reading(user.caller, Action.READ_PATIENTS) as session:
        view = overview.of_patient(context, session, user.caller, key)
        may_enrol = user.caller.may(Action.FOLLOW_UP)
        return page(
            request,
            "patient/page.html",
            status,
            view=view,
            studies=follow_up.studies(session) if may_enrol else [],
            **frame(context),
            **messages,
        )


def frame(context: Context) -> dict[str, Any]:
    """Tables and words that the parts of the page look things up in."""
    settings = context.record.settings
    terms = {row["en"]: row[language()] for row in settings.toxicities}
    return {
        "now": context.now(),
        "today": context.now().astimezone().date(),
        "months": ", ".join(str(month) for month in settings.follow_up_months),
        "tables": context.record.staging,
        "has_charging": context.record.charging is not None,
        "charging_words": record_words.CHARGING,
        "event_words": record_words.EVENT,
        "form_words": record_words.FORM,
        "line_symbols": SYMBOL,
        "outcomes": Outcome.__members__,
        "all_alerts": ALERTS,
        "consequences": consequences,
        "toxicity_word": lambda term: terms.get(term, term),
    }


def consequences(event: CourseEvent) -> str:
    """What a step with a course brings with it, said before it is taken."""
    return _(record_words.CONSEQUENCE[event])


@router.get("/patients/{key}/timeline")
def time_line(request: Request, context: Means, user: User, key: str) -> HTMLResponse:
    """The time line alone, as it is now."""
    with context.reading(user.caller, Action.READ_PATIENTS) as session:
        user.caller.check(Action.READ_PLAN)
        line = plan_line.of_patient(context, session, user.caller, patients.must(session.get(Patient, key)))
    return page(request, "patient/timeline.html", line=line, line_symbols=SYMBOL)


@router.get("/fractions/{key}")
def one_fraction(request: Request, context: Means, user: User, key: str) -> HTMLResponse:
    """One fraction of a plan: its parts and beams."""
    with context.reading(user.caller, Action.READ_PLAN) as session:
        user.caller.check(Action.READ_PATIENTS)
        one = overview.of_fraction(context, session, user.caller, key)
        return page(request, "patient/fraction.html", one=one)


@router.post("/patients/{key}/alerts")
def change_alerts(context: Means, user: User, key: str, form: Form) -> Response:
    """Set the alerts of a patient."""
    ticked = [code for code in ALERTS if form.get(f"alert-{code}")]
    seen = [code for code in ALERTS if code in form["seen"].split()] if "seen" in form else None
    alerts.change(context, user.caller, key, ticked, seen)
    return RedirectResponse(f"/patients/{key}?done=alerts#s-alerts", 303)


@router.post("/patients/{key}/courses")
def add_course(request: Request, context: Means, user: User, key: str, form: Form) -> Response:
    """Add a course."""
    with context.reading(user.caller, Action.READ_PATIENTS) as session:
        patient_id = patients.must(session.get(Patient, key)).patient_id
    try:
        courses.add(context, user.caller, patient_id, form.get("name", ""), form.get("diagnosis", ""))
    except Refused as why:
        return patient_page(request, context, user, key, 422, error=str(why))
    return RedirectResponse(f"/patients/{key}?done=course", 303)


@router.get("/courses/{key}/prescribe")
def prescription_form(request: Request, context: Means, user: User, key: str) -> HTMLResponse:
    """The prescription form, with the regions of the structure sets that have arrived."""
    return _prescription_page(request, context, user, key, {})


@router.post("/courses/{key}/prescribe")
def prescribe(request: Request, context: Means, user: User, key: str, form: Form) -> Response:
    """Write a prescription; what was typed stays where it is refused."""
    try:
        wish = patients.prescribe(context, user.caller, key, _written(form))
    except (BadInput, Refused) as why:
        return _prescription_page(request, context, user, key, form, 422, str(why))
    with context.database.reading() as session:
        patient_key = patients.must(session.get(Course, wish.course_key)).patient_key
    return RedirectResponse(f"/patients/{patient_key}?done=prescribed", 303)


@router.post("/plans/{sop_uid}/{step}")
def take_step(request: Request, context: Means, user: User, sop_uid: str, step: str, form: Form) -> Response:
    """Submit, approve or revoke a plan."""
    key = form.get("patient", "")
    steps: dict[str, Callable[[], None]] = {
        "submit": lambda: plans.submit(context, user.caller, sop_uid, form.get("prescription", "")),
        "approve": lambda: plans.approve(context, user.caller, sop_uid, form.get("password", "")),
        "revoke": lambda: plans.revoke(context, user.caller, sop_uid, form.get("reason", "")),
    }
    if step not in steps:
        patients.must(None)
    try:
        steps[step]()
    except (Refused, BadInput, Tampered) as why:
        return patient_page(request, context, user, key, 409, error=str(why))
    return RedirectResponse(f"/patients/{key}?done={step}", 303)


@router.get("/reports/{key}.pdf")
def report(context: Means, user: User, key: str, lang: str) -> Response:
    """A report as PDF."""
    return Response(reports.pdf(context, user.caller, key, lang), media_type="application/pdf")


def _prescription_page(
    request: Request,
    context: Context,
    user: WebUser,
    key: str,
    form: Mapping[str, str],
    status: int = 200,
    error: str = "",
) -> HTMLResponse:
    with context.reading(user.caller, Action.PRESCRIBE) as session:
        course = patients.must(session.get(Course, key))
        access.check(session, user.caller, course.patient_key, context)
        sets = archive.of_patient(session, course.patient_key, "RTSTRUCT")
        regions = patients.regions(context, sets)
        content: dict[str, Any] = {"course": course, "sets": sets, "regions": regions, "form": form}
        return page(request, "patient/prescribe.html", status, error=error, **content)


def _written(form: Mapping[str, str]) -> PrescriptionText:
    """The prescription that a form says. Raises BadInput for something that is no number."""
    try:
        goals = tuple(
            OrganGoal(name.removeprefix("organ:"), float(value))
            for name, value in form.items()
            if name.startswith("organ:") and value.strip()
        )
        return PrescriptionText(
            target=form.get("target", ""),
            dose_per_fraction=float(form.get("dose_per_fraction", "")),
            fractions=int(form.get("fractions", "")),
            rbe_model=form.get("rbe_model", ""),
            structure_set_uid=form.get("structure_set_uid", ""),
            organs=goals,
        )
    except ValueError as why:
        raise BadInput(_("Doses and the number of fractions must be numbers.")) from why
