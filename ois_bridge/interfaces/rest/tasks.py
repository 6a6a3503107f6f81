"""Processes and tasks for other systems: what waits, what is done, who did what."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.interfaces.rest.callers import By, Means
from ois_bridge.interfaces.rest.schemas import Body, Created, Line
from ois_bridge.models.workflow import ProcessRecord
from ois_bridge.services.patients import must
from ois_bridge.services.workflow import board, lists, log, processes, rights, tasks
from ois_bridge.services.workflow.lists import Wish
from ois_bridge.services.workflow.open_tasks import Row
from ois_bridge.services.workflow.tasks import Verdict

router = APIRouter(tags=["tasks"])


class TaskView(BaseModel):
    """A task. Times are ISO 8601; `due` and `done` may be empty."""

    id: str
    patient_id: str
    course_id: str
    process_id: str
    step: str
    title: str
    title_zh: str
    role: str
    assignee: str
    deed: str
    form: str
    state: str
    outcome: str
    created: str
    due: str
    done: str


class TaskPage(BaseModel):
    """One page of a list."""

    total: int
    page: int
    pages: int
    tasks: list[TaskView]


class VerdictBody(Body):
    """How a task ends: done, agree, refuse, finish, again. `password` for a step that is signed."""

    outcome: Line
    comment: Line = ""
    password: Line = ""


class ProcessBody(Body):
    """Which process begins."""

    name: Line = processes.DEFAULT


class ProcessView(BaseModel):
    """A running or ended process."""

    id: str
    name: str
    version: int
    ended: str
    waiting: list[str]


class LogEntry(BaseModel):
    """One entry of a process's log."""

    number: int
    time: str
    user: str
    step: str
    outcome: str
    comment: str


@router.get("/tasks")
def to_do(
    context: Means,
    caller: By,
    text: Annotated[str, Query(max_length=80)] = "",
    step: Annotated[str, Query(max_length=64)] = "",
    done: bool = False,
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
) -> TaskPage:
    """What waits for the caller's roles, or what the caller did."""
    with context.reading(caller, Action.READ_TASKS) as session:
        wish = Wish(text=text, step=step, page=page)
        found = (lists.done if done else lists.to_do)(session, context, caller, wish)
        return TaskPage(
            total=found.total, page=found.page, pages=found.pages, tasks=[_view(task) for task in found.tasks]
        )


@router.get("/tasks/{task_id}")
def one(context: Means, caller: By, task_id: str) -> TaskView:
    """One task."""
    with context.reading(caller, Action.READ_TASKS) as session:
        task = must(lists.one(session, task_id))
        rights.check(session, context, caller, task.course_key)
        return _view(task)


@router.post("/tasks/{task_id}/finish")
def finish(context: Means, caller: By, task_id: str, body: VerdictBody) -> TaskView:
    """End a task; the next role's task is there at once."""
    tasks.finish(context, caller, task_id, Verdict(body.outcome, body.comment, body.password))
    return one(context, caller, task_id)


@router.post("/tasks/{task_id}/take")
def take(context: Means, caller: By, task_id: str) -> TaskView:
    """Accept a task."""
    tasks.take(context, caller, task_id)
    return one(context, caller, task_id)


@router.post("/tasks/{task_id}/give-back")
def give_back(context: Means, caller: By, task_id: str) -> TaskView:
    """Leave a task to its role again."""
    tasks.give_back(context, caller, task_id)
    return one(context, caller, task_id)


@router.post("/courses/{course_id}/processes", status_code=201)
def start(context: Means, caller: By, course_id: str, body: ProcessBody) -> Created:
    """Begin a process of a course."""
    if not body.name:
        raise BadInput(_("The name of a process is needed."))
    return Created(id=processes.start(context, caller, course_id, body.name).key)


@router.get("/courses/{course_id}/processes")
def of_course(context: Means, caller: By, course_id: str) -> list[ProcessView]:
    """Processes of a course, newest first."""
    with context.reading(caller, Action.READ_TASKS) as session:
        rights.check(session, context, caller, course_id)
        waiting = lists.of_course(session, course_id)
        return [
            ProcessView(
                id=row.key,
                name=row.name,
                version=row.version,
                ended=_time(row.ended),
                waiting=[task.name for task in waiting if task.process_key == row.key],
            )
            for row in board.of_course(session, course_id)
        ]


@router.get("/processes/{process_id}/log")
def entries(context: Means, caller: By, process_id: str) -> list[LogEntry]:
    """Every step of a process."""
    with context.reading(caller, Action.READ_PROCESS) as session:
        rights.check(session, context, caller, must(session.get(ProcessRecord, process_id)).course_key)
        return [
            LogEntry(
                number=row.number,
                time=_time(row.time),
                user=row.user,
                step=row.step,
                outcome=row.outcome,
                comment=row.comment,
            )
            for row in log.entries(session, process_id)
        ]


def _view(task: Row) -> TaskView:
    return TaskView(
        id=task.key,
        patient_id=task.patient_id,
        course_id=task.course_key,
        process_id=task.process_key,
        step=task.name,
        title=task.title,
        title_zh=task.title_zh,
        role=task.role,
        assignee=task.assignee,
        deed=task.deed,
        form=task.form_kind,
        state=task.state.name,
        outcome=task.outcome,
        created=_time(task.created),
        due=_time(task.due),
        done=_time(task.done),
    )


def _time(moment: Any) -> str:
    return moment.isoformat(timespec="seconds") if moment else ""
