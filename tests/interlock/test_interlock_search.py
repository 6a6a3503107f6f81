"""The room search against its table."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from common import site
from interlock.matrix import load
from interlock.search import TABLE, RoomEvent, RoomState, Search

pytestmark = pytest.mark.requirement("ACS-INTERLOCK")

PLAN = load(site.load().interlock_path).searches[0]


def searched(tick: int = 0) -> Search:
    search = Search(PLAN)
    for button in PLAN.buttons:
        search.press(tick, button)
    return search


def test_search_in_order_then_door() -> None:
    search = searched()
    assert search.state is RoomState.CLOSING
    assert not search.good
    search.close(10)
    assert search.good
    search.check(10**15)
    assert search.good


def test_door_without_search_is_no_search() -> None:
    search = Search(PLAN)
    search.close(0)
    assert search.state is RoomState.FREE


@pytest.mark.parametrize("end", ["breach", "release"])
def test_every_breach_and_release_frees_the_room(end: str) -> None:
    for closed in (False, True):
        search = searched()
        if closed:
            search.close(1)
        getattr(search, end)(2)
        assert search.state is RoomState.FREE
        assert search.next_button == PLAN.buttons[0]


def test_time_limits() -> None:
    slow = Search(PLAN)
    slow.press(0, PLAN.buttons[0])
    slow.press(PLAN.walk_ticks + 1, PLAN.buttons[1])
    assert slow.next_button == PLAN.buttons[0]
    late = searched()
    late.close(PLAN.close_ticks + 1)
    assert late.state is RoomState.FREE
    in_time = searched()
    in_time.close(PLAN.close_ticks)
    assert in_time.good


def test_buttons_out_of_order_begin_again() -> None:
    search = Search(PLAN)
    first, second, last = PLAN.buttons
    for button in (first, last, second, last):
        search.press(0, button)
    assert search.state is RoomState.FREE
    for button in (first, first, second, last):
        search.press(0, button)
    assert search.state is RoomState.CLOSING


def test_table_reaches_radiation_through_closing_only() -> None:
    into = [
        (state, event) for state, row in TABLE.items() for event, after in row.items() if after == "RADIATION"
    ]
    assert into == [(RoomState.CLOSING, RoomEvent.CLOSED)]
    assert all(row[RoomEvent.BREACH] is RoomState.FREE for s, row in TABLE.items() if s is not RoomState.FREE)


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order: radiation only after buttons in order, door, no breach."""

    def __init__(self) -> None:
        super().__init__()
        self.search = Search(PLAN)
        self.tick = 0
        self.story: list[str] = []

    @rule(button=st.sampled_from(PLAN.buttons), wait=st.integers(0, PLAN.walk_ticks // 2))
    def press(self, button: str, wait: int) -> None:
        self.tick += wait
        self.search.press(self.tick, button)
        self.story.append(button)

    @rule(
        what=st.sampled_from(["close", "breach", "release", "close"]), wait=st.integers(0, PLAN.close_ticks)
    )
    def act(self, what: str, wait: int) -> None:
        self.tick += wait
        getattr(self.search, what)(self.tick)
        self.story.append(what)

    @invariant()
    def radiation_was_earned(self) -> None:
        if not self.search.good:
            return
        ends = [n for n, word in enumerate(self.story) if word in ("breach", "release")]
        since = self.story[ends[-1] + 1 if ends else 0 :]
        assert "close" in since
        pattern = iter(since)
        assert all(button in pattern for button in (*PLAN.buttons, "close"))


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
