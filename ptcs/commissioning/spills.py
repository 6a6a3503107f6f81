"""The spill as a monitor of the line sees it, and how much of the ring's beam it takes."""

from dataclasses import dataclass

import numpy as np

from common.errors import BadInput
from common.text import _
from ptcs.commissioning.bench import Floats
from ptcs.commissioning.fits.spill import Spill, spill
from ptcs.commissioning.measure import Session
from ptcs.commissioning.plan import Plan, Point
from ptcs.commissioning.result import Quantity, Result, Table, now
from ptcs.commissioning.results import keep

DUTY, UNIFORMITY, TRANSMISSION = 0.9, 0.7, 0.9
"""Least duty factor (machine.md: above 90 %), ratio of quarters, part of the first monitor's current."""


@dataclass(frozen=True)
class SpillPlan:
    """current: intensity of a monitor behind the extraction; last: of one before the room, or "".

    ring: the circulating current, or "". seconds: wall time to watch. factor: beam time per wall time.
    """

    current: str
    last: str = ""
    ring: str = ""
    seconds: float = 5.0
    factor: float = 1.0
    every_s: float = 0.02


def watch_spill(session: Session, wanted: SpillPlan) -> tuple[Floats, Floats]:
    """Times (n,) s of beam time and fresh readings (n, 3): current, last, ring; NaN where there is none."""
    bench = session.bench
    names = [name for name in (wanted.current, wanted.last, wanted.ring) if name]
    places = [i for i, name in enumerate((wanted.current, wanted.last, wanted.ring)) if name]
    end, seen = bench.now() + wanted.seconds, 0.0
    times, rows = [], []
    while bench.now() < end:
        told = bench.read(names)
        if told.times[0] > seen:
            seen = float(told.times[0])
            row = np.full(3, np.nan)
            row[places] = told.values
            times.append(seen)
            rows.append(row)
        bench.pause(wanted.every_s)
    if not rows:
        raise BadInput(_("a spill needs 16 readings with beam"))
    return (np.array(times) - times[0]) * wanted.factor, np.array(rows)


def stretches(current: Floats) -> list[tuple[int, int]]:
    """Where the spills begin and end in the readings: current above a tenth of its upper quartile."""
    seen = np.nan_to_num(current)
    on = seen > 0.1 * np.quantile(seen, 0.75) if seen.size else np.zeros(0, dtype=np.bool_)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], on, [False]]).astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def of_longest(times: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """The readings of the longest stretch with beam."""
    begin, end = max(stretches(rows[:, 0]), key=lambda pair: pair[1] - pair[0], default=(0, 0))
    return times[begin:end], rows[begin:end]


def mean_current(times: Floats, current: Floats) -> tuple[float, float, int]:
    """Mean in nA over the whole spills that were watched, one sigma of it, and how many spills.

    One spill is too noisy for a change of a tenth. A spill that the watch's begin or end cuts does not
    count when there is a whole one. Readings count by their time: a late one does not stand for itself alone.
    """
    found = [pair for pair in stretches(current) if pair[1] - pair[0] > 1]
    whole = [pair for pair in found if pair[0] > 0 and pair[1] < len(current)] or found
    if not whole:
        return float("nan"), float("nan"), 0
    lengths = [float(times[end - 1] - times[begin]) for begin, end in whole]
    charges = [float(np.trapezoid(current[begin:end], times[begin:end])) for begin, end in whole]
    values = np.concatenate([current[begin:end] for begin, end in whole])
    return sum(charges) / sum(lengths), float(values.std(ddof=1) / np.sqrt(len(values))), len(whole)


def measure_spill(session: Session, wanted: SpillPlan) -> Result:
    """Watch spills, judge the longest, take the mean current of all. Raises LinkLost, BadInput: no beam."""
    plan = Plan(_("Spill at {name}").format(name=wanted.current), ("time",), ((0.0,),),
                ("current", "last", "ring"), kind="spill")  # fmt: skip
    watched = watch_spill(session, wanted)
    times, rows = of_longest(*watched)
    found = spill(times, rows[:, 0])
    current, error, spills = mean_current(watched[0], watched[1][:, 0])
    mean = Quantity("current", current, error, "nA")
    measured = session.store.begin(plan, (0.0,), session.bench.user, session.machine())
    nothing = (float("nan"),) * 3
    points = [
        Point(index, (float(time),), tuple(row.tolist()), nothing, (1, 1, 1), float(time))
        for index, (time, row) in enumerate(zip(times, rows, strict=True))
    ]
    measured = session.store.append(measured, *points)
    for watch in session.watch:
        watch(measured)
    shown = tuple(zip(times.tolist(), rows[:, 0].tolist(), strict=True))
    result = Result(
        measured.id, "spill", plan.title, session.bench.user, now(), _quantities(found, mean, times, rows),
        {"current": wanted.current, "last": wanted.last, "ring": wanted.ring, "spills": spills},
        session.store.head(measured.id)["machine"],
        (Table("spill", ("time s", "current nA"), shown),),
    )  # fmt: skip
    return keep(session.store, result)


def _quantities(found: Spill, mean: Quantity, times: Floats, rows: Floats) -> tuple[Quantity, ...]:
    quantities = [
        Quantity("duty factor", found.duty, found.duty_error, "1", DUTY),
        Quantity("uniformity", found.uniformity, 0.0, "1", UNIFORMITY),
        Quantity("ripple", found.ripple, found.duty_error, "1"),
        mean,
        Quantity("length", found.length, 0.0, "s"),
    ]
    if np.isfinite(rows[:, 1]).any():
        ratio = rows[:, 1] / rows[:, 0]
        error = float(np.nanstd(ratio) / np.sqrt(max(np.isfinite(ratio).sum(), 1)))
        quantities.append(Quantity("transmission", float(np.nanmean(ratio)), error, "1", TRANSMISSION))
    lost = rows[0, 2] - rows[-1, 2]
    if np.isfinite(lost) and lost > 0.0:
        charge = float(np.trapezoid(rows[:, 0], times))
        quantities.append(Quantity("extracted per circulating current", charge / float(lost), 0.0, "nC/mA"))
    return tuple(quantities)
