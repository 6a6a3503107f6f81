"""Event codes on the timing link: one 8-bit code a tick at most, in the manner of an MRF event system.

0x00 (no event) and 0x7F (end of sequence) are never sent. A heartbeat is sent at least every second;
a receiver without one for 1.6 s takes the link for lost.
"""

import heapq
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


SYSTEM = frozenset(
    {
        Code.SECONDS_0,
        Code.SECONDS_1,
        Code.HEARTBEAT,
        Code.RESET_PRESCALERS,
        Code.STAMP_CLOCK,
        Code.STAMP_RESET,
    }
)
"""Codes that the event system itself uses; a machine's own codes are others."""


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


def check_code(code: object) -> int:
    """The code itself. Raises BadInput for one that is never sent or is no byte."""
    if isinstance(code, bool) or not isinstance(code, int):
        raise BadInput(f"event code {code!r}: it must be a whole number from 0x01 to 0xff without 0x7f")
    if code not in CODES or code in NEVER_SENT:
        raise BadInput(f"event code {code:#04x}: allowed are 0x01 to 0xff without 0x7f")
    return code


def check_whole(what: str, value: object, lowest: int, highest: int) -> int:
    """A whole number within limits. Raises BadInput naming `what` (NaN, 1.5, true and text are none)."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise BadInput(f"{what} {value!r}: allowed are whole numbers from {lowest} to {highest}")
    return value


class Arbiter:
    """One code a tick from several sources; a source of lower rank number goes first.

    An event that finds its tick taken goes out on the next free tick and is reported. Sources from
    rank `soft` on are sent when their tick is over, so that an event that a command puts on the
    present tick still goes before them.
    """

    def __init__(self, soft: int = 256) -> None:
        self._soft = soft
        self._coming: list[tuple[int, int, int]] = []
        self._ready: list[tuple[int, int, int]] = []
        self._slot = 0

    @property
    def next_slot(self) -> int | None:
        """The next free tick, while something waits for it; else None."""
        return self._slot if self._ready else None

    def offer(self, rank: int, event: Event) -> None:
        """An event of a source; one whose tick has gone out already counts as delayed."""
        heapq.heappush(self._coming, (event.tick, rank, event.code))

    def advance(self, tick: int) -> tuple[list[Event], list[Collision]]:
        """What goes out up to and including a tick, and what of it was delayed."""
        sent: list[Event] = []
        collisions: list[Collision] = []
        coming, ready = self._coming, self._ready
        while True:
            if not ready:
                if not coming or coming[0][0] > tick:
                    break
                self._slot = max(self._slot, coming[0][0])
            if self._slot > tick:
                break
            while coming and coming[0][0] <= self._slot:
                due, rank, code = heapq.heappop(coming)
                heapq.heappush(ready, (rank, due, code))
            if self._slot == tick and ready[0][0] >= self._soft:
                break
            _, due, code = heapq.heappop(ready)
            sent.append(Event(self._slot, code))
            if self._slot != due:
                collisions.append(Collision(Event(due, code), self._slot - due))
            self._slot += 1
        return sent, collisions


def merge(*streams: Iterable[Event]) -> tuple[list[Event], list[Collision]]:
    """One event a tick from several streams; an earlier stream has the higher priority."""
    arbiter = Arbiter()
    last = 0
    for rank, stream in enumerate(streams):
        for event in stream:
            arbiter.offer(rank, event)
            last = max(last, event.tick) + 1
    return arbiter.advance(last)


class Heartbeat:
    """Watches for heartbeats on the link; times are ticks."""

    def __init__(self, tick: int) -> None:
        self.last = tick

    def receive(self, event: Event) -> None:
        """Take note of an event from the link."""
        if event.code == Code.HEARTBEAT:
            self.last = max(self.last, event.tick)

    def alive(self, tick: int) -> bool:
        """Whether the last heartbeat is at most 1.6 s old."""
        return tick - self.last <= HEARTBEAT_TIMEOUT
