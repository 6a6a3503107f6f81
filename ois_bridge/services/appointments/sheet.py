"""The sheet as it is shown: days, devices, the cards on them."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import BadInput
from common.text import _, language
from ois_bridge.domain.scheduling import calendar, sheet
from ois_bridge.domain.scheduling.constraints import title
from ois_bridge.domain.scheduling.plan import (
    PURPOSE_TEXT,
    Book,
    Device,
    Effect,
    Kind,
    Span,
    minute_of,
)
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.scheduling import CalendarDay
from ois_bridge.services.appointments import book, settings
from ois_bridge.services.appointments.cards import Key, Shown, cards_of

VIEWS = ("day", "three", "week")


@dataclass(frozen=True)
class Head:
    """A column: its device and day."""

    day: date
    device: str
    title: str


@dataclass(frozen=True)
class Day:
    """A day's heading over `span` columns, with the name of a holiday."""

    day: date
    span: int
    name: str
    working: bool


@dataclass
class View:
    """A sheet ready to be drawn, with the book that it was made of."""

    days: list[Day]
    heads: list[Head]
    table: sheet.Table
    cards: list[Shown]
    legend: list[Key]
    previous: date
    following: date
    held: Book
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """What to show. `devices`: "rooms" (treatment), "all", or a name. `mine`: whose patients stand out."""

    day: date
    view: str = "day"
    colour: str = "disease"
    devices: str = "rooms"
    mine: str = ""


def days_of(working: Mapping[date, bool], used: Set[date], choice: Choice) -> list[date]:
    """The days of a view: one, three working days, or the week (Saturday and Sunday where they are worked).

    `working`: as in `book.working`; `used`: days with visits. Raises BadInput for another view.
    """
    if choice.view == "day":
        return [choice.day]
    if choice.view == "three":
        return calendar.working_days(working, choice.day, 3)
    if choice.view != "week":
        raise BadInput(_("View: allowed are {names}.").format(names=", ".join(VIEWS)))
    monday = choice.day - timedelta(days=choice.day.weekday())
    week = [monday + timedelta(days=n) for n in range(7)]
    return [day for day in week if day.weekday() < 5 or calendar.is_working(working, day) or day in used]


def shown_days(session: Session, choice: Choice) -> list[date]:
    """The days of a view, from the database. Raises BadInput."""
    return _days_and_book(session, choice)[0]


def _days_and_book(session: Session, choice: Choice) -> tuple[list[date], Book, Sequence[Appointment]]:
    """The days of a view, the book of them and of the days beside them, and its rows. Raises BadInput."""
    working = book.working(session)
    first = last = choice.day
    if choice.view == "week":
        first = choice.day - timedelta(days=choice.day.weekday())
        last = first + timedelta(days=6)
    elif choice.view == "three":
        last = days_of(working, set(), choice)[-1]
    rows = book.between(session, first - timedelta(days=1), last + timedelta(days=1))
    days = days_of(working, {book.day_of(row.start) for row in rows}, choice)
    return days, book.of_rows(session, rows, working), rows


def view(session: Session, choice: Choice) -> View:
    """The sheet of a choice. Raises BadInput."""
    days, held, all_rows = _days_and_book(session, choice)
    devices = _devices(held, choice)
    names = {device.name for device in devices}
    rows = [row for row in all_rows if row.device in names and book.day_of(row.start) in days]
    cards, legend = cards_of(session, rows, choice.colour, choice.mine)
    heads = [Head(day, device.name, title(device)) for day in days for device in devices]
    columns = [_column(held, head, held.devices[head.device], rows) for head in heads]
    step = {"day": 1, "three": 3, "week": 7}[choice.view]
    return View(
        days=_headings(session, held, days, len(devices)),
        heads=heads,
        table=sheet.table(columns, held.rules.slot),
        cards=cards,
        legend=legend,
        previous=choice.day - timedelta(days=step),
        following=choice.day + timedelta(days=step),
        held=held,
        counts={"visits": len(rows), "patients": len({row.patient_key for row in rows if row.patient_key})},
    )


def _devices(held: Book, choice: Choice) -> list[Device]:
    active = [device for device in held.devices.values() if device.active]
    if choice.devices == "all":
        return active
    if choice.devices == "rooms":
        rooms = [device for device in active if Kind.TREATMENT in device.kinds]
        return rooms or active
    chosen = [device for device in held.devices.values() if device.name == choice.devices]
    if not chosen:
        raise BadInput(_("Devices: allowed are rooms, all, {names}.").format(names=", ".join(held.devices)))
    return chosen


def _column(held: Book, head: Head, device: Device, rows: Sequence[Appointment]) -> sheet.Column:
    def block(span: Span, text: str = "") -> sheet.Block:
        zone = held.rules.zone
        return sheet.Block(minute_of(head.day, span.start, zone), minute_of(head.day, span.end, zone), text)

    blocked = []
    for period, span in calendar.effects(held, device.name, head.day, Effect.FORBIDDEN):
        text = _(PURPOSE_TEXT[period.purpose]) + (f": {period.note}" if period.note else "")
        blocked.append(block(span, text))
    cards = [
        sheet.Card(minute_of(head.day, row.start, held.rules.zone), row.minutes, index)
        for index, row in enumerate(rows)
        if row.device == device.name and book.day_of(row.start) == head.day
    ]
    return sheet.Column([block(span) for span in calendar.open_spans(held, device, head.day)], blocked, cards)


def _headings(session: Session, held: Book, days: Sequence[date], span: int) -> list[Day]:
    wanted = [day.isoformat() for day in days]
    names = {
        row.day: row.name_zh if language() == "zh" else row.name_en
        for row in session.scalars(select(CalendarDay).where(CalendarDay.day.in_(wanted)))
    }
    return [
        Day(day, span, names.get(day.isoformat(), ""), calendar.is_working(held.days, day)) for day in days
    ]


def parse_day(text: str, otherwise: date) -> date:
    """A day as YYYY-MM-DD; `otherwise` where the text is empty. Raises BadInput."""
    try:
        found = date.fromisoformat(text) if text else otherwise
    except ValueError as why:
        raise BadInput(_("Day: a date as YYYY-MM-DD is needed.")) from why
    if not 2000 <= found.year <= 2199:
        raise BadInput(_("Day: a date between 2000 and 2199 is needed."))
    return found


def parse_moment(text: str) -> datetime:
    """A time of the sheet as YYYY-MM-DDTHH:MM, in its zone. Raises BadInput."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as why:
        raise BadInput(_("Time: a day and a time as YYYY-MM-DDTHH:MM are needed.")) from why
    if not 2000 <= found.year <= 2199:
        raise BadInput(_("Day: a date between 2000 and 2199 is needed."))
    return found if found.tzinfo else found.replace(tzinfo=settings.rules().zone)
