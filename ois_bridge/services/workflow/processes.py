"""Running processes: begun, moved on, sent back; their tasks and their log move with them.

Every function takes the Session of the deed: state of the process, tasks, log and whatever the deed
itself changes are committed together or not at all.
"""

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.errors import Refused
from common.text import _
from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.process_steps import Drawing, Step
from ois_bridge.domain.state_table import step as next_state
from ois_bridge.domain.task_states import TASK_TABLE, TaskEvent, TaskState
from ois_bridge.models.clinical import Course
from ois_bridge.models.workflow import ProcessRecord, Task
from ois_bridge.models.workflow_log import ProcessStep
from ois_bridge.services import events
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must
from ois_bridge.services.workflow import assigning, designs, engine

OPEN = (TaskState.TO_DO, TaskState.TAKEN)
DEFAULT = "proton-course"


def start(context: Context, caller: Caller, course_key: str, name: str = DEFAULT) -> ProcessRecord:
    """Begin a process of a course. Raises NotFound, Refused for a course that is not active."""
    with context.permitted(caller, Action.START_PROCESS, course_key, name) as session:
        return begin(session, context, caller.user, course_key, name)


def begin(
    session: Session, context: Context, user: str, course_key: str, name: str = DEFAULT
) -> ProcessRecord:
    """A new process in the newest version, with its first tasks. Raises as `start`."""
    course = must(session.get(Course, course_key))
    if course.state is not CourseState.ACTIVE:
        raise Refused(_("This course is not active; no process begins in it."))
    running = session.scalar(
        select(ProcessRecord.key).where(
            ProcessRecord.course_key == course_key,
            ProcessRecord.name == name,
            ProcessRecord.ended.is_(None),
        )
    )
    if running is not None:
        raise Refused(_("This process runs in this course already."))
    design = designs.active(session, name)
    progress = engine.start(design.drawing)
    process = ProcessRecord(
        course_key=course_key,
        name=name,
        version=design.version,
        state=progress.state,
        created=context.now(),
        created_by=user,
    )
    session.add(process)
    session.flush()
    note(session, context, process, user, ("start", design.title, design.title_zh), "started")
    _follow(session, context, process, designs.read(design.drawing), progress)
    return process


def drawing_of(session: Session, process: ProcessRecord) -> Drawing:
    """The drawing that a process runs by. Raises NotFound."""
    return designs.read(designs.version(session, process.name, process.version).drawing)


def move_on(
    session: Session, context: Context, task: Task, user: str, outcome: str, comment: str = ""
) -> None:
    """A task is done: the process goes on and the next tasks are there at once.

    Raises Refused when the task is not open, or its step does not wait any more.
    """
    process = task.process
    design = designs.version(session, process.name, process.version)
    task.state = next_state(TASK_TABLE, task.state, TaskEvent.COMPLETE)
    task.outcome, task.comment = outcome, comment
    task.done, task.done_by = context.now(), user
    progress = engine.advance(design.drawing, process.state, task.name, outcome)
    note(session, context, process, user, (task.name, task.title, task.title_zh), outcome, comment)
    _follow(session, context, process, designs.read(design.drawing), progress)


def send_back(
    session: Session, context: Context, process: ProcessRecord, step: str, user: str, why: str
) -> None:
    """Back to a step that was done; open tasks behind it are cancelled. Raises Refused."""
    design = designs.version(session, process.name, process.version)
    drawing = designs.read(design.drawing)
    progress = engine.go_back(design.drawing, process.state, step)
    asked = drawing.step(step)
    note(session, context, process, user, (step, asked.title_en, asked.title_zh), "withdraw", why)
    # a step that waits again after being undone is new work, not the task that was open before
    behind = drawing.reached(drawing.following(step)) - progress.waiting
    _cancel(session, context, process, user, behind)
    _follow(session, context, process, drawing, progress)


def stop_of_course(session: Session, context: Context, user: str, course_key: str, why: str) -> None:
    """The course is cancelled or over: its processes end here and their open tasks are cancelled."""
    running = session.scalars(
        select(ProcessRecord).where(ProcessRecord.course_key == course_key, ProcessRecord.ended.is_(None))
    )
    for process in running:
        process.ended = context.now()
        note(session, context, process, user, ("end", "Process", "流程"), "cancelled", why)
        _cancel(session, context, process, user, None)
    events.announce(session, "tasks")


