"""Killed between, restarted in the middle: process and business data are both there, or both not."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common import site
from common.state import StateDir
from ois_bridge import process
from ois_bridge.domain.form_states import FormState
from ois_bridge.domain.process_steps import Deed
from ois_bridge.domain.task_states import TaskState
from ois_bridge.models.forms import FormRecord
from ois_bridge.models.workflow import ProcessRecord, Task
from ois_bridge.models.workflow_log import FormChange, ProcessStep
from ois_bridge.services.context import Context
from ois_bridge.services.workflow import designs, engine, processes
from tests.ois_bridge.conftest import Ois
from tests.ois_bridge.ois_steps import ok
from tests.ois_bridge.workflow_steps import SECRET, begun, open_tasks, staff, up_to

pytestmark = pytest.mark.requirement("OIS-WORKFLOW")

KILLS = int(os.environ.get("PTCS_KILLS", "12"))
"""How often the working process is killed; 50 at night."""
COURSES = 6
RUNNING = 200


def build(root: Path) -> Context:
    return process.build(StateDir(root), site.load())


def agree(session: Session, record: ProcessRecord) -> None:
    """The engine's state, the tasks, the log and the forms of a process say the same."""
    design = designs.version(session, record.name, record.version)
    tasks = session.scalars(select(Task).where(Task.process_key == record.key)).all()
    waiting = {task.name for task in tasks if task.state in processes.OPEN}
    again = engine._go_on(engine._restored(design.drawing, record.state))
    assert again.waiting == waiting
    assert again.ended == (record.ended is not None)
    done = sum(task.state is TaskState.DONE for task in tasks)
    noted = session.scalar(
        select(func.count())
        .select_from(ProcessStep)
        .where(
            ProcessStep.process_key == record.key,
            ProcessStep.outcome.in_(("done", "agree", "refuse", "again", "finish")),
        )
    )
    assert noted == done
    for task in tasks:
        if task.state is TaskState.DONE and task.deed in (Deed.SIGN, Deed.DECIDE):
            form = session.scalars(
                select(FormRecord).where(
                    FormRecord.course_key == record.course_key, FormRecord.kind == task.form_kind
                )
            ).one()
            assert form.state is FormState.APPROVED
        if task.state in processes.OPEN and task.deed == Deed.DECIDE:
            form = session.scalars(
                select(FormRecord).where(
                    FormRecord.course_key == record.course_key, FormRecord.kind == task.form_kind
                )
            ).one()
            assert form.state is FormState.SUBMITTED
            assert session.scalar(select(FormChange.event).where(FormChange.form_key == form.key).limit(1))


@pytest.mark.timeout(120 + 30 * KILLS)
def test_killed_at_any_moment_nothing_is_half_done(tmp_path: Path, place: Callable[[Path], None]) -> None:
    place(tmp_path)
    means = build(tmp_path)
    staff(means)
    keys = [begun(means, f"killed{number}") for number in range(COURSES)]
    means.close()
    steps = 0
    for kill in range(KILLS):
        victim = subprocess.Popen(
            [sys.executable, "-m", "tests.ois_bridge.workflow_victim", str(tmp_path), *keys],
            stdout=subprocess.PIPE,
            env={**os.environ, "PTCS_LANG": "en"},
        )
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"ready\n"
        # at another moment of another step each time
        for _step in range(2 + kill % 4):
            steps += victim.stdout.read(1) == b"."
        time.sleep(0.003 * kill)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        victim.stdout.close()
        means = build(tmp_path)
        with means.database.reading() as session:
            records = session.scalars(select(ProcessRecord)).all()
            assert len(records) == COURSES
            for record in records:
                agree(session, record)
        means.close()
    assert steps >= 2 * KILLS


@pytest.mark.slow
def test_restart_amid_200_processes_loses_none(
    tmp_path: Path, make_ois: Callable[..., Ois], place: Callable[[Path], None]
) -> None:
    place(tmp_path / "state")
    means = build(tmp_path / "state")
    staff(means)
    keys = [begun(means, f"many{number}") for number in range(RUNNING)]
    up_to(means, keys[0], "planning")
    with means.database.reading() as session:
        before = {row.key: row.state for row in session.scalars(select(ProcessRecord))}
    means.close()
    ois = make_ois("state")
    with _as(ois, "physician") as physician:
        waiting = ok(physician.get("/tasks"))
        assert waiting["total"] == RUNNING - 1
        task = waiting["tasks"][0]
        ok(physician.post(f"/tasks/{task['id']}/finish", json={"outcome": "done"}))
    ois.process.kill()
    ois.process.wait()
    ois = make_ois("state")
    with _as(ois, "physician") as physician:
        assert ok(physician.get("/tasks"))["total"] == RUNNING - 1
        following = ok(physician.get("/tasks", params={"step": "consent"}))
        assert following["total"] == 1
        assert following["tasks"][0]["course_id"] == task["course_id"]
    assert ois.stop() == 0
    means = build(tmp_path / "state")
    with means.database.reading() as session:
        after = {row.key: row for row in session.scalars(select(ProcessRecord))}
        assert after.keys() == before.keys()
        assert sum(after[key].state != state for key, state in before.items()) == 1
        for record in after.values():
            agree(session, record)
    assert set(open_tasks(means, keys[0])) == {"planning"}
    means.close()


def _as(ois: Ois, user: str) -> httpx.Client:
    """A REST client of a user whose password the tests have set."""
    answer = httpx.post(
        f"{ois.url}/api/v1/login", json={"user": user, "password": SECRET}, trust_env=False, timeout=60
    )
    assert answer.status_code == 200, answer.text
    return httpx.Client(
        base_url=f"{ois.url}/api/v1",
        headers={"Authorization": f"Bearer {answer.json()['token']}"},
        trust_env=False,
        timeout=120,
    )
