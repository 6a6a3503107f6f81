"""The event receiver: time stamps, FIFO, event log, heartbeat, clock dividers and pulsers."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from common.errors import Refused
from common.text import _
from timing.events import SYSTEM, Code, Event, Heartbeat
from timing.pulser import Divider, Edge, Pulser, PulserSettings

FIFO_DEPTH = 511
LOG_DEPTH = 4096


@dataclass(frozen=True)
class Stamp:
    """Seconds of the event system, ticks since that second began, and stamp clocks (0x7C) in it."""

    seconds: int | None
    ticks: int
    clocks: int = 0


class StampClock:
    """Builds time stamps from the codes on the link; seconds are unknown until they were sent once."""

    def __init__(self, tick: int = 0) -> None:
        self._shift: list[int] = []
        self._seconds: int | None = None
        self._begin = tick
        self._clocks = 0

    def receive(self, event: Event) -> None:
        """Take note of an event from the link."""
        if event.code in (Code.SECONDS_0, Code.SECONDS_1):
            self._shift = [*self._shift[-31:], event.code - Code.SECONDS_0]
        elif event.code == Code.STAMP_CLOCK:
            self._clocks += 1
        elif event.code == Code.STAMP_RESET:
            whole = len(self._shift) == 32
            self._seconds = sum(bit << (31 - n) for n, bit in enumerate(self._shift)) if whole else None
            self._shift, self._begin, self._clocks = [], event.tick, 0

    def stamp(self, tick: int) -> Stamp:
        """The stamp of a tick not before the last event."""
        return Stamp(self._seconds, tick - self._begin, self._clocks)


class Fifo:
    """Holds 511 events for a slow reader. One that finds it full is lost, and the overflow flag stays set."""

    def __init__(self, depth: int = FIFO_DEPTH) -> None:
        self._depth = depth
        self._waiting: deque[tuple[Event, Stamp]] = deque()
        self.overflow = False

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, event: Event, stamp: Stamp) -> None:
        """Add an event."""
        if len(self._waiting) >= self._depth:
            self.overflow = True
        else:
            self._waiting.append((event, stamp))

    def take(self) -> tuple[Event, Stamp]:
        """The oldest event. Raises Refused when there is none."""
        if not self._waiting:
            raise Refused(_("the event FIFO is empty"))
        return self._waiting.popleft()

    def clear(self) -> None:
        """Forget everything, the flag too."""
        self._waiting.clear()
        self.overflow = False


class LogRing:
    """The last events, numbered from 0 on; the oldest ones give way."""

    def __init__(self, depth: int = LOG_DEPTH) -> None:
        self._kept: deque[tuple[Event, Stamp]] = deque(maxlen=depth)
        self.next = 0
        """Number that the next event will have."""

    def add(self, event: Event, stamp: Stamp) -> None:
        """Keep an event."""
        self._kept.append((event, stamp))
        self.next += 1

    def since(self, number: int) -> tuple[int, list[tuple[Event, Stamp]]]:
        """Number of the first event handed out, and the events from `number` on that are still there."""
        first = max(number, self.next - len(self._kept))
        return first, list(self._kept)[len(self._kept) - max(self.next - first, 0) :]


class Receiver:
    """One receiver on the link. `receive` takes all events up to a tick before `advance` goes there."""

    def __init__(self, name: str, pulsers: Mapping[str, PulserSettings], tick: int = 0) -> None:
        self.name = name
        self.pulsers = {key: Pulser(settings) for key, settings in pulsers.items()}
        self.dividers: dict[str, Divider] = {}
        self.fifo = Fifo()
        self.log = LogRing()
        self.clock = StampClock(tick)
        self.received = 0
        self._heartbeat = Heartbeat(tick)

    def receive(self, events: Iterable[Event]) -> None:
        """Events from the link, in order. The event system's own codes are neither logged nor queued."""
        for event in events:
            self.received += 1
            if event.code in SYSTEM:
                self._heartbeat.receive(event)
                self.clock.receive(event)
                if event.code == Code.RESET_PRESCALERS:
                    for divider in self.dividers.values():
                        divider.reset(event.tick)
            else:
                stamp = self.clock.stamp(event.tick)
                self.fifo.put(event, stamp)
                self.log.add(event, stamp)
            for pulser in self.pulsers.values():
                pulser.receive(event)

    def advance(self, tick: int) -> dict[str, list[Edge]]:
        """Edges of each pulser up to and including a tick; those without any are left out."""
        edges = {name: pulser.advance(tick) for name, pulser in self.pulsers.items()}
        return {name: rows for name, rows in edges.items() if rows}

    def alive(self, tick: int) -> bool:
        """Whether the last heartbeat is at most 1.6 s old."""
        return self._heartbeat.alive(tick)
