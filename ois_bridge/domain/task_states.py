"""The life of one person's task in a process, as a table."""

from collections.abc import Mapping
from enum import StrEnum

from ois_bridge.domain.words import N_


class TaskState(StrEnum):
    """Where a task stands: 待办, 已受理, 已办, 已取消."""

    TO_DO = N_("to do")
    TAKEN = N_("taken")
    DONE = N_("done")
    CANCELLED = N_("cancelled")


class TaskEvent(StrEnum):
    """What happens to a task."""

    TAKE = N_("take")
    GIVE_BACK = N_("give back")
    COMPLETE = N_("complete")
    CANCEL = N_("cancel")


TASK_TABLE: Mapping[TaskState, Mapping[TaskEvent, TaskState]] = {
    TaskState.TO_DO: {
        TaskEvent.TAKE: TaskState.TAKEN,
        TaskEvent.COMPLETE: TaskState.DONE,
        TaskEvent.CANCEL: TaskState.CANCELLED,
    },
    TaskState.TAKEN: {
        TaskEvent.TAKE: TaskState.TAKEN,
        TaskEvent.GIVE_BACK: TaskState.TO_DO,
        TaskEvent.COMPLETE: TaskState.DONE,
        TaskEvent.CANCEL: TaskState.CANCELLED,
    },
    TaskState.DONE: {},
    TaskState.CANCELLED: {},
}
