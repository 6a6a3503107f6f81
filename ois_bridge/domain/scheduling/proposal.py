"""What a computation proposes: visits to make or to move, and those that found no place. JSON in between."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from ois_bridge.domain.scheduling.plan import Visit


@dataclass(frozen=True)
class Move:
    """One visit. `key`: the appointment to move, empty for a new one; `waiting`: the waiting visit it places.

    start, old_start: ISO 8601 with zone; `notes`: wishes that it passes over; `why`: why it moves.
    """

    key: str
    device: str
    start: str
    minutes: int
    kind: str
    particle: str = ""
    fraction: int | None = None
    patient: str = ""
    course: str = ""
    waiting: str = ""
    old_device: str = ""
    old_start: str = ""
    why: str = ""
    notes: tuple[str, ...] = ()

    def visit(self) -> Visit:
        """The visit as the rules see it."""
        return Visit(
            self.key or f"new {self.course} {self.fraction} {self.start}",
            self.device,
            self.kind,
            datetime.fromisoformat(self.start),
            self.minutes,
            self.patient,
            self.course,
            self.particle,
            self.fraction,
        )


@dataclass(frozen=True)
class Left:
    """A visit that found no place. `key`: the appointment that has none any more, or empty."""

    patient: str
    course: str
    why: str
    key: str = ""
    day: str = ""


@dataclass(frozen=True)
class Content:
    """A whole proposal. `facts`: numbers that are shown; `period`: a fault that is entered with it."""

    moves: tuple[Move, ...] = ()
    left: tuple[Left, ...] = ()
    facts: Mapping[str, float] = field(default_factory=dict)
    period: Mapping[str, str] = field(default_factory=dict)


def dump(content: Content) -> str:
    """As JSON."""
    return json.dumps(asdict(content), ensure_ascii=False)


def load(text: str) -> Content:
    """The inverse of `dump`."""
    values: dict[str, Any] = json.loads(text)
    return Content(
        tuple(Move(**{**row, "notes": tuple(row["notes"])}) for row in values["moves"]),
        tuple(Left(**row) for row in values["left"]),
        values["facts"],
        values["period"],
    )
