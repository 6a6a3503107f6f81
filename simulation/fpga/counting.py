"""What the monitors show of some spots between two looks, as arithmetic on arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulation.fpga.model import BeamView, Faults
from simulation.fpga.noise import SpotNoise
from simulation.fpga.rows import Rows
from simulation.fpga.run import Floats, Ints, Run
from simulation.fpga.spotmap import SpotMap


@dataclass(frozen=True)
class Shown:
    """Counts added and positions seen since the last look, one entry a spot; arrays (k,)."""

    index: Ints
    primary: Ints
    secondary: Ints
    x: Floats
    y: Floats
    size_x: Floats
    size_y: Floats
    start: Ints
    end: Ints


def second_counts(noise: SpotNoise, index: Ints, primary: Ints) -> Ints:
    """Cumulative counts of the secondary monitor that go with cumulative counts of the primary.

    Because it is a function of the sum, the parts of a divided spot add up to the undivided one.
    """
    return _whole(primary * noise.secondary[index])


def shown(
    spots: SpotMap,
    noise: SpotNoise,
    rows: Rows,
    run: Run,
    at: Ints,
    looked: Ints,
    ends: Ints,
    beam: BeamView,
    faults: Faults,
) -> Shown:
    """What the monitors add for the run's spots `at` from the ticks `looked` to the ticks `ends`."""
    index = run.index[at]
    gain = 1.0 - faults.primary_low
    size = beam.size * (1.0 + faults.size_error)

    def seen(until: Ints) -> Ints:
        counts = np.floor(run.rate[at] * gain * (until - run.start[at])).astype(np.int64)
        if faults.stuck_beam:
            return counts
        return np.where(until >= run.end[at], run.goal[at], np.minimum(counts, run.goal[at]))

    primary = seen(ends) - seen(looked)
    if gain == 1.0:
        base = spots.done[index] + rows["primary"][index]
        secondary = second_counts(noise, index, base + primary) - second_counts(noise, index, base)
    else:
        # The primary does not tell what came: the secondary counts the true rate.
        true = run.rate[at] * noise.secondary[index]
        secondary = _whole(true * (ends - run.start[at])) - _whole(true * (looked - run.start[at]))
    if faults.monitor_mismatch:
        secondary = _whole(secondary * (1.0 - faults.monitor_mismatch))
    return Shown(
        index=index,
        primary=primary,
        secondary=secondary,
        x=spots.x[index] + beam.offset_x + faults.position_offset + noise.x[index],
        y=spots.y[index] + beam.offset_y + noise.y[index],
        size_x=spots.size_x[index] * noise.size_x[index] * size,
        size_y=spots.size_y[index] * noise.size_y[index] * size,
        start=run.start[at],
        end=ends,
    )


def _whole(counts: NDArray[np.floating[Any]]) -> Ints:
    whole: Ints = np.rint(counts).astype(np.int64)
    return whole


def add(rows: Rows, seen: Shown, count: int) -> tuple[int, int]:
    """Add the first `count` entries to the rows; positions and sizes are means weighted by counts.

    Returns the range of rows that changed.
    """
    index = seen.index[:count]
    new = np.maximum(seen.primary[:count], 0).astype(np.float64)
    total = rows["primary"][index] + new
    first = rows["start_tick"][index] == 0
    weight: NDArray[np.float64] = np.divide(new, total, out=first.astype(np.float64), where=total > 0)
    for name in ("x", "y", "size_x", "size_y"):
        rows[name][index] += weight * (getattr(seen, name)[:count] - rows[name][index])
    rows["primary"][index] += seen.primary[:count]
    rows["secondary"][index] += seen.secondary[:count]
    rows["start_tick"][index] = np.where(first, seen.start[:count], rows["start_tick"][index])
    rows["end_tick"][index] = seen.end[:count]
    return int(index.min()), int(index.max()) + 1
