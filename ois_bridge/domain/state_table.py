"""One step of any state machine of the OIS: what its table says, or a refusal that names what is allowed."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from common.errors import Refused
from common.text import _

State = TypeVar("State", bound=StrEnum)
Event = TypeVar("Event", bound=StrEnum)


def step(table: Mapping[State, Mapping[Event, State]], state: State, event: Event) -> State:
    """The state after an event. The values of both enumerations are English texts that are translated here.

    Raises Refused when the table has no such step; it says what can be done instead.
    """
    following = table[state].get(event)
    if following is None:
        allowed = ", ".join(_(other.value) for other in table[state]) or _("nothing")
        raise Refused(
            _("This is {state}: “{event}” cannot be done now. What can be done: {allowed}.").format(
                state=_(state.value), event=_(event.value), allowed=allowed
            )
        )
    return following
