"""Control of one area as a table: its states, what people do, and what time does."""

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """Where control of an area stands."""

    FREE = "FREE"
    """Nobody has it."""
    HELD = "HELD"
    """Somebody has it."""
    ASKED = "ASKED"
    """Somebody has it, and somebody else has asked for it."""
    OFFERED = "OFFERED"
    """Somebody has it and has offered it to somebody else."""


class Event(StrEnum):
    """What happens."""

    REQUEST = "request"
    OFFER = "offer"
    ACCEPT = "accept"
    DECLINE = "decline"
    RELEASE = "release"
    TAKE = "take"
    LAPSE = "lapse"
    """The holder is idle, logged out or gone."""
    FORGET = "forget"
    """A request or an offer is too old, or whoever asked is gone."""


TABLE: Mapping[State, Mapping[Event, State]] = {
    State.FREE: {Event.REQUEST: State.HELD},
    State.HELD: {
        Event.REQUEST: State.ASKED,
        Event.OFFER: State.OFFERED,
        Event.RELEASE: State.FREE,
        Event.TAKE: State.HELD,
        Event.LAPSE: State.FREE,
    },
    State.ASKED: {
        Event.OFFER: State.HELD,
        Event.DECLINE: State.HELD,
        Event.RELEASE: State.HELD,
        Event.TAKE: State.HELD,
        Event.LAPSE: State.HELD,
        Event.FORGET: State.HELD,
    },
    State.OFFERED: {
        Event.ACCEPT: State.HELD,
        Event.DECLINE: State.HELD,
        Event.RELEASE: State.FREE,
        Event.TAKE: State.HELD,
        Event.LAPSE: State.FREE,
        Event.FORGET: State.HELD,
    },
}
"""State -> event -> state. Who has asked gets control when the holder offers it, releases it or lapses."""

BY_PERSON = frozenset(Event) - {Event.LAPSE, Event.FORGET}
"""What somebody does; the rest comes with time."""
