"""The life of a report of a device's fault, as a table."""

from collections.abc import Mapping
from enum import StrEnum

from ois_bridge.domain.words import N_


class FaultState(StrEnum):
    """Where a fault report stands: 已报告, 维修中, 已排除, 已关闭."""

    REPORTED = N_("reported")
    IN_REPAIR = N_("in repair")
    SOLVED = N_("solved")
    CLOSED = N_("closed")


class FaultEvent(StrEnum):
    """What people do with it."""

    REPAIR = N_("begin repair")
    SOLVE = N_("device works again")
    REOPEN = N_("fault is back")
    CLOSE = N_("close the report")


FAULT_TABLE: Mapping[FaultState, Mapping[FaultEvent, FaultState]] = {
    FaultState.REPORTED: {
        FaultEvent.REPAIR: FaultState.IN_REPAIR,
        FaultEvent.SOLVE: FaultState.SOLVED,
    },
    FaultState.IN_REPAIR: {FaultEvent.SOLVE: FaultState.SOLVED},
    FaultState.SOLVED: {FaultEvent.REOPEN: FaultState.REPORTED, FaultEvent.CLOSE: FaultState.CLOSED},
    FaultState.CLOSED: {},
}
