"""Forms: the page to fill one, made from its design; the page to read one; print; history."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy.orm import Session
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Refused, Tampered
from common.text import _, language
from ois_bridge.domain import form_content
from ois_bridge.domain.form_design import Design
from ois_bridge.domain.form_states import FORM_TABLE, FormEvent, FormState
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.process_steps import Deed
from ois_bridge.models.forms import FormRecord
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Context
from ois_bridge.services.forms import designs, printing, records, signing
from ois_bridge.services.patients import must
from ois_bridge.services.workflow import lists, rights, tasks
from ois_bridge.services.workflow.tasks import Verdict
from ois_bridge.web.render import page, refusal
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)

OWN_PAGES = {"course-summary": "/courses/{course}/summary"}
"""Forms that are filled on a page of another room."""


@router.get("/forms/of/{course_key}/{kind}")
def open_form(context: Means, user: User, course_key: str, kind: str, task: str = "") -> Response:
    """To the form of a kind that can be filled now; begun where there is none."""
    if kind in OWN_PAGES:
        user.caller.check(Action.READ_FORM)
        return RedirectResponse(OWN_PAGES[kind].format(course=course_key), 303)
    row = records.open_form(context, user.caller, course_key, kind)
    return RedirectResponse(f"/forms/{row.key}" + (f"?task={task}" if task.isalnum() else ""), 303)


@router.get("/forms/{key}.pdf")
def print_form(context: Means, user: User, key: str) -> Response:
    """A form on paper, in the language of the request."""
    content = printing.pdf(context, user.caller, key, language())
    return Response(content, media_type="application/pdf")


@router.get("/forms/{key}")
def one_form(request: Request, context: Means, user: User, key: str, done: str = "") -> Response:
    """A form, to fill or to read."""
    messages = {"saved": _("The form is saved."), "withdrawn": _("The form is withdrawn.")}
    return _form_page(request, context, user, key, done=messages.get(done, ""))


@router.post("/forms/{key}")
def keep(request: Request, context: Means, user: User, key: str, form: Form) -> Response:
    """Save, submit, sign or withdraw; what was typed stays where it is refused."""
    act = form.get("act", "save")
    try:
        if act == "withdraw":
            tasks.withdraw(context, user.caller, key, form.get("reason", ""))
            return RedirectResponse(f"/forms/{key}?done=withdrawn", 303)
        _save(context, user, key, form)
        if act == "save":
            return RedirectResponse(f"/forms/{key}?done=saved", 303)
        return _hand_in(context, user, key, form)
    except records.ChangedMeanwhile as why:
        return _form_page(request, context, user, key, 409, form, str(why), meanwhile=True)
    except (Refused, BadInput) as why:
        return _form_page(request, context, user, key, refusal(why), form, str(why))


def _save(context: Context, user: WebUser, key: str, form: Mapping[str, str]) -> None:
    with context.reading(user.caller, Action.READ_FORM) as session:
        row = must(session.get(FormRecord, key))
        design = designs.design_of(session, row.kind, row.version)
    number = form.get("revision", "")
    revision = int(number) if number.isdigit() and len(number) < 9 else 0
    records.save(context, user.caller, key, form_content.written(design, form), revision)


def _hand_in(context: Context, user: WebUser, key: str, form: Mapping[str, str]) -> Response:
    """Finish the task that waits for this form. Raises Refused where there is none."""
    with context.reading(user.caller, Action.READ_TASKS) as session:
        task = _task_of(session, must(session.get(FormRecord, key)))
        if task is None:
            raise Refused(_("No step of a process waits for this form; it is saved as a draft."))
        outcome = tasks.step_of(session, task).outcomes[0]
    tasks.finish(context, user.caller, task.key, Verdict(outcome, "", form.get("password", "")))
    return RedirectResponse("/tasks", 303)


def _task_of(session: Session, row: FormRecord) -> Any:
    """The open task that fills this form."""
    for task in lists.of_course(session, row.course_key):
        if task.form_kind == row.kind and task.deed in (Deed.FILL, Deed.SIGN):
            return task
    return None


def _form_page(
    request: Request,
    context: Context,
    user: WebUser,
    key: str,
    status: int = 200,
    typed: Mapping[str, str] | None = None,
    error: str = "",
    meanwhile: bool = False,
    done: str = "",
) -> Response:
    with context.reading(user.caller, Action.READ_FORM) as session:
        row = must(session.get(FormRecord, key))
        rights.check(session, context, user.caller, row.course_key)
        if row.kind in OWN_PAGES:
            return RedirectResponse(OWN_PAGES[row.kind].format(course=row.course_key), 303)
        design = designs.design_of(session, row.kind, row.version)
        editable = row.state in records.EDITABLE and user.caller.may(Action.WRITE_FORM)
        task = _task_of(session, row)
        content: dict[str, Any] = {
            "row": row,
            "design": design,
            "patient": row.course.patient,
            "editable": editable,
            "typed": typed or flat(design, row.content),
            "changes": records.changes(session, key),
            "event_name": {event.name: _(event.value) for event in FormEvent},
            "signs": task is not None and task.deed == Deed.SIGN,
            "waits": task is not None and task.role in user.caller.roles,
            "differs": _differs(design, typed or {}, row) if meanwhile else [],
            "may_withdraw": FormEvent.WITHDRAW in FORM_TABLE[row.state]
            and user.caller.may(Action.WRITE_FORM),
            "signature": _signature(context, row),
        }
        return _shown(request, status, content, error, done)


def _shown(request: Request, status: int, content: dict[str, Any], error: str, done: str) -> HTMLResponse:
    return page(request, "forms/one.html", status, error=error, done=done, **content)


def flat(design: Design, content: Mapping[str, Any]) -> dict[str, str]:
    """A content as the fields of a page."""
    fields: dict[str, str] = {}
    for one in design.fields:
        value = content.get(one.name)
        if one.kind == "doses" and isinstance(value, list):
            for number, row in enumerate(value):
                for column, cell in row.items():
                    shown = f"{cell:.10g}" if isinstance(cell, float) else str(cell)
                    fields[f"{one.name}.{number}.{column}"] = shown
        elif isinstance(value, bool):
            fields[one.name] = "yes" if value else "no"
        elif isinstance(value, float):
            fields[one.name] = f"{value:.10g}"
        elif value is not None:
            fields[one.name] = str(value)
    return fields


def _differs(design: Design, typed: Mapping[str, str], other: FormRecord) -> list[tuple[str, str, str]]:
    """Label, what was typed, what is kept, for every field in which they differ."""
    kept = flat(design, other.content)
    labels = {one.name: one.label.here for one in design.fields}
    names = sorted({*kept, *(name for name in typed if name.split(".")[0] in labels)})
    return [
        (labels[name.split(".")[0]], typed.get(name, ""), kept.get(name, ""))
        for name in names
        if typed.get(name, "").strip() != kept.get(name, "")
    ]


def _signature(context: Context, row: FormRecord) -> dict[str, Any]:
    """What the form's signature says now; `wrong` where it does not fit."""
    if not row.signature or row.state not in (FormState.APPROVED, FormState.WITHDRAWN):
        return {}
    try:
        said = signing.verify(context, row)
    except Tampered as why:
        return {"wrong": str(why)}
    return {"user": said.user, "time": said.time}
