"""The list of patients: one box, quick filters, rules, saved lists, columns, export; and text in forms.

What was searched for never stands in an address: a search is remembered and its page named by a key.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from markupsafe import Markup
from sqlalchemy.orm import Session
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.errors import BadInput, Refused, Unauthorised
from common.text import _, language
from ois_bridge.domain import rules
from ois_bridge.domain.list_columns import COLUMNS, MOST
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.rules import FIELDS, OPERATORS, SOURCE, STATE
from ois_bridge.models.clinical import Patient
from ois_bridge.services import registration
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.appointments import book
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.forms import designs
from ois_bridge.services.search import export, find, rows, saved, text
from ois_bridge.services.search.saved import Search
from ois_bridge.web.render import ENVIRONMENT, page
from ois_bridge.web.session import Form, Means, User

router = APIRouter(include_in_schema=False)
LONGEST_RULES = 20_000
EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
DONE = {
    "saved": lambda: _("The list is saved."),
    "removed": lambda: _("The saved list is removed."),
    "columns": lambda: _("The columns are kept."),
}


@router.get("/patients")
def list_patients(
    request: Request, context: Means, user: User, search: str = "", done: str = ""
) -> HTMLResponse:
    """The newest patients, or those of a search: its key, or (from elsewhere) the text itself."""
    message = DONE[done]() if done in DONE else ""
    return _list_page(request, context, user, search, done=message)


@router.post("/patients/search")
def search_patients(request: Request, context: Means, user: User, form: Form) -> Response:
    """Remember a search and go to its page."""
    try:
        written = form.get("rules") or "null"
        group = json.loads(written) if len(written) <= LONGEST_RULES else "too long"
        wanted = saved.read(form.get("text", ""), form.get("scope", ""), form, group)
    except (BadInput, ValueError) as why:
        error = str(why) if isinstance(why, BadInput) else _("Rules: they cannot be read; build them anew.")
        return _list_page(request, context, user, "", 422, error=error)
    if wanted.empty:
        return RedirectResponse("/patients", 303)
    return RedirectResponse(f"/patients?search={saved.remember(context, user.caller, wanted)}", 303)


@router.post("/patients/more")
def more(request: Request, context: Means, user: User, form: Form) -> HTMLResponse:
    """The next rows of a list, for the place of the button that asked."""
    with context.reading(user.caller, Action.READ_PATIENTS) as session:
        key = form.get("search", "")
        wanted = _wanted(session, user.caller, key)
        content = _found(session, user.caller, wanted, form.get("after", ""))
        name = "patients/hits.html" if wanted.scope == "forms" else "patients/rows.html"
        return page(request, name, key=key, **content)


@router.post("/patients/lists")
def save_list(request: Request, context: Means, user: User, form: Form) -> Response:
    """Keep a search under a name."""
    key = form.get("search", "")
    try:
        with context.reading(user.caller, Action.READ_PATIENTS) as session:
            wanted = _wanted(session, user.caller, key)
        new = saved.keep(context, user.caller, form.get("name", ""), bool(form.get("shared")), wanted)
    except Unauthorised:
        raise
    except (BadInput, Refused) as why:
        return _list_page(request, context, user, key, 422, error=str(why))
    return RedirectResponse(f"/patients?search={new}&done=saved", 303)


@router.post("/patients/lists/{key}/remove")
def remove_list(context: Means, user: User, key: str, _form: Form) -> Response:
    """Remove one's own saved list."""
    saved.forget(context, user.caller, key)
    return RedirectResponse("/patients?done=removed", 303)


@router.post("/patients/columns")
def choose_columns(request: Request, context: Means, user: User, form: Form) -> Response:
    """Keep the columns that a user chose, or go back to those of the workplace."""
    chosen = [name.removeprefix("column:") for name in form if name.startswith("column:")]
    key = form.get("search", "")
    try:
        if not chosen and not form.get("standard"):
            raise BadInput(_("Columns: choose 1 to {n} of the list.").format(n=MOST))
        saved.choose_columns(context, user.caller, [] if form.get("standard") else chosen)
    except BadInput as why:
        return _list_page(request, context, user, key, 422, error=str(why))
    return RedirectResponse(f"/patients?search={key}&done=columns", 303)


@router.get("/patients/export.{kind}")
def export_list(context: Means, user: User, kind: str, search: str = "") -> Response:
    """The list as a sheet: kind xlsx or csv."""
    with context.reading(user.caller, Action.READ_PATIENTS) as session:
        wanted = _wanted(session, user.caller, search)
    if kind not in ("xlsx", "csv"):
        raise BadInput(_("Export: allowed are xlsx and csv."))
    lines = export.table(context, user.caller, wanted)
    content = export.as_excel(lines) if kind == "xlsx" else export.as_csv(lines)
    headers = {"Content-Disposition": f'attachment; filename="patients.{kind}"'}
    media = EXCEL if kind == "xlsx" else "text/csv; charset=utf-8"
    return Response(content, media_type=media, headers=headers)


