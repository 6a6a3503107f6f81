"""The machine cycle against its table and the site's layer switch time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import site
from common.clock import ticks
from common.errors import BadInput, Refused
from timing.cycle import CODES, TABLE, Cycle, Durations, Phase, Trigger

pytestmark = pytest.mark.requirement("ACS-TIMING")

DURATIONS = Durations.of_layer_switch(float(site.load().delivery["layer_switch_s"]))


@given(st.floats(min_value=1e-6, max_value=60.0))
def test_phases_add_up_to_the_layer_switch(layer_switch_s: float) -> None:
    assert Durations.of_layer_switch(layer_switch_s).layer_switch == ticks(layer_switch_s)


def test_too_short_a_layer_switch_is_refused() -> None:
    with pytest.raises(BadInput, match="each phase needs one tick"):
        Durations.of_layer_switch(1e-8)


def test_table_is_closed_and_every_phase_is_reached() -> None:
    assert set(TABLE) == set(Phase) == set(CODES)
    reached = {after for row in TABLE.values() for after in row.values()}
    assert reached == set(Phase)
    assert all(Trigger.ABORT in TABLE[p] for p in (Phase.INJECTION, Phase.RAMP, Phase.FLAT_TOP))


@given(
    flat_tops=st.lists(st.integers(1, 10**9), min_size=1, max_size=6),
    slices=st.lists(st.integers(1, 10**8), min_size=1, max_size=50),
)
def test_every_layer_takes_its_flat_top_and_one_switch(flat_tops: list[int], slices: list[int]) -> None:
    """Whatever the slices in which ticks pass, every event stands on its exact tick."""
    cycle = Cycle([100.0 + n for n in range(len(flat_tops))], DURATIONS)
    events, now = [], 0
    cycle.start(0)
    for index, length in enumerate(flat_tops):
        begin = DURATIONS.injection + DURATIONS.ramp + index * DURATIONS.layer_switch + sum(flat_tops[:index])
        for piece in slices:
            now = min(begin, now + piece)
            events += cycle.advance(now)
        events += cycle.advance(begin)
        assert cycle.beam_available
        assert cycle.energy == 100.0 + index
        now = begin + length
        cycle.end_layer(now)
    events += cycle.advance(now + DURATIONS.ramp_down)
    assert cycle.phase is Phase.IDLE
    order = [Phase.INJECTION, Phase.RAMP, Phase.FLAT_TOP, Phase.RAMP_DOWN] * len(flat_tops) + [Phase.IDLE]
    assert [event.phase for _, event in events] == order
    assert [event.code for _, event in events] == [CODES[phase] for phase in order]
    tops = [(tick, event.index) for tick, event in events if event.phase is Phase.FLAT_TOP]
    first = DURATIONS.injection + DURATIONS.ramp
    assert tops == [
        (first + n * DURATIONS.layer_switch + sum(flat_tops[:n]), n) for n in range(len(flat_tops))
    ]


def test_refill_returns_to_the_same_energy_after_one_switch() -> None:
    cycle = Cycle([70.0, 80.0], DURATIONS)
    cycle.start(10, index=1)
    top = 10 + DURATIONS.injection + DURATIONS.ramp
    cycle.refill(top + 5)
    events = cycle.advance(top + 5 + DURATIONS.layer_switch)
    assert (events[-1][0], events[-1][1].phase, events[-1][1].energy) == (
        top + 5 + DURATIONS.layer_switch,
        Phase.FLAT_TOP,
        80.0,
    )


@given(st.integers(0, 3 * DURATIONS.layer_switch))
def test_abort_ends_idle_within_one_ramp_down(moment: int) -> None:
    cycle = Cycle([70.0, 80.0, 90.0], DURATIONS)
    cycle.start(0)
    top = DURATIONS.injection + DURATIONS.ramp
    if moment > top + 3:
        cycle.end_layer(top + 3)
    cycle.abort(moment)
    cycle.advance(moment + DURATIONS.ramp_down)
    assert cycle.phase is Phase.IDLE
    assert cycle.next_tick is None


def test_illegal_moves_are_refused_and_change_nothing() -> None:
    cycle = Cycle([70.0], DURATIONS)
    with pytest.raises(Refused, match="possible: start"):
        cycle.end_layer(0)
    cycle.start(0)
    with pytest.raises(Refused, match="not possible in INJECTION"):
        cycle.refill(1)
    assert cycle.phase is Phase.INJECTION
    with pytest.raises(ValueError, match="never run backwards"):
        cycle.advance(0)
    for bad in ([], [0.0], [float("nan")]):
        with pytest.raises(BadInput):
            Cycle(bad, DURATIONS)
