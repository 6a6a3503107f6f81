"""What a restore may become: one table."""

from collections.abc import Mapping
from enum import StrEnum

from common.errors import Refused
from common.text import _


class State(StrEnum):
    """Where a restore stands."""

    RUNNING = "RUNNING"
    DONE = "DONE"
    """Everything was written and verified."""
    FAILED = "FAILED"
    """Something was refused or did not arrive; what was written stays."""
    STOPPED = "STOPPED"
    """By a user, or because something forbade writing."""
    INTERRUPTED = "INTERRUPTED"
    """Its process ended meanwhile."""
    ROLLED_BACK = "ROLLED_BACK"
    """What it had written was taken back."""


class Event(StrEnum):
    """What happens to a restore."""

    FINISH = "finish"
    FAIL = "fail"
    STOP = "stop"
    LOSE = "lose"
    TAKE_BACK = "take back"


TABLE: Mapping[State, Mapping[Event, State]] = {
    State.RUNNING: {
        Event.FINISH: State.DONE,
        Event.FAIL: State.FAILED,
        Event.STOP: State.STOPPED,
        Event.LOSE: State.INTERRUPTED,
    },
    State.DONE: {Event.TAKE_BACK: State.ROLLED_BACK},
    State.FAILED: {Event.TAKE_BACK: State.ROLLED_BACK},
    State.STOPPED: {Event.TAKE_BACK: State.ROLLED_BACK},
    State.INTERRUPTED: {Event.TAKE_BACK: State.ROLLED_BACK},
    State.ROLLED_BACK: {},
}


def after(state: State, event: Event) -> State:
    """The state after an event. Raises Refused for one that the table does not have."""
    try:
        return TABLE[state][event]
    except KeyError as why:
        allowed = ", ".join(TABLE[state]) or "-"
        text = _("a restore that is {state} cannot {event}: allowed are {allowed}")
        raise Refused(text.format(state=state, event=event, allowed=allowed)) from why
