"""Plans are given to physicists by the department's rule; who got what, and why, is kept."""

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.errors import BadConfig, BadInput, Refused
from common.text import _
from common.yaml_file import CONFIG, read
from ois_bridge.domain import assignment
from ois_bridge.domain.assignment import Candidate, Choice
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.state_table import step as next_state
from ois_bridge.domain.task_states import TASK_TABLE, TaskEvent, TaskState
from ois_bridge.models.accounts import Account, AccountRole
from ois_bridge.models.clinical import Course
from ois_bridge.models.workflow import Task
from ois_bridge.models.workflow_log import AssignmentNote, StaffProfile
from ois_bridge.services import events
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must

log = logging.getLogger(__name__)

FILE = CONFIG / "department/assignment.yaml"
NEVER_DAYS = 1e6


@dataclass(frozen=True)
class Rule:
    """The rule in force. complexity: work of one plan by technique; `default` for all others."""

    name: str
    formula: str
    complexity: Mapping[str, float]

    def work(self, technique: str) -> float:
        """Work of one plan."""
        return self.complexity.get(technique, self.complexity["default"])


@cache
def rule() -> Rule:
    """The rule of config/department/assignment.yaml. Raises BadConfig."""
    return rule_of(read(FILE).content)


def rule_of(content: Any) -> Rule:
    """A rule as a file says it. Raises BadConfig."""
    try:
        found = Rule(
            str(content["rule"]),
            str(content.get("formula", "")),
            {str(name): float(value) for name, value in content["complexity"].items()},
        )
        if found.name not in assignment.RULES or "default" not in found.complexity:
            raise ValueError(f"rule is one of {', '.join(assignment.RULES)}; complexity needs a default")
        if found.name == "hospital":
            assignment.check_formula(found.formula)
    except (KeyError, TypeError, ValueError, AttributeError, BadInput) as why:
        raise BadConfig(f"{FILE.name}: rule, formula and complexity are needed ({why})") from why
    return found


def by_rule(session: Session, context: Context, task: Task, without: str = "") -> None:
    """Give a new task to somebody of its role, `without` one person; nobody there leaves it to the role."""
    course = must(session.get(Course, task.course_key))
    used = rule()
    asked = [one for one in candidates(session, task.role, course, context.now()) if one.user != without]
    try:
        choice = _chosen(used, asked, used.work(course.technique))
    except Refused as why:
        _note(session, context, task, "", used.name, {"why": str(why)}, "rule")
        return
    task.assignee = choice.user
    _note(session, context, task, choice.user, choice.rule, _reason(choice, without), "rule")


def _chosen(used: Rule, asked: Sequence[Candidate], work: float) -> Choice:
    """By the rule in force; a hospital's formula that has no number for somebody here keeps nobody's work up:
    the fewest plans decide.
    """
    try:
        return assignment.choose(used.name, asked, work, used.formula)
    except BadInput:
        log.exception("the hospital's rule has no value; plans are given to who has the fewest")
        return assignment.choose("fewest", asked, work)


def _reason(choice: Choice, without: str) -> dict[str, Any]:
    scores = {user: round(score, 3) for user, score in choice.scores}
    return {"scores": scores, "absent": list(choice.absent), "four_eyes": without}


def _note(
    session: Session,
    context: Context,
    task: Task,
    user: str,
    name: str,
    reason: Mapping[str, Any],
    by: str,
) -> None:
    session.add(
        AssignmentNote(
            task_key=task.key,
            time=context.now(),
            user=user,
            rule=name,
            reason=json.dumps(reason, ensure_ascii=False),
            given_by=by,
        )
    )


def candidates(session: Session, role: str, course: Course, now: datetime) -> Sequence[Candidate]:
    """Everybody with a role, and what the rules know of them."""
    users = session.scalars(
        select(Account.user)
        .join(AccountRole, AccountRole.account_key == Account.key)
        .where(AccountRole.role == role, Account.active)
        .order_by(Account.user)
    ).all()
    profiles = {row.user: row for row in session.scalars(select(StaffProfile))}
    given = {
        user: (number, last)
        for user, number, last in session.execute(
            select(AssignmentNote.user, func.count(), func.max(AssignmentNote.time)).group_by(
                AssignmentNote.user
            )
        )
    }
    loads = _loads(session, role)
    return [
        _candidate(user, profiles.get(user), given.get(user), loads.get(user, []), course, now)
        for user in users
    ]


def _candidate(
    user: str,
    profile: StaffProfile | None,
    given: tuple[int, datetime] | None,
    load: Sequence[float],
    course: Course,
    now: datetime,
) -> Candidate:
    days = (now - given[1]).total_seconds() / 86400 if given else NEVER_DAYS
    return Candidate(
        user=user,
        load=sum(load),
        open=len(load),
        given=given[0] if given else 0,
        days_since=days,
        speciality=1.0 if profile is not None and _knows(profile.specialities, course) else 0.0,
        absent=profile is not None and absent(profile, now),
    )


