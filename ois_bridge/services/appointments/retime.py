"""A day whose order stands, spread over its time: where each minute between two visits helps most.

With the order in every room and in the beam given, starts are bound by differences alone and the expected
waiting is convex in them, so that CP-SAT finds the best starts of a whole day quickly.
"""

from itertools import pairwise
from typing import Any

from ois_bridge.domain.scheduling.problem import (
    OUTSIDE,
    WEIGHT_OUTSIDE,
    WEIGHT_WISH,
    Board,
    Job,
    Place,
    board,
    place,
    waiting,
)

STEPS = (1, 2, 2, 3, 4, 4)
"""Widths (min) of the pieces of the free time behind a visit: each next one is worth less."""

SCALE = 100


def spread(cp: Any, old: Board, jobs: dict[str, Job], seconds: float) -> Board:
    """The same day with better starts; the day itself where none is found within `seconds`."""
    places = old.places()
    if seconds <= 0 or not any(one.key in jobs for one in places):
        return old
    model, cost = cp.CpModel(), []
    starts = {one.key: _start(cp, model, one, jobs.get(one.key)) for one in places}
    for row in old.rooms.values():
        for one, two in pairwise(row):
            cost += _link(model, starts[two.key] - starts[one.key] - one.minutes, two.start - one.end)
    for row in old.beams.values():
        for one, two in pairwise(row):
            assert one.beam is not None
            assert two.beam is not None
            need = two.beam[0] - one.beam[1] - old.gap(one, two)
            apart = starts[two.key] + (two.beam[0] - two.start) - starts[one.key] - (one.beam[1] - one.start)
            cost += _link(model, apart - need, old.gap(one, two))
    for one in places:
        if one.key in jobs:
            cost += wish(model, jobs[one.key], starts[one.key])
    model.minimize(sum(cost))
    solver = cp.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = 1
    if solver.solve(model) not in (cp.OPTIMAL, cp.FEASIBLE):
        return old
    found = [
        place(old.problem, jobs[one.key], one.device, solver.value(starts[one.key]))
        for one in places
        if one.key in jobs
    ]
    return board(old.problem, found)


def _start(cp: Any, model: Any, one: Place, job: Job | None) -> Any:
    if job is None:
        return model.new_constant(one.start)
    start = model.new_int_var_from_domain(cp.Domain.from_values(list(job.options[one.device])), "")
    model.add_hint(start, one.start)
    return start


def _link(model: Any, slack: Any, now: int) -> list[Any]:
    """Two visits that follow one another; `now`: the minutes between them as they stand."""
    pieces, cost, at = [], [], 0
    for width in STEPS:
        worth = round(SCALE * (waiting(at) - waiting(at + width)) / width)
        piece = model.new_int_var(0, width, "")
        model.add_hint(piece, max(min(now - at, width), 0))
        cost.append(-worth * piece)
        pieces.append(piece)
        at += width
    model.add(slack >= sum(pieces))
    return cost


def wish(model: Any, job: Job, start: Any) -> list[Any]:
    """What a start costs by the patient's wishes, as terms of the objective."""
    cost = []
    if job.earliest or job.latest:
        outside, any_outside = model.new_int_var(0, 2000, ""), model.new_bool_var("")
        model.add(outside == 0).only_enforce_if(~any_outside)
        if job.earliest:
            model.add(outside >= job.earliest - start)
        if job.latest:
            model.add(outside >= start + job.minutes - job.latest)
        cost += [round(SCALE * WEIGHT_OUTSIDE) * outside, round(SCALE * OUTSIDE) * any_outside]
    if job.preferred:
        away = model.new_int_var(0, 2000, "")
        model.add(away >= job.preferred - start)
        model.add(away >= start - job.preferred)
        cost.append(round(SCALE * WEIGHT_WISH) * away)
    return cost
