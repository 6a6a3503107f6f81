"""Filled forms: drafts, changes, verdicts. Functions with a Session leave the transaction to their caller."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.errors import Refused
from common.text import _
from ois_bridge.domain import form_content
from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.form_states import FORM_TABLE, FormEvent, FormState
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.state_table import step
from ois_bridge.models.clinical import Course
from ois_bridge.models.forms import FormRecord
from ois_bridge.models.workflow_log import FormChange
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.forms import designs
from ois_bridge.services.patients import must
from ois_bridge.services.search import text as search_text
from ois_bridge.services.workflow import rights

EDITABLE = (FormState.DRAFT, FormState.REFUSED)
OPEN = (*EDITABLE, FormState.SUBMITTED, FormState.ACCEPTED)
WRITTEN_IN = (CourseState.ACTIVE, CourseState.INTERRUPTED)


class ChangedMeanwhile(Refused):
    """Somebody else changed the form since it was opened."""

    def __init__(self, context: Context, row: FormRecord) -> None:
        super().__init__(
            _(
                "{user} changed this form meanwhile; compare, and save again. What you typed is still here."
            ).format(user=context.person(row.changed_by))
        )


def approved(session: Session, course_key: str, kind: str) -> FormRecord | None:
    """The approved form of a kind that was decided last; None where there is none."""
    return session.scalar(
        select(FormRecord)
        .where(
            FormRecord.course_key == course_key,
            FormRecord.kind == kind,
            FormRecord.state == FormState.APPROVED,
        )
        .order_by(FormRecord.decided.desc())
        .limit(1)
    )


def current(session: Session, course_key: str, kind: str) -> FormRecord | None:
    """The newest form of a kind that was not withdrawn."""
    return session.scalar(
        select(FormRecord)
        .where(
            FormRecord.course_key == course_key,
            FormRecord.kind == kind,
            FormRecord.state != FormState.WITHDRAWN,
        )
        .order_by(FormRecord.created.desc())
        .limit(1)
    )


def of_course(session: Session, course_key: str) -> Sequence[FormRecord]:
    """All forms of a course, newest first."""
    return session.scalars(
        select(FormRecord).where(FormRecord.course_key == course_key).order_by(FormRecord.created.desc())
    ).all()


def changes(session: Session, form_key: str) -> Sequence[FormChange]:
    """What became of a form, newest first."""
    return session.scalars(
        select(FormChange).where(FormChange.form_key == form_key).order_by(FormChange.number.desc())
    ).all()


def open_form(context: Context, caller: Caller, course_key: str, kind: str) -> FormRecord:
    """The form of a kind that can be filled now: the open one, or a new draft in the newest design.

    Raises NotFound, Refused for a course that is not active.
    """
    with context.permitted(caller, Action.WRITE_FORM, course_key, kind) as session:
        rights.check(session, context, caller, course_key)
        return new_or_open(session, context, caller.user, course_key, kind)


def new_or_open(session: Session, context: Context, user: str, course_key: str, kind: str) -> FormRecord:
    """`open_form` within a transaction."""
    row = current(session, course_key, kind)
    if row is not None and row.state in OPEN:
        return row
    if must(session.get(Course, course_key)).state is not CourseState.ACTIVE:
        raise Refused(_("This course is not active; no form is begun in it."))
    now = context.now()
    row = FormRecord(
        course_key=course_key,
        kind=kind,
        version=designs.active(session, kind).version,
        state=FormState.DRAFT,
        content={},
        revision=1,
        created=now,
        created_by=user,
        changed=now,
        changed_by=user,
        signature="",
    )
    session.add(row)
    session.flush()
    return row


def save(
    context: Context, caller: Caller, form_key: str, content: Mapping[str, Any], revision: int
) -> FormRecord:
    """Keep a draft's content. `revision`: that of the form when it was opened.

    Raises NotFound, Refused for a form that cannot be edited, ChangedMeanwhile, BadInput.
    """
    with context.permitted(caller, Action.WRITE_FORM, form_key) as session:
        row = must(session.get(FormRecord, form_key))
        course = rights.check(session, context, caller, row.course_key)
        if course.state not in WRITTEN_IN:
            raise Refused(_("This course is over; its forms stay as they are."))
        edit(session, context, caller.user, row, content, revision)
    return row


def edit(
    session: Session,
    context: Context,
    user: str,
    row: FormRecord,
    content: Mapping[str, Any],
    revision: int,
) -> None:
    """`save` within a transaction. The same content once more changes nothing."""
    following = step(FORM_TABLE, row.state, FormEvent.EDIT)
    if revision != row.revision:
        raise ChangedMeanwhile(context, row)
    design = designs.design_of(session, row.kind, row.version)
    kept = form_content.checked(design, content)
    if kept == row.content and row.state is following:
        return
    row.content, row.state, row.signature = kept, following, ""
    row.revision += 1
    _note(session, context, user, row, FormEvent.EDIT)


def take_step(
    session: Session,
    context: Context,
    user: str,
    row: FormRecord,
    event: FormEvent,
    comment: str = "",
    signature: str = "",
) -> None:
    """One step of a form's life. Raises Refused: not in this state, a required field that is empty, a
    refusal without a reason.
    """
    following = step(FORM_TABLE, row.state, event)
    design = designs.design_of(session, row.kind, row.version)
    if event is FormEvent.SUBMIT:
        lacking = form_content.missing(design, row.content)
        if lacking:
            raise Refused(_("Not filled in yet: {fields}.").format(fields=", ".join(lacking)))
    undone = event in (FormEvent.REFUSE, FormEvent.WITHDRAW) and row.state is not FormState.DRAFT
    if undone and not comment.strip():
        raise Refused(_("A reason is needed."))
    row.state = following
    if event in (FormEvent.AGREE, FormEvent.REFUSE, FormEvent.WITHDRAW):
        row.decided, row.decided_by = context.now(), user
    if signature:
        row.signature = signature
    _note(session, context, user, row, event, comment)
    if event in (FormEvent.AGREE, FormEvent.WITHDRAW):
        text = form_content.words_of(design, row.content) if event is FormEvent.AGREE else ""
        course = must(session.get(Course, row.course_key))
        search_text.put(session, row.key, row.course_key, course.patient_key, row.kind, text)


def digest(row: FormRecord) -> str:
    """What a signature of a form is bound to: SHA-256, hex."""
    return form_content.digest(row.kind, row.version, row.course_key, row.content)


def _note(
    session: Session, context: Context, user: str, row: FormRecord, event: FormEvent, comment: str = ""
) -> None:
    row.changed, row.changed_by = context.now(), user
    number = session.scalar(
        select(func.count()).select_from(FormChange).where(FormChange.form_key == row.key)
    )
    session.add(
        FormChange(
            form_key=row.key,
            number=(number or 0) + 1,
            revision=row.revision,
            time=context.now(),
            user=user,
            event=event.name,
            content=dict(row.content),
            comment=comment.strip()[:500],
        )
    )
    session.flush()
