"""The optimiser of a day: OR-Tools CP-SAT on a window that rolls over a greedy start.

A window frees some visits that follow one another; all others stay. The solver gives each of them a start
(and a room, where there is a choice) so that room and beam are never taken twice, a change of the particle
has its time, and as many minutes as possible, where they help most, lie free behind each visit. A result is
kept where it makes the whole day cheaper, as `greedy.cost` plays it through.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from common.errors import Refused
from common.text import _
from ois_bridge.domain.scheduling import greedy
from ois_bridge.domain.scheduling.problem import (
    WEIGHT_UNPLACED,
    Board,
    Job,
    Place,
    Problem,
    board,
    place,
    waiting,
)
from ois_bridge.services.appointments import retime
from ois_bridge.services.appointments.retime import SCALE, STEPS

BUDGET_S = 2.2
WINDOW = 8
WINDOW_S = 0.25
STRIDE = 4
TURNS = 4
STARTS = 3
RETIME_S = 0.15
WORKERS = 2


def solver() -> Any:
    """The module of CP-SAT. Raises Refused where OR-Tools is not installed."""
    try:
        from ortools.sat.python import cp_model  # noqa: PLC0415 - starts a second later with it
    except ImportError as why:
        raise Refused(
            _("The optimiser needs OR-Tools; install the extra “department”: pip install ptcs[department].")
        ) from why
    return cp_model


def optimise(
    problem: Problem, progress: Callable[[float], None] = lambda _part: None, budget: float = BUDGET_S
) -> Board:
    """A good day within about `budget` seconds; `progress` is told the part done, 0..1.

    Raises Refused without OR-Tools.
    """
    cp, begun = solver(), monotonic()
    jobs = {job.key: job for job in problem.jobs}

    def left() -> float:
        return max(budget - (monotonic() - begun), 0.0)

    days = [retime.spread(cp, day, jobs, min(left(), RETIME_S)) for day in greedy.starts(problem)[:STARTS]]
    best = min(days, key=lambda day: greedy.cost(day, jobs))
    lowest = greedy.cost(best, jobs)
    for first in _firsts(len(jobs)):
        progress(min(1.0 - left() / budget, 1.0))
        if left() <= RETIME_S:
            break
        found = _window(cp, best, jobs, first, min(left(), WINDOW_S))
        if found is not None and found.cost(jobs) < best.cost(jobs):
            now = greedy.cost(found, jobs)
            best, lowest = (found, now) if now < lowest else (best, lowest)
    last = retime.spread(cp, best, jobs, RETIME_S)
    return last if greedy.cost(last, jobs) < lowest else best


def _firsts(count: int) -> Iterator[int]:
    """First visits of the windows: over the whole day, several times, each time begun elsewhere."""
    for turn in range(TURNS):
        yield from range(turn * STRIDE // TURNS, max(count - WINDOW, 0) + STRIDE, STRIDE)


def _window(cp_model: Any, old: Board, jobs: dict[str, Job], first: int, seconds: float) -> Board | None:
    """The day with the visits from the `first` on placed anew; None where the solver finds nothing."""
    movable = sorted(
        (one for one in old.places() if one.key in jobs), key=lambda one: (one.beam or (one.start,))[0]
    )
    freed = movable[first : first + WINDOW]
    missing = [job for key, job in jobs.items() if key not in {one.key for one in movable}]
    if not freed and not missing:
        return None
    held = {one.key for one in freed}
    fixed = [one for one in old.places() if one.key not in held]
    lower = min((one.start for one in freed), default=0) - 30
    upper = max((one.end for one in freed), default=2880) + 30
    model = _Model(cp_model, old.problem, lower, upper)
    for one in fixed:
        model.hold(one)
    for one in freed:
        model.free(jobs[one.key], one)
    for job in missing:
        model.free(job, None)
    model.separate_particles()
    found = model.solve(seconds)
    stay = {one.key for one in old.problem.fixed}
    return board(old.problem, [*found, *(one for one in fixed if one.key not in stay)]) if found else None


@dataclass
class _Freed:
    """A visit as the solver sees it: its start, and per device whether it is there."""

    job: Job
    start: Any
    at: dict[str, Any]
    placed: Any


@dataclass
class _Model:
    """One window as a CP-SAT model. lower, upper: minutes between which freed visits lie."""

    cp: Any
    problem: Problem
    lower: int
    upper: int
    model: Any = None
    rooms: dict[str, list[Any]] = field(default_factory=dict)
    beams: dict[str, list[Any]] = field(default_factory=dict)
    held: list[Place] = field(default_factory=list)
    freed: list[_Freed] = field(default_factory=list)
    cost: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.model = self.cp.CpModel()

    def hold(self, one: Place) -> None:
        """A visit that stays: its room and its beam are taken."""
        if one.end <= self.lower - 60 or one.start >= self.upper + 60:
            return
        self.held.append(one)
        room = self.model.new_fixed_size_interval_var(one.start, one.minutes, "")
        self.rooms.setdefault(one.device, []).append(room)
        if one.beam is not None:
            beam = self.problem.devices[one.device].beam
            size = one.beam[1] - one.beam[0] + self.problem.beams[beam].switch
            self.beams.setdefault(beam, []).append(
                self.model.new_fixed_size_interval_var(one.beam[0], size, "")
            )

    def free(self, job: Job, old: Place | None) -> None:
        """A visit to place; `old`: where it stands and the solver begins. Without it, it may stay out."""
        model = self.model
        options = {
            device: [at for at in starts if self.lower <= at and at + job.minutes <= self.upper]
            for device, starts in job.options.items()
        }
        starts = sorted({at for row in options.values() for at in row})
        if not starts:
            return
        start = model.new_int_var_from_domain(self.cp.Domain.from_values(starts), "")
        at = {device: model.new_bool_var("") for device, row in options.items() if row}
        placed = model.new_constant(1) if old else model.new_bool_var("")
        model.add(sum(at.values()) == placed)
        for device, here in at.items():
            domain = self.cp.Domain.from_values(options[device])
            model.add_linear_expression_in_domain(start, domain).only_enforce_if(here)
            self._take(job, device, start, here)
            model.add_hint(here, old is not None and device == old.device)
        if old:
            model.add_hint(start, old.start)
        else:
            self.cost.append(round(WEIGHT_UNPLACED * SCALE) * (1 - placed))
        self.freed.append(_Freed(job, start, at, placed))
        self.cost += retime.wish(self.model, job, start)

    def _take(self, job: Job, device: str, start: Any, here: Any) -> None:
        """The room and the beam for the visit, and the free time behind it that the solver may choose."""
        model, where = self.model, self.problem.devices[device]
        size = self._size(job.minutes, here)
        end = model.new_int_var(0, 5000, "")
        model.add(end == start + size).only_enforce_if(here)
        self.rooms.setdefault(device, []).append(model.new_optional_interval_var(start, size, end, here, ""))
        if where.beam and job.particle:
            switch = self.problem.beams[where.beam].switch
            size = self._size(job.minutes - where.setup - where.leave + switch, here)
            end = model.new_int_var(0, 5000, "")
            begin = start + where.setup
            model.add(end == begin + size).only_enforce_if(here)
            self.beams.setdefault(where.beam, []).append(
                model.new_optional_interval_var(begin, size, end, here, "")
            )

    def _size(self, minutes: int, here: Any) -> Any:
        """Minutes and the free ones behind them; each piece of these is worth the waiting that it saves."""
        pieces, slack = [], 0
        for width in STEPS:
            worth = round(SCALE * (waiting(slack) - waiting(slack + width)) / width)
            piece = self.model.new_int_var(0, width, "")
            self.model.add(piece == 0).only_enforce_if(~here)
            self.cost.append(-worth * piece)
            self.model.add_hint(piece, 0)
            pieces.append(piece)
            slack += width
        size = self.model.new_int_var(minutes, minutes + slack, "")
        self.model.add(size == minutes + sum(pieces))
        self.model.add_hint(size, minutes)
        return size

    def separate_particles(self) -> None:
        """Between beams of two particles lies the time of the change, one way round or the other."""
        for number, one in enumerate(self.freed):
            for device, here in one.at.items():
                for other in self.freed[number + 1 :]:
                    if other.job.particle != one.job.particle and one.job.particle and other.job.particle:
                        for second, there in other.at.items():
                            self._apart(self._beam(one, device, here), self._beam(other, second, there))
                for stays in self.held:
                    if stays.beam and stays.particle != one.job.particle and one.job.particle:
                        self._apart(self._beam(one, device, here), (stays.device, *stays.beam, None))

    def _beam(self, one: _Freed, device: str, here: Any) -> tuple[str, Any, Any, Any]:
        where = self.problem.devices[device]
        return device, one.start + where.setup, one.start + one.job.minutes - where.leave, here

    def _apart(self, one: tuple[str, Any, Any, Any], two: tuple[str, Any, Any, Any]) -> None:
        beam = self.problem.devices[one[0]].beam
        if not beam or self.problem.devices[two[0]].beam != beam:
            return
        change, before = self.problem.beams[beam].change, self.model.new_bool_var("")
        both = [here for here in (one[3], two[3]) if here is not None]
        self.model.add(two[1] >= one[2] + change).only_enforce_if([before, *both])
        self.model.add(one[1] >= two[2] + change).only_enforce_if([~before, *both])

    def solve(self, seconds: float) -> Sequence[Place]:
        """Where the freed visits stand now; nothing where no answer was found in time."""
        for rows in (self.rooms, self.beams):
            for row in rows.values():
                self.model.add_no_overlap(row)
        self.model.minimize(sum(self.cost))
        solver = self.cp.CpSolver()
        solver.parameters.max_time_in_seconds = seconds
        solver.parameters.num_workers = WORKERS
        if solver.solve(self.model) not in (self.cp.OPTIMAL, self.cp.FEASIBLE):
            return ()
        return [
            place(self.problem, one.job, device, solver.value(one.start))
            for one in self.freed
            for device, here in one.at.items()
            if solver.value(here)
        ]
