"""The life of an appointment, from the sheet to the treated patient, as a table."""

from collections.abc import Mapping
from enum import StrEnum

from ois_bridge.domain.words import N_


class AppointmentState(StrEnum):
    """Where an appointment stands."""

    BOOKED = N_("booked")
    SIGNED_IN = N_("signed in")
    CALLED = N_("called")
    IN_ROOM = N_("in the room")
    DONE = N_("done")
    MISSED = N_("missed")
    CANCELLED = N_("cancelled")


class AppointmentEvent(StrEnum):
    """What happens to an appointment."""

    SIGN_IN = N_("sign in")
    CALL = N_("call")
    PASS_OVER = N_("pass over")
    ENTER = N_("enter the room")
    FINISH = N_("finish")
    LEAVE = N_("leave")
    MISS = N_("miss")
    CANCEL = N_("cancel")
    MOVE = N_("move")
    PART_GIVEN = N_("part of the fraction given")
    GIVEN = N_("fraction given")


_S, _E = AppointmentState, AppointmentEvent
_RECORD: Mapping[AppointmentEvent, AppointmentState] = {_E.PART_GIVEN: _S.IN_ROOM, _E.GIVEN: _S.DONE}
"""What a treatment record says: who got a beam was in the room, whatever the queue knew."""

APPOINTMENT_TABLE: Mapping[AppointmentState, Mapping[AppointmentEvent, AppointmentState]] = {
    _S.BOOKED: {
        _E.SIGN_IN: _S.SIGNED_IN,
        _E.MISS: _S.MISSED,
        _E.CANCEL: _S.CANCELLED,
        _E.MOVE: _S.BOOKED,
        **_RECORD,
    },
    _S.SIGNED_IN: {
        **_RECORD,
        _E.CALL: _S.CALLED,
        _E.LEAVE: _S.BOOKED,
        _E.MISS: _S.MISSED,
        _E.CANCEL: _S.CANCELLED,
        _E.MOVE: _S.SIGNED_IN,
    },
    _S.CALLED: {
        _E.CALL: _S.CALLED,
        _E.PASS_OVER: _S.SIGNED_IN,
        _E.ENTER: _S.IN_ROOM,
        _E.MISS: _S.MISSED,
        **_RECORD,
    },
    _S.IN_ROOM: {_E.FINISH: _S.DONE, _E.PASS_OVER: _S.SIGNED_IN, **_RECORD},
    # what a record says of a visit that is over changes nothing more
    _S.DONE: dict.fromkeys(_RECORD, _S.DONE),
    _S.MISSED: {_E.SIGN_IN: _S.SIGNED_IN, _E.MOVE: _S.BOOKED, _E.CANCEL: _S.CANCELLED, **_RECORD},
    _S.CANCELLED: {},
}
