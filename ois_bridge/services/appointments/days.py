"""Holidays, make-up working days, periods and hours: what people edit, with what it does to the sheet."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import BadInput, Refused
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.scheduling import calendar
from ois_bridge.domain.scheduling.plan import (
    EFFECT_TEXT,
    KIND_TEXT,
    PARTICLE_TEXT,
    PURPOSE_TEXT,
    Effect,
)
from ois_bridge.models.scheduling import CalendarDay, DepartmentDevice, DevicePeriod
from ois_bridge.services import events
from ois_bridge.services.appointments import book, settings
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must

LONGEST_NAME = 60


@dataclass(frozen=True)
class PeriodText:
    """A period as a form says it: weekly (`weekdays`, `hours`, within days) or once (`start`, `finish`)."""

    device: str
    effect: str
    purpose: str
    kind: str = ""
    particle: str = ""
    weekdays: str = ""
    hours: str = ""
    first_day: str = ""
    last_day: str = ""
    start: datetime | None = None
    finish: datetime | None = None
    note: str = ""


def of_year(session: Session, year: int) -> Sequence[CalendarDay]:
    """Holidays and make-up working days of a year."""
    query = select(CalendarDay).where(CalendarDay.day.between(f"{year}-01-01", f"{year}-12-31"))
    return session.scalars(query.order_by(CalendarDay.day)).all()


def set_day(context: Context, caller: Caller, day: date, kind: str, name: str) -> CalendarDay:
    """Make a day a holiday or a working day. Raises BadInput."""
    if kind not in ("holiday", "workday") or not 1 <= len(name.strip()) <= LONGEST_NAME:
        raise BadInput(
            _("A day is a holiday or a workday, with a name of 1 to {n} characters.").format(n=LONGEST_NAME)
        )
    names = {"en": name.strip(), "zh": name.strip()}
    with context.permitted(caller, Action.EDIT_CALENDAR, day.isoformat(), kind) as session:
        row = settings.calendar_day(day, kind, names, context.now(), caller.user)
        session.merge(row)
        events.announce(session, "appointments")
    return row


def remove_day(context: Context, caller: Caller, day: str) -> None:
    """Let a day be as its weekday says. Raises NotFound."""
    with context.permitted(caller, Action.EDIT_CALENDAR, day, "removed") as session:
        session.delete(must(session.get(CalendarDay, day)))
        events.announce(session, "appointments")


def take_in_year(context: Context, caller: Caller, year: int) -> int:
    """Add the public holidays of China of a year, with the make-up days as far as they are published.

    Days in the table already stay as they are; returns how many were added.
    Raises Refused without the package `holidays`, BadInput for a year that it does not know.
    """
    if not 2002 <= year <= 2099:
        raise BadInput(_("Year: allowed are 2002 to 2099."))
    rows = public_days(year)
    with context.permitted(caller, Action.EDIT_CALENDAR, str(year), "public holidays") as session:
        there = {row.day for row in of_year(session, year)}
        new = [row for row in rows if row[0].isoformat() not in there]
        for day, kind, names in new:
            session.add(settings.calendar_day(day, kind, names, context.now(), caller.user))
        events.announce(session, "appointments")
    return len(new)


def public_days(year: int) -> list[tuple[date, str, Mapping[str, str]]]:
    """(day, kind, names) of a year, from the package `holidays`. Raises Refused where it is missing."""
    try:
        from holidays import country_holidays  # noqa: PLC0415 - not needed to start
    except ImportError as why:
        raise Refused(
            _("Public holidays need the package “holidays”; install the extra “department”, or enter them.")
        ) from why
    english = country_holidays("CN", years=year, language="en_US")
    chinese = country_holidays("CN", years=year, language="zh_CN")
    found: dict[date, tuple[str, Mapping[str, str]]] = {
        day: ("holiday", {"en": english[day][:LONGEST_NAME], "zh": chinese[day][:LONGEST_NAME]})
        for day in english
        if day.year == year
    }
    for day in getattr(english, "weekend_workdays", ()):
        if day.year == year:
            found[day] = ("workday", {"en": "Make-up working day", "zh": "调休上班"})
    return [(day, *found[day]) for day in sorted(found)]


def periods(session: Session) -> Sequence[DevicePeriod]:
    """Periods that are not over, weekly ones first."""
    rows = session.scalars(select(DevicePeriod).order_by(DevicePeriod.device, DevicePeriod.from_min)).all()
    return sorted(rows, key=lambda row: (row.start is not None, row.start or row.created))


def add_period(context: Context, caller: Caller, text: PeriodText) -> DevicePeriod:
    """Forbid, open or reserve a time of a device ("" for all). Raises BadInput."""
    row = _period(text)
    with context.permitted(caller, Action.EDIT_CALENDAR, text.device or "all", text.effect) as session:
        if text.device and session.get(DepartmentDevice, text.device) is None:
            raise BadInput(_("There is no device {name} in use.").format(name=text.device))
        row.created, row.created_by = context.now(), caller.user
        session.add(row)
        session.flush()
        events.announce(session, "appointments", text.device)
    return row


def _period(text: PeriodText) -> DevicePeriod:
    known = text.effect in EFFECT_TEXT and text.purpose in PURPOSE_TEXT
    if not known or text.kind not in ("", *KIND_TEXT) or text.particle not in ("", *PARTICLE_TEXT):
        raise BadInput(_("Period: choose effect, purpose, kind and particle from the lists."))
    if text.effect == Effect.RESERVED and not (text.kind or text.particle):
        raise BadInput(_("Period: say which kind or particle the time is kept for."))
    row = DevicePeriod(
        device=text.device,
        effect=text.effect,
        purpose=text.purpose,
        kind=text.kind,
        particle=text.particle,
        note=text.note.strip()[:200],
    )
    if text.start and text.finish:
        if text.finish <= text.start:
            raise BadInput(_("Period: its end lies after its beginning."))
        row.start, row.finish = text.start, text.finish
        return row
    spans = calendar.spans_of(text.hours)
    if len(spans) != 1 or not text.weekdays or not set(text.weekdays) <= set("1234567"):
        raise BadInput(
            _("Period: weekdays with one span like 08:00-12:00 are needed, or a day and time from and to.")
        )
    for day in filter(None, (text.first_day, text.last_day)):
        _date(day)
    row.weekdays, (row.from_min, row.to_min) = "".join(sorted(set(text.weekdays))), spans[0]
    row.first_day, row.last_day = text.first_day, text.last_day
    return row


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as why:
        raise BadInput(_("Day: a date as YYYY-MM-DD is needed.")) from why


def remove_period(context: Context, caller: Caller, key: str) -> None:
    """Take a period away. Raises NotFound."""
    with context.permitted(caller, Action.EDIT_CALENDAR, key, "removed") as session:
        session.delete(must(session.get(DevicePeriod, key)))
        events.announce(session, "appointments")


def set_device(
    context: Context, caller: Caller, name: str, hours: Mapping[int, str], active: bool, capacity: int
) -> None:
    """Change a device's hours, its capacity, and whether it is in use. Raises BadInput, NotFound.

    Booked visits that no longer fit stay on the sheet; `replan.conflicts` lists them.
    """
    if not 1 <= capacity <= 500:
        raise BadInput(_("Capacity: 1 to 500 visits a day."))
    kept = {
        str(day): calendar.text_of(calendar.spans_of(text)) for day, text in hours.items() if text.strip()
    }
    with context.permitted(caller, Action.EDIT_CALENDAR, name, "device") as session:
        row = must(session.get(DepartmentDevice, name))
        row.hours, row.active, row.capacity = json.dumps(kept), active, capacity
        events.announce(session, "appointments", name)


def horizon(context: Context) -> tuple[date, date]:
    """The days that are looked at for conflicts: today and a year ahead."""
    today = book.day_of(context.now())
    return today, today + timedelta(days=366)
