"""Sequencers: a fixed series of (tick offset, event code) played on a trigger, and who checks it."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from common.errors import BadInput, Refused
from common.text import _
from timing.events import Event, check_code

MAX_STEPS = 2048
MAX_OFFSET = 2**32 - 1


@dataclass(frozen=True)
class Sequence:
    """Steps of (offset in ticks, code), offsets strictly rising. Raises BadInput for anything else.

    `length`: ticks from one trigger to the next in recycle mode; beyond the last offset.
    """

    steps: tuple[tuple[int, int], ...]
    length: int

    def __post_init__(self) -> None:
        if not 1 <= len(self.steps) <= MAX_STEPS:
            raise BadInput(f"sequence of {len(self.steps)} steps: allowed are 1 to {MAX_STEPS}")
        previous = -1
        for offset, code in self.steps:
            check_code(code)
            if not previous < offset <= MAX_OFFSET:
                raise BadInput(f"offset {offset}: it must lie above {previous}, up to {MAX_OFFSET}")
            previous = offset
        if not previous < self.length <= MAX_OFFSET:
            raise BadInput(f"length {self.length}: it must lie above {previous}, up to {MAX_OFFSET}")


class Mode(StrEnum):
    """What follows the end of a sequence."""

    SINGLE = "single"
    """Nothing: it has to be armed anew."""
    RECYCLE = "recycle"
    """It begins again, `length` ticks after it began."""


class Sequencer:
    """Plays one sequence. `trigger` begins it; `advance` hands out what has become due."""

    def __init__(self, sequence: Sequence, mode: Mode = Mode.SINGLE) -> None:
        self.sequence = sequence
        self.mode = mode
        self._origin: int | None = None
        self._position = 0

    @property
    def running(self) -> bool:
        """Whether events are still to come."""
        return self._origin is not None

    def trigger(self, tick: int) -> None:
        """Begin at a tick. Raises Refused while it runs."""
        if self._origin is not None:
            raise Refused(_("sequencer is running; stop it before the next trigger"))
        self._origin, self._position = tick, 0

    def stop(self) -> None:
        """End at once; what has not been sent is not sent."""
        self._origin = None

    def advance(self, tick: int) -> list[Event]:
        """The events due up to and including a tick, each with its own tick."""
        sent: list[Event] = []
        while self._origin is not None:
            offset, code = self.sequence.steps[self._position]
            if self._origin + offset > tick:
                break
            sent.append(Event(self._origin + offset, code))
            self._position += 1
            if self._position == len(self.sequence.steps):
                recycle = self.mode is Mode.RECYCLE
                self._origin = self._origin + self.sequence.length if recycle else None
                self._position = 0
        return sent


class Fault(StrEnum):
    """What can be wrong with a received event."""

    LATE = "late"
    EARLY = "early"
    MISSED = "missed"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True)
class Finding:
    """A timing error: the event it is about (for a missed one: as expected) and ticks of deviation."""

    fault: Fault
    event: Event
    deviation: int = 0


class Checker:
    """Compares events received with events expected, of the same code and in order.

    An event off by more than `tolerance` ticks is early or late; one that has not come `patience`
    ticks after its time is missed; one that nobody expects is unexpected.
    """

    def __init__(self, tolerance: int, patience: int) -> None:
        if not 0 <= tolerance <= patience:
            raise BadInput(
                f"tolerance {tolerance}, patience {patience}: allowed is 0 <= tolerance <= patience"
            )
        self.tolerance = tolerance
        self.patience = patience
        self._expected: dict[int, deque[int]] = {}

    def expect(self, events: Iterable[Event]) -> None:
        """Add events to come, in order of their ticks."""
        for event in events:
            self._expected.setdefault(event.code, deque()).append(event.tick)

    def receive(self, event: Event) -> list[Finding]:
        """Judge an event: expected ones that it leaves behind are missed."""
        findings = self._missed(event.code, event.tick)
        waiting = self._expected.get(event.code)
        if not waiting or event.tick < waiting[0] - self.patience:
            return [*findings, Finding(Fault.UNEXPECTED, event)]
        deviation = event.tick - waiting.popleft()
        if deviation > self.tolerance:
            findings.append(Finding(Fault.LATE, event, deviation))
        elif deviation < -self.tolerance:
            findings.append(Finding(Fault.EARLY, event, deviation))
        return findings

    def check(self, tick: int) -> list[Finding]:
        """The expected events that have not come in time, as of a tick."""
        return [finding for code in sorted(self._expected) for finding in self._missed(code, tick)]

    def _missed(self, code: int, tick: int) -> list[Finding]:
        waiting = self._expected.get(code, deque())
        findings = []
        while waiting and tick > waiting[0] + self.patience:
            due = waiting.popleft()
            findings.append(Finding(Fault.MISSED, Event(due, code), tick - due))
        return findings
