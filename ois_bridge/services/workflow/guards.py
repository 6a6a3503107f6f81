"""What must be there before something may be done: config/department/guards.yaml, asked within the deed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.authority import ROLES
from common.errors import BadConfig, Refused
from common.text import _
from common.yaml_file import CONFIG, read
from ois_bridge.domain.form_design import Words
from ois_bridge.domain.form_states import FormState
from ois_bridge.domain.task_states import TaskState
from ois_bridge.domain.words import ROLE
from ois_bridge.models.workflow import Task
from ois_bridge.services.forms import designs, records

FILE = CONFIG / "department/guards.yaml"
SENT = (FormState.SUBMITTED, FormState.ACCEPTED, FormState.APPROVED)


@dataclass(frozen=True)
class Need:
    """A form that must be approved (or, `submitted`, at least handed in), or a step that must be done."""

    form: str
    step: str
    submitted: bool
    by: str


def may_book(session: Session, course_key: str, kind: str = "treatment") -> None:
    """Raise Refused, naming what is missing and who helps, unless a visit may be booked."""
    check(session, f"book-{kind}", course_key)


def may_treat(session: Session, course_key: str) -> None:
    """Raise Refused unless the course may be treated."""
    check(session, "treat", course_key)


def check(session: Session, guard: str, course_key: str) -> None:
    """Raise Refused with everything that a guard misses. A name without a guard lets everything pass."""
    missing = lacking(session, guard, course_key)
    if missing:
        raise Refused(" ".join(missing))


def lacking(session: Session, guard: str, course_key: str) -> list[str]:
    """What a guard misses, as texts; empty where nothing is in the way."""
    return [
        text
        for need in guards().get(guard, ())
        if (text := _form(session, need, course_key) if need.form else _step(session, need, course_key))
    ]


@cache
def guards() -> Mapping[str, Sequence[Need]]:
    """The guards of the file. Raises BadConfig."""
    return guards_of(read(FILE).content)


def guards_of(content: Any) -> Mapping[str, Sequence[Need]]:
    """Guards as a file says them. Raises BadConfig."""
    try:
        return {str(name): tuple(_need(row) for row in rows) for name, rows in content["guards"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as why:
        raise BadConfig(f"{FILE.name}: guards are lists of {{form or step, by}} ({why})") from why


def _need(row: Mapping[str, Any]) -> Need:
    unknown = set(row) - {"form", "step", "submitted", "by"}
    need = Need(
        str(row.get("form", "")), str(row.get("step", "")), bool(row.get("submitted", False)), str(row["by"])
    )
    if unknown or need.by not in ROLES or bool(need.form) == bool(need.step):
        raise ValueError(f"{dict(row)}")
    return need


def _form(session: Session, need: Need, course_key: str) -> str:
    if records.approved(session, course_key, need.form) is not None:
        return ""
    row = records.current(session, course_key, need.form)
    if need.submitted and row is not None and row.state in SENT:
        return ""
    name = designs.parsed(designs.active(session, need.form)).title.here
    state = _(row.state.value) if row is not None else _("not begun")
    text = (
        _("“{form}” must be handed in first (now: {state}). This is done by: {role}.")
        if need.submitted
        else _("“{form}” must be approved first (now: {state}). This is done by: {role}.")
    )
    return text.format(form=name, state=state, role=_(ROLE[need.by]))


def _step(session: Session, need: Need, course_key: str) -> str:
    found = session.execute(
        select(Task.state, Task.title, Task.title_zh)
        .where(Task.course_key == course_key, Task.name == need.step, Task.state != TaskState.CANCELLED)
        .order_by(Task.created.desc())
        .limit(1)
    ).first()
    if found is not None and found[0] is TaskState.DONE:
        return ""
    title = need.step if found is None else Words(found[1], found[2]).here
    return _("“{step}” must be done first. This is done by: {role}.").format(
        step=title, role=_(ROLE[need.by])
    )
