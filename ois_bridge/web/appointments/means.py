"""What the pages of the sheet share: words for their choices, and fragments for dialogs."""

from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from sqlalchemy.orm import Session
from starlette.responses import HTMLResponse

from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.scheduling.constraints import title
from ois_bridge.domain.scheduling.plan import KIND_TEXT, PARTICLE_TEXT
from ois_bridge.domain.words import N_
from ois_bridge.services.accounts import WebUser
from ois_bridge.services.appointments import book, settings
from ois_bridge.services.appointments.cards import SYMBOL
from ois_bridge.services.appointments.sheet import Choice
from ois_bridge.web.render import page

VIEWS = {"day": N_("Day"), "three": N_("3 days"), "week": N_("Week")}
COLOURS = {"disease": N_("disease"), "doctor": N_("doctor"), "state": N_("state")}
DAY_NAMES = (N_("Mon"), N_("Tue"), N_("Wed"), N_("Thu"), N_("Fri"), N_("Sat"), N_("Sun"))


def weekday(day: date) -> str:
    """Short name of a day of the week."""
    return _(DAY_NAMES[day.weekday()])


def weekday_of(day: str) -> str:
    """Short name of the day of the week of a date as YYYY-MM-DD."""
    return weekday(date.fromisoformat(day))


def next_quarter(day: date, now: datetime, otherwise: str) -> str:
    """Where a form of a day begins, as YYYY-MM-DDTHH:MM: `otherwise` (HH:MM), or the next quarter of an hour
    where that is over.
    """
    begins = datetime.fromisoformat(f"{day.isoformat()}T{otherwise}")
    here = local(now).replace(tzinfo=None)
    if here.date() != day or here <= begins:
        return f"{begins:%Y-%m-%dT%H:%M}"
    ahead = here.replace(minute=here.minute // 15 * 15, second=0) + timedelta(minutes=15)
    return f"{ahead if ahead.date() == day else here:%Y-%m-%dT%H:%M}"


def clock(minute: int) -> str:
    """Time of day of a minute of the sheet; past midnight it begins anew."""
    return f"{minute // 60 % 24:02d}:{minute % 60:02d}"


def local(at: datetime) -> datetime:
    """An instant in the zone of the sheet."""
    return at.astimezone(settings.rules().zone)


def moment_of(text: str) -> str:
    """An ISO 8601 time as day and time of the sheet."""
    return f"{local(datetime.fromisoformat(text)):%Y-%m-%d %H:%M}"


def words() -> dict[str, Any]:
    """Names and functions that the templates use."""
    return {
        "views": VIEWS,
        "colours": COLOURS,
        "symbols": SYMBOL,
        "kind_text": KIND_TEXT,
        "particle_text": PARTICLE_TEXT,
        "kinds": list(KIND_TEXT),
        "particles": list(PARTICLE_TEXT),
        "weekday": weekday,
        "weekday_of": weekday_of,
        "clock": clock,
        "local": local,
        "device_title": title,
        "slot": settings.rules().slot,
    }


def is_fragment(request: Request) -> bool:
    """Whether a dialog asks for its content alone."""
    return request.headers.get("x-fragment") == "1"


def show(request: Request, template: str, status: int = 200, **content: Any) -> HTMLResponse:
    """A page of the sheet, or the content of its dialog."""
    return page(
        request, f"appointments/{template}", status, fragment=is_fragment(request), **words(), **content
    )


def devices_of(session: Session) -> dict[str, Any]:
    """Devices in use, by name."""
    return {name: device for name, device in book.devices(session).items() if device.active}


def address(choice: Choice, **changes: str) -> str:
    """Address of the sheet with a choice, some of it changed."""
    return f"/appointments?{query(choice, **changes)}"


def query(choice: Choice, **changes: str) -> str:
    """The choice as the query of an address."""
    values = {
        "day": choice.day.isoformat(),
        "view": choice.view,
        "devices": choice.devices,
        "colour": choice.colour,
        **({"mine": "1"} if choice.mine else {}),
        **changes,
    }
    return urlencode(values)


def rights(user: WebUser) -> dict[str, bool]:
    """What the buttons of the sheet ask."""
    return {
        "may_book": user.caller.may(Action.BOOK_APPOINTMENT) or user.caller.may(Action.BOOK_QA),
        "may_move": user.caller.may(Action.BOOK_APPOINTMENT) or user.caller.may(Action.BOOK_QA),
        "may_plan": user.caller.may(Action.PLAN_SHEET),
        "may_edit": user.caller.may(Action.EDIT_CALENDAR),
    }
