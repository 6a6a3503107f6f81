"""The life of a fraction, as a table, and what the delivered metersets make of it."""

from collections.abc import Mapping
from enum import StrEnum


class FractionState(StrEnum):
    """Where a fraction stands."""

    PLANNED = "PLANNED"
    PARTIAL = "PARTIAL"
    DELIVERED = "DELIVERED"


class FractionEvent(StrEnum):
    """What the records of a fraction say after one more has arrived."""

    BEAM_MISSING = "beam missing"
    ALL_BEAMS_GIVEN = "all beams given"


FRACTION_TABLE: Mapping[FractionState, Mapping[FractionEvent, FractionState]] = {
    FractionState.PLANNED: {
        FractionEvent.BEAM_MISSING: FractionState.PARTIAL,
        FractionEvent.ALL_BEAMS_GIVEN: FractionState.DELIVERED,
    },
    FractionState.PARTIAL: {
        FractionEvent.BEAM_MISSING: FractionState.PARTIAL,
        FractionEvent.ALL_BEAMS_GIVEN: FractionState.DELIVERED,
    },
    FractionState.DELIVERED: {
        # a record that arrives late or twice never makes a delivered fraction undelivered
        FractionEvent.ALL_BEAMS_GIVEN: FractionState.DELIVERED,
        FractionEvent.BEAM_MISSING: FractionState.DELIVERED,
    },
}

MU_TOLERANCE = 0.005
"""A beam counts as given when its parts sum up to its planned meterset within this fraction."""


def event(planned: Mapping[int, float], delivered: Mapping[int, float]) -> FractionEvent:
    """What summed metersets say. Both map beam number -> MU; `planned` names every beam of the plan."""
    missing = [n for n, mu in planned.items() if delivered.get(n, 0.0) < mu * (1.0 - MU_TOLERANCE)]
    return FractionEvent.BEAM_MISSING if missing else FractionEvent.ALL_BEAMS_GIVEN


def next_state(state: FractionState, happened: FractionEvent) -> FractionState:
    """The state after an event; the table covers every pair."""
    return FRACTION_TABLE[state][happened]


def overdosed(planned: Mapping[int, float], delivered: Mapping[int, float]) -> tuple[int, ...]:
    """Numbers of the beams that got more than planned by more than the tolerance, or are not planned."""
    return tuple(n for n, mu in sorted(delivered.items()) if mu > planned.get(n, 0.0) * (1.0 + MU_TOLERANCE))
