"""The treatment session as a table: {state: {event: next}}. Everything else about it is generated from here.

Events named like commands are what a user asks for; the others are what the hardware or the
session itself reports. A pair that is not in the table does not happen: it raises `IllegalStep`.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from common.errors import Refused
from common.text import _


class State(StrEnum):
    """Where a session stands."""

    IDLE = "IDLE"
    LOADED = "LOADED"
    IDENTIFIED = "IDENTIFIED"
    POSITIONED = "POSITIONED"
    VERIFIED = "VERIFIED"
    READY = "READY"
    IRRADIATING = "IRRADIATING"
    INTERRUPTED = "INTERRUPTED"
    BEAM_DONE = "BEAM_DONE"
    COMPLETE = "COMPLETE"
    TERMINATED = "TERMINATED"
    RECORDED = "RECORDED"
    FAULT = "FAULT"


class Event(StrEnum):
    """What moves a session on."""

    LOAD_PLAN = "LoadPlan"
    CONFIRM_IDENTITY = "ConfirmIdentity"
    POSITION = "Position"
    VERIFY_SETUP = "VerifySetup"
    REQUEST_BEAM = "RequestBeam"
    START = "StartIrradiation"
    INTERRUPT = "InterruptIrradiation"
    RESUME = "ResumeIrradiation"
    TERMINATE = "TerminateIrradiation"
    SUBMIT_RECORD = "SubmitRecord"
    UNLOAD = "Unload"
    TRIP = "Trip"
    BEAM_FINISHED = "BeamFinished"
    FRACTION_FINISHED = "FractionFinished"
    FAULT = "Fault"


REPORTED = frozenset({Event.TRIP, Event.BEAM_FINISHED, Event.FRACTION_FINISHED, Event.FAULT})
"""Events that no user can ask for."""

_E = Event
_S = State

_STEPS: dict[State, dict[Event, State]] = {
    _S.IDLE: {_E.LOAD_PLAN: _S.LOADED},
    _S.LOADED: {_E.CONFIRM_IDENTITY: _S.IDENTIFIED, _E.TERMINATE: _S.TERMINATED, _E.UNLOAD: _S.IDLE},
    _S.IDENTIFIED: {_E.POSITION: _S.POSITIONED, _E.TERMINATE: _S.TERMINATED, _E.UNLOAD: _S.IDLE},
    _S.POSITIONED: {
        _E.VERIFY_SETUP: _S.VERIFIED,
        _E.POSITION: _S.POSITIONED,
        _E.TERMINATE: _S.TERMINATED,
    },
    _S.VERIFIED: {
        _E.REQUEST_BEAM: _S.READY,
        _E.POSITION: _S.POSITIONED,
        _E.TERMINATE: _S.TERMINATED,
    },
    _S.READY: {
        _E.START: _S.IRRADIATING,
        _E.POSITION: _S.POSITIONED,
        _E.TERMINATE: _S.TERMINATED,
    },
    _S.IRRADIATING: {
        _E.INTERRUPT: _S.INTERRUPTED,
        _E.TRIP: _S.INTERRUPTED,
        _E.TERMINATE: _S.TERMINATED,
        _E.BEAM_FINISHED: _S.BEAM_DONE,
        _E.FRACTION_FINISHED: _S.COMPLETE,
    },
    # The counters read back after an interruption may show that the last spot was just finished. A room that
    # was moved meanwhile cannot be resumed in: it is positioned and verified anew, the counts stay.
    _S.INTERRUPTED: {
        _E.RESUME: _S.IRRADIATING,
        _E.POSITION: _S.POSITIONED,
        _E.TERMINATE: _S.TERMINATED,
        _E.BEAM_FINISHED: _S.BEAM_DONE,
        _E.FRACTION_FINISHED: _S.COMPLETE,
    },
    _S.BEAM_DONE: {_E.POSITION: _S.POSITIONED, _E.TERMINATE: _S.TERMINATED},
    _S.COMPLETE: {_E.SUBMIT_RECORD: _S.RECORDED},
    _S.TERMINATED: {_E.SUBMIT_RECORD: _S.RECORDED},
    _S.RECORDED: {_E.UNLOAD: _S.IDLE},
    _S.FAULT: {_E.TERMINATE: _S.TERMINATED},
}

TABLE: Mapping[State, Mapping[Event, State]] = MappingProxyType(
    {state: MappingProxyType({**row, _E.FAULT: _S.FAULT}) for state, row in _STEPS.items()}
)
"""{state: {event: next}}. Every state has `Fault`; FAULT is left through TERMINATED only."""


class IllegalStep(Refused):
    """An event that the present state does not know."""

    def __init__(self, state: State, event: Event) -> None:
        """Name the pair and what is allowed instead."""
        allowed = ", ".join(legal(state)) or _("nothing")
        super().__init__(
            _("{event} is not allowed in state {state}; allowed: {allowed}").format(
                event=event.value, state=state.value, allowed=allowed
            )
        )
        self.state = state
        self.event = event


def advance(state: State, event: Event) -> State:
    """The state after an event. Raises IllegalStep for a pair that is not in the table."""
    after = TABLE[state].get(event)
    if after is None:
        raise IllegalStep(state, event)
    return after


def legal(state: State) -> tuple[Event, ...]:
    """The steps that a user may ask for in a state, in table order."""
    return tuple(event for event in TABLE[state] if event not in REPORTED)
