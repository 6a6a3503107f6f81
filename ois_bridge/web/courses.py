"""Pages of one course: diagnosis and stage, what is done with it, its summary, charging."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Refused, Unauthorised
from common.text import LANGUAGES, _, language
from ois_bridge.domain import staging
from ois_bridge.domain.course_states import CourseEvent
from ois_bridge.domain.permissions import Action
from ois_bridge.models.clinical import Course
from ois_bridge.models.record import Diagnosis
from ois_bridge.services import charging, courses, diagnoses, summaries
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Context
from ois_bridge.services.courses import StageChoice
from ois_bridge.services.patients import must
from ois_bridge.services.workflow import rights
from ois_bridge.web import record, record_words
from ois_bridge.web.render import page
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)
AXIS = "axis:"


@router.get("/courses/{key}/diagnosis")
def diagnosis_form(request: Request, context: Means, user: User, key: str) -> HTMLResponse:
    """Diagnosis and stage of a course."""
    return _diagnosis_page(request, context, user, key, {})


@router.post("/courses/{key}/diagnosis")
def diagnose(request: Request, context: Means, user: User, key: str, form: Form) -> Response:
    """Keep diagnosis and stage; what was typed stays where it is refused."""
    try:
        course = courses.diagnose(
            context,
            user.caller,
            key,
            form.get("code", ""),
            form.get("text", ""),
            _chosen(form),
            form.get("seen", ""),
        )
    except Unauthorised:
        raise
    except (BadInput, Refused) as why:
        return _diagnosis_page(request, context, user, key, form, 422, str(why))
    return RedirectResponse(f"/patients/{course.patient_key}?done=diagnosis#course-{key}", 303)


@router.get("/diagnoses/found")
def found(request: Request, context: Means, user: User, search: str = "") -> HTMLResponse:
    """Diagnoses that fit what was typed, to choose from."""
    with context.reading(user.caller, Action.READ_PATIENTS) as session:
        rows = diagnoses.search(session, search)
        return page(request, "patient/found.html", rows=rows, chosen="")


@router.get("/staging/fields")
def staging_fields(
    request: Request, context: Means, user: User, code: str = "", table: str = ""
) -> HTMLResponse:
    """Fields of the staging table that is chosen, or that fits a diagnosis."""
    with context.reading(user.caller, Action.READ_PATIENTS) as session:
        chosen = session.get(Diagnosis, code) if code else None
    fitting = chosen.staging.split() if chosen else []
    return page(request, "patient/staging.html", **_staging(context, table, fitting, request.query_params))


@router.post("/courses/{key}/charging")
def ask_charging(request: Request, context: Means, user: User, key: str, _form: Form) -> Response:
    """Ask the hospital's system."""
    patient = _patient_of(context, key)
    try:
        charging.ask(context, user.caller, key)
    except Unauthorised:
        raise
    except Refused as why:
        return record.patient_page(request, context, user, patient, 409, error=str(why))
    return RedirectResponse(f"/patients/{patient}?done=charging#course-{key}", 303)


@router.get("/courses/{key}/summary")
def summary_form(request: Request, context: Means, user: User, key: str, done: str = "") -> HTMLResponse:
    """The course summary: to write for a physician, to read for others."""
    message = record_words.done(done, {})
    return _summary_page(request, context, user, key, {}, done=message)


@router.post("/courses/{key}/summary/new")
def new_summary(context: Means, user: User, key: str, _form: Form) -> Response:
    """Make a draft from the record; one that is there already is opened."""
    summaries.open_draft(context, user.caller, key)
    return RedirectResponse(f"/courses/{key}/summary", 303)


@router.post("/courses/{key}/summary")
def write_summary(request: Request, context: Means, user: User, key: str, form: Form) -> Response:
    """Keep, sign or withdraw the summary; what was typed stays where it is refused."""
    form_key, revision = form.get("form", ""), form.get("revision", "")
    number = int(revision) if revision.isdecimal() and len(revision) < 9 else 0
    what = form.get("what", "save")
    try:
        if what == "sign":
            summaries.sign(context, user.caller, form_key, number, form, form.get("password", ""))
        elif what == "withdraw":
            summaries.withdraw(context, user.caller, form_key, form.get("reason", ""))
        else:
            summaries.save(context, user.caller, form_key, number, form)
    except (BadInput, Refused) as why:
        return _summary_page(request, context, user, key, form, 409, error=str(why))
    if what == "withdraw":
        return RedirectResponse(f"/patients/{_patient_of(context, key)}?done=withdrawn#course-{key}", 303)
    return RedirectResponse(f"/courses/{key}/summary?done={'signed' if what == 'sign' else 'summary'}", 303)


@router.get("/summaries/{key}.pdf")
def summary_pdf(context: Means, user: User, key: str, lang: str = "") -> Response:
    """The summary on paper; in the language of the request where none is named."""
    lang = lang or language()
    if lang not in LANGUAGES:
        raise BadInput(_("Language: allowed are {names}.").format(names=", ".join(LANGUAGES)))
    return Response(summaries.pdf(context, user.caller, key, lang), media_type="application/pdf")


