"""A department on a real database, and the steps that tests of the workflow take in it."""

import asyncio
from typing import Any, Self

import httpx
from fastapi import FastAPI
from sqlalchemy import select

from ois_bridge.domain.task_states import TaskState
from ois_bridge.models.accounts import Account, AccountRole
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.models.workflow import Task
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.forms import records
from ois_bridge.services.workflow import processes, tasks
from ois_bridge.services.workflow.tasks import Verdict

PHYSICIAN = Caller("physician", frozenset({"physician"}))
PHYSICIST = Caller("physicist", frozenset({"physicist"}))
SECOND = Caller("physicist2", frozenset({"physicist"}))
THERAPIST = Caller("therapist", frozenset({"therapist"}))
DESK = Caller("receptionist", frozenset({"receptionist"}))
ADMIN = Caller("admin", frozenset({"administrator"}))
BY_ROLE = {"physician": PHYSICIAN, "physicist": PHYSICIST, "therapist": THERAPIST, "receptionist": DESK}
SECRET = "a password of tests"

FILLED: dict[str, dict[str, Any]] = {
    "consent": {
        "treatment": "proton", "purpose": "radical", "risks": "skin reaction", "patient_agrees": True,
        "signed_by": "Zhang Wei", "relation": "self", "signed_on": "2026-11-20",
    },
    "simulation-sheet": {
        "position": "supine", "device": "vacuum", "region": "pelvis", "slice": 2.0, "contrast": False,
    },
    "plan-request": {
        "particle": "proton", "technique": "impt", "organs": "rectum V70 < 15 %", "earlier": False,
        "doses": [{"target": "PTV", "dose_per_fraction": 2.0, "fractions": 30}],
    },
    "treatment-sheet": {
        "plan_label": "Prostate", "room": "ROOM1", "fields": 2, "minutes": 20, "per_week": 5,
        "imaging": "daily", "doses": [{"target": "PTV", "dose_per_fraction": 2.0, "fractions": 30}],
    },
    "course-summary": {"treatment": "as planned", "advice": "follow-up in three months"},
}  # fmt: skip


def staff(context: Context) -> None:
    """Accounts of the callers; those who sign have the password SECRET."""
    with context.database.writing() as session:
        known = {row.user: row for row in session.scalars(select(Account))}
        encoded = context.hasher.hash(SECRET)
        for caller in (*BY_ROLE.values(), SECOND):
            row = known.get(caller.user)
            if row is None:
                row = Account(user=caller.user, full_name=caller.user, created=context.now())
                row.role_rows = [AccountRole(role=role) for role in caller.roles]
                session.add(row)
            row.password_hash = encoded


def course(context: Context, tag: str = "1", **more: Any) -> str:
    """A patient with an active course: the course's key."""
    with context.database.writing() as session:
        patient = Patient(
            patient_id=f"WF-{tag}", name=f"Wang^Fang{tag}=王^芳{tag}", birth_date="19600101", sex="F",
            pinyin="wangfang", initials="wf", registered=context.now(), registered_by="receptionist",
        )  # fmt: skip
        session.add(patient)
        session.flush()
        row = Course(
            patient_key=patient.key, name="C1", diagnosis="prostate cancer", physician="physician",
            created=context.now(), created_by="physician", **more,
        )  # fmt: skip
        session.add(row)
        session.flush()
        return row.key


def begun(context: Context, tag: str = "1", name: str = processes.DEFAULT, **more: Any) -> str:
    """A course with a running process: the course's key."""
    key = course(context, tag, **more)
    processes.start(context, PHYSICIAN, key, name)
    return key


def open_tasks(context: Context, course_key: str) -> dict[str, Task]:
    """Open tasks of a course by their step."""
    with context.database.reading() as session:
        found = session.scalars(
            select(Task).where(
                Task.course_key == course_key, Task.state.in_((TaskState.TO_DO, TaskState.TAKEN))
            )
        ).all()
        assert len({task.name for task in found}) == len(found)
        return {task.name: task for task in found}


def fill(context: Context, caller: Caller, course_key: str, kind: str) -> str:
    """The open form of a kind, filled: its key."""
    form = records.open_form(context, caller, course_key, kind)
    return records.save(context, caller, form.key, FILLED[kind], form.revision).key


def doer(task: Task) -> Caller:
    """Who may do a task in the tests' department."""
    if task.assignee == SECOND.user or (task.name == "plan-check" and not task.assignee):
        return SECOND
    return BY_ROLE[task.role]


def do(context: Context, course_key: str, step: str, outcome: str = "", comment: str = "") -> None:
    """Finish one open step, its form filled where it needs one."""
    task = open_tasks(context, course_key)[step]
    who = doer(task)
    if task.deed in ("fill", "sign"):
        fill(context, who, course_key, task.form_kind)
    first = {"do": "done", "fill": "done"}.get(task.deed, "agree")
    if step == "weekly-review":
        first = "finish"
    tasks.finish(context, who, task.key, Verdict(outcome or first, comment, SECRET))


def up_to(context: Context, course_key: str, step: str) -> None:
    """Finish steps until one is open."""
    for _count in range(40):
        waiting = open_tasks(context, course_key)
        if step in waiting or not waiting:
            return
        do(context, course_key, min(waiting))
    raise AssertionError(f"{step} was not reached")


class Browser:
    """A person's browser on an application of this process."""

    def __init__(self, app: FastAPI) -> None:
        self._loop = asyncio.new_event_loop()
        transport = httpx.ASGITransport(app)
        self._client = httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1", follow_redirects=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.run_until_complete(self._client.aclose())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def get(self, path: str) -> httpx.Response:
        return self._loop.run_until_complete(self._client.get(path))

    def post(self, path: str, data: dict[str, str], **headers: str) -> httpx.Response:
        return self._loop.run_until_complete(self._client.post(path, data=data, headers=headers))

    def log_in(self, user: str) -> str:
        """Log in as a user with the password SECRET: the token of the session's forms."""
        token = self.get("/login").text.split('name="csrf" value="', 1)[1].split('"', 1)[0]
        answer = self.post("/login", {"csrf": token, "user": user, "password": SECRET, "next": "/tasks"})
        assert answer.status_code == 200
        return answer.text.split('X-CSRF-Token": "', 1)[1].split('"', 1)[0]
