"""The search of a treatment room before beam: everybody out, buttons in order, door closed.

The person who searches presses the buttons in the order of the plan, leaves, and closes the door.
Any breach, and any time limit run over, takes the room back to FREE.
"""

from collections.abc import Mapping
from enum import StrEnum

from interlock.table import SearchPlan


class RoomState(StrEnum):
    """Who may be in the room."""

    FREE = "FREE"
    """Anybody; no beam."""
    CLOSING = "CLOSING"
    """Searched up to the last button; the door is about to close."""
    RADIATION = "RADIATION"
    """Nobody; beam may come."""


class RoomEvent(StrEnum):
    """What the room's equipment reports."""

    SEARCHED = "searched"
    """The last button of the sequence was pressed, in order and in time."""
    CLOSED = "closed"
    """The door is closed and locked."""
    BREACH = "breach"
    """Door opened, somebody seen, emergency exit used, or a sensor lost."""
    LATE = "late"
    """The door was not closed in time."""
    RELEASE = "release"
    """The room is given back after treatment."""


TABLE: Mapping[RoomState, Mapping[RoomEvent, RoomState]] = {
    RoomState.FREE: {RoomEvent.SEARCHED: RoomState.CLOSING},
    RoomState.CLOSING: {
        RoomEvent.CLOSED: RoomState.RADIATION,
        RoomEvent.BREACH: RoomState.FREE,
        RoomEvent.LATE: RoomState.FREE,
        RoomEvent.RELEASE: RoomState.FREE,
    },
    RoomState.RADIATION: {
        RoomEvent.BREACH: RoomState.FREE,
        RoomEvent.RELEASE: RoomState.FREE,
    },
}
"""An event that a state does not name changes nothing."""


class Search:
    """One room's search. `good` is the value of its interlock input. Times are ticks."""

    def __init__(self, plan: SearchPlan) -> None:
        self.plan = plan
        self.state = RoomState.FREE
        self._pressed = 0
        self._limit: int | None = None

    @property
    def good(self) -> bool:
        """Whether beam may come as far as the search goes."""
        return self.state is RoomState.RADIATION

    @property
    def next_button(self) -> str | None:
        """The button to press next; None when all have been."""
        waits = self.state is RoomState.FREE
        return self.plan.buttons[self._pressed] if waits else None

    def press(self, tick: int, button: str) -> None:
        """A search button. One out of order begins the search again."""
        self.check(tick)
        if self.state is not RoomState.FREE:
            return
        if button != self.next_button:
            self._forget()
        if button == self.next_button:
            if self._pressed == 0:
                self._limit = tick + self.plan.walk_ticks
            self._pressed += 1
        if self._pressed == len(self.plan.buttons):
            self._apply(RoomEvent.SEARCHED)
            self._limit = tick + self.plan.close_ticks

    def close(self, tick: int) -> None:
        """The door reports closed and locked."""
        self.check(tick)
        self._apply(RoomEvent.CLOSED)

    def breach(self, tick: int) -> None:
        """The door opens, somebody is seen, or a sensor is lost; a search under way is void."""
        self.check(tick)
        self._apply(RoomEvent.BREACH)
        self._forget()

    def release(self, tick: int) -> None:
        """The room is given back."""
        self.check(tick)
        self._apply(RoomEvent.RELEASE)
        self._forget()

    def check(self, tick: int) -> None:
        """Let time limits act, as of a tick."""
        if self._limit is not None and tick > self._limit:
            self._apply(RoomEvent.LATE)
            self._forget()

    def _apply(self, event: RoomEvent) -> None:
        after = TABLE[self.state].get(event, self.state)
        if after is not self.state:
            self.state = after
            self._forget()

    def _forget(self) -> None:
        self._pressed, self._limit = 0, None
