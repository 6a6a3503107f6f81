"""The life of a plan in the OIS, as a table."""

from collections.abc import Mapping
from enum import StrEnum

from common.errors import Refused
from common.text import _
from ois_bridge.domain.words import STATE, STEP


class PlanState(StrEnum):
    """Where a plan stands. Only an APPROVED plan may be treated."""

    ARRIVED = "ARRIVED"
    SUBMITTED = "SUBMITTED"
    APPROVED = "APPROVED"
    REVOKED = "REVOKED"


class PlanEvent(StrEnum):
    """What a person does to a plan."""

    SUBMIT = "submit"
    APPROVE = "approve"
    REVOKE = "revoke"


PLAN_TABLE: Mapping[PlanState, Mapping[PlanEvent, PlanState]] = {
    PlanState.ARRIVED: {PlanEvent.SUBMIT: PlanState.SUBMITTED},
    PlanState.SUBMITTED: {PlanEvent.APPROVE: PlanState.APPROVED, PlanEvent.REVOKE: PlanState.REVOKED},
    PlanState.APPROVED: {PlanEvent.REVOKE: PlanState.REVOKED},
    PlanState.REVOKED: {},
}


def legal(state: PlanState) -> tuple[PlanEvent, ...]:
    """Events that the table allows in a state."""
    return tuple(PLAN_TABLE[state])


def next_state(state: PlanState, event: PlanEvent) -> PlanState:
    """The state after an event. Raises Refused when the table has no such step."""
    following = PLAN_TABLE[state].get(event)
    if following is None:
        allowed = ", ".join(_(STEP[step]) for step in legal(state)) or _("nothing")
        raise Refused(
            _("The plan is {state}: it cannot be {event} now. What can be done with it: {allowed}.").format(
                state=_(STATE[state]), event=_(STEP[event]), allowed=allowed
            )
        )
    return following
