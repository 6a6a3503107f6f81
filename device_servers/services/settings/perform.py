"""Carrying out a plan: group by group, each written by the user's own right, then read back until it stands.

It stops at the first group that fails, when it is told to, and as soon as something forbids writing.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from common.errors import PtcsError
from common.text import _
from device_servers.services.settings.compare import same
from device_servers.services.settings.plan import Plan, Step, Verdict
from device_servers.services.settings.reading import Reading

POLL_S = 0.1
THREADS = 4
RUNNING = ("MOVING", "ALARM")
"""States of what has just taken its command On: on its way to a set value, or outside an alarm limit."""
LOOK_EVERY = 25
"""Writes of one server between two looks at what forbids writing."""


class World(Protocol):
    """What a restore acts on."""

    def read(self, names: Iterable[str]) -> Mapping[str, Reading]:
        """Present values."""

    def write(self, step: Step) -> None:
        """Write one value or send one command as the user. Raises PtcsError."""

    def server(self, step: Step) -> str:
        """Which server a step is for: the steps of one go one after the other."""

    def forbidden(self) -> str:
        """Why nothing may be written now; "" while it may."""

    def now(self) -> float:
        """Monotonic time, s."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""


@dataclass
class Outcome:
    """What came of it. failed: attribute -> why. stopped: why it did not go on; "" when it did."""

    written: list[str] = field(default_factory=list)
    attempted: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    stopped: str = ""

    @property
    def good(self) -> bool:
        """Whether everything was written and verified."""
        return not self.failed and not self.stopped

    @property
    def text(self) -> str:
        """Why it is not good, in one line."""
        parts = [self.stopped] if self.stopped else []
        if self.failed:
            first, why = next(iter(self.failed.items()))
            more = len(self.failed) - 1
            parts.append(f"{first}: {why}" + (_(" and {count} more").format(count=more) if more else ""))
        return "; ".join(parts)


Told = Callable[[str, int, int], None]
"""Group, steps done, steps in all."""


@dataclass
class Performance:
    """One plan being carried out."""

    plan: Plan
    world: World
    stop: threading.Event
    told: Told = lambda _group, _done, _all: None
    outcome: Outcome = field(default_factory=Outcome)

    def run(self) -> Outcome:
        """Carry out what the plan says to write. Raises nothing for what a device refuses."""
        steps = self.plan.of(Verdict.WRITE)
        for group in self.plan.groups:
            members = [step for step in steps if step.group == group]
            if not members:
                continue
            if self._ends():
                break
            self.told(group, len(self.outcome.attempted), len(steps))
            self._write(members)
            if not self.outcome.good:
                break
            self._verify(members)
            if not self.outcome.good:
                break
        self.told("", len(self.outcome.attempted), len(steps))
        return self.outcome

    def _ends(self) -> bool:
        if self.outcome.stopped:
            return True
        if self.stop.is_set():
            self.outcome.stopped = _("stopped by a user")
        elif why := self.world.forbidden():
            self.outcome.stopped = why
        return bool(self.outcome.stopped)

    def _write(self, members: Sequence[Step]) -> None:
        lanes: dict[str, list[Step]] = {}
        for step in members:
            lanes.setdefault(self.world.server(step), []).append(step)
        with ThreadPoolExecutor(THREADS, thread_name_prefix="restore") as pool:
            list(pool.map(self._lane, lanes.values()))

    def _lane(self, steps: Sequence[Step]) -> None:
        for number, step in enumerate(steps):
            if self.outcome.failed or self.outcome.stopped or self.stop.is_set():
                return
            if number and number % LOOK_EVERY == 0 and self._ends():
                return
            name = step.row.name
            self.outcome.attempted.append(name)
            try:
                self.world.write(step)
            except PtcsError as why:
                self.outcome.failed[name] = str(why)
                return
            self.outcome.written.append(name)

    def _verify(self, members: Sequence[Step]) -> None:
        """Read back until every member stands at its value; who does not in its time has failed."""
        began, open_ = self.world.now(), list(members)
        while open_ and not self._ends():
            wanted = {step.row.readback for step in open_}
            wanted |= {step.row.name for step in open_}
            readings = self.world.read(wanted)
            open_ = [step for step in open_ if not _arrived(step, readings)]
            passed = self.world.now() - began
            late = [step for step in open_ if passed > step.row.settle_s]
            for step in late:
                self.outcome.failed[step.row.name] = _late(step, readings)
            if late:
                return
            if open_:
                self.world.wait(POLL_S)


def _arrived(step: Step, readings: Mapping[str, Reading]) -> bool:
    target = Reading(step.wanted, "", 0.0)
    if step.row.switched:
        value = readings[step.row.name].value
        return value == step.wanted or (step.wanted == "ON" and value in RUNNING)
    names = {step.row.name, step.row.readback}
    return all(same(step.row, target, readings[name]) for name in names)


def _late(step: Step, readings: Mapping[str, Reading]) -> str:
    readback = readings[step.row.readback]
    shown: Any = readback.value if readback.known else readback.why
    text = _("{name} is {value} after {seconds:g} s; wanted is {wanted}")
    name = step.row.readback.rpartition("/")[2]
    return text.format(name=name, value=shown, seconds=step.row.settle_s, wanted=step.wanted)
