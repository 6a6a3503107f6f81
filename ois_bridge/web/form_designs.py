"""The designer of forms: fields are added, ordered and removed in the browser; published as a new version."""

import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput
from common.text import _
from ois_bridge.domain import form_design
from ois_bridge.domain.form_design import KINDS
from ois_bridge.domain.permissions import Action
from ois_bridge.models.designs import FormDesign
from ois_bridge.services.forms import designs
from ois_bridge.services.patients import must
from ois_bridge.web.render import page
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)

NEW: dict[str, Any] = {
    "kind": "",
    "title": {"en": "", "zh": ""},
    "sections": [
        {
            "title": {"en": "Section", "zh": "栏目"},
            "fields": [{"name": "note", "kind": "long", "label": {"en": "Notes", "zh": "备注"}}],
        }
    ],
}


@router.get("/form-designs")
def all_designs() -> Response:
    """They stand on the page of processes and forms."""
    return RedirectResponse("/processes", 303)


def seen_in(form: Mapping[str, str]) -> int | None:
    """The newest version that the page of a design knew; None where it says nothing."""
    text = form.get("newest", "")
    return int(text) if text.isdecimal() and len(text) < 9 else None


@router.get("/form-designs/new")
def new(request: Request, context: Means, user: User) -> HTMLResponse:
    """An empty design."""
    with context.reading(user.caller, Action.DESIGN):
        return page(request, "designs/form.html", content=NEW, row=None, kinds=KINDS, may=True, newest=0)


@router.get("/form-designs/{key}")
def one(request: Request, context: Means, user: User, key: str) -> HTMLResponse:
    """A version of a design."""
    with context.reading(user.caller, Action.READ_DESIGNS) as session:
        row = must(session.get(FormDesign, key))
        may = user.caller.may(Action.DESIGN)
        newest = must(designs.newest_of(session, row.kind)).version
        return page(
            request, "designs/form.html", content=row.content, row=row, kinds=KINDS, may=may, newest=newest
        )


@router.post("/form-designs")
def publish(request: Request, context: Means, user: User, form: Form) -> Response:
    """Preview a design (`act` preview), or publish it. The preview or the fault, as a part of the page."""
    try:
        content = json.loads(form.get("design", ""))
        if form.get("act") == "publish":
            row = designs.publish(context, user.caller, content, form.get("note", ""), seen_in(form))
            message = _("Version {n} is in use; forms that exist keep theirs.").format(n=row.version)
            return page(request, "designs/preview.html", design=None, fault="", message=message)
        user.caller.check(Action.DESIGN)
        design = form_design.read(content)
    except (BadInput, ValueError, RecursionError) as why:
        text = str(why) if isinstance(why, BadInput) else _("This is no design of a form.")
        return page(request, "designs/preview.html", design=None, fault=text, message="")
    return page(request, "designs/preview.html", design=design, fault="", message="")


@router.post("/form-designs/activate/{kind}/{version}")
def activate(context: Means, user: User, kind: str, version: int, _form: Form) -> Response:
    """Take an earlier version into use again."""
    designs.activate(context, user.caller, kind, version)
    return RedirectResponse("/processes?done=published", 303)
