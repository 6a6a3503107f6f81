"""Sequencer and FIFO against models, whatever the order of the calls."""

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from common.errors import Refused
from timing.events import NEVER_SENT, Event
from timing.receiver import FIFO_DEPTH, Fifo, LogRing, Stamp
from timing.sequencer import Mode, Sequence, Sequencer, Stage

CODES = st.integers(1, 255).filter(lambda code: code not in NEVER_SENT)


class SequencerModel(RuleBasedStateMachine):
    """The model knows the ticks still to come as a plain list, and the stage as a word."""

    def __init__(self) -> None:
        super().__init__()
        self.player = Sequencer()
        self.now = 0
        self.stage = "disabled"
        self.origin = 0
        self.got: list[Event] = []
        self.wanted: list[Event] = []

    @initialize(
        offsets=st.sets(st.integers(0, 50), min_size=1, max_size=6),
        code=CODES,
        extra=st.integers(1, 20),
        mode=st.sampled_from(list(Mode)),
        masks=st.booleans(),
    )
    def load(self, offsets: set[int], code: int, extra: int, mode: Mode, masks: bool) -> None:
        steps = tuple((at, code) for at in sorted(offsets))
        bits = tuple((n % 3) | (n % 2) << 5 for n in range(len(steps))) if masks else ()
        self.sequence = Sequence(steps, steps[-1][0] + extra, bits)
        self.mode = mode
        self.player.load(self.sequence, mode)
        self.player.source = "gate"

    @rule()
    def arm(self) -> None:
        if self.stage == "running":
            with pytest.raises(Refused):
                self.player.arm()
        else:
            self.player.arm()
            self.stage = "armed"

    @rule()
    def disarm(self) -> None:
        self.player.disarm()
        self.stage = "disabled"

    @rule()
    def stop(self) -> None:
        self.player.stop()
        self.stage = "armed" if self.stage == "running" else self.stage

    @rule()
    def trigger(self) -> None:
        if self.stage != "armed":
            with pytest.raises(Refused):
                self.player.trigger(self.now)
        else:
            self.player.trigger(self.now)
            self.stage, self.origin = "running", self.now
            self._note(self.now)

    @rule(source=st.sampled_from(["gate", "other"]))
    def hardware(self, source: str) -> None:
        lost = self.player.lost_triggers
        self.player.hardware_trigger(source, self.now)
        taken = source == "gate" and self.stage == "armed"
        if taken:
            self.stage, self.origin = "running", self.now
            self._note(self.now)
        assert self.player.lost_triggers - lost == int(source == "gate" and not taken)

    @rule(masked=st.integers(0, 15), enabled=st.integers(0, 15))
    @precondition(lambda self: self.stage != "running")
    def mask(self, masked: int, enabled: int) -> None:
        self.player.masked, self.player.enabled = masked, enabled

    def _note(self, origin: int) -> None:
        """The events of a run, laid out by the definition of the mask byte."""
        self.coming = deque()
        for n, (at, code) in enumerate(self.sequence.steps):
            byte = self.sequence.masks[n] if self.sequence.masks else 0
            blocked = byte & 15 & self.player.masked
            needs = byte >> 4
            if not blocked and (not needs or needs & self.player.enabled):
                self.coming.append(Event(origin + at, code))

    @rule(ticks=st.integers(0, 80))
    def advance(self, ticks: int) -> None:
        for _ in range(ticks + 1):
            if self.stage == "running":
                while self.coming and self.coming[0].tick <= self.now:
                    self.wanted.append(self.coming.popleft())
                if self.now >= self.origin + self.sequence.length:
                    self.stage = {"single": "disabled", "retrigger": "armed", "recycle": "running"}[self.mode]
                    if self.stage == "running":
                        self.origin += self.sequence.length
                        self._note(self.origin)
                        while self.coming and self.coming[0].tick <= self.now:
                            self.wanted.append(self.coming.popleft())
            self.now += 1
        self.now -= 1
        self.got += self.player.advance(self.now)

    @invariant()
    def agrees(self) -> None:
        assert self.player.stage == Stage(self.stage)
        assert self.got == self.wanted


class FifoModel(RuleBasedStateMachine):
    """A list that takes 511 and remembers whether one was lost."""

    def __init__(self) -> None:
        super().__init__()
        self.fifo = Fifo()
        self.model: list[Event] = []
        self.overflow = False
        self.tick = 0

    @rule(count=st.integers(1, 400))
    def put(self, count: int) -> None:
        for _ in range(count):
            self.tick += 1
            event = Event(self.tick, 1 + self.tick % 100)
            self.fifo.put(event, Stamp(None, self.tick))
            if len(self.model) < 511:
                self.model.append(event)
            else:
                self.overflow = True

    @rule(count=st.integers(1, 300))
    def take(self, count: int) -> None:
        for _ in range(min(count, len(self.model))):
            assert self.fifo.take()[0] == self.model.pop(0)
        if not self.model:
            with pytest.raises(Refused):
                self.fifo.take()

    @rule()
    def clear(self) -> None:
        self.fifo.clear()
        self.model, self.overflow = [], False

    @invariant()
    def agrees(self) -> None:
        assert len(self.fifo) == len(self.model) <= FIFO_DEPTH == 511
        assert self.fifo.overflow == self.overflow


TestSequencer = pytest.mark.requirement("ACS-TIMING")(SequencerModel.TestCase)
TestSequencer.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestFifo = pytest.mark.requirement("ACS-TIMING")(FifoModel.TestCase)
TestFifo.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)


@pytest.mark.requirement("ACS-TIMING")
def test_the_log_keeps_the_last_events_and_says_where_it_begins() -> None:
    ring = LogRing(depth=10)
    assert ring.since(0) == (0, [])
    for tick in range(25):
        ring.add(Event(tick, 0x30), Stamp(0, tick))
    first, kept = ring.since(0)
    assert first == 15 and [event.tick for event, _ in kept] == list(range(15, 25))
    assert [event.tick for event, _ in ring.since(22)[1]] == [22, 23, 24]
    assert ring.since(25)[1] == [] and ring.since(99)[1] == []
