"""The states of the beam hardware, as a table. The order of `State` is the value of `fpga.state`."""

from enum import StrEnum

from common.errors import Refused
from common.text import _


class State(StrEnum):
    """What the beam hardware is doing."""

    IDLE = "IDLE"
    LOADED = "LOADED"
    SWITCHING = "SWITCHING"
    DELIVERING = "DELIVERING"
    HELD = "HELD"
    TRIPPED = "TRIPPED"
    COMPLETE = "COMPLETE"
    TERMINATED = "TERMINATED"


TABLE: dict[State, dict[str, State]] = {
    State.IDLE: {"load": State.LOADED},
    State.LOADED: {
        "load": State.LOADED,
        "unload": State.IDLE,
        "start": State.SWITCHING,
        "terminate": State.TERMINATED,
    },
    State.SWITCHING: {
        "beam": State.DELIVERING,
        "held": State.HELD,
        "trip": State.TRIPPED,
        "terminate": State.TERMINATED,
        "complete": State.COMPLETE,
    },
    State.DELIVERING: {
        "spill": State.SWITCHING,
        "held": State.HELD,
        "trip": State.TRIPPED,
        "terminate": State.TERMINATED,
        "complete": State.COMPLETE,
    },
    State.HELD: {
        "load": State.LOADED,
        "unload": State.IDLE,
        "resume": State.SWITCHING,
        "terminate": State.TERMINATED,
    },
    State.TRIPPED: {"reset": State.HELD, "unload": State.IDLE, "terminate": State.TERMINATED},
    State.COMPLETE: {"load": State.LOADED, "unload": State.IDLE},
    State.TERMINATED: {"load": State.LOADED, "unload": State.IDLE},
}
"""state -> {event: next state}. `spill`: the layer or the spill is used up; the next cycle begins."""

ACTIVE = frozenset({State.SWITCHING, State.DELIVERING})
"""States in which the machine cycles and beam may come."""

ENDED = frozenset({State.HELD, State.TRIPPED, State.COMPLETE, State.TERMINATED})
"""States in which a loaded map has no beam any more."""


def after(state: State, event: str) -> State:
    """The state that follows. Raises Refused naming the events that are allowed."""
    allowed = TABLE[state]
    if event not in allowed:
        raise Refused(
            _("{event} is not possible in state {state}: allowed are {allowed}").format(
                event=event, state=state, allowed=", ".join(sorted(allowed))
            )
        )
    return allowed[event]
