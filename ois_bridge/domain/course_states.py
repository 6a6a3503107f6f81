"""The life of a course of treatment, as a table."""

from collections.abc import Mapping
from enum import StrEnum

from ois_bridge.domain.words import N_


class CourseState(StrEnum):
    """Where a course stands. Only an ACTIVE course may be scheduled or treated."""

    ACTIVE = N_("in progress")
    INTERRUPTED = N_("interrupted")
    CANCELLED = N_("cancelled")
    ENDED = N_("ended")
    HISTORY = N_("history")


class CourseEvent(StrEnum):
    """What a physician does to a course."""

    INTERRUPT = N_("interrupt")
    RESUME = N_("resume")
    CANCEL = N_("cancel")
    END = N_("end")
    TO_HISTORY = N_("to history")
    REOPEN = N_("reopen")


COURSE_TABLE: Mapping[CourseState, Mapping[CourseEvent, CourseState]] = {
    CourseState.ACTIVE: {
        CourseEvent.INTERRUPT: CourseState.INTERRUPTED,
        CourseEvent.CANCEL: CourseState.CANCELLED,
        CourseEvent.END: CourseState.ENDED,
    },
    CourseState.INTERRUPTED: {
        CourseEvent.RESUME: CourseState.ACTIVE,
        CourseEvent.CANCEL: CourseState.CANCELLED,
        CourseEvent.END: CourseState.ENDED,
    },
    CourseState.CANCELLED: {CourseEvent.TO_HISTORY: CourseState.HISTORY},
    CourseState.ENDED: {
        CourseEvent.REOPEN: CourseState.ACTIVE,
        CourseEvent.TO_HISTORY: CourseState.HISTORY,
    },
    CourseState.HISTORY: {},
}
