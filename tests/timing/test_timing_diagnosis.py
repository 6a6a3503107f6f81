"""Each cause made in a small timing system with three receivers is found and named, and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from common.clock import TICKS_PER_SECOND, ticks
from timing.checker import Finding, of_collision
from timing.diagnosis import TABLE, Cause, Diagnosis, diagnose
from timing.events import SYSTEM, Event
from timing.generator import Generator
from timing.monitor import Monitor
from timing.pulser import Action, PulserSettings
from timing.receiver import Receiver
from timing.sequencer import Mode, Sequence

pytestmark = pytest.mark.requirement("ACS-TIMING")

SEQUENCE = Sequence(((0, 0x20), (5000, 0x30), (90_000, 0x21), (200_000, 0x22)), 12_500_000)
WANTED = {"gate": PulserSettings({0x30: Action.TRIGGER}, 100, 50)}
NAMES = ("a", "b", "c")
Carry = Callable[[str, Event], Event | None]


@dataclass
class Bench:
    """Generator, link and receivers; `carry` is the link, `pulser` the setting that receiver b has."""

    played: Sequence = SEQUENCE
    carry: Carry = lambda _name, event: event
    pulser: PulserSettings = WANTED["gate"]
    heartbeat: bool = True
    armed: bool = True
    intruder: bool = False
    collisions: list[Finding] = field(default_factory=list)

    def run(self) -> list[Diagnosis]:
        generator = Generator(0)
        generator.heartbeat = self.heartbeat
        first = generator.sequencer(1)
        first.load(self.played, Mode.RETRIGGER)
        first.source = "go"
        if self.armed:
            first.arm()
        monitors = {
            name: Monitor(
                Receiver(name, {"gate": self.pulser if name == "b" else WANTED["gate"]}), WANTED, 10, 10_000
            )
            for name in NAMES
        }
        now = 0
        for cycle in range(30):
            start = cycle * ticks(0.1) + 77_777
            self._step(generator, monitors, start)
            for monitor in monitors.values():
                monitor.expect(SEQUENCE.events(start))
            generator.input("go", start, 0x6F if self.intruder else None)
            now = start + ticks(0.08)
            self._step(generator, monitors, now)
        return diagnose([m.observation(now) for m in monitors.values()], self.collisions, 10)

    def _step(self, generator: Generator, monitors: dict[str, Monitor], tick: int) -> None:
        sent = generator.advance(tick)
        self.collisions += [of_collision(c) for c in sent.collisions if c.event.code not in SYSTEM]
        for name, monitor in monitors.items():
            arrived = [e for e in (self.carry(name, event) for event in sent.events) if e is not None]
            monitor.advance(sorted(arrived), tick)


def only(name: str, change: Callable[[Event], Event | None]) -> Carry:
    return lambda receiver, event: change(event) if receiver == name else event


def machine(change: Callable[[Event], Event | None]) -> Callable[[Event], Event | None]:
    return lambda event: event if event.code in SYSTEM else change(event)


def shifted(by: int) -> Callable[[Event], Event | None]:
    return machine(lambda event: Event(event.tick + by, event.code))


def drifting(ppm: float) -> Callable[[Event], Event | None]:
    return machine(lambda event: Event(event.tick + round(event.tick * ppm * 1e-6), event.code))


def scattered(event: Event) -> Event:
    return Event(event.tick + (event.tick * 2654435761 >> 13) % 500 - 250, event.code)


def lost(*codes: int) -> Callable[[Event], Event | None]:
    return lambda event: None if event.code in codes else event


OTHER = Sequence(((0, 0x20), (5000, 0x30), (90_000, 0x21), (150_000, 0x29)), 12_500_000)

CASES: list[tuple[Bench, set[tuple[Cause, str]]]] = [
    (Bench(), set()),
    (Bench(carry=lambda _n, _e: None), {(Cause.GENERATOR_SILENT, "")}),
    (Bench(heartbeat=False), {(Cause.HEARTBEAT_STOPPED, "")}),
    (Bench(carry=only("b", lambda _e: None)), {(Cause.RECEIVER_DEAF, "b")}),
    (Bench(carry=only("c", lost(0x7A))), {(Cause.LINK_LOST, "c")}),
    (Bench(played=OTHER), {(Cause.WRONG_SEQUENCE, "")}),
    (Bench(armed=False), {(Cause.SEQUENCER_STOPPED, "")}),
    (Bench(carry=lambda _n, e: drifting(10)(e)), {(Cause.CLOCK_DRIFT, "")}),
    (Bench(carry=only("a", drifting(-50))), {(Cause.RECEIVER_DRIFT, "a")}),
    (Bench(carry=lambda _n, e: shifted(200)(e)), {(Cause.SEQUENCE_SHIFTED, "")}),
    (Bench(carry=only("c", shifted(300))), {(Cause.LINK_DELAY, "c")}),
    (Bench(carry=only("b", machine(lambda _e: None))), {(Cause.RECEIVER_IGNORES, "b")}),
    (Bench(carry=lambda _n, e: lost(0x21)(e)), {(Cause.EVENT_NOT_SENT, "")}),
    (Bench(carry=only("a", lost(0x22))), {(Cause.EVENTS_LOST, "a")}),
    (Bench(intruder=True), {(Cause.EXTRA_EVENTS, ""), (Cause.COLLISION, "")}),
    (
        Bench(carry=only("b", machine(scattered))),
        {(Cause.JITTER, "b")},
    ),
    (Bench(pulser=replace(WANTED["gate"], enabled=False)), {(Cause.PULSER_SILENT, "b/gate")}),
    (Bench(pulser=replace(WANTED["gate"], delay=400)), {(Cause.PULSER_DELAY, "b/gate")}),
    (Bench(pulser=replace(WANTED["gate"], width=90)), {(Cause.PULSER_WIDTH, "b/gate")}),
    (Bench(pulser=replace(WANTED["gate"], prescaler=4)), {(Cause.PRESCALER, "b/gate")}),
]


@pytest.mark.parametrize(("bench", "wanted"), CASES)
def test_the_cause_is_named(bench: Bench, wanted: set[tuple[Cause, str]]) -> None:
    found = bench.run()
    assert {(d.cause, d.where) for d in found} == wanted
    for diagnosis in found:
        assert "{" not in diagnosis.text and diagnosis.text
        where = diagnosis.where
        assert not where or where in diagnosis.text


def test_every_cause_has_a_case() -> None:
    assert {cause for _, wanted in CASES for cause, _ in wanted} == set(Cause)
    assert {row.cause for row in TABLE} <= set(Cause)


def test_the_size_of_a_drift_and_of_a_shift_is_told() -> None:
    (drift,) = Bench(carry=lambda _n, e: drifting(10)(e)).run()
    assert drift.deviation * 1e6 == pytest.approx(10, rel=0.02) and "+10 ppm" in drift.text
    (shift,) = Bench(carry=only("c", shifted(300))).run()
    assert shift.deviation == 300 and "+2.400 us" in shift.text
    (scale,) = Bench(pulser=replace(WANTED["gate"], prescaler=4)).run()
    assert scale.deviation == 4
    assert TICKS_PER_SECOND == 125_000_000
