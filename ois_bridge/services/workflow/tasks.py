"""Work on a task: take, give back, finish. Form, process, tasks and log change in one transaction."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import BadInput, Refused, Unauthorised
from common.text import _
from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.form_content import readable
from ois_bridge.domain.form_states import FORM_TABLE, FormEvent, FormState
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.process_steps import WITH_FORM, Deed, Step
from ois_bridge.domain.state_table import step as next_state
from ois_bridge.domain.task_states import TASK_TABLE, TaskEvent, TaskState
from ois_bridge.domain.words import ROLE
from ois_bridge.models.clinical import Course
from ois_bridge.models.forms import FormRecord
from ois_bridge.models.workflow import Task
from ois_bridge.services import events
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.forms import records, signing
from ois_bridge.services.patients import must
from ois_bridge.services.workflow import guards, processes, rights

COMMENT = 500


@dataclass(frozen=True)
class Verdict:
    """How a task ends. `secret`: the password (or PIN), for a step that is signed."""

    outcome: str
    comment: str = ""
    secret: str = ""


def take(context: Context, caller: Caller, key: str) -> None:
    """Accept a task (受理): it is the caller's until given back. Raises NotFound, Refused."""
    with context.permitted(caller, Action.WORK_ON_TASKS, key, "take") as session:
        task = _mine(session, context, caller, key)
        task.state = next_state(TASK_TABLE, task.state, TaskEvent.TAKE)
        task.assignee = caller.user
        form = _form_of(session, task)
        if task.deed == Deed.DECIDE and form is not None and form.state is FormState.SUBMITTED:
            records.take_step(session, context, caller.user, form, FormEvent.ACCEPT)
        processes.note(
            session, context, task.process, caller.user, (task.name, task.title, task.title_zh), "accepted"
        )
        events.announce(session, "tasks")


def give_back(context: Context, caller: Caller, key: str) -> None:
    """Leave a task to its role again. Raises NotFound, Refused."""
    with context.permitted(caller, Action.WORK_ON_TASKS, key, "give back") as session:
        task = _mine(session, context, caller, key)
        task.state = next_state(TASK_TABLE, task.state, TaskEvent.GIVE_BACK)
        task.assignee = ""
        events.announce(session, "tasks")


def finish(context: Context, caller: Caller, key: str, verdict: Verdict) -> None:
    """End a task with an outcome; the next role's task is there at once.

    Raises NotFound, Refused (not this person's, a guard, a form that is not ready), BadInput for an unknown
    outcome, Unauthorised for a wrong password.
    """
    signature, digest = _signed(context, caller, key, verdict)
    with context.permitted(caller, Action.WORK_ON_TASKS, key, verdict.outcome) as session:
        task = _mine(session, context, caller, key)
        step = step_of(session, task)
        _require(session, caller, task, step, verdict)
        form = _form_of(session, task)
        if step.deed in WITH_FORM:
            if form is None:
                raise Refused(_("The form of this step is not begun yet; open the task and fill it."))
            if signature and records.digest(form) != digest:
                raise records.ChangedMeanwhile(context, form)
            _with_form(session, context, caller.user, form, step, verdict, signature)
        processes.move_on(session, context, task, caller.user, verdict.outcome, verdict.comment.strip())


def withdraw(context: Context, caller: Caller, form_key: str, why: str) -> None:
    """Take back a form (撤销): its author before the verdict, who approved it (or that role) afterwards.

    The process goes back to the step that fills it. Raises NotFound, Refused.
    """
    with context.permitted(caller, Action.WRITE_FORM, form_key, "withdraw") as session:
        form = must(session.get(FormRecord, form_key))
        rights.check(session, context, caller, form.course_key)
        after = form.state is FormState.APPROVED
        if after and "physician" not in caller.roles and form.decided_by != caller.user:
            raise Unauthorised(_("An approved form is withdrawn by a physician or by who approved it."))
        if not after and caller.user not in (form.created_by, form.changed_by):
            raise Unauthorised(_("Only who filled this form can take it back; refuse it instead."))
        if len(why) > COMMENT:
            raise BadInput(_("A remark has at most {n} characters.").format(n=COMMENT))
        readable(why, _("Reason"))
        was_draft = form.state is FormState.DRAFT
        records.take_step(session, context, caller.user, form, FormEvent.WITHDRAW, why)
        if not was_draft:
            _process_back(session, context, caller.user, form, why)
        events.announce(session, "tasks")


def form_signed(session: Session, context: Context, user: str, course_key: str, kind: str) -> bool:
    """A form was approved on a page of its own: the task that waits for it is done too.

    Returns whether there was one.
    """
    task = session.scalar(
        select(Task).where(
            Task.course_key == course_key,
            Task.form_kind == kind,
            Task.deed == Deed.SIGN.value,
            Task.state.in_(processes.OPEN),
        )
    )
    if task is not None:
        processes.move_on(session, context, task, user, "agree")
    return task is not None


def step_of(session: Session, task: Task) -> Step:
    """What a task's process asks in this step."""
    return processes.drawing_of(session, task.process).step(task.name)


