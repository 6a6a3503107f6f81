"""The rules of the sheet, in one place for the hand and for the optimiser.

Each rule is a function of the book, a visit and now that yields findings. A hard finding refuses the
visit; a soft one (a wish of the patient) is told and may be passed over.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from common.text import _, language
from ois_bridge.domain.scheduling import calendar
from ois_bridge.domain.scheduling.plan import (
    KIND_TEXT,
    PARTICLE_TEXT,
    PURPOSE_TEXT,
    Book,
    Device,
    Effect,
    Kind,
    Period,
    Span,
    Visit,
    beam_span,
    minute_of,
)

TWO_DAYS = timedelta(days=2)


@dataclass(frozen=True)
class Finding:
    """What is against a visit. `code`: name of the rule; `other`: key of the visit it clashes with."""

    code: str
    text: str
    hard: bool = True
    other: str = ""


Rule = Callable[[Book, Device, Visit, datetime], Iterator[Finding]]


def check(book: Book, visit: Visit, now: datetime) -> list[Finding]:
    """Everything against a visit, hard findings first. A visit of the same key in the book is itself."""
    device = book.devices.get(visit.device)
    if device is None or not device.active:
        return [Finding("device", _("There is no device {name} in use.").format(name=visit.device))]
    found = [finding for rule in RULES for finding in rule(book, device, visit, now)]
    return sorted(found, key=lambda finding: not finding.hard)


def possible(book: Book, visit: Visit, now: datetime) -> list[Finding]:
    """What is against a visit whatever else is on the sheet: time, device, hours, periods; hard findings."""
    device = book.devices.get(visit.device)
    if device is None or not device.active:
        return check(book, visit, now)
    return [finding for rule in ALONE for finding in rule(book, device, visit, now) if finding.hard]


def near(book: Book, visit: Visit) -> Book:
    """The book with the visits alone that a visit may clash with: those within two days of it."""
    return replace(book, visits=[one for one in book.visits if abs(one.start - visit.start) < TWO_DAYS])


def clock(book: Book, at: datetime) -> str:
    """Time of day of an instant, in the zone of the sheet."""
    return f"{at.astimezone(book.rules.zone):%H:%M}"


def title(device: Device) -> str:
    """Name of a device in the language in force."""
    return device.title.get(language(), device.name)


def _past(_book: Book, _device: Device, visit: Visit, now: datetime) -> Iterator[Finding]:
    if visit.start < now:
        yield Finding("past", _("This time is past; choose a later one."))


def _raster(book: Book, _device: Device, visit: Visit, _now: datetime) -> Iterator[Finding]:
    local = visit.start.astimezone(book.rules.zone)
    if local.minute % book.rules.slot or local.second or local.microsecond:
        text = _("Appointments begin every {n} minutes (…:00, …:{n:02d}).").format(n=book.rules.slot)
        yield Finding("raster", text)
    if not 5 <= visit.minutes <= 480:
        yield Finding("length", _("A visit takes from 5 to 480 minutes."))


def _fits(_book: Book, device: Device, visit: Visit, _now: datetime) -> Iterator[Finding]:
    if visit.kind not in device.kinds:
        kinds = ", ".join(sorted(_(KIND_TEXT[kind]) for kind in device.kinds))
        yield Finding("kind", _("{device} takes: {kinds}.").format(device=title(device), kinds=kinds))
        return
    if visit.kind != Kind.TREATMENT:
        return
    if device.particles and visit.particle not in device.particles:
        particles = ", ".join(sorted(_(PARTICLE_TEXT[name]) for name in device.particles))
        yield Finding(
            "particle", _("{device} has: {particles}.").format(device=title(device), particles=particles)
        )
    if visit.minutes <= device.setup + device.leave:
        text = _("Treatment in {device}: more than {n} minutes are needed, for positioning and leaving.")
        yield Finding("length", text.format(device=title(device), n=device.setup + device.leave))


def _hours(book: Book, device: Device, visit: Visit, _now: datetime) -> Iterator[Finding]:
    if visit.kind == Kind.QA:
        return
    day = visit.start.astimezone(book.rules.zone).date()
    spans = calendar.joined(
        [span for n in (-1, 0) for span in calendar.open_spans(book, device, day + timedelta(days=n))]
    )
    if any(span.holds(visit.span) for span in spans):
        return
    today = calendar.open_spans(book, device, day)
    if not today:
        why = _("{device} is closed on this day (holiday or no working day).")
        yield Finding("closed", why.format(device=title(device)))
        return
    hours = ", ".join(f"{clock(book, span.start)}–{clock(book, span.end)}" for span in today)
    yield Finding("hours", _("{device} is open {hours}.").format(device=title(device), hours=hours))


def _periods(book: Book, device: Device, visit: Visit, _now: datetime) -> Iterator[Finding]:
    for period, span in _near(book, device, visit, Effect.FORBIDDEN):
        own = visit.kind == Kind.QA and period.purpose != "fault"
        if not own and period.kind in ("", visit.kind):
            text = _("No appointments {start}–{end}: {why}.").format(
                start=clock(book, span.start), end=clock(book, span.end), why=_(PURPOSE_TEXT[period.purpose])
            )
            yield Finding("forbidden", text)
    for period, span in _near(book, device, visit, Effect.RESERVED):
        if period.kind not in ("", visit.kind) or period.particle not in ("", visit.particle):
            whom = [_(KIND_TEXT[period.kind])] if period.kind else []
            whom += [_(PARTICLE_TEXT[period.particle])] if period.particle else []
            text = _("{start}–{end} is kept for: {whom}.").format(
                start=clock(book, span.start), end=clock(book, span.end), whom=", ".join(whom)
            )
            yield Finding("reserved", text)


def _near(book: Book, device: Device, visit: Visit, effect: Effect) -> list[tuple[Period, Span]]:
    """Periods that a visit overlaps, each once: those of its day, and of the day before past midnight."""
    day = visit.start.astimezone(book.rules.zone).date()
    found: dict[tuple[int, datetime], tuple[Period, Span]] = {}
    for n in (-1, 0):
        for period, span in calendar.effects(book, device.name, day + timedelta(days=n), effect):
            if span.overlaps(visit.span):
                found[id(period), span.start] = (period, span)
    return list(found.values())


def _room(book: Book, device: Device, visit: Visit, _now: datetime) -> Iterator[Finding]:
    for other in _others(book, visit):
        if other.device == visit.device and other.span.overlaps(visit.span):
            text = _("{device} is taken {start}–{end}.").format(
                device=title(device), start=clock(book, other.start), end=clock(book, other.span.end)
            )
            yield Finding("taken", text, other=other.key)
    day = visit.start.astimezone(book.rules.zone).date()
    count = sum(
        other.device == visit.device
        and other.kind != Kind.QA
        and other.start.astimezone(book.rules.zone).date() == day
        for other in _others(book, visit)
    )
    if visit.kind != Kind.QA and count >= device.capacity:
        text = _("{device} takes at most {n} visits a day.").format(device=title(device), n=device.capacity)
        yield Finding("capacity", text)


def _beam(book: Book, device: Device, visit: Visit, _now: datetime) -> Iterator[Finding]:
    own = beam_span(device, visit)
    beam = book.rules.beams.get(device.beam)
    if own is None or beam is None:
        return
    for other in _others(book, visit):
        room = book.devices.get(other.device)
        if room is None or room.beam != device.beam:
            continue
        theirs = beam_span(room, other)
        if theirs is None or not _too_near(
            own, theirs, beam.between(other.device, other.particle, visit.device, visit.particle)
        ):
            continue
        text = _("The beam is in {device} {start}–{end}").format(
            device=title(room), start=clock(book, theirs.start), end=clock(book, theirs.end)
        )
        if other.particle != visit.particle:
            text += _("; the change of the particle takes {n} minutes").format(n=beam.change)
        yield Finding("beam", text + _("."), other=other.key)


def _too_near(one: Span, other: Span, gap: int) -> bool:
    wide = timedelta(minutes=gap)
    return one.start < other.end + wide and other.start < one.end + wide


def _patient(book: Book, _device: Device, visit: Visit, _now: datetime) -> Iterator[Finding]:
    if not visit.patient:
        return
    for other in _others(book, visit):
        if other.patient == visit.patient and other.span.overlaps(visit.span):
            where = book.devices.get(other.device)
            text = _("The patient is in {device} {start}–{end}.").format(
                device=title(where) if where else other.device,
                start=clock(book, other.start),
                end=clock(book, other.span.end),
            )
            yield Finding("patient", text, other=other.key)


def _spacing(book: Book, _device: Device, visit: Visit, _now: datetime) -> Iterator[Finding]:
    if visit.kind != Kind.TREATMENT or not visit.course:
        return
    twice = book.wishes[visit.course].per_day == 2 if visit.course in book.wishes else False
    least = book.rules.twice_daily if twice else book.rules.once_daily
    for other in _others(book, visit):
        if other.course == visit.course and other.kind == Kind.TREATMENT:
            apart = abs(other.start - visit.start)
            if apart < least:
                text = _(
                    "Fractions of a course are at least {n:g} h apart; to the one at {at} it is {m:.1f} h."
                )
                hours, real = least.total_seconds() / 3600, apart.total_seconds() / 3600
                at = f"{other.start.astimezone(book.rules.zone):%Y-%m-%d %H:%M}"
                yield Finding("spacing", text.format(n=hours, m=real, at=at), other=other.key)


def _wishes(book: Book, _device: Device, visit: Visit, _now: datetime) -> Iterator[Finding]:
    wish = book.wishes.get(visit.course)
    if wish is None:
        return
    day = visit.start.astimezone(book.rules.zone).date()
    start = minute_of(day, visit.start, book.rules.zone)
    if wish.weekdays and day.isoweekday() not in wish.weekdays:
        yield Finding("wish", _("The patient does not wish to come on this weekday."), hard=False)
    if wish.earliest and start < wish.earliest:
        yield Finding(
            "wish",
            _("The patient wishes to come from {at} on.").format(at=_minute(wish.earliest)),
            hard=False,
        )
    if wish.latest and start + visit.minutes > wish.latest:
        yield Finding(
            "wish", _("The patient wishes to be done by {at}.").format(at=_minute(wish.latest)), hard=False
        )


def _minute(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _others(book: Book, visit: Visit) -> Iterable[Visit]:
    return (other for other in book.visits if other.key != visit.key)


ALONE: tuple[Rule, ...] = (_past, _raster, _fits, _hours, _periods)
RULES: tuple[Rule, ...] = (
    *ALONE,
    _room,
    _beam,
    _patient,
    _spacing,
    _wishes,
)
