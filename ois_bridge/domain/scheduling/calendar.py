"""When a device is open: working days, holidays, make-up working days, hours, periods."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.scheduling.plan import DAY_MIN, Book, Device, Effect, Period, Span, moment

_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]|24):([0-5]\d)")


def spans_of(text: str) -> tuple[tuple[int, int], ...]:
    """Minutes of the day of "08:00-12:00,20:00-02:00"; an end not after its start is past midnight.

    Raises BadInput for another text, and for spans that overlap or are not in order.
    """
    found: list[tuple[int, int]] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        match = _SPAN.fullmatch(part)
        if match is None:
            raise BadInput(
                _("Hours: allowed are spans like 08:00-12:00,13:00-17:00; “{text}” is none.").format(
                    text=part
                )
            )
        a, b, c, d = (int(group) for group in match.groups())
        start, end = a * 60 + b, c * 60 + d
        if end > DAY_MIN:
            raise BadInput(_("Hours: 24:00 is the latest end of a day."))
        end += DAY_MIN if end <= start else 0
        if found and start < found[-1][1]:
            raise BadInput(_("Hours: the spans must follow one another without overlap."))
        found.append((start, end))
    return tuple(found)


def text_of(spans: tuple[tuple[int, int], ...]) -> str:
    """The inverse of `spans_of`."""
    return ",".join(
        f"{_clock(start)}-{_clock(end if end == DAY_MIN else end % DAY_MIN)}" for start, end in spans
    )


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def is_working(days: Mapping[date, bool], day: date) -> bool:
    """Whether a day is a working day: as the table says, else Monday to Friday."""
    return days.get(day, day.isoweekday() <= 5)


def working_days(days: Mapping[date, bool], first: date, count: int) -> list[date]:
    """The next `count` working days from `first` on. Raises BadInput when two years hold too few."""
    found = [day for day in (first + timedelta(days=n) for n in range(731)) if is_working(days, day)]
    if len(found) < count:
        raise BadInput(_("There are only {n} working days in the next two years.").format(n=len(found)))
    return found[:count]


def pattern_of(days: Mapping[date, bool], device: Device, day: date) -> tuple[tuple[int, int], ...]:
    """Hours of a device on a day: none on a holiday; a make-up day is like the nearest day with hours.

    A weekday that works by the table has Monday's hours where it has none of its own.
    """
    if not days.get(day, True):
        return ()
    own = device.hours.get(day.isoweekday(), ())
    if own or not days.get(day, False):
        return own
    return next((device.hours[n] for n in range(1, 8) if device.hours.get(n)), ())


def open_spans(book: Book, device: Device, day: date) -> list[Span]:
    """When a device is open on a day that begins then: hours and extra periods, joined. Past midnight too."""
    zone = book.rules.zone
    spans = [
        Span(moment(day, start, zone), moment(day, end, zone))
        for start, end in pattern_of(book.days, device, day)
    ]
    spans += [span for _period, span in effects(book, device.name, day, Effect.OPEN)]
    return joined(spans)


def joined(spans: list[Span]) -> list[Span]:
    """Spans in order, those that touch made one."""
    result: list[Span] = []
    for span in sorted(spans, key=lambda one: one.start):
        if result and span.start <= result[-1].end:
            result[-1] = Span(result[-1].start, max(result[-1].end, span.end))
        else:
            result.append(span)
    return result


def effects(book: Book, device: str, day: date, effect: Effect) -> Iterator[tuple[Period, Span]]:
    """Periods with an effect on a device that begin on a day or reach into it."""
    midnight = Span(moment(day, 0, book.rules.zone), moment(day, 2 * DAY_MIN, book.rules.zone))
    for period in book.periods:
        if period.effect is not effect or period.device not in ("", device):
            continue
        span = _span_on(book, period, day)
        if span is not None and span.overlaps(midnight):
            yield period, span


def _span_on(book: Book, period: Period, day: date) -> Span | None:
    if period.span is not None:
        return period.span
    inside = (period.first is None or period.first <= day) and (period.last is None or day <= period.last)
    if not inside or day.isoweekday() not in period.weekdays:
        return None
    start, end = period.minutes
    return Span(moment(day, start, book.rules.zone), moment(day, end, book.rules.zone))
