"""The whiteboard, and the monitor of physicists' plans."""

from datetime import datetime
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Refused
from common.text import _
from ois_bridge.domain.assignment import RULES
from ois_bridge.domain.permissions import Action
from ois_bridge.services.workflow import assigning, board, designs, log, monitor, processes
from ois_bridge.web.render import page, refusal, staff_name
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)
HAVE_PATIENTS = frozenset({"physician", "physicist"})
"""Roles whose people are in charge of patients or tasks of their own."""


@router.get("/board")
def whiteboard(
    request: Request, context: Means, user: User, process: str = processes.DEFAULT, whose: str = ""
) -> HTMLResponse:
    """Patients by where their process stands; without `whose`: one's own, of a role that has some."""
    whose = whose or ("mine" if HAVE_PATIENTS & user.caller.roles else "all")
    with context.reading(user.caller, Action.READ_TASKS) as session:
        content: dict[str, Any] = {
            "columns": board.columns(session, context, user.caller, process, whose),
            "names": designs.startable(session),
            "process": process,
            "whose": whose,
            "now": context.now(),
        }
        part = request.headers.get("hx-target") == "board"
        return page(request, "board/cards.html" if part else "board/board.html", **content)


@router.get("/assignment")
def plans(request: Request, context: Means, user: User) -> HTMLResponse:
    """Each physicist's current plans, and who got what and why."""
    return _plans(request, context, user)


def _plans(request: Request, context: Means, user: User, status: int = 200, error: str = "") -> HTMLResponse:
    with context.reading(user.caller, Action.ASSIGN_TASKS) as session:
        rule = assigning.rule()
        content: dict[str, Any] = {
            "people": monitor.people(session, context),
            "unassigned": monitor.unassigned(session),
            "notes": monitor.notes(session),
            "rule": RULES[rule.name],
            "rules": RULES,
            "reason": partial(log.reason, name=staff_name),
            "formula": rule.formula if rule.name == "hospital" else "",
            "now": context.now(),
        }
        return page(request, "assignment/monitor.html", status, error=error, **content)


@router.post("/assignment/give/{key}")
def give(request: Request, context: Means, user: User, key: str, form: Form) -> Response:
    """Give a task to a physicist by hand."""
    try:
        assigning.by_hand(context, user.caller, key, form.get("user", ""))
    except Refused as why:
        return _plans(request, context, user, refusal(why), str(why))
    return RedirectResponse("/assignment", 303)


@router.post("/assignment/staff/{name}")
def profile(request: Request, context: Means, user: User, name: str, form: Form) -> Response:
    """Specialities and absence of a physicist."""
    try:
        begins, ends = local_time(form.get("absent_from", "")), local_time(form.get("absent_until", ""))
        assigning.set_profile(context, user.caller, name, form.get("specialities", ""), begins, ends)
    except (Refused, BadInput) as why:
        return _plans(request, context, user, refusal(why), str(why))
    return RedirectResponse("/assignment", 303)


def local_time(text: str) -> datetime | None:
    """A local time of a page. Raises BadInput."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as why:
        raise BadInput(_("A time as 2026-11-23T08:00 is needed.")) from why
