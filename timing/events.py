"""Event codes on the timing link: one 8-bit code a tick at most, in the manner of an MRF event system.

0x00 (no event) and 0x7F (end of sequence) are never sent. A heartbeat is sent at least every second;
a receiver without one for 1.6 s takes the link for lost.
"""

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from common.clock import ticks
from common.errors import BadInput

CODES = range(256)
NEVER_SENT = frozenset({0x00, 0x7F})
HEARTBEAT_PERIOD = ticks(1.0)
HEARTBEAT_TIMEOUT = ticks(1.6)


class Code(IntEnum):
    """The codes with a fixed meaning. The cycle's codes name the phase that begins."""

    INJECTION = 0x20
    RAMP = 0x21
    FLAT_TOP = 0x22
    RAMP_DOWN = 0x23
    IDLE = 0x24
    SECONDS_0 = 0x70
    SECONDS_1 = 0x71
    HEARTBEAT = 0x7A
    RESET_PRESCALERS = 0x7B
    STAMP_CLOCK = 0x7C
    STAMP_RESET = 0x7D


@dataclass(frozen=True, order=True)
class Event:
    """A code on its tick."""

    tick: int
    code: int


@dataclass(frozen=True)
class Collision:
    """Two codes for one tick: the one of lower priority went out `delay` ticks late."""

    event: Event
    delay: int


def check_code(code: int) -> int:
    """The code itself. Raises BadInput for one that is never sent or is no byte."""
    if code not in CODES or code in NEVER_SENT:
        raise BadInput(f"event code {code:#04x}: allowed are 0x01 to 0xff without 0x7f")
    return code


def merge(*streams: Iterable[Event]) -> tuple[list[Event], list[Collision]]:
    """One event a tick from several streams; an earlier stream has the higher priority.

    An event that finds its tick taken goes out on the next free tick and is reported.
    """
    rows = [(event.tick, rank, event.code) for rank, stream in enumerate(streams) for event in stream]
    coming = deque(sorted(rows))
    ready: list[tuple[int, int, int]] = []
    sent: list[Event] = []
    collisions: list[Collision] = []
    tick = 0
    while coming or ready:
        if not ready:
            tick = max(tick, coming[0][0])
        while coming and coming[0][0] <= tick:
            due, rank, code = coming.popleft()
            heapq.heappush(ready, (rank, due, code))
        _, due, code = heapq.heappop(ready)
        sent.append(Event(tick, code))
        if tick != due:
            collisions.append(Collision(Event(due, code), tick - due))
        tick += 1
    return sent, collisions


class Heartbeat:
    """Watches for heartbeats on the link; times are ticks."""

    def __init__(self, tick: int) -> None:
        self._last = tick

    def receive(self, event: Event) -> None:
        """Take note of an event from the link."""
        if event.code == Code.HEARTBEAT:
            self._last = max(self._last, event.tick)

    def alive(self, tick: int) -> bool:
        """Whether the last heartbeat is at most 1.6 s old."""
        return tick - self._last <= HEARTBEAT_TIMEOUT
