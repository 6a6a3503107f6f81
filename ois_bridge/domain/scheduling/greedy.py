"""Two ways to fill a day without a solver: first come first served, and the day run forward."""

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ois_bridge.domain.scheduling import simulate
from ois_bridge.domain.scheduling.problem import WEIGHT_CHANGE, Board, Job, Place, Problem, board, place, wish

SHARES = (1.0, 0.0, 0.8, 0.6, 0.4, 0.2)
"""Parts of the visits that get free time behind them."""

FREE = (2, 1)
"""Minutes kept free behind such a visit in its room and in the beam; the raster of starts makes them more."""

CHANGES = (15.0, 60.0, 180.0)
RUNS = 8
"""Days played to weigh one schedule against another; the judge plays others."""

URGENT = 60.0
"""Minutes before its wished end at which a visit becomes urgent."""


def first_come(problem: Problem) -> Board:
    """Each job in turn at the earliest start that is free in its wished window, else at the earliest free.

    This is what a front desk does that books by hand, and what the optimiser is measured against.
    """
    result = board(problem)
    for job in problem.jobs:
        free = [one for one in _choices(problem, job) if result.fits(one)]
        wished = [one for one in free if _wished(job, one)]
        if free:
            result.put(min(wished or free, key=lambda one: (one.start, one.device)))
    return result


def starts(problem: Problem, more: Callable[[], bool] = lambda: True) -> list[Board]:
    """Starts of the optimiser: several ways to let the day run forward, the cheapest first.

    `more` is asked before each but the first whether there is time for it.
    """
    jobs = {job.key: job for job in problem.jobs}
    unlike: dict[float, Board] = {}
    for change in CHANGES:
        for share in SHARES:
            if not unlike or more():
                one = forward(problem, share, change)
                unlike.setdefault(round(cost(one, jobs), 6), one)
    return [unlike[value] for value in sorted(unlike)]


def cost(result: Board, jobs: Mapping[str, Job]) -> float:
    """Cost of a day: its waiting played through a few times, change-overs, wishes, and what is not placed."""
    problem = result.problem
    played = simulate.judge(result.places(), problem.devices, problem.beams, seed=0, runs=RUNS)
    return played.waiting + WEIGHT_CHANGE * played.changes + result.cost(jobs)


def forward(problem: Problem, share: float, change: float) -> Board:
    """Let the day run: at each step the visit whose beam can be soonest, those first whose time runs out.

    `share`: part of the visits that get free time behind them. `change`: minutes that a change of the
    particle must be worth. Jobs without a place inside their wished window come last, where they cost least.
    """
    result, left = board(problem), list(problem.jobs)
    run = _Run(result, share)
    while left:
        best: tuple[float, Job, Place] | None = None
        for job in left:
            for device, starts in job.options.items():
                one = run.next(job, device, starts)
                score = _score(one, job, change * result.changes(one)) if one else 0.0
                if one is not None and (best is None or score < best[0]):
                    best = (score, job, one)
        if best is None:
            break
        run.put(best[2])
        left.remove(best[1])
    for job in left:
        insert(result, job)
    return result


@dataclass
class _Run:
    """How far a day that is filled forward has come: last visit of each room and of each beam."""

    board: Board
    share: float
    count: int = 0
    rooms: dict[str, Place] = field(default_factory=dict)
    beams: dict[str, Place] = field(default_factory=dict)

    def last(self, device: str) -> Place | None:
        """The last visit that had the beam of a device."""
        return self.beams.get(self.board.problem.devices[device].beam)

    def put(self, one: Place) -> None:
        """Go on behind a visit."""
        self.board.put(one)
        self.count += 1
        self.rooms[one.device] = one
        if one.beam is not None:
            self.beams[self.board.problem.devices[one.device].beam] = one

    def next(self, job: Job, device: str, starts: Sequence[int]) -> Place | None:
        """The first free place in the wished window behind the last visits of room and beam."""
        problem = self.board.problem
        free = int((self.count + 1) * self.share) > int(self.count * self.share)
        in_room, in_beam = FREE if free else (0, 0)
        earliest, room, last = job.earliest, problem.devices[device], self.last(device)
        if device in self.rooms:
            earliest = max(earliest, self.rooms[device].end + in_room)
        if last is not None and last.beam is not None:
            need = problem.beams[room.beam].between(last.device, last.particle, device, job.particle)
            earliest = max(earliest, last.beam[1] + max(need, in_beam) - room.setup)
        for at in starts[bisect_left(starts, earliest) :]:
            one = place(problem, job, device, at)
            if job.latest and one.end > job.latest:
                return None
            if self.board.fits(one):
                return one
        return None


def _score(one: Place, job: Job, changes: float) -> float:
    """Lower is sooner: time of the beam, changes, and how little time is left to the wished end."""
    score = (one.beam[0] if one.beam else one.start) + changes
    if job.latest:
        score -= URGENT * math.exp(-max(job.latest - one.end, 0) / URGENT)
    if job.preferred:
        score += 0.05 * (job.preferred - one.start)
    return score


def insert(result: Board, job: Job) -> Place | None:
    """Put a job where it costs least; None where nothing is free."""
    free = [one for one in _choices(result.problem, job) if result.fits(one)]
    if not free:
        return None
    best = min(free, key=lambda one: (result.added(one) + wish(job, one.start), one.start, one.device))
    result.put(best)
    return best


def _choices(problem: Problem, job: Job) -> list[Place]:
    return [place(problem, job, device, start) for device, starts in job.options.items() for start in starts]


def _wished(job: Job, one: Place) -> bool:
    return one.start >= job.earliest and (not job.latest or one.end <= job.latest)
