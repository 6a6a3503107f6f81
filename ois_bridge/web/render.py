"""Templates to pages."""

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from common.errors import Unauthorised
from common.text import _, language
from ois_bridge.domain import alerts, causes, words
from ois_bridge.domain.identity import readable_date, readable_name
from ois_bridge.domain.permissions import Action
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.context import Context
from ois_bridge.web import menu

HERE = Path(__file__).parent
THE_SYSTEM = frozenset({"start", "chore", "ois"})
"""Who does what nobody asked for: see chores.py and what is made ready at the start."""
_NAMES: ContextVar[Mapping[str, str]] = ContextVar("names of the staff", default=MappingProxyType({}))
_PLACES: ContextVar[Mapping[str, Mapping[str, str]]] = ContextVar(
    "names of devices", default=MappingProxyType({})
)
"""Of the page that is being made."""


def _age(text: str) -> str:
    if len(text) != 8:
        return ""
    today = datetime.now().astimezone().date()
    birthday_ahead = f"{today:%m%d}" < text[4:]
    return str(today.year - int(text[:4]) - birthday_ahead)


def _person(name: str) -> str:
    """A name as the reader writes it."""
    return readable_name(name, chinese=language() == "zh")


def staff_name(user: str | None) -> str:
    """The full name of one of the staff; what is no account stays as it is."""
    name = _NAMES.get().get(user or "")
    return name or (_("the system") if user in THE_SYSTEM else user or "")


def _people(names: str) -> str:
    """People of a treatment, with ", " between them: accounts, or names as DICOM writes them."""
    return ", ".join(_person(one) if "^" in one else staff_name(one) for one in names.split(", ") if one)


def _place(device: str) -> str:
    """The title of a department's device; another machine's name stays as it is."""
    return _PLACES.get().get(device, {}).get(language(), device)


def _moment(time: datetime) -> str:
    """A time in the zone of this computer."""
    return f"{time.astimezone():%Y-%m-%d %H:%M}"


def _clock(time: datetime) -> str:
    return f"{time.astimezone():%H:%M:%S}"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        {"_": _, "Action": Action, "words": words, "version": version("ptcs"), "menu": menu.entries}
    )
    environment.filters.update(
        {"born": readable_date, "age": _age, "person": _person, "moment": _moment, "clock": _clock}
    )
    environment.filters.update(
        {"alerts": alerts.shown, "staff": staff_name, "people": _people, "place": _place}
    )
    return environment


ENVIRONMENT = _environment()


def refusal(why: Exception) -> int:
    """HTTP status of a refusal that is shown on the page it came from."""
    return 403 if isinstance(why, Unauthorised) else 409


def named(context: Context) -> None:
    """Give the templates that are filled from here on the names of people and devices."""
    now = context.now()
    _NAMES.set(context.names.staff.known(context.database, now))
    _PLACES.set(context.names.places.known(context.database, now))


def page(request: Request, template: str, status: int = 200, **content: Any) -> HTMLResponse:
    """A page in the language of the request."""
    user: WebUser | None = getattr(request.state, "web_user", None)
    frame: dict[str, Any] = {
        "lang": language(),
        "user": user,
        "here": request.url.path,
        "done": "",
        "error": "",
    }
    context = request.app.state.context
    trips = context.trips
    named(context)
    frame["cause"] = lambda words_: causes.readable(words_, trips)
    html = ENVIRONMENT.get_template(template).render({**frame, **content})
    return HTMLResponse(html, status)