def _list_page(
    request: Request, context: Context, user: WebUser, key: str, status: int = 200, **messages: str
) -> HTMLResponse:
    with context.reading(user.caller, Action.READ_PATIENTS) as session:
        wanted = _wanted(session, user.caller, key)
        kept = saved.load(session, user.caller, key)
        content = {
            "key": key if kept else "",
            "wanted": wanted,
            "quick": {name: wanted.quick.get(name, "") for name in saved.QUICK},
            "named": kept[1] if kept and kept[1].name else None,
            "lists": saved.lists(session, user.caller),
            "visible": saved.visible(user.caller),
            "physicians": registration.physicians(session),
            "sources": SOURCE,
            "states": STATE,
            "devices": _devices(session),
            "builder": json.dumps(_builder(_devices(session))),
            "column_text": {name: column.text for name, column in COLUMNS.items()},
            "rules": json.dumps(rules.written(wanted.group)),
            **_found(session, user.caller, wanted, ""),
        }
        return page(request, "patients/page.html", status, **content, **messages)


def _wanted(session: Session, caller: Caller, key: str) -> Search:
    kept = saved.load(session, caller, key)
    return kept[0] if kept else saved.read(key, "patients", {}, None)


def _found(session: Session, caller: Caller, wanted: Search, after: str) -> dict[str, Any]:
    """What a search finds from a place on: rows of patients, or patients with forms."""
    columns = saved.columns(session, caller)
    heading = [(name, COLUMNS[name].text) for name in columns]
    if wanted.scope == "forms":
        caller.check(Action.SEARCH_FORMS)
        hits = text.find(session, wanted.text, int(after) if after.isdecimal() else 0)
        names = {row.kind: designs.parsed(row).title for row in designs.active_ones(session)}
        return {
            "hits": hits.patients,
            "after": str(hits.after or ""),
            "columns": heading,
            "found": [],
            "form_names": {kind: title.here for kind, title in names.items()},
        }
    doctors = export.doctors(session)
    listed = find.page(session, saved.query_of(wanted), after)
    today = f"{datetime.now().astimezone():%Y%m%d}"
    shown = (_shown(patient, heading, rows.cells(patient, columns, doctors)) for patient in listed.patients)
    return {
        "found": [_row(row, language(), today) for row in shown],
        "after": listed.after,
        "columns": heading,
        "hits": [],
    }


class _Course(NamedTuple):
    """One of several courses of a patient."""

    name: str
    diagnosis: str
    state: str
    created: datetime


class _Shown(NamedTuple):
    """All that a row of the list shows. `cells`: column, its heading, what stands in it."""

    key: str
    name: str
    birth_date: str
    courses: tuple[_Course, ...]
    cells: tuple[tuple[str, str, str], ...]


def _shown(patient: Patient, heading: Sequence[tuple[str, str]], cells: Mapping[str, str]) -> _Shown:
    several = patient.courses if len(patient.courses) > 1 else ()
    courses = tuple(_Course(c.name, c.diagnosis_text, c.state.value, c.created) for c in reversed(several))
    row = tuple((name, text, cells[name]) for name, text in heading)
    return _Shown(patient.key, patient.name, patient.birth_date, courses, row)


@lru_cache(maxsize=4096)
def _row(row: _Shown, _language: str, _today: str) -> Markup:
    """A row of the list. What is shown follows from the arguments alone (ages from the day): the same ones
    are shown the same.
    """
    template = ENVIRONMENT.get_template("patients/row.html")
    return Markup(template.render(row=row))  # noqa: S704 - escaped inside


def _devices(session: Session) -> dict[str, str]:
    """The department's devices: name -> title, in the order of the sheet."""
    return {name: device.title[language()] for name, device in book.devices(session).items()}


def _builder(devices: Mapping[str, str]) -> Mapping[str, Any]:
    """Fields and operators for the script of the rule builder, in the language in force."""

    def told(choices: Mapping[str, str]) -> dict[str, str]:
        return {code: _(word) for code, word in choices.items()}

    return {
        "fields": {
            name: {
                "text": _(field.text),
                "kind": field.kind,
                "of": field.of,
                "choices": told(field.choices) if field.choices else devices if name == "device" else None,
            }
            for name, field in FIELDS.items()
        },
        "operators": {kind: told(operators) for kind, operators in OPERATORS.items()},
    }
