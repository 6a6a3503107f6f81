"""Orbit and spot position corrected by a measured response matrix."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from common.errors import Refused
from common.text import _
from ptcs.commissioning.bench import Floats
from ptcs.commissioning.fits.response import Correction, Response, correct, from_steps, limited
from ptcs.commissioning.measure import Session, check, put, put_back
from ptcs.commissioning.plan import Measured, Plan, Settle, response
from ptcs.commissioning.result import Quantity, Result, Table, now
from ptcs.commissioning.results import keep
from ptcs.commissioning.sampling import Sample, sample, settled

POSITION_MM = 1.0
"""Tolerance of one reading after a correction."""


@dataclass(frozen=True)
class Steering:
    """Knobs (k,) that move readings (n,) in mm to what is wanted (n,). `changing`: as in Plan."""

    title: str
    kind: str
    knobs: tuple[str, ...]
    readings: tuple[str, ...]
    wanted: tuple[float, ...]
    kick: float
    samples: int = 10
    settle: Settle = field(default_factory=lambda: Settle(0.3))
    patience_s: float = 30.0
    changing: tuple[str, ...] = ()
    tolerance_mm: float = POSITION_MM

    def plan(self) -> Plan:
        """The measurement of the response."""
        return response(
            _("Response of {title}").format(title=self.title), self.knobs, self.kick, self.readings,
            samples=self.samples, settle=self.settle, patience_s=self.patience_s, changing=self.changing,
        )  # fmt: skip


def measured_response(measured: Measured) -> Response:
    """The response matrix of a measurement made by `Steering.plan`."""
    return from_steps(measured.settings(), np.array(measured.start), measured.mean(), measured.error())


def steer(
    session: Session,
    steering: Steering,
    matrix: Response,
    rounds: int = 2,
    keep_directions: int | None = None,
    leave: bool = True,
) -> Result:
    """Correct in rounds, each accepted only where it leaves less than before; then measure what is left.

    leave: the correction stays; otherwise everything is put back. The first step is refused where a knob has
    no limits. Raises as `Session.run`; whatever goes wrong, the knobs stand as before.
    """
    bench = session.bench
    start = tuple(float(value) for value in bench.read(steering.knobs).values)
    none = tuple(0.0 for _knob in steering.knobs)
    plan = Plan(steering.title, steering.knobs, (none,), steering.readings, relative=True,
                samples=steering.samples, settle=steering.settle, patience_s=steering.patience_s,
                changing=steering.changing, kind=steering.kind)  # fmt: skip
    check(session, plan, start)
    measured = session.store.begin(plan, start, bench.user, session.machine())
    with put_back(session, measured) as held:
        before = found = _look(session, steering)
        done: list[Correction] = []
        for _round in range(rounds):
            change = correct(matrix, found.mean, np.array(steering.wanted), found.error, keep_directions)
            after = _apply(session, steering, change, held.written, found)
            if after is None:
                break
            done.append(change)
            found = after
        if leave:
            held.before.update(held.written)
    final = dict(held.before)
    return keep(session.store, _result(session, steering, measured, (before, found), done, start, final))


def _look(session: Session, steering: Steering) -> Sample:
    return sample(session.bench, steering.readings, steering.samples, steering.patience_s, 0.02,
                  session.lost, steering.changing)  # fmt: skip


def _apply(
    session: Session, steering: Steering, change: Correction, written: dict[str, float], found: Sample
) -> Sample | None:
    """Write a correction and look; take it back and answer None where it leaves more than there was."""
    if change.used == 0:
        return None
    bench = session.bench
    at = np.array([written[name] for name in steering.knobs])
    bounds = np.array([bench.limits(name) or (np.nan, np.nan) for name in steering.knobs])
    step, share = limited(change.change, at, bounds)
    if share <= 0.0:
        raise Refused(_("a corrector stands at its limit; the orbit cannot be corrected with it"))
    _write(session, steering, at + step, written)
    after = _look(session, steering)
    if _rms(after.mean, steering) < _rms(found.mean, steering):
        return after
    _write(session, steering, at, written)
    return None


def _write(session: Session, steering: Steering, values: Floats, written: dict[str, float]) -> None:
    for name, value in zip(steering.knobs, values, strict=True):
        put(session.bench, name, float(value), written)
    settled(session.bench, steering.settle, values.tolist())


def _rms(mean: Floats, steering: Steering) -> float:
    return float(np.sqrt(np.nanmean((mean - np.array(steering.wanted)) ** 2)))


def _result(
    session: Session,
    steering: Steering,
    measured: Measured,
    looks: tuple[Sample, Sample],
    done: Sequence[Correction],
    start: Sequence[float],
    final: dict[str, float],
) -> Result:
    before, after = looks
    noise = float(np.sqrt(np.nanmean(after.error**2) / max(len(steering.readings), 1)))
    gap = np.abs(after.mean - np.array(steering.wanted))
    worst = int(np.nanargmax(gap)) if np.isfinite(gap).any() else 0
    quantities = (
        Quantity("rms before", _rms(before.mean, steering), noise, "mm"),
        Quantity("rms after", _rms(after.mean, steering), noise, "mm", None, steering.tolerance_mm),
        Quantity(
            "largest after", float(gap[worst]), float(after.error[worst]), "mm", None, steering.tolerance_mm
        ),
        Quantity("directions used", float(max((c.used for c in done), default=0)), 0.0),
    )
    readings = zip(steering.readings, steering.wanted, before.mean, after.mean, after.error, strict=True)
    knobs = [(name, was, final[name]) for name, was in zip(steering.knobs, start, strict=True)]
    left = final != dict(zip(steering.knobs, start, strict=True))
    return Result(
        measured.id, steering.kind, steering.title, session.bench.user, now(), quantities,
        {"knobs": list(steering.knobs), "kick": steering.kick, "rounds": len(done)},
        session.store.head(measured.id)["machine"],
        (
            Table("readings", ("reading", "wanted", "before", "after", "error"), tuple(readings)),
            Table("knobs", ("knob", "before", "after"), tuple(knobs)),
        ),
        () if done else (_("no correction was better than what there was"),),
        {"settings": final, "from": dict(zip(steering.knobs, start, strict=True))} if left else None,
    )  # fmt: skip