def go_on_of_course(session: Session, context: Context, user: str, course_key: str, why: str) -> None:
    """The course is open again: processes that its end stopped go on where they were."""
    for process in _stopped(session, course_key):
        design = designs.version(session, process.name, process.version)
        process.ended = None
        note(session, context, process, user, ("start", design.title, design.title_zh), "started", why)
        progress = engine.where(design.drawing, process.state)
        _follow(session, context, process, designs.read(design.drawing), progress)


def _stopped(session: Session, course_key: str) -> list[ProcessRecord]:
    """Of each name the newest process, where the course's end stopped it."""
    rows = session.scalars(
        select(ProcessRecord)
        .where(ProcessRecord.course_key == course_key)
        .order_by(ProcessRecord.created, ProcessRecord.key)
    )
    newest = {row.name: row for row in rows}
    last = select(ProcessStep.outcome).order_by(ProcessStep.number.desc()).limit(1)
    return [
        row
        for row in newest.values()
        if row.ended is not None
        and session.scalar(last.where(ProcessStep.process_key == row.key)) == "cancelled"
    ]


def note(
    session: Session,
    context: Context,
    process: ProcessRecord,
    user: str,
    step: tuple[str, str, str],
    outcome: str,
    comment: str = "",
) -> None:
    """An entry of the process's log. `step`: its name, English and Chinese title."""
    number = session.scalar(
        select(func.count()).select_from(ProcessStep).where(ProcessStep.process_key == process.key)
    )
    session.add(
        ProcessStep(
            process_key=process.key,
            course_key=process.course_key,
            number=(number or 0) + 1,
            time=context.now(),
            user=user,
            step=step[0],
            title=step[1],
            title_zh=step[2],
            outcome=outcome,
            comment=comment,
        )
    )
    session.flush()


def _follow(
    session: Session, context: Context, process: ProcessRecord, drawing: Drawing, progress: engine.Progress
) -> None:
    """Keep the engine's state, and make tasks and waiting steps the same."""
    process.state = progress.state
    if progress.ended:
        process.ended = context.now()
        note(session, context, process, "-", ("end", "Process", "流程"), "ended")
    elif process.ended is not None:
        process.ended = None
    open_now = _open(session, process)
    for task in open_now:
        if task.name not in progress.waiting:
            task.state = next_state(TASK_TABLE, task.state, TaskEvent.CANCEL)
    there = {task.name for task in open_now}
    for name in sorted(progress.waiting - there):
        _new_task(session, context, process, drawing.step(name))
    session.flush()
    events.announce(session, "tasks")


def _open(session: Session, process: ProcessRecord) -> list[Task]:
    session.flush()
    return list(session.scalars(select(Task).where(Task.process_key == process.key, Task.state.in_(OPEN))))


def _cancel(
    session: Session,
    context: Context,
    process: ProcessRecord,
    user: str,
    names: Collection[str] | None,
) -> None:
    for task in _open(session, process):
        if names is None or task.name in names:
            task.state = next_state(TASK_TABLE, task.state, TaskEvent.CANCEL)
            task.done, task.done_by = context.now(), user


def _new_task(session: Session, context: Context, process: ProcessRecord, step: Step) -> None:
    now = context.now()
    task = Task(
        process_key=process.key,
        course_key=process.course_key,
        name=step.name,
        title=step.title_en,
        title_zh=step.title_zh,
        deed=step.deed.value,
        role=step.role,
        form_kind=step.form,
        state=TaskState.TO_DO,
        created=now,
        due=now + timedelta(hours=step.due_hours) if step.due_hours else None,
    )
    session.add(task)
    session.flush()
    if step.same_as:
        before = doer_of(session, process.key, step.same_as)
        # who left, or is away, is not waited for: the task is its role's
        task.assignee = before if assigning.at_work(session, before, step.role, now) else ""
    if step.assign and not task.assignee:
        assigning.by_rule(session, context, task, without=doer_of(session, process.key, step.other_than))


def doer_of(session: Session, process_key: str, step: str) -> str:
    """Who did a step of a process last; empty for nobody."""
    if not step:
        return ""
    found = session.scalar(
        select(Task.done_by)
        .where(Task.process_key == process_key, Task.name == step, Task.state == TaskState.DONE)
        .order_by(Task.done.desc())
        .limit(1)
    )
    return found or ""