def at_work(session: Session, user: str, role: str, now: datetime) -> bool:
    """Whether somebody has an open account with a role, and is not away."""
    account = session.scalar(select(Account).where(Account.user == user, Account.active))
    if account is None or role not in account.roles:
        return False
    profile = session.get(StaffProfile, user)
    return profile is None or not absent(profile, now)


def gone(session: Session, context: Context, user: str, roles: Collection[str]) -> int:
    """Somebody has only these roles from now on: open tasks of the others are given anew, or go back to
    their role, in the caller's transaction; returns how many.
    """
    open_states = (TaskState.TO_DO, TaskState.TAKEN)
    mine = select(Task).where(Task.assignee == user, Task.state.in_(open_states), Task.role.not_in(roles))
    tasks = session.scalars(mine.order_by(Task.created, Task.key)).all()
    for task in tasks:
        by_rule_before = session.scalar(
            select(AssignmentNote.key).where(AssignmentNote.task_key == task.key).limit(1)
        )
        if task.state is TaskState.TAKEN:
            task.state = next_state(TASK_TABLE, task.state, TaskEvent.GIVE_BACK)
        task.assignee = ""
        session.flush()
        if by_rule_before is not None:
            by_rule(session, context, task, without=_second_of(session, task))
    if tasks:
        events.announce(session, "tasks")
    return len(tasks)


def _second_of(session: Session, task: Task) -> str:
    """Whom the four eyes of a task leave out, as the last note on it says."""
    note = session.scalar(
        select(AssignmentNote.reason)
        .where(AssignmentNote.task_key == task.key, AssignmentNote.given_by == "rule")
        .order_by(AssignmentNote.time.desc())
        .limit(1)
    )
    return str(json.loads(note).get("four_eyes", "")) if note else ""


def absent(profile: StaffProfile, now: datetime) -> bool:
    """Whether a person is away now."""
    begins, ends = profile.absent_from, profile.absent_until
    return begins is not None and begins <= now and (ends is None or now < ends)


def _knows(specialities: str, course: Course) -> bool:
    codes = [code for code in (course.diagnosis_code, course.icd11, course.icd10) if code]
    return any(code.startswith(part) for part in specialities.split() for code in codes)


def _loads(session: Session, role: str) -> dict[str, list[float]]:
    """Work of the open tasks of everybody."""
    loads: dict[str, list[float]] = {}
    open_tasks = session.execute(
        select(Task.assignee, Course.technique)
        .join(Course, Course.key == Task.course_key)
        .where(Task.role == role, Task.state.in_((TaskState.TO_DO, TaskState.TAKEN)), Task.assignee != "")
    )
    for user, technique in open_tasks:
        loads.setdefault(user, []).append(rule().work(technique))
    return loads


def by_hand(context: Context, caller: Caller, task_key: str, user: str) -> None:
    """Give a task to a person by hand. Raises NotFound, Refused for somebody without its role."""
    with context.permitted(caller, Action.ASSIGN_TASKS, task_key) as session:
        task = must(session.get(Task, task_key))
        account = session.scalar(select(Account).where(Account.user == user, Account.active))
        if account is None or task.role not in account.roles:
            raise Refused(_("{user} does not have the role of this task.").format(user=user))
        if task.role not in caller.roles:
            raise Refused(_("Only tasks of your own role can be given to somebody."))
        if task.state is TaskState.TAKEN:
            task.state = next_state(TASK_TABLE, task.state, TaskEvent.GIVE_BACK)
        elif task.state is not TaskState.TO_DO:
            raise Refused(_("This task is done or cancelled; open the list again."))
        task.assignee = user
        _note(session, context, task, user, "by hand", {}, caller.user)
        events.announce(session, "tasks")


def set_profile(
    context: Context,
    caller: Caller,
    user: str,
    specialities: str,
    absent_from: datetime | None,
    absent_until: datetime | None,
) -> None:
    """What the rules know of a person. Raises BadInput for a wrong time."""
    with context.permitted(caller, Action.ASSIGN_TASKS, user) as session:
        if absent_from is not None and absent_until is not None and absent_until <= absent_from:
            raise BadInput(_("The absence ends before it begins."))
        must(session.scalar(select(Account.key).where(Account.user == user)))
        profile = session.get(StaffProfile, user) or StaffProfile(user=user)
        profile.specialities = " ".join(specialities.split())[:200]
        profile.absent_from, profile.absent_until = absent_from, absent_until
        session.add(profile)
