"""Compares the events that a receiver got with those that it should have got."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from common.errors import BadInput
from timing.events import Collision, Event


class Fault(StrEnum):
    """What can be wrong with an event."""

    LATE = "late"
    EARLY = "early"
    MISSED = "missed"
    UNEXPECTED = "unexpected"
    COLLISION = "collision"
    """The generator had two events for one tick; the one reported went out late."""


@dataclass(frozen=True)
class Finding:
    """A timing error: the event it is about (for a missed one: as expected) and ticks of deviation."""

    fault: Fault
    event: Event
    deviation: int = 0


def of_collision(collision: Collision) -> Finding:
    """A collision at the generator as a finding: the event as it was due."""
    return Finding(Fault.COLLISION, collision.event, collision.delay)


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

    def withdraw(self, tick: int) -> None:
        """Events expected after a tick will not come: their sequence was stopped there."""
        for waiting in self._expected.values():
            while waiting and waiting[-1] > tick:
                waiting.pop()

    def receive(self, event: Event) -> list[Finding]:
        """Judge an event: expected ones that it leaves behind are missed."""
        findings = self._missed(event.code, event.tick)
        waiting = self._expected.get(event.code)
        if not waiting or event.tick < waiting[0] - self.patience:
            return [*findings, Finding(Fault.UNEXPECTED, event)]
        deviation = event.tick - waiting.popleft()
        if abs(deviation) > self.tolerance:
            findings.append(Finding(Fault.LATE if deviation > 0 else Fault.EARLY, event, deviation))
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
