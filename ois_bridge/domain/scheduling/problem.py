"""One day as numbers: what is to be placed, where it may stand, and what a placing costs.

Minutes are counted from local midnight. The cost is in minutes of expected waiting; everything else
(wishes, change-overs, idle beam) is weighed against those minutes.
"""

import math
from bisect import bisect, insort
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from ois_bridge.domain.scheduling.plan import Beam, Device

SPREAD = 5.5
"""Standard deviation (min) of when a visit frees its room or beam: positioning 12 min +- 35 %, lateness."""

WEIGHT_WISH = 0.02
"""Cost of one minute away from the preferred time."""

WEIGHT_OUTSIDE = 0.5
"""Cost of one minute outside the wished window, besides `OUTSIDE` once."""

OUTSIDE = 20.0
WEIGHT_CHANGE = 6.0
"""Cost of one change of the particle: the beam stands still, and every later delay grows."""

WEIGHT_LATE = 0.02
"""Cost of a minute by which the beam is needed later in the day."""

WEIGHT_UNPLACED = 1000.0


@dataclass(frozen=True)
class Job:
    """A visit to place. `options`: device -> starts that the rules allow, ascending. Wishes: 0 is none."""

    key: str
    minutes: int
    particle: str
    options: Mapping[str, tuple[int, ...]]
    earliest: int = 0
    latest: int = 0
    preferred: int = 0


@dataclass(frozen=True)
class Place:
    """Where a job stands. `beam`: (from, to) of its beam, None where it needs none."""

    key: str
    device: str
    start: int
    minutes: int
    particle: str
    beam: tuple[int, int] | None

    @property
    def end(self) -> int:
        """When the room is free again."""
        return self.start + self.minutes


@dataclass(frozen=True)
class Problem:
    """A day. `fixed`: visits that stay. `beams`: name -> rule."""

    devices: Mapping[str, Device]
    beams: Mapping[str, Beam]
    jobs: tuple[Job, ...]
    fixed: tuple[Place, ...] = ()


@dataclass
class Board:
    """Places by device and by beam, each in the order of their times; with what one more would cost."""

    problem: Problem
    rooms: dict[str, list[Place]] = field(default_factory=dict)
    beams: dict[str, list[Place]] = field(default_factory=dict)

    def put(self, place: Place) -> None:
        """Add a place. It must fit."""
        insort(self.rooms.setdefault(place.device, []), place, key=_start)
        if place.beam is not None:
            insort(self.beams.setdefault(self._beam(place), []), place, key=_beam_start)

    def take(self, place: Place) -> None:
        """Remove a place."""
        self.rooms[place.device].remove(place)
        if place.beam is not None:
            self.beams[self._beam(place)].remove(place)

    def places(self) -> list[Place]:
        """All places, by their start."""
        return sorted((place for row in self.rooms.values() for place in row), key=_start)

    def fits(self, place: Place) -> bool:
        """Whether room and beam are free for it."""
        before, after = self._in_room(place)
        if (before and before.end > place.start) or (after and place.end > after.start):
            return False
        if place.beam is None:
            return True
        before, after = self._in_beam(place)
        return (before is None or self.gap(before, place) >= 0) and (
            after is None or self.gap(place, after) >= 0
        )

    def gap(self, before: Place, after: Place) -> int:
        """Minutes to spare between two beams that follow one another."""
        assert before.beam is not None
        assert after.beam is not None
        rule = self.problem.beams[self._beam(after)]
        need = rule.between(before.device, before.particle, after.device, after.particle)
        return after.beam[0] - before.beam[1] - need

    def added(self, place: Place) -> float:
        """What a place that fits adds between its neighbours."""
        cost = _link(*self._in_room(place), place, _room_cost)
        return cost + (_link(*self._in_beam(place), place, self._beam_cost) if place.beam else 0.0)

    def changes(self, place: Place) -> int:
        """Changes of the particle that a place adds between its neighbours in the beam."""
        if place.beam is None:
            return 0
        return round(_link(*self._in_beam(place), place, lambda one, two: one.particle != two.particle))

    def cost(self, jobs: Mapping[str, Job]) -> float:
        """Cost of everything that is placed, and of the jobs that are not."""
        total = sum(_room_cost(one, two) for row in self.rooms.values() for one, two in pairwise(row))
        total += sum(self._beam_cost(one, two) for row in self.beams.values() for one, two in pairwise(row))
        placed = [place for place in self.places() if place.key in jobs]
        total += sum(wish(jobs[place.key], place.start) for place in placed)
        return total + WEIGHT_UNPLACED * (len(jobs) - len(placed))

    def _in_room(self, place: Place) -> tuple[Place | None, Place | None]:
        row = self.rooms.get(place.device, [])
        return _around(row, bisect(row, place.start, key=_start))

    def _in_beam(self, place: Place) -> tuple[Place | None, Place | None]:
        row = self.beams.get(self._beam(place), [])
        return _around(row, bisect(row, _beam_start(place), key=_beam_start))

    def _beam_cost(self, one: Place, two: Place) -> float:
        return waiting(max(self.gap(one, two), 0)) + WEIGHT_CHANGE * (one.particle != two.particle)

    def _beam(self, place: Place) -> str:
        return self.problem.devices[place.device].beam


def _start(place: Place) -> int:
    return place.start


def _beam_start(place: Place) -> int:
    assert place.beam is not None
    return place.beam[0]


def _around(row: list[Place], index: int) -> tuple[Place | None, Place | None]:
    return (row[index - 1] if index else None), (row[index] if index < len(row) else None)


def _room_cost(one: Place, two: Place) -> float:
    return waiting(two.start - one.end)


def _link(
    before: Place | None, after: Place | None, place: Place, cost: Callable[[Place, Place], float]
) -> float:
    """What changes when a place comes between two neighbours."""
    total = (cost(before, place) if before else 0.0) + (cost(place, after) if after else 0.0)
    return total - (cost(before, after) if before and after else 0.0)


@lru_cache(maxsize=4096)
def waiting(slack: float) -> float:
    """Expected waiting (min) behind a visit that ends on time on average, with `slack` minutes between.

    The loss function of the normal distribution: E[max(0, X - slack)], X of standard deviation SPREAD.
    """
    z = slack / SPREAD
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return SPREAD * (density - z * 0.5 * math.erfc(z / math.sqrt(2)))


def wish(job: Job, start: int) -> float:
    """What a start costs by the patient's wishes, and by how late in the day it is."""
    outside = max(job.earliest - start, 0)
    if job.latest:
        outside = max(outside, start + job.minutes - job.latest)
    cost = OUTSIDE + WEIGHT_OUTSIDE * outside if outside > 0 else 0.0
    if job.preferred:
        cost += WEIGHT_WISH * abs(start - job.preferred)
    return cost + WEIGHT_LATE * start / 60


def place(problem: Problem, job: Job, device: str, start: int) -> Place:
    """A job at a start on a device."""
    where = problem.devices[device]
    beam = (start + where.setup, start + job.minutes - where.leave) if where.beam and job.particle else None
    return Place(job.key, device, start, job.minutes, job.particle, beam)


def board(problem: Problem, places: Iterable[Place] = ()) -> Board:
    """A board with the fixed visits and further places."""
    result = Board(problem)
    for one in (*problem.fixed, *places):
        result.put(one)
    return result
