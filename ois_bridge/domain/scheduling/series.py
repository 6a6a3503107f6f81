"""A whole course at once: the days of its fractions, and on each day the best time that the rules allow."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.scheduling import calendar, constraints
from ois_bridge.domain.scheduling.plan import Book, Visit, minute_of, moment
from ois_bridge.domain.words import N_

PATTERNS = {
    "five": N_("5 a week (working days)"),
    "daily": N_("daily (whenever the device is open)"),
    "twice": N_("twice daily"),
}
MOST_DAYS = 400
SOFT_MIN = 600
"""A patient's wish counts like so many minutes away from the preferred time."""


@dataclass(frozen=True)
class Series:
    """What is to be booked. `preferred`: minute of the day; `visit`: the pattern of each."""

    visit: Visit
    first: date
    count: int
    fraction: int
    pattern: str
    preferred: int


@dataclass(frozen=True)
class Result:
    """Visits in order of their fractions with the wishes they pass over, and days that had no place."""

    visits: tuple[tuple[Visit, tuple[str, ...]], ...]
    skipped: tuple[tuple[date, str], ...]


def propose(book: Book, series: Series, now: datetime) -> Result:
    """Place a series day by day. Raises BadInput for a pattern or count that is not allowed."""
    if series.pattern not in PATTERNS or not 1 <= series.count <= 100:
        raise BadInput(_("A course has 1 to 100 fractions, daily, 5 a week or twice daily."))
    visits: list[tuple[Visit, tuple[str, ...]]] = []
    skipped: list[tuple[date, str]] = []
    for day in _days(book, series):
        if len(visits) >= series.count:
            break
        for part in range(2 if series.pattern == "twice" else 1):
            if len(visits) < series.count:
                _place(book, series, day, part, now, visits, skipped)
    return Result(tuple(visits), tuple(skipped))


def _days(book: Book, series: Series) -> Iterator[date]:
    for n in range(MOST_DAYS):
        day = series.first + timedelta(days=n)
        if series.pattern == "daily" or calendar.is_working(book.days, day):
            yield day


def _place(
    book: Book,
    series: Series,
    day: date,
    part: int,
    now: datetime,
    visits: list[tuple[Visit, tuple[str, ...]]],
    skipped: list[tuple[date, str]],
) -> None:
    """Put one fraction on a day; where it cannot be, say why (unless the device is closed)."""
    own = [visit for visit, _notes in visits]
    held = constraints.near(
        replace(book, visits=[*book.visits, *own]),
        replace(series.visit, start=moment(day, 720, book.rules.zone)),
    )
    preferred = series.preferred
    if part and own:
        preferred = minute_of(day, own[-1].start + book.rules.twice_daily, book.rules.zone)
    fraction = series.fraction + len(visits)
    wanted = replace(series.visit, key=f"new {fraction}", fraction=fraction)
    best = _best(held, wanted, day, preferred, now)
    if isinstance(best, str):
        if best:
            skipped.append((day, best))
    else:
        visits.append(best)


def _best(
    held: Book, wanted: Visit, day: date, preferred: int, now: datetime
) -> tuple[Visit, tuple[str, ...]] | str:
    """The start that costs least; else the reason at the preferred time, or nothing on a closed day."""
    device = held.devices.get(wanted.device)
    spans = calendar.open_spans(held, device, day) if device else []
    zone, slot = held.rules.zone, held.rules.slot
    starts = {
        minute
        for span in spans
        for minute in range(minute_of(day, span.start, zone), minute_of(day, span.end, zone), slot)
    }
    best: tuple[float, Visit, tuple[str, ...]] | None = None
    for minute in sorted(starts, key=lambda one: abs(one - preferred)):
        if best is not None and abs(minute - preferred) >= best[0]:
            break
        visit = replace(wanted, start=moment(day, minute, zone))
        found = constraints.check(held, visit, now)
        if not any(finding.hard for finding in found):
            notes = tuple(finding.text for finding in found)
            cost = abs(minute - preferred) + SOFT_MIN * len(notes)
            best = (cost, visit, notes) if best is None or cost < best[0] else best
    if best is not None:
        return best[1], best[2]
    if not spans:
        return ""
    visit = replace(wanted, start=moment(day, min(starts, key=lambda one: abs(one - preferred)), zone))
    return " ".join(finding.text for finding in constraints.check(held, visit, now) if finding.hard)
