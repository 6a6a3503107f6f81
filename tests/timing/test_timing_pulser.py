"""Pulsers, dividers, receivers and the generator against brute force tick by tick."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.clock import TICKS_PER_SECOND, ticks
from common.errors import BadInput
from timing.events import HEARTBEAT_TIMEOUT, SYSTEM, Arbiter, Code, Event, merge
from timing.generator import Generator
from timing.pulser import Action, Divider, Pulser, PulserSettings, actions_of
from timing.receiver import Receiver
from timing.sequencer import Mode, Sequence

pytestmark = pytest.mark.requirement("ACS-TIMING")

ACTIONS = {0x11: Action.TRIGGER, 0x12: Action.SET, 0x13: Action.RESET}


def level_by_tick(settings_: PulserSettings, events: list[Event], end: int) -> list[bool]:
    """The output at each tick, from what a pulser is: a counter of delay and width, and a set/reset latch."""
    unit = settings_.prescaler or 1
    by_tick = {event.tick: event.code for event in events}
    held, rise, fall, out = False, -1, -1, []
    for tick in range(end + 1):
        action = settings_.actions.get(by_tick.get(tick, -1)) if settings_.enabled else None
        if action is Action.TRIGGER and not held and tick >= fall:
            rise = tick + settings_.delay * unit
            last, fall = fall, rise + settings_.width * unit
            assert last <= tick
        elif action is Action.SET:
            held, rise, fall = True, -1, -1
        elif action is Action.RESET:
            held, rise, fall = False, -1, -1
        out.append((held or rise <= tick < fall) != settings_.inverted)
    return out


@settings(max_examples=200, deadline=None)
@given(
    events=st.dictionaries(st.integers(0, 300), st.sampled_from([0x11, 0x11, 0x12, 0x13, 0x14]), max_size=40),
    delay=st.integers(0, 12),
    width=st.integers(1, 12),
    prescaler=st.sampled_from([None, 2, 3, 7]),
    inverted=st.booleans(),
    slices=st.lists(st.integers(1, 60), min_size=1, max_size=10),
)
def test_edges_are_those_of_the_level_tick_by_tick(
    events: dict[int, int], delay: int, width: int, prescaler: int | None, inverted: bool, slices: list[int]
) -> None:
    shape = PulserSettings(ACTIONS, delay, width, prescaler, inverted)
    pulser, rows = Pulser(shape), [Event(tick, code) for tick, code in sorted(events.items())]
    end, now, n, edges = 400, -1, 0, []
    while now < end:
        before, now = now, min(now + slices[n % len(slices)], end)
        n += 1
        for event in rows:
            if before < event.tick <= now:
                pulser.receive(event)
        edges += pulser.advance(now)
    wanted = level_by_tick(shape, rows, end)
    level, shown = inverted, []
    at = {edge.tick: edge.level for edge in edges}
    assert len(at) == len(edges), "one edge a tick at most"
    for tick in range(end + 1):
        level = at.get(tick, level)
        shown.append(level)
    assert shown == wanted
    assert all(shown[edge.tick] != (inverted if not edge.tick else shown[edge.tick - 1]) for edge in edges)


@given(st.integers(2, 50), st.lists(st.integers(1, 90), min_size=1, max_size=10), st.integers(0, 200))
def test_a_divider_counts_from_its_reset(prescaler: int, slices: list[int], reset: int) -> None:
    divider, now, got, done = Divider(prescaler), 0, [], False
    while now < 400:
        following = min(now + slices[len(got) % len(slices)], 400)
        if not done and following >= reset:
            got += divider.advance(reset)
            divider.reset(reset)
            done = True
        now = following
        got += divider.advance(now)
    wanted = [t for t in range(1, reset + 1) if t % prescaler == 0]
    wanted += [t for t in range(reset + 1, 401) if (t - reset) % prescaler == 0]
    assert got == wanted


@pytest.mark.parametrize("wrong", [0, 1, -3, 65_536, float("nan"), True, "2", None])
def test_prescalers_that_do_not_divide_are_refused(wrong: object) -> None:
    with pytest.raises(BadInput, match="prescaler"):
        Divider(wrong)  # type: ignore[arg-type]
    if wrong is not None:
        with pytest.raises(BadInput, match="prescaler"):
            PulserSettings(ACTIONS, prescaler=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [{"delay": -1}, {"delay": 2**32}, {"width": 0}, {"delay": float("nan")}, {"actions": {0x7F: Action.SET}}],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        PulserSettings(**({"actions": ACTIONS} | wrong))  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="allowed are trigger, set, reset"):
        actions_of({0x20: "toggle"})


@settings(max_examples=100, deadline=None)
@given(
    streams=st.lists(
        st.lists(st.tuples(st.integers(0, 40), st.integers(1, 100)), max_size=12), min_size=1, max_size=4
    ),
    slices=st.lists(st.integers(1, 15), min_size=1, max_size=8),
)
def test_slices_do_not_change_what_the_link_carries(
    streams: list[list[tuple[int, int]]], slices: list[int]
) -> None:
    whole, collisions = merge(*([Event(*row) for row in stream] for stream in streams))
    arbiter, now, sent, late = Arbiter(soft=2), 0, [], []
    coming = [(Event(*row), rank) for rank, stream in enumerate(streams) for row in stream]
    n = 0
    while now < 120:
        before, now = now, now + slices[n % len(slices)]
        n += 1
        for event, rank in coming:
            if (before < event.tick <= now) or (event.tick == 0 and before == 0):
                arbiter.offer(rank, event)
        events, delayed = arbiter.advance(now)
        sent, late = sent + events, late + delayed
    assert sent == whole and late == collisions


def test_time_stamps_count_seconds_and_ticks() -> None:
    generator, receiver = Generator(5), Receiver("r", {})
    generator.sequencer(1).load(Sequence(((0, 0x30), (7, 0x31)), 10), Mode.RETRIGGER)
    generator.sequencer(1).arm()
    generator.sequencer(1).source = "go"
    for second in range(1, 5):
        tick = second * TICKS_PER_SECOND + 1000
        receiver.receive(generator.advance(tick).events)
        generator.input("go", tick)
        receiver.receive(generator.advance(tick + 100).events)
    kept = receiver.log.since(0)[1]
    assert [event.code for event, _ in kept] == [0x30, 0x31] * 4
    known = [(stamp.seconds, stamp.ticks) for _, stamp in kept][2:]
    assert known == [(2, 1000), (2, 1007), (3, 1000), (3, 1007), (4, 1000), (4, 1007)]
    assert kept[0][1].seconds is None


def test_the_heartbeat_and_its_loss() -> None:
    generator, receiver = Generator(0), Receiver("r", {})
    receiver.receive(generator.advance(ticks(9.9)).events)
    assert receiver.alive(ticks(9.9)) and receiver.received > 300
    generator.heartbeat = False
    receiver.receive(generator.advance(ticks(11.5)).events)
    last = ticks(9.0) + 33  # the time stamp's codes go first
    assert receiver.alive(last + HEARTBEAT_TIMEOUT) and not receiver.alive(last + HEARTBEAT_TIMEOUT + 1)


def test_a_machines_event_goes_before_the_systems_own_on_its_tick() -> None:
    generator = Generator(0)
    generator.advance(TICKS_PER_SECOND)
    generator.send(0x30, TICKS_PER_SECOND)
    events = generator.advance(TICKS_PER_SECOND + 50).events
    assert events[0] == Event(TICKS_PER_SECOND, 0x30)
    assert {event.code for event in events[1:]} <= SYSTEM and events[1].code == Code.STAMP_RESET
    with pytest.raises(ValueError, match="never run backwards"):
        generator.advance(0)
