"""The event generator: two sequencers, events on command, and the event system's own codes, on one link."""

from dataclasses import dataclass
from enum import IntEnum

from common.clock import TICKS_PER_SECOND
from timing.events import HEARTBEAT_PERIOD, Arbiter, Code, Collision, Event, check_code, check_whole
from timing.sequencer import Sequencer

SECONDS_BITS = 32


class Rank(IntEnum):
    """Who goes first on a tick; a machine's events never wait for the event system's own."""

    INPUT = 0
    SEQUENCER_1 = 1
    SEQUENCER_2 = 2
    SOFTWARE = 3
    STAMP = 4
    HEARTBEAT = 5


@dataclass(frozen=True)
class Sent:
    """What went out on the link, one code a tick in order, and what of it was delayed."""

    events: list[Event]
    collisions: list[Collision]


class Generator:
    """All streams of events in one. Time begins with `tick`; second n begins on tick n * 125e6.

    Each second begins with 0x7D and is followed by the 32 bits of the next second's number (0x70 and
    0x71, highest first, on its first ticks), which a receiver takes over at the next 0x7D.
    """

    def __init__(self, tick: int = 0) -> None:
        self.sequencers = (Sequencer(), Sequencer())
        self.heartbeat = True
        self.collisions = 0
        self.begin(tick)

    def begin(self, tick: int) -> None:
        """Power up at a tick: what was not sent yet is forgotten, what is loaded stays."""
        self.now = tick
        self._arbiter = Arbiter(soft=Rank.STAMP)
        self._beat = tick
        self._second = -(-tick // TICKS_PER_SECOND)

    def sequencer(self, number: int) -> Sequencer:
        """Sequencer 1 or 2. Raises BadInput for another number."""
        return self.sequencers[check_whole("sequencer", number, 1, len(self.sequencers)) - 1]

    @property
    def next_tick(self) -> int | None:
        """Tick of the next step of a running sequencer, or of a delayed event; None when there is none."""
        ticks = (*(sequencer.next_tick for sequencer in self.sequencers), self._arbiter.next_slot)
        return min((tick for tick in ticks if tick is not None), default=None)

    def send(self, code: int, tick: int) -> None:
        """An event on command, on a tick that has not passed. Raises BadInput."""
        self._arbiter.offer(Rank.SOFTWARE, Event(tick, check_code(code)))

    def input(self, source: str, tick: int, code: int | None = None) -> None:
        """A hardware input fires: it starts sequencers that listen to it, and may send a code itself."""
        if code is not None:
            self._arbiter.offer(Rank.INPUT, Event(tick, check_code(code)))
        for sequencer in self.sequencers:
            sequencer.hardware_trigger(source, tick)

    def advance(self, tick: int) -> Sent:
        """Everything up to and including a tick. Raises ValueError if ticks run backwards."""
        if tick < self.now:
            raise ValueError(f"tick {tick} comes before tick {self.now}: ticks never run backwards")
        for rank, sequencer in zip((Rank.SEQUENCER_1, Rank.SEQUENCER_2), self.sequencers, strict=True):
            for event in sequencer.advance(tick):
                self._arbiter.offer(rank, event)
        self._own(tick)
        self.now = tick
        events, collisions = self._arbiter.advance(tick)
        self.collisions += len(collisions)
        return Sent(events, collisions)

    def _own(self, tick: int) -> None:
        while self._beat <= tick:
            if self.heartbeat:
                self._arbiter.offer(Rank.HEARTBEAT, Event(self._beat, Code.HEARTBEAT))
            self._beat += HEARTBEAT_PERIOD
        while self._second * TICKS_PER_SECOND <= tick:
            begin, following = self._second * TICKS_PER_SECOND, self._second + 1
            self._arbiter.offer(Rank.STAMP, Event(begin, Code.STAMP_RESET))
            for n in range(SECONDS_BITS):
                bit = following >> (SECONDS_BITS - 1 - n) & 1
                self._arbiter.offer(Rank.STAMP, Event(begin + 1 + n, Code(Code.SECONDS_0 + bit)))
            self._second += 1
