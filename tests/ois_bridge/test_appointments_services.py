"""Booking, whole courses, filled days, faults and holidays, on a real database file."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from common import site
from common.errors import BadInput, Refused, Unauthorised
from common.state import StateDir
from ois_bridge import process
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.course_states import CourseState
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.audit import AuditRow
from ois_bridge.models.clinical import Course, Prescription
from ois_bridge.models.outbox import Outgoing
from ois_bridge.models.scheduling import DevicePeriod, ScheduleProposal, WaitingVisit
from ois_bridge.services.appointments import (
    booking,
    days,
    filling,
    proposals,
    replan,
    series,
    solver,
    waiting,
)
from ois_bridge.services.appointments.booking import Wanted
from ois_bridge.services.context import Context
from ois_bridge.services.errors import NotFound
from tests.ois_bridge import appointments_case as department
from tests.ois_bridge.appointments_case import PHYSICIAN, PHYSICIST, RECEPTIONIST, THERAPIST, Made, at

pytestmark = pytest.mark.requirement("OIS-SCHEDULE")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, place: Callable[[Path], None]) -> Iterator[Context]:
    state = tmp_path_factory.mktemp("sheet")
    place(state)
    built = process.build(StateDir(state), site.load())
    yield built
    built.close()


@pytest.fixture
def context(home: Context) -> Iterator[Context]:
    """The OIS of this file with an empty sheet; each test makes its own patients."""
    yield home
    with home.database.writing() as session:
        for table in (Appointment, WaitingVisit, ScheduleProposal, Outgoing):
            for row in session.scalars(select(table)):
                session.delete(row)
        for period in session.scalars(select(DevicePeriod).where(DevicePeriod.start.is_not(None))):
            session.delete(period)


@pytest.fixture
def patients(context: Context) -> Callable[..., list[Made]]:
    """Makes patients with numbers that no other test uses."""

    def make(count: int = 1, **changes: bool | str) -> list[Made]:
        with context.database.writing() as session:
            taken = len(session.scalars(select(Course.key)).all())
            return [department.patient(session, taken + n, **changes) for n in range(count)]  # type: ignore[arg-type]

    return make


@pytest.fixture
def day(context: Context) -> date:
    with context.database.reading() as session:
        return department.workday(session, booking.today(context))


def rows(session: Session, course: str) -> list[Appointment]:
    query = select(Appointment).where(Appointment.course_key == course).order_by(Appointment.start)
    return list(session.scalars(query))


def treatment(made: Made, start: datetime, device: str = "ROOM1", **changes: object) -> Wanted:
    wanted = Wanted(device, "treatment", start, 20, made.course, "proton", 1)
    return replace(wanted, **changes)  # type: ignore[arg-type]


def finished(context: Context, key: str) -> ScheduleProposal:
    for _attempt in range(600):
        with context.database.reading() as session:
            row = session.get(ScheduleProposal, key)
            assert row is not None
            if row.state != "RUNNING":
                return row
        time.sleep(0.05)
    raise AssertionError("the optimiser did not end")


def test_a_visit_is_booked_told_and_audited(
    context: Context, patients: Callable[..., list[Made]], day: date
) -> None:
    made = patients(phone="13800000000")[0]
    row = booking.make(context, RECEPTIONIST, treatment(made, at(day, 9)))
    with context.database.reading() as session:
        assert [one.key for one in booking.of_day(session, day, "ROOM1")] == [row.key]
        assert [one.key for one in booking.of_patient(session, made.patient)] == [row.key]
        notice = session.scalars(select(Outgoing)).one()
        assert (notice.channel, notice.kind, notice.recipient) == ("sms", "appointment-made", "13800000000")
        entry = session.scalars(select(AuditRow).order_by(AuditRow.number.desc())).first()
        assert entry is not None
        assert (entry.action, entry.outcome) == ("book appointments", "done")


def test_a_refusal_names_every_rule_and_books_nothing(
    context: Context, patients: Callable[..., list[Made]], day: date
) -> None:
    first, second = patients(2)
    booking.make(context, RECEPTIONIST, treatment(first, at(day, 9)))
    with pytest.raises(Refused, match=r"taken 09:00–09:20.*beam"):
        booking.make(context, RECEPTIONIST, treatment(second, at(day, 9)))
    with pytest.raises(Refused, match="past"):
        booking.make(context, RECEPTIONIST, treatment(second, context.now() - timedelta(days=1)))
    with context.database.reading() as session:
        assert rows(session, second.course) == []


def test_without_forms_or_an_active_course_nothing_is_booked(
    context: Context, patients: Callable[..., list[Made]], day: date
) -> None:
    made = patients(ready=False)[0]
    with pytest.raises(Refused, match="Treatment sheet"):
        booking.make(context, RECEPTIONIST, treatment(made, at(day, 9)))
    other = patients()[0]
    with context.database.writing() as session:
        course = session.get(Course, other.course)
        assert course is not None
        course.state = CourseState.INTERRUPTED
    with pytest.raises(Refused, match="interrupted"):
        booking.make(context, RECEPTIONIST, treatment(other, at(day, 9)))


def test_rights(context: Context, patients: Callable[..., list[Made]], day: date) -> None:
    made = patients()[0]
    for caller in (PHYSICIAN, PHYSICIST):
        with pytest.raises(Unauthorised):
            booking.make(context, caller, treatment(made, at(day, 9)))
    qa = Wanted("ROOM1", "qa", at(day, 6), 60, note="daily QA")
    row = booking.make(context, PHYSICIST, qa)
    assert row.patient_key is None
    with pytest.raises(Unauthorised):
        booking.cancel(context, RECEPTIONIST, row.key, "no")
    with pytest.raises(Unauthorised):
        days.set_day(context, RECEPTIONIST, day, "holiday", "mine")
    with pytest.raises(NotFound):
        booking.cancel(context, RECEPTIONIST, "nothing", "no")


def test_two_people_book_one_slot(context: Context, patients: Callable[..., list[Made]], day: date) -> None:
    made = patients(8)
    gate = threading.Barrier(len(made))
    outcomes: list[str] = []

    def book(one: Made) -> None:
        gate.wait()
        try:
            booking.make(context, RECEPTIONIST, treatment(one, at(day, 14)))
            outcomes.append("booked")
        except Refused as why:
            outcomes.append(str(why))

    threads = [threading.Thread(target=book, args=(one,)) for one in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("booked") == 1
    assert all("is taken 14:00–14:20" in outcome for outcome in outcomes if outcome != "booked")
    with context.database.reading() as session:
        assert len(booking.of_day(session, day, "ROOM1")) == 1


def test_moving(context: Context, patients: Callable[..., list[Made]], day: date) -> None:
    first, second = patients(2, phone="139")
    row = booking.make(context, RECEPTIONIST, treatment(first, at(day, 9)))
    booking.make(context, RECEPTIONIST, treatment(second, at(day, 10)))
    with pytest.raises(Refused, match="taken"):
        booking.move(context, THERAPIST, row.key, "ROOM1", at(day, 10))
    moved = booking.move(context, THERAPIST, row.key, "ROOM2", at(day, 11), revision=1)
    assert (moved.device, moved.start, moved.revision) == ("ROOM2", at(day, 11), 2)
    with pytest.raises(Refused, match="in the meantime"):
        booking.move(context, THERAPIST, row.key, "ROOM2", at(day, 12), revision=1)
    booking.cancel(context, RECEPTIONIST, row.key, "ill")
    with pytest.raises(Refused, match="cancelled"):
        booking.move(context, THERAPIST, row.key, "ROOM2", at(day, 12))
    with context.database.reading() as session:
        kinds = [one.kind for one in session.scalars(select(Outgoing).order_by(Outgoing.created))]
        assert kinds == ["appointment-made"] * 2 + ["appointment-moved", "appointment-cancelled"]


def test_a_signed_in_patient_moves_within_the_day_alone(
    context: Context, patients: Callable[..., list[Made]], day: date
) -> None:
    made = patients()[0]
    with context.database.writing() as session:
        signed_in = department.put(session, made, "ROOM1", at(day, 9), state=AppointmentState.SIGNED_IN)
    with pytest.raises(Refused, match="signed in"):
        booking.move(context, THERAPIST, signed_in.key, "ROOM1", at(day + timedelta(days=1), 9))
    moved = booking.move(context, THERAPIST, signed_in.key, "ROOM1", at(day, 11))
    assert moved.state is AppointmentState.SIGNED_IN
    with context.database.writing() as session:
        found = session.get(Appointment, signed_in.key)
        assert found is not None
        found.state = AppointmentState.IN_ROOM
    with pytest.raises(Refused, match="in the room"):
        booking.move(context, THERAPIST, signed_in.key, "ROOM1", at(day, 12))


def asked(made: Made, day: date, **changes: object) -> series.Asked:
    first = series.Asked(made.course, "ROOM1", "proton", 20, day, 10, 1, "five", 9 * 60)
    return replace(first, **changes)  # type: ignore[arg-type]


def test_a_whole_course_is_shown_and_then_kept(
    context: Context, patients: Callable[..., list[Made]], day: date
) -> None:
    made, other = patients(2)
    booking.make(context, RECEPTIONIST, treatment(other, at(day, 9)))
    row = series.propose(context, RECEPTIONIST, asked(made, day))
    with context.database.reading() as session:
        assert rows(session, made.course) == []
        content = proposals.one(session, row.key)[1]
    starts = [datetime.fromisoformat(move.start) for move in content.moves]
    assert len(starts) == 10
    assert starts[0] in (at(day, 8, 40), at(day, 9, 20))
    assert starts[1:] == sorted(starts[1:])
    assert all(start.astimezone(at(day, 9).tzinfo).strftime("%H:%M") == "09:00" for start in starts[1:])
    proposals.keep(context, RECEPTIONIST, row.key)
    with context.database.reading() as session:
        booked = rows(session, made.course)
        assert [one.start for one in booked] == starts
        assert [one.fraction for one in booked] == list(range(1, 11))
    with pytest.raises(Refused, match="no longer open"):
        proposals.keep(context, RECEPTIONIST, row.key)


def test_twice_daily_and_wishes(context: Context, patients: Callable[..., list[Made]], day: date) -> None:
    made = patients()[0]
    row = series.propose(context, RECEPTIONIST, asked(made, day, count=4, pattern="twice"))
    with context.database.reading() as session:
        content = proposals.one(session, row.key)[1]
    starts = [datetime.fromisoformat(move.start) for move in content.moves]
    assert [(two - one) / timedelta(hours=1) for one, two in pairwise(starts)][::2] == [6, 6]
    wish = asked(made, day, count=2, earliest=13 * 60, preferred=9 * 60)
    with context.database.reading() as session:
        content = proposals.one(session, series.propose(context, RECEPTIONIST, wish).key)[1]
    assert content.moves[0].start == at(day, 13).astimezone(starts[0].tzinfo).isoformat()
    with pytest.raises(BadInput):
        series.propose(context, RECEPTIONIST, asked(made, day, count=0))


def test_a_proposal_that_no_longer_fits_is_refused_whole(
    context: Context, patients: Callable[..., list[Made]], day: date
) -> None:
    made, other = patients(2)
    row = series.propose(context, RECEPTIONIST, asked(made, day, count=3))
    with context.database.reading() as session:
        last = datetime.fromisoformat(proposals.one(session, row.key)[1].moves[2].start)
    booking.make(context, RECEPTIONIST, treatment(other, last))
    with pytest.raises(Refused, match="The sheet has changed"):
        proposals.keep(context, RECEPTIONIST, row.key)
    with context.database.reading() as session:
        assert rows(session, made.course) == []
        kept = session.get(ScheduleProposal, row.key)
        assert kept is not None
        assert kept.state == "OPEN"
    proposals.discard(context, RECEPTIONIST, row.key)


def test_the_optimiser_fills_a_day(context: Context, patients: Callable[..., list[Made]], day: date) -> None:
    made = patients(24)
    with context.database.writing() as session:
        for number, one in enumerate(made):
            particle = "carbon" if number % 4 == 0 else "proton"
            waiting.enter(session, day, one.course, "", 20, particle, "test", context.now())
        department.put(session, made[0], "ROOM2", at(day, 9), course_key=None, patient_key=None, kind="qa")
    row = finished(context, filling.begin(context, RECEPTIONIST, day, rearrange=False))
    assert (row.state, row.error) == ("OPEN", "")
    with context.database.reading() as session:
        content = proposals.one(session, row.key)[1]
    assert len(content.moves) == 24
    assert content.left == ()
    assert content.facts["changes"] <= 3
    proposals.keep(context, RECEPTIONIST, row.key)
    with context.database.reading() as session:
        assert waiting.of_day(session, day) == []
        assert len(booking.of_day(session, day)) == 25
        for visit in booking.of_day(session, day):
            found = booking.findings(session, booking.book.visit_of(visit), context.now())
            assert [one.text for one in found if one.hard] == []


def test_what_cannot_be_placed_is_named_with_its_reason(
    context: Context, patients: Callable[..., list[Made]], day: date
) -> None:
    first, second = patients(2)
    booking.make(context, RECEPTIONIST, treatment(first, at(day, 9)))
    with context.database.writing() as session:
        waiting.enter(session, day, first.course, "ROOM1", 20, "proton", "test", context.now())
        waiting.enter(session, day, second.course, "ROOM1", 20, "carbon", "test", context.now())
    row = finished(context, filling.begin(context, RECEPTIONIST, day, rearrange=False))
    with context.database.reading() as session:
        content = proposals.one(session, row.key)[1]
    assert content.moves == ()
    reasons = {left.patient: left.why for left in content.left}
    assert "at least 18 h apart" in reasons[first.patient]
    assert "Room 1 has: proton" in reasons[second.patient]
    with pytest.raises(Refused, match="nothing to place"):
        filling.begin(context, RECEPTIONIST, day + timedelta(days=1), rearrange=False)


def test_without_ortools_the_extra_is_named(
    context: Context, monkeypatch: pytest.MonkeyPatch, day: date
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ortools.sat.python", None)
    with pytest.raises(Refused, match=r"ptcs\[department\]"):
        solver.solver()


def test_courses_under_treatment_are_gathered(
    context: Context, patients: Callable[..., list[Made]], day: date
) -> None:
    going, over, fresh = patients(3)
    with context.database.writing() as session:
        for made, fractions in ((going, 20), (over, 1), (fresh, 20)):
            session.add(
                Prescription(
                    course_key=made.course, target="t", dose_per_fraction=2.0, fractions=fractions,
                    rbe_model="1.1", structure_set_uid="1.2", created=context.now(), created_by="test",
                )
            )  # fmt: skip
        for made in (going, over):
            before = at(booking.today(context) - timedelta(days=1), 9)
            department.put(
                session, made, "ROOM2", before, minutes=25, fraction=1, state=AppointmentState.DONE
            )
    near = booking.today(context) + timedelta(days=1)
    assert waiting.gather(context, RECEPTIONIST, near) == 1
    assert waiting.gather(context, RECEPTIONIST, near) == 0
    with context.database.reading() as session:
        row = waiting.of_day(session, near)[0]
        assert (row.course_key, row.device, row.minutes, row.fraction) == (going.course, "ROOM2", 25, 2)


def test_a_fault_moves_few_visits_a_little(
    context: Context, patients: Callable[..., list[Made]], day: date
) -> None:
    made = patients(9)
    with context.database.writing() as session:
        for number, one in enumerate(made):
            device, minute = f"ROOM{number % 3 + 1}", 9 * 60 + number // 3 * 60 + number % 3 * 10
            department.put(session, one, device, at(day, minute // 60, minute % 60))
    fault = replan.Fault("ROOM2", at(day, 9), at(day, 11), "collision sensor")
    row = replan.propose(context, PHYSICIST, fault)
    with context.database.reading() as session:
        content = proposals.one(session, row.key)[1]
    assert {move.old_device for move in content.moves} == {"ROOM2"}
    assert len(content.moves) == 2
    assert content.left == ()
    assert content.facts["shift"] <= 30
    assert all("down" in move.why for move in content.moves)
    with pytest.raises(BadInput, match="14 days"):
        replan.propose(context, PHYSICIST, replace(fault, finish=at(day, 8)))
    proposals.keep(context, PHYSICIST, row.key)
    with context.database.reading() as session:
        stay = [one.start for one in booking.of_day(session, day, "ROOM2")]
        assert not any(at(day, 8, 40) < start < at(day, 11) for start in stay)
        period = session.scalars(select(DevicePeriod).where(DevicePeriod.purpose == "fault")).one()
        assert period.note == "collision sensor"
        for visit in booking.of_day(session, day):
            found = booking.findings(session, booking.book.visit_of(visit), context.now())
            assert [one.text for one in found if one.hard] == []


def test_a_holiday_made_later_lists_conflicts_and_offers_days(
    context: Context, patients: Callable[..., list[Made]], day: date
) -> None:
    made = patients()[0]
    booking.make(context, RECEPTIONIST, treatment(made, at(day, 9)))
    days.set_day(context, PHYSICIST, day, "holiday", "outing")
    try:
        first, last = days.horizon(context)
        with context.database.reading() as session:
            found = replan.conflicts(session, first, last, context.now())
        assert [visit.course for visit, _why in found] == [made.course]
        assert "closed on this day" in found[0][1]
        row = replan.for_conflicts(context, RECEPTIONIST, first, last)
        proposals.keep(context, RECEPTIONIST, row.key)
        with context.database.reading() as session:
            assert replan.conflicts(session, first, last, context.now()) == []
            visit = rows(session, made.course)[0]
        assert booking.book.day_of(visit.start) > day
        assert f"{visit.start.astimezone(at(day, 9).tzinfo):%H:%M}" == "09:00"
    finally:
        days.remove_day(context, PHYSICIST, day.isoformat())


def test_a_device_taken_out_of_use_shows_its_visits(
    context: Context, patients: Callable[..., list[Made]], day: date
) -> None:
    made = patients()[0]
    row = booking.make(context, RECEPTIONIST, treatment(made, at(day, 9), "ROOM3"))
    hours = dict.fromkeys(range(1, 6), "08:00-20:00")
    days.set_device(context, PHYSICIST, "ROOM3", hours, active=False, capacity=45)
    try:
        with pytest.raises(Refused, match="no device ROOM3 in use"):
            booking.move(context, RECEPTIONIST, row.key, "ROOM3", at(day, 10))
        first, last = days.horizon(context)
        with context.database.reading() as session:
            assert [visit.key for visit, _why in replan.conflicts(session, first, last, context.now())] == [
                row.key
            ]
        moved = booking.move(context, RECEPTIONIST, row.key, "ROOM2", at(day, 10))
        assert moved.device == "ROOM2"
    finally:
        days.set_device(context, PHYSICIST, "ROOM3", hours, active=True, capacity=45)


def test_public_holidays_are_taken_in_once(context: Context) -> None:
    known = {row[0].isoformat(): row[1] for row in days.public_days(2026)}
    assert known["2026-10-01"] == "holiday"
    assert known["2026-10-10"] == "workday"
    with context.database.reading() as session:
        table = {row.day: row.kind for row in days.of_year(session, 2026)}
    assert table == known
    assert days.take_in_year(context, PHYSICIST, 2026) == 0
    assert days.take_in_year(context, PHYSICIST, 2024) > 20


def test_a_restart_fails_what_was_being_computed(tmp_path: Path, place: Callable[[Path], None]) -> None:
    place(tmp_path)
    first = process.build(StateDir(tmp_path), site.load())
    with first.database.writing() as session:
        row = proposals.enter(
            session, "day", date(2026, 12, 1), proposals.Content(), "test", first.now(), running=True
        )
    first.close()
    second = process.build(StateDir(tmp_path), site.load())
    with second.database.reading() as session:
        found = session.get(ScheduleProposal, row.key)
        assert found is not None
        assert (found.state, bool(found.error)) == ("FAILED", True)
    second.close()
