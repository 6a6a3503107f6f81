"""The life of a message that leaves the house, as a table, and the pauses between its attempts."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

from ois_bridge.domain.words import N_

PAUSES_S = (5, 20, 60, 300, 900, *(3600,) * 47)
"""Seconds from one failed attempt to the next; after the last pause there is one more attempt.
A gateway that is away for a day or two is waited for; what nobody needs to know by then is not sent."""

MOST_TRIES = len(PAUSES_S) + 1


class OutgoingState(StrEnum):
    """Where a message stands."""

    QUEUED = N_("waiting to be sent")
    SENT = N_("sent")
    FAILED = N_("could not be sent")
    CANCELLED = N_("cancelled")


class OutgoingEvent(StrEnum):
    """What happens to a message."""

    SEND = N_("send")
    GIVE_UP = N_("give up")
    SEND_AGAIN = N_("send again")
    CANCEL = N_("cancel")


_S, _E = OutgoingState, OutgoingEvent

OUTGOING_TABLE: Mapping[OutgoingState, Mapping[OutgoingEvent, OutgoingState]] = {
    _S.QUEUED: {_E.SEND: _S.SENT, _E.GIVE_UP: _S.FAILED, _E.CANCEL: _S.CANCELLED},
    _S.SENT: {},
    _S.FAILED: {_E.SEND_AGAIN: _S.QUEUED, _E.CANCEL: _S.CANCELLED},
    _S.CANCELLED: {_E.SEND_AGAIN: _S.QUEUED},
}


def pause(tries: int) -> timedelta:
    """How long to wait after attempt number `tries` (from 1)."""
    return timedelta(seconds=PAUSES_S[min(max(tries, 1), len(PAUSES_S)) - 1])


def masked_recipient(text: str) -> str:
    """A phone number or id of which only enough is shown to tell it from another: 138****5678."""
    if len(text) < 8:
        return "*" * len(text)
    return f"{text[:3]}{'*' * min(len(text) - 7, 8)}{text[-4:]}"
