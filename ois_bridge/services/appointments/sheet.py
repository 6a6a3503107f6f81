"""The sheet as it is shown: days, devices, cards with their short texts and colours."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from textwrap import shorten

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import BadInput
from common.text import _, language
from ois_bridge.domain.alerts import Alert
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.identity import readable_name
from ois_bridge.domain.scheduling import calendar, sheet
from ois_bridge.domain.scheduling.constraints import title
from ois_bridge.domain.scheduling.plan import (
    KIND_TEXT,
    PARTICLE_SIGN,
    PARTICLE_TEXT,
    PURPOSE_TEXT,
    Book,
    Device,
    Effect,
    Kind,
    Span,
    minute_of,
)
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Prescription
from ois_bridge.models.scheduling import CalendarDay
from ois_bridge.services import alerts, deliveries, staff_names
from ois_bridge.services.appointments import book, settings

VIEWS = ("day", "three", "week")
COLOURS = ("disease", "doctor", "state")
HUES = 10
SYMBOL = {
    AppointmentState.BOOKED: "○",
    AppointmentState.SIGNED_IN: "◔",
    AppointmentState.CALLED: "◑",
    AppointmentState.IN_ROOM: "◕",
    AppointmentState.DONE: "●",
}


@dataclass(frozen=True)
class Shown:
    """One card: texts, and which colour it has. `mine`: the looker's own patient, or no filter is on.

    `plan`: its label; `partial`: the fraction was begun and is not whole.
    """

    key: str
    revision: int
    name: str
    time: str
    kind: str
    fraction: str
    particle: str
    particle_text: str
    disease: str
    doctor: str
    state: AppointmentState
    symbol: str
    alerts: Sequence[Alert]
    hue: int
    movable: bool
    mine: bool
    plan: str
    partial: bool


@dataclass(frozen=True)
class Head:
    """A column: its device and day; `first`, `span`: of the day's heading."""

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


@dataclass(frozen=True)
class Key:
    """A line of the legend."""

    hue: int
    text: str
    count: int


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
    cards, legend = _cards(session, rows, choice)
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


def _cards(session: Session, rows: Sequence[Appointment], choice: Choice) -> tuple[list[Shown], list[Key]]:
    by, names = _colouring(choice.colour), staff_names.read(session)
    meant = [by(row) for row in rows]
    counts = Counter(meant)
    hues = {value: number % HUES for number, value in enumerate(sorted(counts))}
    totals, named = _fractions(session, rows), deliveries.named(session, rows)
    shown = [
        _shown(row, hues[value], totals, choice.mine, named.get(row.key), names)
        for row, value in zip(rows, meant, strict=True)
    ]
    return shown, [Key(hue, names.get(value, value), counts[value]) for value, hue in hues.items()]


def _colouring(colour: str) -> Callable[[Appointment], str]:
    """What the colours mean. Raises BadInput."""
    ways: dict[str, Callable[[Appointment], str]] = {
        "disease": disease,
        "doctor": lambda row: (row.course.physician if row.course else "") or _("no doctor"),
        "state": lambda row: _(row.state.value),
    }
    if colour not in ways:
        raise BadInput(_("Colour: allowed are {names}.").format(names=", ".join(COLOURS)))
    return ways[colour]


def disease(row: Appointment) -> str:
    """Short text of what is treated; the kind of a visit without a course."""
    if row.course is None:
        return _(KIND_TEXT[row.kind])
    return shorten(row.course.diagnosis_text or row.course.name, 32, placeholder="…")


def _fractions(session: Session, rows: Sequence[Appointment]) -> dict[str, int]:
    """Fractions prescribed by course: those of its newest prescription."""
    courses = {row.course_key for row in rows if row.course_key}
    query = (
        select(Prescription.course_key, Prescription.fractions)
        .where(Prescription.course_key.in_(courses))
        .order_by(Prescription.created)
    )
    return {row.course_key: row.fractions for row in session.execute(query)}


def _fraction(row: Appointment, total: int, given: deliveries.Named | None) -> str:
    """Number of the fraction out of so many; the record's where something was delivered."""
    if given is not None:
        return f"{given.number}/{given.total}"
    return f"{row.fraction}/{total}" if row.fraction and total else str(row.fraction or "")


def _shown(
    row: Appointment,
    hue: int,
    totals: dict[str, int],
    mine: str,
    given: deliveries.Named | None,
    names: Mapping[str, str],
) -> Shown:
    zone = settings.rules().zone
    start, end = row.start.astimezone(zone), (row.start + timedelta(minutes=row.minutes)).astimezone(zone)
    total = totals.get(row.course_key or "", 0)
    doctor = row.course.physician if row.course else ""
    return Shown(
        key=row.key,
        revision=row.revision,
        name=_name(row),
        time=f"{start:%H:%M}–{end:%H:%M}",
        kind=_(KIND_TEXT[row.kind]),
        fraction=_fraction(row, total, given),
        plan=given.label if given else "",
        partial=given is not None and given.state == "PARTIAL",
        particle=PARTICLE_SIGN.get(row.particle, ""),
        particle_text=_(PARTICLE_TEXT[row.particle]) if row.particle else "",
        disease=disease(row),
        doctor=names.get(doctor, doctor),
        state=row.state,
        symbol=SYMBOL.get(row.state, "?"),
        alerts=alerts.of(row.patient) if row.patient else [],
        hue=hue,
        movable=row.state in (AppointmentState.BOOKED, AppointmentState.SIGNED_IN),
        mine=not mine or doctor == mine,
    )


def _name(row: Appointment) -> str:
    """The patient as the reader writes them; what else the card is for."""
    if row.patient is None:
        return row.note or _(KIND_TEXT[row.kind])
    return readable_name(row.patient.name, chinese=language() == "zh")


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
