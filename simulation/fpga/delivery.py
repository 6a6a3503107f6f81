"""Delivery of one loaded map: runs of spots, counted as a function of ticks."""

from dataclasses import dataclass, replace

import numpy as np

from simulation.fpga.checks import History, Violation, first_violation
from simulation.fpga.counting import add, second_counts, shown
from simulation.fpga.model import BeamView, Faults, Model
from simulation.fpga.noise import spot_noise
from simulation.fpga.rows import Rows
from simulation.fpga.run import NEVER, Ints, Progress, Run, plan_run, timer_ticks
from simulation.fpga.spotmap import SpotMap

INTENSITY_STEP = 0.02
"""Change of the beam's intensity, relative to nominal, from which on the spots to come are timed anew."""


@dataclass(frozen=True)
class Advance:
    """What an advance brought.

    touched: map indices of the spots that had beam. ended: those of them that ended.
    tick: how far it came (less than asked at a violation). violation: what ends the delivery there.
    """

    touched: Ints
    ended: Ints
    tick: int
    violation: Violation | None = None


class Delivery:
    """One map, its counters, and the run under way. Times are ticks, none is read from a clock."""

    def __init__(self, model: Model, spots: SpotMap, rows: Rows, seed: int) -> None:
        self.model = model
        self.spots = spots
        self.rows = rows
        self.noise = spot_noise(model, seed, spots.plan_hash, spots.beam_number, spots.count)
        self.goal = spots.preset + self.noise.overshoot
        """Counts at which each spot really ends, (n,)."""
        self.run: Run | None = None
        self.changed = (0, 0)
        """Range of rows changed since somebody last set it to (0, 0)."""
        self._next = 0
        self._looked = 0
        self._intensity = 0.0
        self._history = History()

    def so_far(self) -> Progress:
        """Counts of each spot, earlier parts included."""
        before = second_counts(self.noise, np.arange(self.spots.count), self.spots.done)
        return Progress(self.spots.done + self.rows["primary"], before + self.rows["secondary"])

    def todo(self) -> Ints:
        """Indices of the spots of the first layer with counts left; empty when the map is delivered."""
        left = np.flatnonzero(self.goal > self.spots.done + self.rows["primary"])
        return left[self.spots.layer[left] == self.spots.layer[left[0]]] if len(left) else left

    def layers_left(self) -> list[int]:
        """Indices of the layers with counts left, in order."""
        left = self.goal > self.spots.done + self.rows["primary"]
        return [int(layer) for layer in np.unique(self.spots.layer[left])]

    @property
    def spot(self) -> int:
        """Index of the spot under way or to come; the number of spots when all are done."""
        if self.run is not None and self._next < len(self.run.index):
            return int(self.run.index[self._next])
        todo = self.todo()
        return int(todo[0]) if len(todo) else self.spots.count

    def begin(self, tick: int, beam: BeamView, faults: Faults) -> None:
        """Lay out the next run from `tick` on."""
        so_far = self.so_far()
        self.run = plan_run(self.model, self.spots, self.noise, so_far, self.todo(), tick, beam, faults)
        self._next, self._looked, self._intensity = 0, 0, beam.intensity
        self._history.beam_secondary = int(so_far.secondary.sum())

    def follow(self, tick: int, beam: BeamView, faults: Faults) -> None:
        """Lay the run out anew from `tick` on where the beam's intensity is not what it was laid out for.

        The timer of the spot under way goes on: a beam that gets weaker and weaker runs into it.
        """
        if abs(beam.intensity - self._intensity) <= INTENSITY_STEP:
            return
        before, at = self._current(), self._next
        if at >= len(before.index) or tick <= before.start[at]:
            self.begin(tick, beam, faults)
            return
        spot = int(before.index[at])
        due = int(before.start[at] + timer_ticks(self.model, before.goal[at]))
        self.begin(tick, beam, faults)
        self.run = self._current().due(spot, max(due, tick + 1))

    def advance(self, tick: int, beam: BeamView, faults: Faults) -> Advance:
        """Count up to `tick`, or to the first violation before it."""
        run = self._current()
        late = np.flatnonzero((run.limit < run.end) & (run.limit <= tick))
        late = late[late >= self._next]
        stop = min(tick, int(run.limit[late[0]])) if len(late) else tick
        last = int(np.searchsorted(run.end, stop, side="right"))
        touched = np.arange(self._next, min(last + 1, len(run.index)))
        touched = touched[run.start[touched] < stop]
        ends = np.minimum(run.end[touched], stop)
        seen = shown(
            self.spots, self.noise, self.rows, run, touched, self._looks(touched), ends, beam, faults
        )
        violation = first_violation(self.model, self.spots, self.rows, seen, self._history)
        if violation is not None:
            touched, stop = touched[: violation.position + 1], violation.tick
        elif len(late):
            cause = "delivery.timer" if run.by_timer[late[0]] else "monitor.overdose"
            violation = Violation(cause, stop, len(touched) - 1)
        ended = touched[run.end[touched] <= stop]
        self._history.add(self.spots, seen, len(ended), len(touched))
        if len(touched):
            self._note_changed(add(self.rows, seen, len(touched)))
        self._next, self._looked = (int(ended[-1]) + 1 if len(ended) else self._next), stop
        return Advance(run.index[touched], run.index[ended], stop, violation)

    @property
    def end_tick(self) -> int:
        """Tick at which the run is over."""
        run = self._current()
        return int(run.end[-1]) if len(run.end) else self._looked

    def spot_end(self, tick: int) -> int | None:
        """Tick at which the spot under way at `tick` ends; None when no spot has beam then."""
        run = self._current()
        if self._next < len(run.index) and run.start[self._next] < tick < run.end[self._next]:
            return int(run.end[self._next])
        return None

    def shorten(self, tick: int) -> None:
        """Let no spot start at or after `tick`; the one under way goes on to its end."""
        run = self._current()
        self.run = run.head(int(np.searchsorted(run.start, tick, side="left")))

    def cut(self, tick: int, off: int, beam: BeamView, faults: Faults) -> tuple[Ints, int]:
        """End the run at `tick`: nothing starts from then on, and beam is off `off` ticks later.

        Counts what still comes. Returns the map index of the spot that was cut, (1,) or (0,), and the
        tick from which there is no beam.
        """
        under_way = self.spot_end(tick) is not None or bool(faults.fast_off_fails)
        self.shorten(tick)
        run = self._current()
        at = np.array([self._next] if under_way and self._next < len(run.index) else [], dtype=np.int64)
        if faults.fast_off_fails:
            run = replace(run, end=np.full_like(run.end, NEVER))
            faults = replace(faults, stuck_beam=1.0)
        ends = np.minimum(run.end[at], tick + off)
        seen = shown(self.spots, self.noise, self.rows, run, at, self._looks(at), ends, beam, faults)
        if len(at):
            self._note_changed(add(self.rows, seen, 1))
        self.run = None
        return run.index[at], int(ends[0]) if len(at) else tick

    def _current(self) -> Run:
        if self.run is None:
            raise RuntimeError("no run is under way")
        return self.run

    def _looks(self, at: Ints) -> Ints:
        """When each of the run's spots was looked at last: its start, if it was not yet."""
        return np.maximum(self._current().start[at], self._looked)

    def _note_changed(self, rows: tuple[int, int]) -> None:
        low, high = self.changed
        self.changed = (min(low, rows[0]), max(high, rows[1])) if high > low else rows
