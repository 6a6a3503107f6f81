"""Visits as a CP-SAT model: no room and no beam taken twice, changes of the particle, free time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ois_bridge.domain.scheduling.problem import WEIGHT_UNPLACED, Job, Place, Problem, place, waiting
from ois_bridge.services.appointments import retime
from ois_bridge.services.appointments.retime import SCALE, STEPS

WORKERS = 2


@dataclass
class Freed:
    """A visit as the solver sees it: its start, and per device whether it is there."""

    job: Job
    start: Any
    at: dict[str, Any]
    placed: Any


@dataclass
class Model:
    """A CP-SAT model of some visits that are free among others that stay. lower, upper: minutes between which
    the free ones lie. `roomy`: free time behind visits is worth something, and so are the patients' wishes.
    """

    cp: Any
    problem: Problem
    lower: int
    upper: int
    roomy: bool = True
    model: Any = None
    rooms: dict[str, list[Any]] = field(default_factory=dict)
    beams: dict[str, list[Any]] = field(default_factory=dict)
    held: list[Place] = field(default_factory=list)
    freed: list[Freed] = field(default_factory=list)
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

    def free(self, job: Job, old: Place | None) -> Freed | None:
        """A visit to place; `old`: where it stands and the solver begins. Without it, it may stay out.

        None where no start of it lies in the window.
        """
        model = self.model
        options = {
            device: [at for at in starts if self.lower <= at and at + job.minutes <= self.upper]
            for device, starts in job.options.items()
        }
        starts = sorted({at for row in options.values() for at in row})
        if not starts:
            return None
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
        self.freed.append(Freed(job, start, at, placed))
        if self.roomy:
            self.cost += retime.wish(self.model, job, start)
        return self.freed[-1]

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
        if not self.roomy:
            return minutes
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

    def _beam(self, one: Freed, device: str, here: Any) -> tuple[str, Any, Any, Any]:
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


def stay_near(window: Model, freed: Freed, old: Place, moved: int, elsewhere: int) -> None:
    """Let a freed visit cost a minute's worth for each minute away from its old start, `moved` minutes' worth
    when it moves at all, and `elsewhere` more on another device.
    """
    model = window.model
    away, moves = model.new_int_var(0, 2880, ""), model.new_bool_var("")
    model.add(away >= freed.start - old.start).only_enforce_if(freed.placed)
    model.add(away >= old.start - freed.start).only_enforce_if(freed.placed)
    model.add(away == 0).only_enforce_if(~moves)
    window.cost += [away * SCALE, moves * moved * SCALE]
    for device, here in freed.at.items():
        if device != old.device:
            model.add_implication(here, moves)
            window.cost.append(here * elsewhere * SCALE)
