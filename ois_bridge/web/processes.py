"""Processes: the running ones with their log, and the designs that are drawn in the browser."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Refused
from common.text import _
from ois_bridge.domain.assignment import RULES
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.process_steps import DEED, HAPPENING, OUTCOME
from ois_bridge.models.workflow import ProcessRecord
from ois_bridge.services.forms import designs as form_designs
from ois_bridge.services.patients import must
from ois_bridge.services.workflow import board, designs, log, processes, rights, shipped
from ois_bridge.web.form_designs import seen_in
from ois_bridge.web.render import page, refusal, staff_name
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)


@router.get("/processes/running/{key}.csv")
def export(context: Means, user: User, key: str) -> Response:
    """The log as a file."""
    with context.reading(user.caller, Action.READ_PROCESS) as session:
        rights.check(session, context, user.caller, must(session.get(ProcessRecord, key)).course_key)
    headers = {"Content-Disposition": f'attachment; filename="process-{key}.csv"'}
    return Response(log.as_csv(context, user.caller, key), media_type="text/csv", headers=headers)


@router.get("/processes/running/{key}")
def running(request: Request, context: Means, user: User, key: str) -> HTMLResponse:
    """A running process: where it stands, and its log."""
    with context.reading(user.caller, Action.READ_PROCESS) as session:
        process = must(session.get(ProcessRecord, key))
        rights.check(session, context, user.caller, process.course_key)
        design = designs.version(session, process.name, process.version)
        content: dict[str, Any] = {
            "process": process,
            "design": design,
            "patient": board.patient_of(session, process),
            "entries": log.entries(session, key),
            "assignments": {
                note.task_key: note for note in log.assignments(session, [task.key for task in process.tasks])
            },
            "outcomes": OUTCOME,
            "rules": RULES,
            "reason": partial(log.reason, name=staff_name),
        }
        return page(request, "processes/running.html", **content)


@router.get("/courses/{key}/processes")
def of_course(request: Request, context: Means, user: User, key: str) -> HTMLResponse:
    """Processes of a course; a new one is begun here."""
    return _of_course(request, context, user, key)


def _of_course(
    request: Request, context: Means, user: User, key: str, status: int = 200, error: str = ""
) -> HTMLResponse:
    with context.reading(user.caller, Action.READ_TASKS) as session:
        course = rights.check(session, context, user.caller, key)
        content: dict[str, Any] = {
            "course": course,
            "patient": course.patient,
            "running": board.of_course(session, key),
            "startable": designs.startable(session),
        }
        return page(request, "processes/of_course.html", status, error=error, **content)


@router.post("/courses/{key}/processes")
def start(request: Request, context: Means, user: User, key: str, form: Form) -> Response:
    """Begin a process."""
    try:
        processes.start(context, user.caller, key, form.get("name", ""))
    except Refused as why:
        return _of_course(request, context, user, key, refusal(why), str(why))
    return RedirectResponse(f"/courses/{key}/processes", 303)


@router.get("/processes")
def all_designs(request: Request, context: Means, user: User, done: str = "") -> HTMLResponse:
    """Processes and forms of the department, with their versions."""
    with context.reading(user.caller, Action.READ_DESIGNS) as session:
        content: dict[str, Any] = {
            "processes": designs.newest(session),
            "forms": form_designs.all_versions(session),
            "titles": {row.key: form_designs.parsed(row).title for row in form_designs.all_versions(session)},
        }
        content["offered"] = len(shipped.offers(session)) if user.caller.may(Action.DESIGN) else 0
        message = _("The new version is in use.") if done == "published" else ""
        return page(request, "processes/designs.html", done=message, **content)


@router.get("/processes/new")
def new(request: Request, context: Means, user: User) -> HTMLResponse:
    """Name and titles of a new process."""
    return _new(request, context, user, {})


def _new(
    request: Request, context: Means, user: User, typed: Mapping[str, str], status: int = 200, error: str = ""
) -> HTMLResponse:
    with context.reading(user.caller, Action.DESIGN) as session:
        return page(
            request, "processes/new.html", status, error=error, typed=typed, known=designs.startable(session)
        )


@router.post("/processes/new")
def begin(request: Request, context: Means, user: User, form: Form) -> Response:
    """Begin a new process; it is drawn next."""
    try:
        titles = form.get("title", ""), form.get("title_zh", "")
        row = designs.begin(context, user.caller, form.get("name", "").strip(), *titles, form.get("like", ""))
    except BadInput as why:
        return _new(request, context, user, form, 422, str(why))
    return RedirectResponse(f"/processes/draw/{row.name}?version={row.version}", 303)


@router.get("/processes/draw/{name}")
def draw(request: Request, context: Means, user: User, name: str, version: int | None = None) -> HTMLResponse:
    """The drawing of a process, to look at or to change."""
    with context.reading(user.caller, Action.READ_DESIGNS) as session:
        row = designs.version(session, name, version) if version else designs.active(session, name)
        content: dict[str, Any] = {
            "design": row,
            "newest": must(designs.newest_of(session, name)).version,
            "forms": [
                (one.kind, form_designs.parsed(one).title.here) for one in form_designs.active_ones(session)
            ],
            "deeds": DEED,
            "happenings": HAPPENING,
        }
        return page(request, "processes/draw.html", **content)


@router.get("/processes/draw/{name}/{version}.bpmn")
def drawing(context: Means, user: User, name: str, version: int) -> Response:
    """The drawing as a BPMN file."""
    with context.reading(user.caller, Action.READ_DESIGNS) as session:
        return Response(designs.version(session, name, version).drawing, media_type="application/xml")


@router.post("/processes/draw/{name}")
def publish(request: Request, context: Means, user: User, name: str, form: Form) -> Response:
    """Check a drawing (`act` check), or publish it as a new version. The faults, as a part of the page."""
    text = form.get("drawing", "")
    try:
        if form.get("act") == "publish":
            row = designs.publish(context, user.caller, name, text, form.get("note", ""), seen_in(form))
            message = _("Version {n} is in use; running processes keep theirs.").format(n=row.version)
            return page(request, "processes/verdict.html", faults=[], message=message)
        with context.reading(user.caller, Action.DESIGN) as session:
            faults = designs.judge(session, text)
    except BadInput as why:
        faults = [str(why)]
    return page(request, "processes/verdict.html", faults=faults, message="")


@router.post("/processes/activate/{name}/{version}")
def activate(context: Means, user: User, name: str, version: int, _form: Form) -> Response:
    """Take an earlier version into use again."""
    designs.activate(context, user.caller, name, version)
    return RedirectResponse("/processes?done=published", 303)
