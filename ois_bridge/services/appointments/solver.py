"""The optimiser of a day: OR-Tools CP-SAT on a window that rolls over a greedy start.

A window frees some visits that follow one another; all others stay. The solver gives each of them a start
(and a room, where there is a choice) so that room and beam are never taken twice, a change of the particle
has its time, and as many minutes as possible, where they help most, lie free behind each visit. A result is
kept where it makes the whole day cheaper, as `greedy.cost` plays it through.
"""

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

from common.errors import Refused
from common.text import _
from ois_bridge.domain.scheduling import greedy
from ois_bridge.domain.scheduling.problem import (
    Board,
    Job,
    Problem,
    board,
)
from ois_bridge.services.appointments import retime
from ois_bridge.services.appointments.model import Model

BUDGET_S = 2.2
WINDOW = 8
WINDOW_S = 0.25
STRIDE = 4
TURNS = 4
STARTS = 3
RETIME_S = 0.15


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

    begins = greedy.starts(problem, lambda: left() > budget / 2)[:STARTS]
    days = [retime.spread(cp, day, jobs, min(left(), RETIME_S)) for day in begins]
    best = min((*days, begins[0]), key=lambda day: greedy.cost(day, jobs))
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
    model = Model(cp_model, old.problem, lower, upper)
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