def form_of(session: Session, task: Task) -> FormRecord | None:
    """The form that a task fills or decides on; None before it is begun."""
    return _form_of(session, task)


def _form_of(session: Session, task: Task) -> FormRecord | None:
    if not task.form_kind:
        return None
    row = records.current(session, task.course_key, task.form_kind)
    # a process that comes to this step again fills a new form: the approved one is never changed
    if row is not None and task.deed == Deed.FILL and row.state is FormState.APPROVED:
        return None
    return row


def _mine(session: Session, context: Context, caller: Caller, key: str) -> Task:
    """A task that the caller may work on. Raises NotFound, Unauthorised, Refused."""
    task = must(session.get(Task, key))
    if task.role not in caller.roles:
        raise Unauthorised(_("This task is for: {role}.").format(role=_(ROLE[task.role])))
    rights.check(session, context, caller, task.course_key)
    if task.state not in processes.OPEN:
        raise Refused(_("This task is done or cancelled already; open the list again."))
    if task.assignee not in ("", caller.user):
        raise Refused(
            _("This task is given to {user}; it can be given back or assigned anew.").format(
                user=task.assignee
            )
        )
    return task


def _require(session: Session, caller: Caller, task: Task, step: Step, verdict: Verdict) -> None:
    """Everything that must hold before a task ends."""
    if verdict.outcome not in step.outcomes:
        raise BadInput(_("This step ends with one of: {all}.").format(all=", ".join(step.outcomes)))
    if len(verdict.comment) > COMMENT:
        raise BadInput(_("A remark has at most {n} characters.").format(n=COMMENT))
    readable(verdict.comment, _("Remark"))
    if verdict.outcome == "refuse" and not verdict.comment.strip():
        raise Refused(_("A refusal needs a reason."))
    if must(session.get(Course, task.course_key)).state is not CourseState.ACTIVE:
        raise Refused(_("This course is not active; its tasks wait."))
    if step.other_than and processes.doer_of(session, task.process_key, step.other_than) == caller.user:
        other = processes.drawing_of(session, task.process).step(step.other_than)
        raise Refused(_("This needs a second person: you did “{step}” yourself.").format(step=other.title))
    if verdict.outcome != "refuse":
        guards.check(session, f"step.{task.name}", task.course_key)


def _with_form(
    session: Session,
    context: Context,
    user: str,
    form: FormRecord,
    step: Step,
    verdict: Verdict,
    signature: str,
) -> None:
    """What an outcome does to the form."""
    if step.deed is Deed.FILL:
        if form.state is FormState.REFUSED:
            raise Refused(_("This form was refused; change it before it is submitted again."))
        records.take_step(session, context, user, form, FormEvent.SUBMIT)
    elif step.deed is Deed.SIGN:
        if form.state is not FormState.APPROVED:
            if form.state in records.EDITABLE:
                records.take_step(session, context, user, form, FormEvent.SUBMIT)
            records.take_step(session, context, user, form, FormEvent.AGREE, signature=signature)
    elif verdict.outcome == "agree":
        if form.state is not FormState.APPROVED:
            records.take_step(session, context, user, form, FormEvent.AGREE, verdict.comment, signature)
    elif FormEvent.REFUSE in FORM_TABLE[form.state]:
        records.take_step(session, context, user, form, FormEvent.REFUSE, verdict.comment)
    else:
        records.take_step(session, context, user, form, FormEvent.WITHDRAW, verdict.comment)


def _signed(context: Context, caller: Caller, key: str, verdict: Verdict) -> tuple[str, str]:
    """Signature and digest for a step that is signed; empty texts for any other.

    It stands before the transaction: a hospital's provider may take seconds.
    """
    caller.check(Action.WORK_ON_TASKS)
    with context.database.reading() as session:
        task = _mine(session, context, caller, key)
        step, form = step_of(session, task), _form_of(session, task)
        form_key = form.key if form is not None and form.state is not FormState.APPROVED else ""
    asked = step.signed or step.deed is Deed.SIGN
    if not asked or verdict.outcome == "refuse":
        return "", ""
    try:
        if form_key:
            return signing.sign(context, caller, form_key, step.name, verdict.secret)
        # a check without a form: who decides is asked again, and the log keeps it
        signing.provider(context).sign(
            caller.user, signing.digest_of(key, step.name), step.name, verdict.secret
        )
    except Unauthorised as why:
        context.refused(caller.user, Action.WORK_ON_TASKS.value, key, why)
        raise
    return "", ""


def _process_back(session: Session, context: Context, user: str, form: FormRecord, why: str) -> None:
    """The process in which this form was filled goes back to that step, where it still runs."""
    filled = session.scalars(
        select(Task)
        .where(
            Task.course_key == form.course_key,
            Task.form_kind == form.kind,
            Task.deed.in_((Deed.FILL.value, Deed.SIGN.value)),
            Task.state == TaskState.DONE,
            # an earlier form of the kind may be another process's
            Task.done >= form.created,
        )
        .order_by(Task.done)
        .limit(1)
    ).first()
    if filled is not None and filled.process.ended is None:
        processes.send_back(session, context, filled.process, filled.name, user, why)
