"""A course goes through the department: tasks, forms, verdicts, guards, log; nothing of it half-done."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from common import site
from common.errors import BadInput, Refused, Tampered, Unauthorised
from common.state import StateDir
from ois_bridge import application, process
from ois_bridge.domain.form_states import FormState
from ois_bridge.models.forms import FormRecord
from ois_bridge.models.workflow import ProcessRecord
from ois_bridge.models.workflow_log import AssignmentNote, ProcessStep
from ois_bridge.services.context import Context
from ois_bridge.services.forms import records, signing
from ois_bridge.services.workflow import assigning, engine, guards, lists, processes, tasks
from ois_bridge.services.workflow.lists import Wish
from ois_bridge.services.workflow.tasks import Verdict
from tests.ois_bridge.workflow_steps import (
    ADMIN,
    FILLED,
    PHYSICIAN,
    PHYSICIST,
    SECOND,
    SECRET,
    THERAPIST,
    Browser,
    begun,
    course,
    do,
    fill,
    open_tasks,
    staff,
    up_to,
)

pytestmark = pytest.mark.requirement("OIS-WORKFLOW")


@pytest.fixture(scope="module")
def means(tmp_path_factory: pytest.TempPathFactory, place: Callable[[Path], None]) -> Iterator[Context]:
    root = tmp_path_factory.mktemp("workflow")
    place(root)
    built = process.build(StateDir(root), site.load())
    staff(built)
    yield built
    built.close()


def log_of(means: Context, course_key: str) -> list[tuple[str, str]]:
    with means.database.reading() as session:
        rows = session.scalars(
            select(ProcessStep).where(ProcessStep.course_key == course_key).order_by(ProcessStep.number)
        )
        return [(row.step, row.outcome) for row in rows]


def test_whole_course(means: Context) -> None:
    key = begun(means, "whole")
    up_to(means, key, "treatment-sheet")
    with means.database.reading() as session, pytest.raises(Refused, match="approved first"):
        guards.may_book(session, key)
    up_to(means, key, "scheduling")
    with means.database.reading() as session:
        guards.may_book(session, key)
        guards.may_treat(session, key)
    do(means, key, "scheduling")
    assert set(open_tasks(means, key)) == {"treatment", "weekly-review"}
    do(means, key, "weekly-review", "again")
    assert set(open_tasks(means, key)) == {"treatment", "weekly-review"}
    do(means, key, "weekly-review")
    do(means, key, "treatment")
    do(means, key, "course-summary")
    assert open_tasks(means, key) == {}
    with means.database.reading() as session:
        assert session.scalar(select(ProcessRecord).where(ProcessRecord.course_key == key)).ended is not None
    assert log_of(means, key)[0] == ("start", "started")
    assert log_of(means, key)[-1] == ("end", "ended")


def test_refusal_sends_back_and_content_stays_signed(means: Context) -> None:
    key = begun(means, "refused")
    up_to(means, key, "sheet-approval")
    with pytest.raises(Refused, match="reason"):
        do(means, key, "sheet-approval", "refuse")
    do(means, key, "sheet-approval", "refuse", "wrong room")
    task = open_tasks(means, key)["treatment-sheet"]
    with pytest.raises(Refused, match="change it before"):
        tasks.finish(means, PHYSICIST if task.assignee == "physicist" else SECOND, task.key, Verdict("done"))
    up_to(means, key, "sheet-approval")
    approval = open_tasks(means, key)["sheet-approval"]
    with pytest.raises(Unauthorised):
        tasks.finish(means, PHYSICIAN, approval.key, Verdict("agree", "", "not the password"))
    do(means, key, "sheet-approval")
    with means.database.reading() as session:
        form = records.approved(session, key, "treatment-sheet")
        assert form is not None
        assert signing.verify(means, form).user == "physician"
    with pytest.raises(Refused, match="cannot be done now"):
        records.save(means, PHYSICIST, form.key, {**FILLED["treatment-sheet"], "fields": 3}, form.revision)
    with means.database.writing() as session:
        session.get(FormRecord, form.key).content = {**form.content, "fields": 3.0}
    with means.database.reading() as session, pytest.raises(Tampered):
        signing.verify(means, session.get(FormRecord, form.key))


def test_withdrawn_approval_shuts_the_guard_again(means: Context) -> None:
    key = begun(means, "withdrawn")
    up_to(means, key, "scheduling")
    with means.database.reading() as session:
        sheet = records.approved(session, key, "treatment-sheet")
        assert sheet is not None
    with pytest.raises(Unauthorised):
        tasks.withdraw(means, THERAPIST, sheet.key, "no")
    tasks.withdraw(means, PHYSICIAN, sheet.key, "dose changed")
    assert set(open_tasks(means, key)) == {"treatment-sheet"}
    with means.database.reading() as session, pytest.raises(Refused, match="not begun"):
        guards.may_book(session, key)
    up_to(means, key, "scheduling")
    with means.database.reading() as session:
        guards.may_book(session, key)
        newest = records.approved(session, key, "treatment-sheet")
        assert newest is not None
        assert newest.key != sheet.key
    do(means, key, "scheduling")
    assert set(open_tasks(means, key)) == {"treatment", "weekly-review"}
    tasks.withdraw(means, PHYSICIAN, newest.key, "wrong field")
    assert set(open_tasks(means, key)) == {"treatment-sheet"}
    up_to(means, key, "scheduling")
    do(means, key, "scheduling")
    assert set(open_tasks(means, key)) == {"treatment", "weekly-review"}


def test_a_second_process_has_forms_of_its_own(means: Context) -> None:
    key = begun(means, "second")
    up_to(means, key, "treatment")
    with means.database.reading() as session:
        first = records.approved(session, key, "treatment-sheet")
    processes.start(means, PHYSICIAN, key, "replanning")
    with pytest.raises(Refused, match="runs in this course already"):
        processes.start(means, PHYSICIAN, key, "replanning")
    for step in ("plan-request", "planning", "plan-check", "plan-approval", "treatment-sheet"):
        do(means, key, step)
    with means.database.reading() as session:
        guards.may_treat(session, key)
        second = records.current(session, key, "treatment-sheet")
        assert first is not None
        assert second is not None
        assert second.key != first.key
    do(means, key, "sheet-approval")
    assert set(open_tasks(means, key)) == {"treatment", "weekly-review"}
    tasks.withdraw(means, PHYSICIAN, second.key, "anatomy is as before")
    assert set(open_tasks(means, key)) == {"treatment", "weekly-review"}
    with means.database.reading() as session:
        valid = records.approved(session, key, "treatment-sheet")
        assert valid is not None
        assert valid.key == first.key


def test_four_eyes_and_accepting(means: Context) -> None:
    key = begun(means, "eyes", "replanning")
    do(means, key, "plan-request")
    planning = open_tasks(means, key)["planning"]
    planner = SECOND if planning.assignee == SECOND.user else PHYSICIST
    other = PHYSICIST if planner is SECOND else SECOND
    with pytest.raises(Refused, match="given to"):
        tasks.take(means, other, planning.key)
    tasks.take(means, planner, planning.key)
    with means.database.reading() as session:
        form = records.current(session, key, "plan-request")
        assert form is not None
        assert form.state is FormState.ACCEPTED
    tasks.finish(means, planner, planning.key, Verdict("agree"))
    check = open_tasks(means, key)["plan-check"]
    assert check.assignee == other.user
    assigning.by_hand(means, other, check.key, planner.user)
    with pytest.raises(Refused, match="second person"):
        tasks.finish(means, planner, check.key, Verdict("agree"))


def test_two_people_edit_one_form(means: Context) -> None:
    key = begun(means, "two", "replanning")
    form = records.open_form(means, PHYSICIAN, key, "plan-request")
    first = {**FILLED["plan-request"], "organs": "bladder"}
    saved = records.save(means, PHYSICIAN, form.key, first, form.revision)
    assert saved.revision == form.revision + 1
    with pytest.raises(records.ChangedMeanwhile, match="changed this form meanwhile"):
        records.save(means, PHYSICIAN, form.key, FILLED["plan-request"], form.revision)
    for wrong in ({"dose": 1}, {"robust_mm": 99}, {"particle": "photon"}, {"plan_by": "tomorrow"}):
        with pytest.raises(BadInput):
            records.save(means, PHYSICIAN, form.key, {**first, **wrong}, saved.revision)
    with means.database.reading() as session:
        assert session.get(FormRecord, form.key).content["organs"] == "bladder"
    with Browser(application.create(means)) as client:
        typed = {"csrf": client.log_in("physician"), "revision": str(form.revision), "organs": "rectum"}
        late = client.post(f"/forms/{form.key}", typed)
        assert late.status_code == 409
        for words in (f"{means.person(PHYSICIAN.user)} changed this form meanwhile", "rectum", "bladder"):
            assert words in late.text
        again = client.post(f"/forms/{form.key}", {**typed, "revision": str(saved.revision)})
        assert "The form is saved." in again.text


def test_a_refusal_leaves_nothing_behind(means: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    key = begun(means, "atomic", "replanning")
    fill(means, PHYSICIAN, key, "plan-request")
    task = open_tasks(means, key)["plan-request"]
    before = log_of(means, key)

    def broken(*_arguments: object) -> engine.Progress:
        raise Refused("the engine stops here")

    monkeypatch.setattr(engine, "advance", broken)
    with pytest.raises(Refused, match="engine stops"):
        tasks.finish(means, PHYSICIAN, task.key, Verdict("done"))
    monkeypatch.undo()
    with means.database.reading() as session:
        form = records.current(session, key, "plan-request")
        assert form is not None
        assert form.state is FormState.DRAFT
    assert log_of(means, key) == before
    do(means, key, "plan-request")
    assert set(open_tasks(means, key)) == {"planning"}


@pytest.mark.requirement("OIS-WORKLIST")
def test_lists_count_search_and_hide(means: Context) -> None:
    key = begun(means, "LISTED", technique="impt")
    with means.database.reading() as session:
        counted = {row.step: row.number for row in lists.counts(session, means, PHYSICIAN)}
        found = lists.to_do(session, means, PHYSICIAN, Wish(text="WF-LISTED"))
        assert [task.name for task in found.tasks] == ["consultation"]
        assert lists.to_do(session, means, THERAPIST, Wish(text="WF-LISTED")).total == 0
        assert lists.waiting(session, means, PHYSICIAN) == sum(counted.values())
        assert counted["consultation"] >= 1
    do(means, key, "consultation")
    with means.database.reading() as session:
        done = lists.done(session, means, PHYSICIAN, Wish(text="WF-LISTED"))
        assert [task.name for task in done.tasks] == ["consultation"]
        assert lists.to_do(session, means, PHYSICIAN, Wish(text="wangfang", step="consent")).total == 1
    with means.database.writing() as session:
        processes.stop_of_course(session, means, "physician", key, "moved away")
    assert open_tasks(means, key) == {}


@pytest.mark.requirement("OIS-ASSIGN")
def test_plans_go_to_who_is_there_and_has_least(means: Context) -> None:
    now = means.now()
    assigning.set_profile(
        means, PHYSICIST, "physicist", "C61", now - timedelta(hours=1), now + timedelta(hours=1)
    )
    got = []
    for number in range(2):
        key = begun(means, f"away{number}", "replanning")
        do(means, key, "plan-request")
        got.append(open_tasks(means, key)["planning"].assignee)
    assert got == ["physicist2", "physicist2"]
    assigning.set_profile(means, PHYSICIST, "physicist", "C61", None, None)
    key = begun(means, "back", "replanning")
    do(means, key, "plan-request")
    task = open_tasks(means, key)["planning"]
    assert task.assignee == "physicist"
    with means.database.reading() as session:
        note = session.scalar(select(AssignmentNote).where(AssignmentNote.task_key == task.key))
        assert note is not None
        assert note.rule == "fewest"
        assert '"physicist2"' in note.reason
    with pytest.raises(Unauthorised):
        assigning.by_hand(means, ADMIN, task.key, "physicist2")


def test_course_that_is_not_active_waits(means: Context) -> None:
    key = course(means, "inactive", state="ENDED")
    with pytest.raises(Refused, match="not active"):
        processes.start(means, PHYSICIAN, key)
    assert SECRET
