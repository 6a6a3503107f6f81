"""Carrying out a measurement: checked first, written down point by point, and always put back."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from common.errors import LinkLost, PtcsError, Refused
from common.text import _
from ptcs.commissioning.bench import Bench
from ptcs.commissioning.plan import Measured, Plan, Point
from ptcs.commissioning.sampling import sample, settled, unmet
from ptcs.commissioning.store import Store

BACK_S, LOOK_S = 5.0, 0.05
"""How long a setting that was put back may take to show it."""
SAME = 1e-6
Watch = Callable[[Measured], None]
"""Told after every point."""


class Interfered(Refused):
    """Somebody else has written a setting of the measurement."""


@dataclass
class Session:
    """Where measurements are made. lost: what to do when beam is gone (reset, fill again), or nothing.

    machine: what is kept with each measurement (site, mode, energy, snapshot).
    """

    bench: Bench
    store: Store
    lost: Callable[[str], None] | None = None
    watch: list[Watch] = field(default_factory=list)
    machine: Callable[[], Mapping[str, Any]] = dict

    def run(self, plan: Plan) -> Measured:
        """Carry out a plan. Raises Refused before the first write for what cannot be done, BeamLost, LinkLost
        and Interfered amid it; the settings are put back, but for one that somebody else has written.
        """
        start = tuple(float(value) for value in self.bench.read(plan.settings).values)
        check(self, plan, start)
        return self._go_on(self.store.begin(plan, start, self.bench.user, self.machine()))

    def resume(self, number: str) -> Measured:
        """Go on with a measurement that was broken off. Its steps are relative to what stood at its start."""
        measured = self.store.load(number)
        now = tuple(float(value) for value in self.bench.read(measured.plan.settings).values)
        check(self, measured.plan, measured.start)
        away = [name for name, was, is_ in zip(measured.plan.settings, measured.start, now, strict=True)
                if not abs(was - is_) <= measured.plan.own]  # fmt: skip
        if away:
            text = _("{names} do not stand where the measurement began; put them back, or measure anew")
            raise Refused(text.format(names=", ".join(away)))
        return self._go_on(measured)

    def _go_on(self, measured: Measured) -> Measured:
        plan = measured.plan
        with put_back(self, measured) as held:
            for index in range(len(measured.points), len(plan.steps)):
                measured = self.store.append(measured, self._step(measured, index, held.written))
                for watch in self.watch:
                    watch(measured)
        return measured

    def _step(self, measured: Measured, index: int, written: dict[str, float]) -> Point:
        plan, bench = measured.plan, self.bench
        wanted = targets(plan, measured.start)[index]
        if missing := unmet(bench, plan.require):
            raise Refused("; ".join(missing))
        check_ours(bench, plan, written)
        for name, value in zip(plan.settings, wanted, strict=True):
            if written[name] != value:
                put(bench, name, float(value), written)
        settled(bench, plan.settle, [float(value) for value in wanted])
        patience = (plan.patience_s, plan.sample_s)
        found = sample(bench, plan.measure, plan.samples, *patience, self.lost, plan.changing)
        check_ours(bench, plan, written)
        text = _("{name} gave {got} of {count} values")
        got = zip(plan.measure, found.count, strict=True)
        few = [(name, int(count)) for name, count in got if count < plan.samples]
        notes = [text.format(name=name, got=count, count=plan.samples) for name, count in few]
        return Point(
            index=index,
            settings=tuple(float(value) for value in wanted),
            mean=tuple(found.mean.tolist()),
            error=tuple(found.error.tolist()),
            count=tuple(int(count) for count in found.count),
            time=bench.now(),
            notes=tuple(notes),
        )


def put(bench: Bench, name: str, value: float, written: dict[str, float]) -> None:
    """Write a setting and note it. A refused write changed nothing; one that got lost may have arrived."""
    before, written[name] = written[name], value
    try:
        bench.write(name, value)
    except Refused:
        written[name] = before
        raise


def targets(plan: Plan, start: tuple[float, ...]) -> Any:
    """What each step writes, (m, k)."""
    steps = np.array(plan.steps, dtype=np.float64)
    return steps + np.array(start) if plan.relative else steps


def check(session: Session, plan: Plan, start: tuple[float, ...]) -> None:
    """Raise Refused with everything that stands against a measurement. Nothing is written."""
    bench, found = session.bench, []
    text = _("settings of measurement {id} were never put back: `ptcs commission recover` does it")
    found += [text.format(id=note.id) for note in session.store.orphans()]
    wanted = targets(plan, start)
    for i, name in enumerate(plan.settings):
        limits = bench.limits(name)
        if not np.isfinite(start[i]):
            found.append(_("{name} is not known now").format(name=name))
        elif limits is None:
            found.append(_("{name} names no limits; nobody could say what is too far").format(name=name))
        elif wanted[:, i].min() < limits[0] or wanted[:, i].max() > limits[1]:
            text = _("{name} would go from {low:g} to {high:g}: its limits are {least:g} to {most:g}")
            low, high = float(wanted[:, i].min()), float(wanted[:, i].max())
            found.append(text.format(name=name, low=low, high=high, least=limits[0], most=limits[1]))
    text = _("{name}: {user} has control; ask for a hand-over")
    found += [text.format(name=name, user=user) for name, user in bench.holders(plan.settings).items()]
    bench.read(plan.measure)
    found += unmet(bench, plan.require)
    if found:
        raise Refused("; ".join(found))


def check_ours(bench: Bench, plan: Plan, written: Mapping[str, float]) -> None:
    """Raise Interfered when a setting reads something else than what this measurement wrote last."""
    names = list(written)
    for name, value in zip(names, bench.read(names).values, strict=True):
        if abs(value - written[name]) > plan.own:
            text = _("somebody else has set {name} to {value:g}, it was {written:g}: measurement ended")
            raise Interfered(text.format(name=name, value=value, written=written[name]))


@dataclass
class Held:
    """Settings of a measurement. before: what they are put back to. written: what was written last."""

    before: dict[str, float]
    written: dict[str, float]


@contextmanager
def put_back(session: Session, measured: Measured) -> Iterator[Held]:
    """Put every setting back at the end, however it comes. Who changes `before` decides to what.

    A setting that somebody else has written stays theirs. Raises LinkLost when one cannot be put back; the
    note of it stays, and `ptcs commission recover` uses it.
    """
    before = dict(zip(measured.plan.settings, measured.start, strict=True))
    session.store.hold(measured.id, session.bench.user, before)
    held = Held(before, dict(before))
    theirs = False
    try:
        yield held
    except Interfered:
        theirs = True
        raise
    finally:
        with _uninterrupted():
            restore(session, measured.id, held, measured.plan.own if theirs else None)


def restore(session: Session, number: str, held: Held, own: float | None) -> None:
    """Put settings back in reverse order, all of them even where one fails. own: leave what differs more from
    what was written: it is somebody else's.
    """
    failed, bench = [], session.bench
    for name, before in reversed(held.before.items()):
        try:
            now = float(bench.read([name]).values[0])
            theirs = own is not None and abs(now - held.written[name]) > own
            if not theirs and (now != before or held.written[name] != before):  # a reading may lag behind
                bench.write(name, before)
                _await(bench, name, before)
        except PtcsError as why:
            failed.append(f"{name} = {before:g} ({why})")
    if failed:
        session.store.give_up(number)
        text = _("not put back: {what}; `ptcs commission recover` tries again")
        raise LinkLost(text.format(what="; ".join(failed)))
    session.store.release(number)


def _await(bench: Bench, name: str, value: float) -> None:
    """Return when a setting reads a value. Raises LinkLost when it does not within BACK_S."""
    end, near = bench.now() + BACK_S, SAME * max(abs(value), 1.0)
    while not abs(float(bench.read([name]).values[0]) - value) <= near:
        if bench.now() > end:
            raise LinkLost(_("it still reads {value:g}").format(value=float(bench.read([name]).values[0])))
        bench.pause(LOOK_S)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back for a moment: putting back is not broken off half-way."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[Any] = []
    previous = signal.signal(signal.SIGINT, lambda *seen: came.append(seen))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if came:
        raise KeyboardInterrupt
