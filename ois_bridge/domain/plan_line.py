"""The time line of a course of treatment: fractions planned and treated over days, as points of a drawing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from ois_bridge.domain.words import N_

WIDTH = 1000.0
"""Length of the drawn axis, in drawing units."""
LANE = 56.0
"""Height of one plan's lane: planned fractions in its upper half, treated ones in its lower."""
MARGIN = 18.0
AXIS = 22.0


class Mark(StrEnum):
    """What a point of the drawing says. A symbol goes with each: colour is never the only sign."""

    PLANNED = N_("planned")
    MISSED = N_("missed")
    ATTENDED = N_("attended, no treatment record here")
    TREATED = N_("treated as planned")
    INTERRUPTED = N_("treated with interruptions")
    PARTIAL = N_("partly treated")


UNTREATED = (Mark.MISSED, Mark.ATTENDED)
"""What became of a booking without a record."""

SYMBOL = {
    Mark.PLANNED: "○",
    Mark.MISSED: "✖",
    Mark.ATTENDED: "◌",
    Mark.TREATED: "●",
    Mark.INTERRUPTED: "◍",
    Mark.PARTIAL: "◐",
}


@dataclass(frozen=True)
class Beat:
    """One fraction as the time line tells it. Metersets in MU; None and empty where nothing is known.

    `interruptions`: times the beam was stopped before its end.
    """

    number: int
    planned: datetime | None
    device: str
    booking: str
    started: datetime | None
    ended: datetime | None
    planned_mu: float | None
    delivered_mu: float | None
    interruptions: int
    by: str
    note: str
    mark: Mark


@dataclass(frozen=True)
class Lane:
    """One plan. `source`: empty for our own, else the system that it was read from."""

    key: str
    title: str
    source: str
    state: str
    prescribed: str
    beats: tuple[Beat, ...]

    @property
    def treated(self) -> int:
        """Fractions that got all or some of their dose."""
        return sum(beat.started is not None for beat in self.beats)


@dataclass(frozen=True)
class Point:
    """One mark of the drawing and the beat it stands for. `anchor` is unique on the page."""

    x: float
    y: float
    mark: Mark
    anchor: str
    beat: Beat
    time: datetime


@dataclass(frozen=True)
class Tick:
    """One date under the axis."""

    x: float
    text: str


@dataclass(frozen=True)
class Drawing:
    """Points, dates and size, in drawing units. `now` is None outside of the time shown."""

    points: tuple[Point, ...]
    ticks: tuple[Tick, ...]
    height: float
    now: float | None


def draw(lanes: Sequence[Lane], now: datetime) -> Drawing | None:
    """The drawing; None when no fraction has a time."""
    times = [time for lane in lanes for beat in lane.beats for time in (beat.planned, beat.started) if time]
    if not times:
        return None
    start, end = min(times) - timedelta(hours=12), max(times) + timedelta(hours=12)
    scale = (WIDTH - 2 * MARGIN) / (end - start).total_seconds()

    def place(time: datetime) -> float:
        return round(MARGIN + (time - start).total_seconds() * scale, 1)

    points = []
    for row, lane in enumerate(lanes):
        for beat in lane.beats:
            anchor = f"beat-{row}-{beat.number}"
            if beat.planned is not None:
                mark = beat.mark if beat.mark in UNTREATED else Mark.PLANNED
                points.append(
                    Point(place(beat.planned), row * LANE + 18, mark, f"{anchor}-p", beat, beat.planned)
                )
            if beat.started is not None:
                points.append(
                    Point(place(beat.started), row * LANE + 40, beat.mark, f"{anchor}-t", beat, beat.started)
                )
    shown = place(now) if start <= now <= end else None
    return Drawing(tuple(points), _ticks(start, end, place), len(lanes) * LANE + AXIS, shown)


def _ticks(start: datetime, end: datetime, place: Callable[[datetime], float]) -> tuple[Tick, ...]:
    days = max((end - start).days, 1)
    every = next((step for step in (1, 2, 7, 14, 28, 91, 182) if days / step <= 10), 365)
    first = start.astimezone().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    found = []
    day = first
    while day < end:
        found.append(Tick(place(day), f"{day:%m-%d}" if days < 300 else f"{day:%Y-%m}"))
        day += timedelta(days=every)
    return tuple(found)
