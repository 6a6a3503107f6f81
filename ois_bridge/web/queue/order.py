"""The order of the queues: the rule in force, a new one, and what it would do to today's queue."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Refused, Unauthorised
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.queue.order import NUMBERS, Rule, checked_rule, longest_overtaking_min
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Context
from ois_bridge.services.queue import rules
from ois_bridge.services.queue.settings import active_rule, titles
from ois_bridge.web.render import page
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)


@router.get("/queue/order")
def order(request: Request, context: Means, user: User) -> HTMLResponse:
    """The versions, and a form for a new one."""
    return _page(request, context, user)


@router.post("/queue/order/preview")
def preview(request: Request, context: Means, user: User, form: Form) -> HTMLResponse:
    """What a rule would do to those who wait now; nothing is kept."""
    try:
        rule = checked_rule(_written(form))
    except BadInput as why:
        return _page(request, context, user, form, 422, str(why))
    return _page(request, context, user, form, rule=rule)


@router.post("/queue/order")
def add(request: Request, context: Means, user: User, form: Form) -> Response:
    """Keep a rule as a new version."""
    try:
        rules.add(context, user.caller, form.get("name", ""), _written(form))
    except BadInput as why:
        return _page(request, context, user, form, 422, str(why))
    return RedirectResponse("/queue/order", 303)


@router.post("/queue/order/{version}/activate")
def activate(request: Request, context: Means, user: User, version: int, _form: Form) -> Response:
    """Let a version order the queues."""
    try:
        rules.activate(context, user.caller, version)
    except Unauthorised:
        raise
    except Refused as why:
        return _page(request, context, user, None, 409, str(why))
    return RedirectResponse("/queue/order", 303)


def _written(form: Mapping[str, str]) -> dict[str, Any]:
    """The rule that a form says; empty fields are left out. Values are checked by the rule itself."""
    weights = {
        name.removeprefix("weight:"): value.strip()
        for name, value in form.items()
        if name.startswith("weight:") and value.strip()
    }
    content: dict[str, Any] = {"weights": weights} if form.get("kind") == "own" else {}
    if form.get("kind") == "own" and not weights:
        raise BadInput(_("An own rule needs at least one weight."))
    return content | {
        name: form[name].strip() for name in ("grace_min", "passed_min") if form.get(name, "").strip()
    }


def _page(
    request: Request,
    context: Context,
    user: WebUser,
    form: Mapping[str, str] | None = None,
    status: int = 200,
    error: str = "",
    rule: Rule | None = None,
) -> HTMLResponse:
    with context.reading(user.caller, Action.SET_QUEUE_RULE) as session:
        named = titles(session)
        seen = {device: rules.preview(context, session, device, rule) for device in named} if rule else {}
        return page(
            request,
            "queue/order.html",
            status,
            versions=rules.versions(session),
            active=active_rule(session),
            numbers=NUMBERS,
            form=form or {},
            seen=seen,
            titles=named,
            longest=longest_overtaking_min(rule) if rule else 0.0,
            error=error,
        )
