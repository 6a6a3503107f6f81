"""The states of an alarm and what changes them: one table, after ISA-18.2 and the Phoebus alarm server.

`NEXT` is the table as a matrix, so that thousands of alarms move in one step.
"""

from collections.abc import Mapping
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class State(IntEnum):
    """Where an alarm stands."""

    NORMAL = 0
    UNACKED = 1
    """Active, and nobody has acknowledged it."""
    ACKED = 2
    """Active and acknowledged."""
    LATCHED = 3
    """Gone, and nobody has acknowledged that it was there."""
    SHELVED = 4
    """Put aside by a person until a time, with a reason."""
    SUPPRESSED = 5
    """Put aside by its rule's inhibit."""
    DISABLED = 6
    """Out of service until a person enables it."""


class Event(IntEnum):
    """What happens to an alarm."""

    RAISE = 0
    ESCALATE = 1
    LESSEN = 2
    CLEAR = 3
    CLEAR_LATCHING = 4
    RELATCH = 5
    """Put back from aside: it had come and gone meanwhile."""
    ACK = 6
    SHELVE = 7
    UNSHELVE = 8
    EXPIRE = 9
    INHIBIT = 10
    RELEASE = 11
    DISABLE = 12
    ENABLE = 13


_ASIDE = {Event.SHELVE: State.SHELVED, Event.INHIBIT: State.SUPPRESSED, Event.DISABLE: State.DISABLED}


def _stays(state: State) -> Mapping[Event, State]:
    """What the condition does meanwhile does not bring an alarm back from aside."""
    return dict.fromkeys(
        (Event.RAISE, Event.ESCALATE, Event.LESSEN, Event.CLEAR, Event.CLEAR_LATCHING), state
    )


TABLE: Mapping[State, Mapping[Event, State]] = {
    State.NORMAL: {**_ASIDE, Event.RAISE: State.UNACKED, Event.RELATCH: State.LATCHED},
    State.UNACKED: {
        **_ASIDE,
        Event.ESCALATE: State.UNACKED,
        Event.LESSEN: State.UNACKED,
        Event.CLEAR: State.NORMAL,
        Event.CLEAR_LATCHING: State.LATCHED,
        Event.ACK: State.ACKED,
    },
    State.ACKED: {
        **_ASIDE,
        Event.ESCALATE: State.UNACKED,
        Event.LESSEN: State.ACKED,
        Event.CLEAR: State.NORMAL,
        Event.CLEAR_LATCHING: State.NORMAL,
    },
    State.LATCHED: {**_ASIDE, Event.RAISE: State.UNACKED, Event.ACK: State.NORMAL},
    State.SHELVED: {
        **_stays(State.SHELVED),
        Event.SHELVE: State.SHELVED,
        Event.UNSHELVE: State.NORMAL,
        Event.EXPIRE: State.NORMAL,
        Event.DISABLE: State.DISABLED,
    },
    State.SUPPRESSED: {
        **_stays(State.SUPPRESSED),
        Event.SHELVE: State.SHELVED,
        Event.RELEASE: State.NORMAL,
        Event.DISABLE: State.DISABLED,
    },
    State.DISABLED: {**_stays(State.DISABLED), Event.ENABLE: State.NORMAL},
}
"""State -> event -> next state. An event that is not there changes nothing and is not recorded."""

STANDING = (State.UNACKED, State.ACKED, State.LATCHED)
"""States that an operator's list shows."""

NOWHERE = -1
NEXT: NDArray[np.int8] = np.full((len(State), len(Event)), NOWHERE, dtype=np.int8)
for _state, _row in TABLE.items():
    for _event, _after in _row.items():
        NEXT[_state, _event] = _after