@router.get("/diagnoses")
def diagnosis_table(
    request: Request, context: Means, user: User, search: str = "", done: str = ""
) -> HTMLResponse:
    """The table of diagnoses, and where the hospital's own is taken in."""
    with context.reading(user.caller, Action.READ_PATIENTS) as session:
        rows = diagnoses.search(session, search, 200)
    return page(request, "patient/diagnoses.html", rows=rows, search=search, done=record_words.done(done, {}))


@router.post("/diagnoses")
def import_diagnoses(request: Request, context: Means, user: User, form: Form) -> Response:
    """Take the hospital's table in."""
    try:
        diagnoses.import_table(context, user.caller, form.get("table", "").encode())
    except BadInput as why:
        with context.reading(user.caller, Action.READ_PATIENTS) as session:
            rows = diagnoses.search(session, "", 200)
        content = {"rows": rows, "search": "", "typed": form.get("table", "")}
        return page(request, "patient/diagnoses.html", 422, error=str(why), **content)
    return RedirectResponse("/diagnoses?done=imported", 303)


@router.post("/courses/{key}/act/{event}")
def act(request: Request, context: Means, user: User, key: str, event: str, form: Form) -> Response:
    """Take a step with a course."""
    wanted = must(CourseEvent.__members__.get(event.upper()))
    patient = _patient_of(context, key)
    try:
        done = courses.act(context, user.caller, key, wanted, form.get("reason", ""))
    except Unauthorised:
        raise
    except Refused as why:
        return record.patient_page(request, context, user, patient, 409, error=str(why))
    counts = f"appointments={done.appointments}&tasks={done.tasks}"
    return RedirectResponse(f"/patients/{patient}?done=acted&{counts}#course-{key}", 303)


def _patient_of(context: Context, course_key: str) -> str:
    with context.database.reading() as session:
        return must(session.get(Course, course_key)).patient_key


def _chosen(form: Mapping[str, str]) -> StageChoice | None:
    table = form.get("table", "")
    choice = {name.removeprefix(AXIS): value for name, value in form.items() if name.startswith(AXIS)}
    return StageChoice(table, choice) if table and any(choice.values()) else None


def _diagnosis_page(
    request: Request,
    context: Context,
    user: WebUser,
    key: str,
    form: Mapping[str, str],
    status: int = 200,
    error: str = "",
) -> HTMLResponse:
    with context.reading(user.caller, Action.EDIT_DIAGNOSIS) as session:
        course = rights.check(session, context, user.caller, key)
        code = form.get("code", course.diagnosis_code)
        chosen = session.get(Diagnosis, code) if code else None
        kept = courses.stages(session, key)
        values = dict(form)
        if not form and kept and course.stage:
            values = {
                "table": kept[0].staging,
                **{AXIS + axis: value for axis, value in kept[0].choice.items()},
            }
        known = chosen is not None and bool(course.diagnosis_en or course.diagnosis == chosen.name)
        content = {
            "course": course,
            "rows": [chosen] if chosen else diagnoses.search(session, ""),
            "chosen": code,
            "seen": courses.diagnosis_stamp(course),
            "text": form.get("text", "" if known else course.diagnosis),
            "icd10_name": diagnoses.icd10_name(course.icd10),
            **_staging(context, values.get("table", ""), chosen.staging.split() if chosen else [], values),
        }
        return page(request, "patient/diagnosis.html", status, error=error, **content)


def _staging(context: Context, name: str, fitting: list[str], values: Mapping[str, str]) -> dict[str, Any]:
    """What the staging fields show: the tables (those that fit first), the one chosen, and its group."""
    tables = context.record.staging
    order = [table for table in fitting if table in tables]
    order += [table for table in tables if table not in order]
    if name not in tables:
        name = fitting[0] if fitting and fitting[0] in tables else ""
    table = tables.get(name)
    choice = {axis.name: values.get(AXIS + axis.name, "") for axis in table.axes} if table else {}
    stage = None
    if table and all(choice.values()):
        try:
            stage = staging.staged(table, choice)
        except BadInput:
            # the fields are shown again, with nothing derived
            stage = None
    return {
        "all_tables": [tables[one] for one in order],
        "fitting": fitting,
        "table": table,
        "choice": choice,
        "stage": stage,
        "unassessed": staging.unassessed(stage) if stage else False,
    }


def _summary_page(
    request: Request,
    context: Context,
    user: WebUser,
    key: str,
    form: Mapping[str, str],
    status: int = 200,
    **messages: str,
) -> HTMLResponse:
    with context.reading(user.caller, Action.READ_PRESCRIPTION) as session:
        course = rights.check(session, context, user.caller, key)
        row = summaries.of_course(session, key)
        if row is None:
            return page(request, "patient/no_summary.html", course=course)
        texts = {name: form.get(name, str(row.content.get(name, ""))) for name in summaries.FIELDS}
        content: dict[str, Any] = {
            "course": course,
            "row": row,
            "texts": texts,
            "facts": summaries.facts_of(session, row),
        }
        content["revision"] = form.get("revision", str(row.revision))
        frame = record.frame(context)
        return page(request, "patient/summary.html", status, **content, **frame, **messages)
