"""The hardware's timing system: event generator, fibre, receivers with their checks, and what they found."""

from collections import deque
from dataclasses import dataclass

from simulation.fpga.timing_link import INTRUDER, Fibre, LinkFaults
from timing.checker import Fault, Finding, of_collision
from timing.cycle import CODES
from timing.diagnosis import Diagnosis, diagnose
from timing.events import SYSTEM, Code, Event
from timing.generator import Generator
from timing.monitor import Monitor
from timing.plan import DOWN, END, START, UP, TimingPlan
from timing.pulser import PulserSettings
from timing.receiver import LogRing, Receiver
from timing.sequencer import Mode, Sequencer

GRAVE = (Fault.MISSED, Fault.LATE, Fault.EARLY)
"""Findings that tell of a machine that is not where it should be; the others are noted only."""
KEPT_COLLISIONS = 64
PHASE_CODES = frozenset(int(code) for code in CODES.values())


@dataclass(frozen=True)
class Beam:
    """Which virtual accelerators the cycles are for: all but the energy."""

    ion: str = "proton"
    intensity: str = "nominal"
    room: str = ""


class MachineTiming:
    """Plays the machine cycle as events and listens to what arrives. Ticks begin with the first `advance`."""

    def __init__(self, plan: TimingPlan) -> None:
        self.plan = plan
        self.ions: tuple[str, ...] = ("proton",)
        self.beam = Beam()
        self.accelerator = ""
        """The virtual accelerator that the present or last cycle is for."""
        self.settings = {f"{r}/{p}": row for r, rows in plan.receivers.items() for p, row in rows.items()}
        """Settings of each "receiver/pulser" as they are; the plan has those that they should have."""
        self.log = LogRing()
        """Events of the machine as they went out on the link."""
        self.collisions: deque[Finding] = deque(maxlen=KEPT_COLLISIONS)
        self.now: int | None = None
        self.generator = Generator()
        self.monitors: dict[str, Monitor] = {}
        self._fibre = Fibre()
        self._grave = False
        for number, source in ((UP, START), (DOWN, END)):
            self.generator.sequencer(number).source = source
        self._load()

    def _load(self) -> None:
        for number, sequence in ((UP, self.plan.up), (DOWN, self.plan.down)):
            self.sequencer(number).load(sequence, Mode.RETRIGGER)
            self.sequencer(number).arm()

    def sequencer(self, number: int) -> Sequencer:
        """Sequencer 1 (up) or 2 (down). Raises BadInput."""
        return self.generator.sequencer(number)

    def inject(self, faults: LinkFaults) -> None:
        """Let faults come or go."""
        self._fibre.faults = faults
        self.generator.heartbeat = not faults.heartbeat

    @property
    def next_tick(self) -> int | None:
        """When the next event of the machine is due; None when none is."""
        ticks = (self.generator.next_tick, self._fibre.next_tick)
        return min((tick for tick in ticks if tick is not None), default=None)

    def advance(self, tick: int) -> list[Event]:
        """Play up to a tick. Returns the phases of the machine cycle that arrived, as events."""
        self._power_up(tick)
        sent = self.generator.advance(tick)
        self.now = tick
        for collision in sent.collisions:
            if collision.event.code not in SYSTEM:
                self.collisions.append(of_collision(collision))
        arrived = self._fibre.carry(sent.events, tick)
        for monitor in self.monitors.values():
            found = monitor.advance(arrived, tick)
            self._grave = self._grave or any(f.fault in GRAVE for f in found)
        clock = next(iter(self.monitors.values())).receiver.clock
        for event in sent.events:
            if event.code not in SYSTEM:
                self.log.add(event, clock.stamp(event.tick))
        return [event for event in arrived if event.code in PHASE_CODES]

    def begin_cycle(self, tick: int) -> None:
        """The machine cycle starts: sequencer 1 gets its trigger."""
        self._trigger(UP, START, tick)

    def end_cycle(self, tick: int) -> None:
        """The flat-top ends, or the cycle is given up: sequencer 1 stops, sequencer 2 gets its trigger."""
        self.sequencer(UP).stop()
        for monitor in self.monitors.values():
            monitor.withdraw(tick)
        self._trigger(DOWN, END, tick)

    def idle(self, tick: int) -> None:
        """The machine cycle is over."""
        self._expect([Event(tick, Code.IDLE)])
        self.generator.send(Code.IDLE, tick)

    def set_up(self, pulser: str, settings: PulserSettings) -> None:
        """Change a pulser "receiver/pulser"; a pulse under way ends."""
        self.settings[pulser] = settings
        receiver, _, name = pulser.partition("/")
        if receiver in self.monitors:
            self.monitors[receiver].receiver.pulsers[name].set_up(settings)

    def clear(self) -> None:
        """Forget the findings."""
        self.collisions.clear()
        for monitor in self.monitors.values():
            monitor.clear()

    def alive(self, tick: int) -> bool:
        """Whether every receiver has had its heartbeat."""
        return all(monitor.receiver.alive(tick) for monitor in self.monitors.values())

    def take_grave(self) -> bool:
        """Whether an event was missed, late or early since the last call."""
        grave, self._grave = self._grave, False
        return grave

    def diagnosis(self, tick: int) -> list[Diagnosis]:
        """The causes of what was found, by name."""
        seen = [monitor.observation(tick) for monitor in self.monitors.values()]
        return diagnose(seen, self.collisions)

    def _trigger(self, number: int, source: str, tick: int) -> None:
        self._power_up(tick)
        sequencer = self.sequencer(number)
        sequence = self.plan.up if number == UP else self.plan.down
        self._expect(list(sequence.events(tick, sequencer.masked, sequencer.enabled)))
        self.generator.input(source, tick, INTRUDER if self._fibre.faults.collision else None)

    def _expect(self, events: list[Event]) -> None:
        for monitor in self.monitors.values():
            monitor.expect(events)

    def _power_up(self, tick: int) -> None:
        """Generator and receivers begin here, the first time."""
        if self.now is not None:
            return
        plan = self.plan
        self.now = tick
        self.generator.begin(tick)
        self.monitors = {
            name: Monitor(
                Receiver(name, {pulser: self.settings[f"{name}/{pulser}"] for pulser in wanted}, tick),
                wanted,
                plan.tolerance,
                plan.patience,
            )
            for name, wanted in plan.receivers.items()
        }
