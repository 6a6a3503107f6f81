"""What is planned with: devices, periods, visits, wishes, and the book that holds them all.

Times are instants with a zone; minutes of a day are counted from local midnight on the clock of the wall.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum

from ois_bridge.domain.words import N_

DAY_MIN = 24 * 60
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Kind(StrEnum):
    """What a visit is for. The values stand in the database."""

    TREATMENT = "treatment"
    SIMULATION = "simulation"
    IMMOBILISATION = "immobilisation"
    REVIEW = "review"
    QA = "qa"


KIND_TEXT: Mapping[str, str] = {
    "treatment": N_("treatment"),
    "simulation": N_("simulation"),
    "immobilisation": N_("immobilisation"),
    "review": N_("review"),
    "qa": N_("machine QA"),
}
PARTICLE_TEXT: Mapping[str, str] = {"proton": N_("proton"), "carbon": N_("carbon"), "helium": N_("helium")}
PARTICLE_SIGN: Mapping[str, str] = {"proton": "p", "carbon": "C", "helium": "He"}


class Effect(StrEnum):
    """What a period does to a device."""

    FORBIDDEN = "forbidden"
    OPEN = "open"
    RESERVED = "reserved"


EFFECT_TEXT: Mapping[str, str] = {
    "forbidden": N_("no appointments"),
    "open": N_("open beyond the hours"),
    "reserved": N_("kept for"),
}
PURPOSE_TEXT: Mapping[str, str] = {
    "qa": N_("machine QA"),
    "maintenance": N_("maintenance"),
    "fault": N_("device fault"),
    "extra": N_("extra hours"),
    "reserved": N_("reserved"),
    "other": N_("other"),
}


@dataclass(frozen=True)
class Span:
    """From an instant (inclusive) to another (exclusive)."""

    start: datetime
    end: datetime

    def overlaps(self, other: "Span") -> bool:
        """Whether the two have time in common."""
        return self.start < other.end and other.start < self.end

    def holds(self, other: "Span") -> bool:
        """Whether the other lies inside."""
        return self.start <= other.start and other.end <= self.end


@dataclass(frozen=True)
class Device:
    """A device. `hours`: weekday 1..7 -> (from, to) in minutes of the day; `to` beyond 1440 is past midnight.

    setup, leave: minutes of a visit before and after its beam. `beam`: name of the beam it shares, or empty.
    """

    name: str
    title: Mapping[str, str]
    kinds: frozenset[str]
    particles: frozenset[str] = frozenset()
    beam: str = ""
    setup: int = 0
    leave: int = 0
    usual: int = 30
    capacity: int = 500
    hours: Mapping[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    active: bool = True


@dataclass(frozen=True)
class Period:
    """A period of a device ("": of all): once (`span`), or weekly, `weekdays` with minutes of the day."""

    device: str
    effect: Effect
    purpose: str
    kind: str = ""
    particle: str = ""
    weekdays: frozenset[int] = frozenset()
    minutes: tuple[int, int] = (0, 0)
    first: date | None = None
    last: date | None = None
    span: Span | None = None
    key: str = ""
    note: str = ""


@dataclass(frozen=True)
class Visit:
    """A visit on the sheet. `patient`, `course`: keys, empty for machine QA. `fixed`: may not be moved."""

    key: str
    device: str
    kind: str
    start: datetime
    minutes: int
    patient: str = ""
    course: str = ""
    particle: str = ""
    fraction: int | None = None
    fixed: bool = False

    @property
    def span(self) -> Span:
        """The time in the room."""
        return Span(self.start, self.start + timedelta(minutes=self.minutes))


@dataclass(frozen=True)
class Wish:
    """What a patient wishes, in minutes of the day (0: nothing); `per_day` 1 or 2 fractions."""

    earliest: int = 0
    latest: int = 0
    preferred: int = 0
    weekdays: frozenset[int] = frozenset()
    per_day: int = 1


@dataclass(frozen=True)
class Beam:
    """A beam that rooms share: minutes from one room to the next, and for another particle."""

    switch: int = 1
    change: int = 10

    def between(self, room: str, particle: str, next_room: str, next_particle: str) -> int:
        """Minutes that the beam needs between two visits."""
        if particle != next_particle:
            return self.change
        return self.switch if room != next_room else 0


@dataclass(frozen=True)
class Rules:
    """The rules of the sheet. `slot`: raster of starts in minutes; spacing from start to start."""

    zone: tzinfo
    slot: int = 5
    once_daily: timedelta = timedelta(hours=18)
    twice_daily: timedelta = timedelta(hours=6)
    beams: Mapping[str, Beam] = field(default_factory=dict)


@dataclass(frozen=True)
class Book:
    """Everything that a visit is checked against. `days`: exceptional days, True working, False holiday."""

    rules: Rules
    devices: Mapping[str, Device]
    days: Mapping[date, bool] = field(default_factory=dict)
    periods: Sequence[Period] = ()
    visits: Sequence[Visit] = ()
    wishes: Mapping[str, Wish] = field(default_factory=dict)


def moment(day: date, minute: int, zone: tzinfo) -> datetime:
    """The instant (UTC) at a minute of a local day; 1440 and more is the next day.

    A time that a clock change skips is moved on by it, as the wall clock does; one that comes
    twice is its first.
    """
    at = datetime.combine(day, time(), zone) + timedelta(days=minute // DAY_MIN)
    # in UTC, because two times of one zone compare by their wall clocks
    return at.replace(hour=minute % DAY_MIN // 60, minute=minute % 60).astimezone(UTC)


def minute_of(day: date, at: datetime, zone: tzinfo) -> int:
    """Minute of the wall clock of `at`, counted from midnight of `day`."""
    local = at.astimezone(zone)
    return (local.date() - day).days * DAY_MIN + local.hour * 60 + local.minute


def beam_span(device: Device, visit: Visit) -> Span | None:
    """The time of a visit that the shared beam is taken for; None where it needs no beam."""
    if not device.beam or visit.kind != Kind.TREATMENT:
        return None
    end = visit.start + timedelta(minutes=visit.minutes - device.leave)
    return Span(visit.start + timedelta(minutes=device.setup), end)
