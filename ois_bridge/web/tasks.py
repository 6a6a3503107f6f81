"""To-do (待办工作) and done (已办工作): lists, counts, and the panel beside in which a task is handled."""

from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from markupsafe import Markup
from sqlalchemy.orm import Session
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Refused
from common.text import _, language
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.process_steps import OUTCOME, WITH_FORM, Deed
from ois_bridge.models.workflow import Task
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Context
from ois_bridge.services.forms import designs, records
from ois_bridge.services.patients import must
from ois_bridge.services.workflow import lists, rights, tasks
from ois_bridge.services.workflow.lists import Wish
from ois_bridge.services.workflow.open_tasks import Row
from ois_bridge.services.workflow.tasks import Verdict
from ois_bridge.web.render import ENVIRONMENT, page, refusal
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)

WISHES = ("text", "step", "physician", "technique", "diagnosis", "source", "sex", "whose")


def wish_of(fields: Any) -> Wish:
    """What a list is narrowed to, from an address or a form."""
    number = str(fields.get("page", "1"))
    return Wish(
        **{name: str(fields.get(name, ""))[:80] for name in WISHES},
        page=int(number) if number.isdigit() and len(number) < 6 else 1,
    )


def query_of(wish: Wish) -> str:
    """The address of a list that is narrowed so, without its page."""
    return urlencode({name: getattr(wish, name) for name in WISHES})


def _by_account(context: Context, wish: Wish) -> Wish:
    """The wish with the account of the physician whose full name was typed."""
    names = context.names.staff.known(context.database, context.now())
    users = [user for user, name in names.items() if name == wish.physician.strip()]
    return replace(wish, physician=users[0]) if users else wish


@lru_cache(maxsize=8192)
def _row(task: Row, lang: str, query: str, late: bool, doctor: str, assignee: str) -> Markup:
    """A row of the list. What is shown follows from the arguments alone: the same ones are shown the same."""
    row = ENVIRONMENT.get_template("tasks/row.html")
    return Markup(row.render(task=task, lang=lang, query=query, late=late, doctor=doctor, assignee=assignee))  # noqa: S704 - escaped


@router.get("/tasks")
def to_do(request: Request, context: Means, user: User) -> HTMLResponse:
    """What waits for the user."""
    part = request.headers.get("hx-target") == "work"
    return _to_do(request, context, user, wish_of(request.query_params), part=part)


def _to_do(
    request: Request,
    context: Context,
    user: WebUser,
    wish: Wish,
    part: bool = False,
    done: str = "",
) -> HTMLResponse:
    with context.reading(user.caller, Action.READ_TASKS) as session:
        found, counts = lists.to_do_and_counts(session, context, user.caller, _by_account(context, wish))
        now, query = context.now(), query_of(wish)
        lang, names = language(), context.names.staff.known(context.database, now)
        rows = (
            _row(
                task,
                lang,
                query,
                task.due is not None and task.due < now,
                names.get(task.physician, task.physician),
                names.get(task.assignee, task.assignee),
            )
            for task in found.tasks
        )
        content: dict[str, Any] = {
            "found": found,
            "rows": Markup("").join(rows),
            "query": query,
            "counts": counts,
            "wish": wish,
        }
        template = "tasks/work.html" if part else "tasks/to_do.html"
        return page(request, template, done=done, **content)


@router.get("/tasks/done")
def done(request: Request, context: Means, user: User) -> HTMLResponse:
    """What the user did."""
    wish = wish_of(request.query_params)
    with context.reading(user.caller, Action.READ_TASKS) as session:
        content: dict[str, Any] = {
            "found": lists.done(session, context, user.caller, _by_account(context, wish)),
            "counts": lists.done_counts(session, user.caller),
            "wish": wish,
            "outcomes": OUTCOME,
        }
        return page(request, "tasks/done.html", **content)


@router.get("/tasks/count")
def count(request: Request, context: Means, user: User) -> HTMLResponse:
    """The number in the menu."""
    with context.reading(user.caller, Action.READ_TASKS) as session:
        return page(request, "tasks/count.html", number=lists.waiting(session, context, user.caller))


@router.get("/tasks/{key}")
def one(request: Request, context: Means, user: User, key: str) -> HTMLResponse:
    """A task with its form: the panel beside the list, or a page of its own."""
    part = request.headers.get("hx-target") == "beside"
    return _one(request, context, user, key, wish_of(request.query_params), part)


def _one(
    request: Request,
    context: Context,
    user: WebUser,
    key: str,
    wish: Wish,
    part: bool,
    status: int = 200,
    error: str = "",
) -> HTMLResponse:
    with context.reading(user.caller, Action.READ_TASKS) as session:
        task = must(session.get(Task, key))
        rights.check(session, context, user.caller, task.course_key)
        content = _panel(session, context, user, task)
        template = "tasks/panel.html" if part else "tasks/one.html"
        return page(request, template, status, task=task, wish=wish, part=part, error=error, **content)


def _panel(session: Session, context: Context, user: WebUser, task: Task) -> dict[str, Any]:
    step = tasks.step_of(session, task)
    form = tasks.form_of(session, task) if user.caller.may(Action.READ_FORM) else None
    shown = step.deed is not Deed.FILL or (form is not None and form.state not in records.EDITABLE)
    return {
        "step": step,
        "form": form if shown else None,
        "begun": form,
        "design": designs.design_of(session, form.kind, form.version) if form is not None else None,
        "patient": task.course.patient,
        "outcomes": OUTCOME,
        "fills": step.deed in (Deed.FILL, Deed.SIGN),
        "with_form": step.deed in WITH_FORM,
        "signs": step.signed or step.deed is Deed.SIGN,
        "mine": task.assignee in ("", user.caller.user) and task.role in user.caller.roles,
        "now": context.now(),
    }


@router.post("/tasks/{key}/{deed}")
def act(request: Request, context: Means, user: User, key: str, deed: str, form: Form) -> Response:
    """Take, give back or finish a task; the list follows."""
    deeds = {
        "take": lambda: tasks.take(context, user.caller, key),
        "give-back": lambda: tasks.give_back(context, user.caller, key),
        "finish": lambda: tasks.finish(
            context,
            user.caller,
            key,
            Verdict(form.get("outcome", ""), form.get("comment", ""), form.get("password", "")),
        ),
    }
    if deed not in deeds:
        raise BadInput(_("A task is taken, given back or finished."))
    wish = wish_of(form)
    partial = request.headers.get("hx-request") == "true"
    try:
        deeds[deed]()
    except Refused as why:
        if partial:
            raise
        return _one(request, context, user, key, wish, False, refusal(why), str(why))
    if deed == "take" and partial:
        return _one(request, context, user, key, wish, True)
    if partial:
        message = _("Done. The next step is on its way.") if deed == "finish" else _("Given back.")
        return _to_do(request, context, user, wish, part=True, done=message)
    return RedirectResponse("/tasks", 303)
