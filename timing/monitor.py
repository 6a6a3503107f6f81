"""Watches one receiver: events against those expected, pulses against those wanted."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from timing.checker import Checker, Fault, Finding
from timing.events import SYSTEM, Event
from timing.pulser import Action, Edge, PulserSettings
from timing.receiver import Receiver

KEPT_FINDINGS = 256


@dataclass(frozen=True)
class Pulse:
    """What a pulser should do after its trigger and what it did last, in ticks.

    delay, width: None while the pulse (or its end) has not come.
    """

    wanted_delay: int
    wanted_width: int
    delay: int | None
    width: int | None


@dataclass(frozen=True)
class Observation:
    """What is known of one receiver since its monitor was cleared.

    matched: events that came as expected, in whatever time. pulses: by pulser; triggered ones only.
    """

    receiver: str
    alive: bool
    matched: int
    findings: tuple[Finding, ...]
    pulses: Mapping[str, Pulse] = field(default_factory=dict)


@dataclass
class _Watch:
    """Measures one pulser: tick of the last trigger, and of the edges after it."""

    trigger: int | None = None
    rise: int | None = None
    fall: int | None = None


class Monitor:
    """A receiver with its checks. `wanted`: the settings that its pulsers should have."""

    def __init__(
        self, receiver: Receiver, wanted: Mapping[str, PulserSettings], tolerance: int, patience: int
    ) -> None:
        self.receiver = receiver
        self.wanted = wanted
        self.findings: deque[Finding] = deque(maxlen=KEPT_FINDINGS)
        self.matched = 0
        self._checker = Checker(tolerance, patience)
        self._watches = {name: _Watch() for name in wanted}

    def clear(self) -> None:
        """Forget what was found so far; what is expected stays expected."""
        self.findings.clear()
        self.matched = 0
        self._watches = {name: _Watch() for name in self.wanted}

    def expect(self, events: Iterable[Event]) -> None:
        """Add events to come, in order of their ticks."""
        self._checker.expect(events)

    def withdraw(self, tick: int) -> None:
        """Events expected after a tick will not come."""
        self._checker.withdraw(tick)

    def advance(self, events: list[Event], tick: int) -> list[Finding]:
        """Take the events from the link up to a tick, and go there. Returns what is newly wrong."""
        found: list[Finding] = []
        for event in events:
            if event.code not in SYSTEM:
                news = self._checker.receive(event)
                self.matched += all(f.fault is not Fault.UNEXPECTED for f in news)
                found += news
        self.receiver.receive(events)
        self._measure(events, self.receiver.advance(tick))
        found += self._checker.check(tick)
        self.findings.extend(found)
        return found

    def observation(self, tick: int) -> Observation:
        """What there is to say at a tick."""
        return Observation(
            self.receiver.name,
            self.receiver.alive(tick),
            self.matched,
            tuple(self.findings),
            {
                name: self._pulse(name, watch, tick)
                for name, watch in self._watches.items()
                if watch.trigger is not None
            },
        )

    def _pulse(self, name: str, watch: _Watch, tick: int) -> Pulse:
        wanted = self.wanted[name]
        delay, width = wanted.delay * wanted.unit, wanted.width * wanted.unit
        trigger = watch.trigger or 0
        if watch.rise is None and tick <= trigger + delay:
            return Pulse(delay, width, delay, width)  # not due yet
        measured = None if watch.rise is None else watch.rise - trigger
        if watch.rise is not None and watch.fall is None and tick <= watch.rise + width:
            return Pulse(delay, width, measured, width)
        lasted = None if watch.rise is None or watch.fall is None else watch.fall - watch.rise
        return Pulse(delay, width, measured, lasted)

    def _measure(self, events: list[Event], edges: Mapping[str, list[Edge]]) -> None:
        for name, watch in self._watches.items():
            actions = self.wanted[name].actions
            triggers = [e.tick for e in events if actions.get(e.code) is Action.TRIGGER]
            moves = [(t, 0, False) for t in triggers]
            inverted = self.receiver.pulsers[name].settings.inverted
            moves += [(edge.tick, 1, edge.level != inverted) for edge in edges.get(name, ())]
            for tick, kind, active in sorted(moves):
                if kind == 0:
                    watch.trigger, watch.rise, watch.fall = tick, None, None
                elif active and watch.rise is None:
                    watch.rise = tick
                elif not active and watch.rise is not None and watch.fall is None:
                    watch.fall = tick
