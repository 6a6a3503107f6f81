"""The kept rows of work lists are the truth at any moment: whoever changes the data, and whoever looks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from common import site
from common.state import StateDir
from ois_bridge import process
from ois_bridge.domain.course_states import CourseState
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.models.workflow import Task
from ois_bridge.services import access
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.workflow import board, lists, open_tasks, processes, tasks
from ois_bridge.services.workflow.lists import Wish
from ois_bridge.services.workflow.tasks import Verdict
from tests.ois_bridge.workflow_steps import PHYSICIAN, begun, staff

pytestmark = pytest.mark.requirement("OIS-WORKLIST")

OTHER = Caller("physician2", frozenset({"physician"}))


@pytest.fixture
def clock() -> list[datetime]:
    return [datetime.now(UTC)]


@pytest.fixture
def means(tmp_path: Path, place: Callable[[Path], None], clock: list[datetime]) -> Iterator[Context]:
    place(tmp_path)
    built = process.build(StateDir(tmp_path), site.load())
    staff(built)
    yield replace(built, now=lambda: clock[0])
    built.close()


def shown(means: Context, who: Caller = PHYSICIAN, **wish: str) -> list[lists.Row]:
    with means.database.reading() as session:
        found, counts = lists.to_do_and_counts(session, means, who, Wish(**wish))
        if not wish:
            assert sum(row.number for row in counts) == found.total == lists.waiting(session, means, who)
        return list(found.tasks)


def test_every_change_is_seen_at_once(means: Context) -> None:
    one, two = begun(means, "first"), begun(means, "second")
    assert {row.course_key for row in shown(means)} == {one, two}
    task = next(row for row in shown(means) if row.course_key == one)
    with means.database.writing() as session:
        course = session.get_one(Course, one)
        course.physician, course.diagnosis, course.diagnosis_en = "anna", "肺癌", ""
        session.get_one(Patient, course.patient_key).name = "Renamed^Person"
    (row,) = shown(means, physician="anna")
    assert (row.patient_name, row.diagnosis) == ("Renamed^Person", "肺癌")
    assert [row.key for row in shown(means, text="renamed")] == [task.key]
    assert [row.key for row in shown(means, text="肺")] == [task.key]
    # another process of the house writes past this one
    with means.database.engine.connect() as raw:
        taken = text("UPDATE task SET assignee = 'physician2', state = 'TAKEN' WHERE key = :key")
        raw.execute(taken, {"key": task.key})
        raw.commit()
    assert {row.course_key for row in shown(means)} == {two}
    assert {row.course_key for row in shown(means, OTHER)} == {one, two}
    tasks.give_back(means, OTHER, task.key)
    assert {row.course_key for row in shown(means)} == {one, two}
    with means.database.writing() as session:
        session.get_one(Course, two).state = CourseState.INTERRUPTED
    assert {row.course_key for row in shown(means)} == {one}


def test_rolled_back_change_is_never_shown(means: Context) -> None:
    key = begun(means, "rolled")
    (task,) = shown(means)
    with pytest.raises(RuntimeError), means.database.writing() as session:
        session.get_one(Task, task.key).assignee = "physician2"
        session.flush()
        assert lists.to_do(session, means, PHYSICIAN, Wish()).total == 0, "the writer sees its own"
        raise RuntimeError
    assert [row.key for row in shown(means)] == [task.key]
    with means.database.writing() as session:
        session.get_one(Course, key).physician = "bert"
    assert [row.physician for row in shown(means)] == ["bert"]


def test_late_and_restricted_follow_time_and_team(means: Context, clock: list[datetime]) -> None:
    key = begun(means, "closed")
    (task,) = shown(means)
    assert task.due is not None
    with means.database.reading() as session:
        assert [row.late for row in lists.counts(session, means, PHYSICIAN)] == [0]
        patient = session.get_one(Course, key).patient_key
    start, clock[0] = clock[0], task.due + timedelta(seconds=1)
    with means.database.reading() as session:
        assert [row.late for row in lists.counts(session, means, PHYSICIAN)] == [1]
    clock[0] = start
    access.restrict(means, PHYSICIAN, patient, "a person in public life")
    assert [row.key for row in shown(means)] == [task.key]
    assert shown(means, OTHER) == []
    access.open_in_need(means, OTHER, patient, "emergency in the hall")
    assert [row.key for row in shown(means, OTHER)] == [task.key]
    clock[0] += access.IN_NEED + timedelta(minutes=1)
    assert shown(means, OTHER) == []
    assert [row.key for row in shown(means)] == [task.key]


@pytest.mark.parametrize("few", [200, 1])
def test_kept_rows_are_those_of_the_database(
    means: Context, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """After each change what is kept is what is read anew; in between only changed tasks are read."""
    monkeypatch.setattr(open_tasks, "FEW", few)
    read: list[int] = []
    whole = open_tasks._read

    def counted(session: Session, roles: tuple[str, ...]) -> Sequence[lists.Row]:
        read.append(1)
        return whole(session, roles)

    monkeypatch.setattr(open_tasks, "_read", counted)
    keys = [begun(means, f"kept{number}") for number in range(5)]

    def same() -> list[str]:
        with means.database.reading() as session:
            kept = means.open_tasks.of(means.database, session, board.EVERY)
            assert kept == whole(session, tuple(sorted(board.EVERY)))
            return [row.key for row in kept]

    first = same()
    read.clear()
    tasks.take(means, PHYSICIAN, first[2])
    same()
    tasks.finish(means, PHYSICIAN, first[2], Verdict("done", "", ""))
    assert first[2] not in same(), "done, and the next step has come"
    with means.database.writing() as session:
        session.get_one(Task, first[0]).due = None
        session.get_one(Task, first[1]).role = "operator"
        session.get_one(Task, first[3]).due = datetime(2020, 1, 1, tzinfo=UTC)
    order = same()
    assert (order[0], order[-1]) == (first[3], first[0])
    with means.database.writing() as session:
        session.execute(delete(Task).where(Task.key == first[4]))
    assert first[4] not in same()
    assert bool(read) == (few == 1)
    # a reader whose transaction began before a change does not make others see the older state
    with means.database.reading() as early:
        early.scalar(select(Task.key).limit(1))
        tasks.take(means, PHYSICIAN, first[0])
        newer = same()
        means.open_tasks.of(means.database, early, board.EVERY)
    assert same() == newer
    with means.database.writing() as session:
        session.get_one(Course, keys[0]).state = CourseState.INTERRUPTED
    same()


def test_board_shows_the_tasks_by_step(means: Context) -> None:
    mine, other = begun(means, "board1"), begun(means, "board2")
    with means.database.writing() as session:
        session.get_one(Course, mine).physician = PHYSICIAN.user
        session.get_one(Course, other).physician = OTHER.user
        patient = session.get_one(Course, other).patient_key

    def columns(who: Caller, whose: str) -> dict[str, set[str]]:
        with means.database.reading() as session:
            found = board.columns(session, means, who, processes.DEFAULT, whose)
            assert all(column.number == len(column.tasks) for column in found)
            return {
                column.step: {row.course_key for row in column.tasks} for column in found if column.number
            }

    (step,) = columns(PHYSICIAN, "mine")
    assert columns(PHYSICIAN, "mine") == {step: {mine}}
    assert columns(PHYSICIAN, "all") == {step: {mine, other}}
    access.restrict(means, OTHER, patient, "a person in public life")
    assert columns(PHYSICIAN, "all") == {step: {mine}}
    assert columns(OTHER, "all") == {step: {mine, other}}
