"""Fresh readings, averaged: every sample of an attribute has a time stamp of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from common.errors import LinkLost
from common.text import _
from ptcs.commissioning.bench import Bench, Floats
from ptcs.commissioning.plan import Condition, Settle

LOOK_S = 0.05


class BeamLost(LinkLost):
    """No value came for as long as a measurement waits: there is no beam, or nothing measures it."""


@dataclass(frozen=True)
class Sample:
    """mean, error (n,), count (n,): of the fresh finite readings of each attribute."""

    mean: Floats
    error: Floats
    count: Floats


def sample(
    bench: Bench,
    names: Sequence[str],
    count: int,
    patience_s: float,
    every_s: float,
    lost: Callable[[str], None] | None = None,
    changing: Sequence[str] = (),
) -> Sample:
    """Average `count` fresh readings of each attribute; readings older than the call do not count.

    Where nothing comes any more, `lost` is told once a while; after patience_s what has come counts, if of
    any attribute there is enough. Raises BeamLost when there is not. A reading of `changing` that is what it
    was before is not fresh, whatever its time.
    """
    held = np.array([name in changing for name in names])
    before = bench.read(names).values
    begun = bench.now()
    last, heard, told = np.full(len(names), begun), begun, begun
    rows: list[list[float]] = [[] for _ in names]
    while any(len(row) < count for row in rows):
        told_now = bench.read(names)
        fresh = np.isfinite(told_now.values) & (told_now.times > last)
        fresh &= ~(held & (told_now.values == before))
        before = told_now.values
        for i in np.flatnonzero(fresh):
            rows[i].append(float(told_now.values[i]))
        last = np.where(fresh, told_now.times, last)
        now = bench.now()
        if any(fresh[i] and len(rows[i]) <= count for i in range(len(rows))):
            heard = told = now
        elif now - heard > patience_s:
            break
        elif lost is not None and now - told > min(1.0, patience_s / 4.0):
            lost(_("no value of {names}").format(names=", ".join(names[:3])))
            told = bench.now()
        bench.pause(every_s)
    if all(len(row) < count for row in rows):
        text = _("no beam, or nobody measures it: no value of {names} within {limit:.0f} s")
        raise BeamLost(text.format(names=", ".join(names[:3]), limit=patience_s))
    return averaged([row[:count] for row in rows])


def averaged(rows: Sequence[Sequence[float]]) -> Sample:
    """Mean and standard error of each row; NaN for an empty row, and an error of NaN from one value."""
    mean = np.array([np.mean(row) if row else np.nan for row in rows])
    error = np.array([np.std(row, ddof=1) / np.sqrt(len(row)) if len(row) > 1 else np.nan for row in rows])
    return Sample(mean, error, np.array([float(len(row)) for row in rows]))


def settled(bench: Bench, settle: Settle, wanted: Sequence[float]) -> None:
    """Return when the settings stand. Raises LinkLost when a readback does not come to its setting."""
    bench.pause(settle.wait_s)
    if not settle.readback:
        return
    end, good = bench.now() + settle.limit_s, 0
    while good < 2:
        found = bench.read(settle.readback).values
        near = np.abs(found - np.asarray(wanted)) <= settle.tolerance
        good = good + 1 if near.all() else 0
        if good < 2 and bench.now() > end:
            i = int(np.flatnonzero(~near)[0]) if not near.all() else 0
            text = _(
                "{name} reads {found:g}, wanted {wanted:g} within {tolerance:g}: not settled in {limit:g} s"
            )
            raise LinkLost(text.format(name=settle.readback[i], found=found[i], wanted=wanted[i],
                                       tolerance=settle.tolerance, limit=settle.limit_s))  # fmt: skip
        bench.pause(LOOK_S)


def unmet(bench: Bench, conditions: Sequence[Condition]) -> list[str]:
    """Conditions that do not hold now, in words."""
    if not conditions:
        return []
    values = bench.read([condition.name for condition in conditions]).values
    text = _("{name} is {value:g}: {low:g} to {high:g} is needed")
    return [
        text.format(name=c.name, value=value, low=c.low, high=c.high)
        for c, value in zip(conditions, values, strict=True)
        if not c.low <= value <= c.high
    ]
