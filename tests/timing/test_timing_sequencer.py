"""Event codes, sequencers, and the checker of received events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BadInput, Refused
from timing.checker import Checker, Fault, Finding
from timing.events import HEARTBEAT_TIMEOUT, NEVER_SENT, Code, Event, Heartbeat, check_code, merge
from timing.sequencer import Mode, Sequence, Sequencer

pytestmark = pytest.mark.requirement("ACS-TIMING")

CODES = st.integers(1, 255).filter(lambda code: code not in NEVER_SENT)


@st.composite
def sequences(draw: st.DrawFn) -> Sequence:
    offsets = sorted(draw(st.sets(st.integers(0, 10_000), min_size=1, max_size=20)))
    steps = tuple((offset, draw(CODES)) for offset in offsets)
    return Sequence(steps, offsets[-1] + draw(st.integers(1, 1000)))


@pytest.mark.parametrize("code", [0x00, 0x7F, -1, 256])
def test_codes_that_are_never_sent(code: int) -> None:
    with pytest.raises(BadInput):
        check_code(code)
    with pytest.raises(BadInput):
        Sequence(((0, code),), 1)


@pytest.mark.parametrize(
    ("steps", "length"),
    [((), 1), (((5, 1), (5, 2)), 9), (((5, 1), (4, 2)), 9), (((0, 1),), 0), (((2**32, 1),), 2**32 + 1)],
)
def test_malformed_sequences_are_refused(steps: tuple[tuple[int, int], ...], length: int) -> None:
    with pytest.raises(BadInput):
        Sequence(steps, length)


@given(sequences(), st.integers(0, 10**12), st.lists(st.integers(0, 5000), max_size=30))
def test_single_plays_once_with_exact_ticks(sequence: Sequence, start: int, slices: list[int]) -> None:
    player, now, sent = Sequencer(sequence), start, []
    player.arm()
    player.trigger(start)
    with pytest.raises(Refused):
        player.trigger(start)
    for piece in slices:
        now += piece
        sent += player.advance(now)
        assert all(event.tick <= now for event in sent)
    sent += player.advance(start + sequence.length)
    assert sent == [Event(start + offset, code) for offset, code in sequence.steps]
    assert not player.running


@given(sequences(), st.integers(1, 5))
def test_recycle_repeats_with_its_length(sequence: Sequence, rounds: int) -> None:
    player = Sequencer(sequence, Mode.RECYCLE)
    player.arm()
    player.trigger(0)
    sent = player.advance(rounds * sequence.length - 1)
    expected = [
        Event(n * sequence.length + offset, code) for n in range(rounds) for offset, code in sequence.steps
    ]
    assert sent == expected
    player.stop()
    assert player.advance(10**15) == []


@given(
    st.lists(st.integers(0, 100_000), min_size=1, max_size=40, unique=True),
    st.sets(st.integers(0, 39)),
    st.dictionaries(st.integers(0, 39), st.integers(-50, 50)),
)
def test_checker_names_exactly_the_errors_made(
    ticks: list[int], lost: set[int], moved: dict[int, int]
) -> None:
    """Events 1000 ticks apart, some lost, some moved: each is found, and nothing else."""
    tolerance, patience = 10, 100
    expected = [Event(1000 * n, 0x30) for n in range(len(ticks))]
    checker = Checker(tolerance, patience)
    checker.expect(expected)
    findings: list[Finding] = []
    truth: list[Finding] = []
    for n, event in enumerate(expected):
        if n in lost:
            truth.append(Finding(Fault.MISSED, event))
            continue
        deviation = moved.get(n, 0)
        received = Event(event.tick + deviation, event.code)
        findings += checker.receive(received)
        if abs(deviation) > tolerance:
            truth.append(Finding(Fault.LATE if deviation > 0 else Fault.EARLY, received, deviation))
    findings += checker.check(1000 * len(ticks) + patience)
    plain = {(f.fault, f.event, f.deviation if f.fault is not Fault.MISSED else 0) for f in findings}
    assert plain == {(f.fault, f.event, f.deviation) for f in truth}
    assert len(findings) == len(truth)


def test_unexpected_events_are_found() -> None:
    checker = Checker(1, 5)
    assert checker.receive(Event(7, 0x31)) == [Finding(Fault.UNEXPECTED, Event(7, 0x31))]
    checker.expect([Event(100, 0x31)])
    assert checker.receive(Event(50, 0x31)) == [Finding(Fault.UNEXPECTED, Event(50, 0x31))]
    assert checker.receive(Event(100, 0x31)) == []


@given(st.lists(st.lists(st.builds(Event, st.integers(0, 30), CODES), max_size=15), max_size=4))
def test_merge_sends_one_code_a_tick_and_reports_every_delay(streams: list[list[Event]]) -> None:
    sent, collisions = merge(*streams)
    everything = [event for stream in streams for event in stream]
    assert len({event.tick for event in sent}) == len(sent) == len(everything)
    assert sorted(event.code for event in sent) == sorted(event.code for event in everything)
    undelayed = sum(1 for event in sent if event in everything)
    assert len(sent) - len(collisions) <= undelayed
    moved = sum(event.tick for event in sent) - sum(event.tick for event in everything)
    assert moved == sum(collision.delay for collision in collisions)


def test_merge_keeps_the_first_stream_on_time() -> None:
    sent, collisions = merge([Event(5, 0x22)], [Event(5, 0x7A), Event(6, 0x7A)])
    assert sent == [Event(5, 0x22), Event(6, 0x7A), Event(7, 0x7A)]
    assert [collision.delay for collision in collisions] == [1, 1]


def test_heartbeat_times_out() -> None:
    beat = Heartbeat(0)
    assert beat.alive(HEARTBEAT_TIMEOUT)
    assert not beat.alive(HEARTBEAT_TIMEOUT + 1)
    beat.receive(Event(50, Code.FLAT_TOP))
    assert not beat.alive(HEARTBEAT_TIMEOUT + 1)
    beat.receive(Event(50, Code.HEARTBEAT))
    assert beat.alive(HEARTBEAT_TIMEOUT + 50)
