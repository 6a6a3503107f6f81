"""One run of spots: what one spill delivers of one layer, laid out in ticks before it begins."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from common.clock import ticks
from simulation.fpga.model import (
    INDEPENDENT_PRESET,
    PRESET_QUANTUM,
    TIMER_FACTOR,
    BeamView,
    Faults,
    Model,
)
from simulation.fpga.noise import SpotNoise
from simulation.fpga.spotmap import SpotMap

NEVER = 10**14
"""Ticks (nine days) that stand for: this does not happen."""

_TIMER_SLACK = ticks(0.1)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """Spots one after another; all arrays (m,).

    index: spot in the map. start, end: ticks of beam on and off by the primary monitor.
    limit: tick at which something independent ends the beam first if it is before `end`;
    by_timer: ... and whether that is the timer (else the second preset).
    goal: counts that the primary adds in this run. rate: true counts per tick.
    """

    index: Ints
    start: Ints
    end: Ints
    limit: Ints
    by_timer: NDArray[np.bool_]
    goal: Ints
    rate: Floats

    def head(self, count: int) -> "Run":
        """The first `count` spots."""
        return Run(*(getattr(self, name)[:count] for name in self.__dataclass_fields__))

    def due(self, spot: int, tick: int) -> "Run":
        """The same, with a timer that ends the first spot at a tick if it is that spot."""
        if not len(self.index) or self.index[0] != spot or self.limit[0] <= tick:
            return self
        limit, by_timer = self.limit.copy(), self.by_timer.copy()
        limit[0], by_timer[0] = tick, True
        return replace(self, limit=limit, by_timer=by_timer)


def timer_ticks(model: Model, goal: Ints | np.int64) -> Ints:
    """Ticks of beam that the timer allows for counts."""
    most: Ints = np.ceil(TIMER_FACTOR * goal / model.rate).astype(np.int64) + _TIMER_SLACK
    return most


@dataclass(frozen=True)
class Progress:
    """How far a map has come: counts of each spot so far, (n,), earlier parts included."""

    primary: Ints
    secondary: Ints


def plan_run(
    model: Model,
    spots: SpotMap,
    noise: SpotNoise,
    so_far: Progress,
    todo: Ints,
    tick: int,
    beam: BeamView,
    faults: Faults,
) -> Run:
    """Lay out the spots `todo` (indices of one layer, with counts left) from `tick` on.

    Ends where the charge of the spill ends; a spot that alone needs more than a whole spill is
    divided, and its rest belongs to the next run.
    """
    left = spots.preset[todo] + noise.overshoot[todo] - so_far.primary[todo]
    budget = model.spill_counts(spots.energy[spots.layer[todo[0]]]) / beam.k_tp
    whole = int(np.searchsorted(np.cumsum(left), budget, side="right"))
    keep = slice(0, max(whole, 1))
    index, goal = todo[keep], np.minimum(left[keep], int(budget))
    air = beam.intensity * (1.0 - faults.dose_rate_low) / beam.k_tp
    rate = model.rate * air * noise.ripple[index]
    primary_rate = rate * (1.0 - faults.primary_low)
    lasts = _ticks_for(goal, primary_rate)
    begin = tick + np.cumsum(_travel(model, spots, index) + lasts) - lasts
    limit, by_timer = _limits(model, spots, noise, so_far, index, goal, rate, faults)
    end = begin + (np.full_like(lasts, NEVER) if faults.stuck_beam else lasts)
    return Run(index, begin, end, begin + limit, by_timer, goal, rate)


def _travel(model: Model, spots: SpotMap, index: Ints) -> Ints:
    """Ticks from each spot before to this one and for settling; the first is reached from the axis."""
    dx = np.abs(np.diff(spots.x[index], prepend=0.0)) / model.speed[0]
    dy = np.abs(np.diff(spots.y[index], prepend=0.0)) / model.speed[1]
    return np.ceil(np.maximum(dx, dy)).astype(np.int64) + model.settle


def _limits(
    model: Model,
    spots: SpotMap,
    noise: SpotNoise,
    so_far: Progress,
    index: Ints,
    goal: Ints,
    rate: Floats,
    faults: Faults,
) -> tuple[Ints, NDArray[np.bool_]]:
    """Ticks of beam until the second preset (on either monitor) or the timer ends a spot."""
    preset = np.ceil(INDEPENDENT_PRESET * spots.preset[index]).astype(np.int64) + PRESET_QUANTUM
    by_primary = _ticks_for(preset - so_far.primary[index], rate * (1.0 - faults.primary_low))
    seen = rate * noise.secondary[index] * (1.0 - faults.monitor_mismatch)
    by_secondary = _ticks_for(preset - so_far.secondary[index], seen)
    second_preset = np.minimum(by_primary, by_secondary)
    timer = timer_ticks(model, goal)
    return np.minimum(second_preset, timer), timer < second_preset


def _ticks_for(counts: Ints, rate: Floats) -> Ints:
    with np.errstate(divide="ignore", invalid="ignore"):
        lasts = np.ceil(counts / rate)
    whole: Ints = np.clip(np.nan_to_num(lasts, nan=NEVER, posinf=NEVER), 1, NEVER).astype(np.int64)
    return whole
