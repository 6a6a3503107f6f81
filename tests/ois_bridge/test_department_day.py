"""What awkward days do to the department: each test is one of docs/reports/department-day.md."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from common.errors import BadConfig, BadInput, LinkLost, Refused, Unauthorised
from common.text import set_language
from ois_bridge.domain import lockout, registration
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.course_states import CourseEvent, CourseState
from ois_bridge.domain.form_states import FormState
from ois_bridge.domain.queue.masking import masked_name
from ois_bridge.domain.registration import PatientEntry
from ois_bridge.domain.scheduling.proposal import Content, Move
from ois_bridge.domain.task_states import TaskState
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.models.forms import FormRecord
from ois_bridge.models.outbox import Outgoing
from ois_bridge.models.queue import QueueEntry
from ois_bridge.models.scheduling import WaitingVisit
from ois_bridge.models.workflow import ProcessRecord
from ois_bridge.services import (
    account_admin,
    accounts,
    alerts,
    course_changes,
    courses,
    follow_up,
    notices,
    outbox,
    patient_changes,
)
from ois_bridge.services.appointments import booking, proposals, waiting
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.forms import designs as forms
from ois_bridge.services.ports import Message
from ois_bridge.services.queue import calling, listing, sign_in
from ois_bridge.services.workflow import assigning, designs, reminders, tasks
from tests.ois_bridge import appointments_case as department
from tests.ois_bridge import workflow_steps as work
from tests.ois_bridge.appointments_case import RECEPTIONIST
from tests.ois_bridge.queue_case import (
    ADMINISTRATOR,
    THERAPIST,
    Clock,
    appointment,
    at,
    build,
    patient,
    visit,
)

DOCTOR = work.PHYSICIAN


@pytest.fixture
def clock() -> Clock:
    return Clock("08:00")


@pytest.fixture
def context(tmp_path: Path, clock: Clock, place: Callable[[Path], None]) -> Iterator[Context]:
    set_language("en")
    place(tmp_path)
    built = build(tmp_path, clock)
    yield built
    built.close()


@pytest.mark.requirement("OIS-QUEUE")
def test_a_moved_visit_gets_its_number_from_the_queue_it_joins(context: Context, clock: Clock) -> None:
    people = [patient(context, f"P{n}", phone="13800000000") for n in range(3)]
    first, second, third = (
        visit(context, key, room, time, particle="proton")
        for key, room, time in zip(
            people, ("ROOM1", "ROOM2", "ROOM2"), ("09:00", "09:00", "10:30"), strict=True
        )
    )
    for key in (first, second):
        assert sign_in.of_visit(context, THERAPIST, key).number == 1
    booking.move(context, RECEPTIONIST, first, "ROOM2", at("09:40"))
    with context.database.reading() as session:
        line = listing.of_device(session, "ROOM2", clock()).waiting
    assert [(row.visit.key, row.visit.queue_number) for row in line] == [(second, 1), (first, 2)]
    # nobody is called to two rooms at once
    elsewhere = visit(context, people[1], "ROOM1", "09:30")
    sign_in.of_visit(context, THERAPIST, elsewhere)
    calling.call(context, THERAPIST, second)
    with pytest.raises(Refused, match="called at another device now: Room 2"):
        calling.call(context, THERAPIST, elsewhere)
    # who was here, went away, and comes on another day begins anew there
    sign_in.of_visit(context, THERAPIST, third)
    calling.put_forward(context, THERAPIST, third, 3, "pain")
    calling.miss(context, THERAPIST, third)
    booking.move(context, RECEPTIONIST, third, "ROOM2", at("10:30", 1))
    moved = appointment(context, third)
    assert (moved.state, moved.queue_number, moved.signed_in, moved.priority) == (
        AppointmentState.BOOKED, None, None, 0,
    )  # fmt: skip
    with context.database.reading() as session:
        assert session.get(QueueEntry, third) is None
    with pytest.raises(Refused, match="in the meantime"):
        booking.cancel(context, RECEPTIONIST, third, "as seen yesterday", revision=1)
    booking.cancel(context, RECEPTIONIST, third, "died down", revision=2)


@pytest.mark.requirement("OIS-QUEUE")
def test_a_day_ends_for_everybody(context: Context, clock: Clock) -> None:
    called, inside = (
        visit(context, patient(context, name), "ROOM1", time)
        for name, time in (("A", "09:00"), ("B", "23:40"))
    )
    for key in (called, inside):
        clock.set("08:30")
        sign_in.of_visit(context, THERAPIST, key)
        clock.set("23:50" if key == inside else "09:00")
        calling.call(context, THERAPIST, key)
    # a treatment sheet that was withdrawn after the booking keeps the patient out of the beam
    with context.database.writing() as session:
        course = appointment(context, inside).course_key
        sheet = session.scalars(
            select(FormRecord).where(FormRecord.course_key == course, FormRecord.kind == "treatment-sheet")
        ).one()
        sheet.state = FormState.WITHDRAWN
    with pytest.raises(Refused, match="must be approved first"):
        calling.enter(context, THERAPIST, inside)
    with context.database.writing() as session:
        session.get_one(FormRecord, sheet.key).state = FormState.APPROVED
    calling.enter(context, THERAPIST, inside)
    # a clock set back swallows no call
    clock.set("23:45")
    calling.call(context, THERAPIST, called)
    with context.database.reading() as session:
        assert session.get_one(QueueEntry, called).calls == 2
    clock.set("00:10", 1)
    calling.close_days(context)
    assert appointment(context, called).state is AppointmentState.MISSED
    assert appointment(context, inside).state is AppointmentState.IN_ROOM, "it is under way"
    clock.set("08:10", 1)
    calling.close_days(context)
    assert appointment(context, inside).state is AppointmentState.DONE


@pytest.mark.requirement("OIS-COURSE")
def test_a_course_that_stops_takes_everything_along_and_goes_on_whole(context: Context, clock: Clock) -> None:
    work.staff(context)
    key = work.begun(context)
    with context.database.writing() as session:
        course = session.get_one(Course, key)
        session.add(
            WaitingVisit(
                day="2026-11-30", patient_key=course.patient_key, course_key=key, kind="treatment",
                minutes=20, particle="proton", created=clock(), created_by="receptionist",
            )
        )  # fmt: skip
    waiting = work.open_tasks(context, key)
    dues = {name: task.due for name, task in waiting.items()}
    courses.act(context, DOCTOR, key, CourseEvent.INTERRUPT, "infection")
    with context.database.reading() as session:
        assert session.scalars(select(WaitingVisit)).all() == []
    clock.time += timedelta(days=30)
    assert reminders.remind(context) == 0, "nobody can do these tasks now"
    courses.act(context, DOCTOR, key, CourseEvent.RESUME, "well again")
    assert {name: task.due for name, task in work.open_tasks(context, key).items()} == {
        name: due and due + timedelta(days=30) for name, due in dues.items()
    }
    courses.act(context, DOCTOR, key, CourseEvent.END, "by mistake")
    assert work.open_tasks(context, key) == {}
    courses.act(context, DOCTOR, key, CourseEvent.REOPEN, "it goes on")
    assert set(work.open_tasks(context, key)) == set(waiting)
    with context.database.reading() as session:
        assert session.scalar(select(ProcessRecord.ended).where(ProcessRecord.course_key == key)) is None


@pytest.mark.requirement("OIS-NOTIFY")
def test_after_a_day_without_gateway_each_gets_the_news_in_order_and_only_news(
    context: Context, clock: Clock
) -> None:
    gateway = Gateway()
    context = replace(context, messenger=gateway)
    person = patient(context, "P1", phone="13800000001")
    soon, late = (visit(context, person, "ROOM1", "10:00", day, particle="proton") for day in (1, 8))
    other = visit(context, patient(context, "P2", phone="13800000002"), "ROOM1", "15:00", particle="proton")
    with context.database.writing() as session:
        notices.appointment_made(session, session.get_one(Appointment, other), "test", clock())
        notices.queue_soon(session, session.get_one(Appointment, soon), 1, "test", clock())
    outbox.send_due(context)
    clock.time += timedelta(seconds=2)
    for hour in ("11:00", "12:00"):
        booking.move(context, RECEPTIONIST, late, "ROOM1", at(hour, 8))
        clock.time += timedelta(seconds=2)
        outbox.send_due(context)
    assert gateway.taken == []
    for _hour in range(26):
        clock.time += timedelta(hours=1)
        outbox.send_due(context)
    gateway.up = True
    for _minute in range(65):
        clock.time += timedelta(minutes=1)
        outbox.send_due(context)
    assert [message.content.split("改为 ")[1][11:16] for message in gateway.taken] == ["11:00", "12:00"]
    assert len({message.key for message in gateway.taken}) == 2
    with context.database.reading() as session:
        states = {row.kind: row.state.name for row in session.scalars(select(Outgoing))}
    assert states == {"appointment-made": "CANCELLED", "queue-soon": "CANCELLED", "appointment-moved": "SENT"}


class Gateway:
    """A gateway of messages that is away until it is `up`."""

    def __init__(self) -> None:
        self.up = False
        self.taken: list[Message] = []

    def send(self, message: Message) -> None:
        if not self.up:
            raise LinkLost("nobody answers")
        self.taken.append(message)

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.requirement("OIS-ASSIGN")
def test_who_leaves_leaves_no_task_behind(context: Context) -> None:
    work.staff(context)
    key = work.begun(context)
    work.up_to(context, key, "planning")
    mine = work.open_tasks(context, key)["planning"]
    assert mine.assignee in ("physicist", "physicist2")
    with pytest.raises(BadConfig, match="division by zero"):
        assigning.rule_of({"rule": "hospital", "formula": "1 / load", "complexity": {"default": 1}})
    tasks.take(context, Caller(mine.assignee, frozenset({"physicist"})), mine.key)
    account_admin.set_roles(context, ADMINISTRATOR, mine.assignee, ["physicist"], active=False)
    given = work.open_tasks(context, key)["planning"]
    assert (given.state, given.assignee) == (
        TaskState.TO_DO, {"physicist": "physicist2", "physicist2": "physicist"}[mine.assignee],
    )  # fmt: skip


@pytest.mark.requirement("OIS-USERS")
def test_guessing_from_one_computer_locks_nobody_out_elsewhere(context: Context, clock: Clock) -> None:
    work.staff(context)
    users = ("physician", "physicist", "therapist", "receptionist")
    for user in users:
        accounts.log_in(context, user, work.SECRET, "10.0.0.7")
    for _round in range(4):
        clock.time += lockout.CLOSED_FOR
        for user in users:
            for _attempt in range(lockout.LIMIT):
                with pytest.raises(Unauthorised):
                    accounts.log_in(context, user, "guess", "10.0.0.66")
    for user in users:
        with pytest.raises(Unauthorised, match="locked"):
            accounts.log_in(context, user, work.SECRET, "10.0.0.99")
        assert accounts.log_in(context, user, work.SECRET, "10.0.0.7").token
        # and who is logged in signs on
        accounts.authenticate(context, user, work.SECRET, "confirm")
    locked = {line.account.user: line.locked for line in account_admin.all_accounts(context, ADMINISTRATOR)}
    assert all(locked[user] for user in users)
    account_admin.unlock(context, ADMINISTRATOR, "physician")
    assert accounts.log_in(context, "physician", work.SECRET, "10.0.0.66").token


@pytest.mark.requirement("OIS-SCHEDULE")
def test_no_fraction_is_booked_twice_and_a_sheet_without_prescription_is_filled(context: Context) -> None:
    with context.database.writing() as session:
        made = department.patient(session, 1)
        sheet = session.scalars(select(FormRecord).where(FormRecord.kind == "treatment-sheet")).one()
        sheet.content = {"doses": [{"target": "PTV", "dose_per_fraction": 2.0, "fractions": 3}]}
        sheet.decided = context.now()
        first = department.workday(session, booking.today(context), 2)
        second, third = (department.workday(session, first, ahead) for ahead in (1, 4))
    wanted = booking.Wanted("ROOM1", "treatment", department.at(first, 9), 20, made.course, "proton", 1)
    row = booking.make(context, RECEPTIONIST, wanted)
    with pytest.raises(Refused, match="Fraction 1 of this course is booked already"):
        booking.make(context, RECEPTIONIST, replace(wanted, start=department.at(second, 9)))
    # without a prescription in this house the approved sheet says how many there are
    assert waiting.gather(context, RECEPTIONIST, second) == 1
    with pytest.raises(Refused, match="waits on that day already"):
        waiting.add(context, RECEPTIONIST, second, made.course, "", 20, "proton")
    waiting.add(context, RECEPTIONIST, third, made.course, "", 20, "proton")
    with context.database.reading() as session:
        listed = session.scalars(select(WaitingVisit).order_by(WaitingVisit.day)).all()
        assert [one.fraction for one in listed] == [2, 3]
    # a day that is proposed names the patient whose course stopped in the meantime
    start, later = row.start.isoformat(), department.at(first, 10).isoformat()
    move = Move(row.key, "ROOM1", later, 20, "treatment", "proton", 1, made.patient, made.course)
    content = Content((replace(move, old_device="ROOM1", old_start=start),), (), {})
    with context.database.writing() as session:
        proposal = proposals.enter(session, "replan", first, content, "receptionist", context.now())
        session.get_one(Course, made.course).state = CourseState.INTERRUPTED
    with pytest.raises(Refused, match="S00001: The course is interrupted"):
        proposals.keep(context, RECEPTIONIST, proposal.key)


@pytest.mark.requirement("OIS-COURSE")
def test_two_people_change_one_course_and_a_dead_patient_is_left_in_peace(context: Context) -> None:
    work.staff(context)
    with context.database.writing() as session:
        made = department.patient(session, 1, phone="13800000000")
        later = department.workday(session, booking.today(context), 3)
    with context.database.reading() as session:
        course = session.get_one(Course, made.course)
        entry, seen = course_changes.entry_of(course), course_changes.stamp(course)
        diagnosis = courses.diagnosis_stamp(course)
    moved = replace(entry, source="inpatient", ward="3 病区", bed="12", physician="physician")
    changed = course_changes.change(context, RECEPTIONIST, made.course, moved, seen)
    assert set(changed) >= {"source", "ward", "bed"}
    with pytest.raises(Refused, match="changed this course meanwhile"):
        course_changes.change(context, RECEPTIONIST, made.course, replace(entry, bed="13"), seen)
    with pytest.raises(Refused, match="choose one of the list"):
        again, nobody = course_changes.stamp(_course(context, made.course)), replace(moved, physician="x")
        course_changes.change(context, RECEPTIONIST, made.course, nobody, again)
    courses.diagnose(context, DOCTOR, made.course, "", "肺癌", None, diagnosis)
    with pytest.raises(Refused, match=r"meanwhile \(now: 肺癌"):
        courses.diagnose(context, DOCTOR, made.course, "", "肝癌", None, diagnosis)
    # what two people tick at once is there as both said it
    alerts.change(context, RECEPTIONIST, made.patient, ["pacemaker", "pregnancy"], [])
    alerts.change(context, DOCTOR, made.patient, ["allergy"], [])
    alerts.change(context, RECEPTIONIST, made.patient, ["pacemaker"], ["pacemaker", "pregnancy"])
    with context.database.reading() as session:
        assert set(session.get_one(Patient, made.patient).alerts.split()) == {"pacemaker", "allergy"}
        count = len(patient_changes.history(session, made.patient))
    wanted = booking.Wanted("ROOM1", "treatment", department.at(later, 9), 20, made.course, "proton", 1)
    row = booking.make(context, RECEPTIONIST, wanted)
    (due,) = follow_up.plan(context, DOCTOR, made.course, later, [3])
    follow_up.enter(context, DOCTOR, due.key, "DEAD", "told by the family")
    with context.database.reading() as session:
        assert session.get_one(Appointment, row.key).state is AppointmentState.CANCELLED
        assert [one.state.name for one in session.scalars(select(Outgoing))] == ["CANCELLED"]
        assert len(patient_changes.history(session, made.patient)) == count == len(changed) + 3


def _course(context: Context, key: str) -> Course:
    with context.database.reading() as session:
        return session.get_one(Course, key)


@pytest.mark.requirement("OIS-REGISTER")
def test_names_as_people_have_and_type_them() -> None:
    day = date(2026, 11, 23)

    def kept(name: str, **more: str) -> PatientEntry:
        who = {"birth_date": "1990-01-01", "sex": "F", **more}
        return registration.checked(PatientEntry(name, **who), day)

    assert kept("阿依古丽•买买提").name == kept("阿依古丽·买买提").name == "Ayigulimaimaiti=阿依古丽·买买提"
    assert kept("张" * 40).name.endswith("=张^" + "张" * 39)
    assert [masked_name(kept(name).name) for name in ("张", "O", "李 四")] == ["张*", "O****", "李*"]
    wide = kept("李四", id_card="１１０１０５１９４９１２３１００２ｘ", birth_date="")
    assert (wide.id_card, wide.birth_date) == ("11010519491231002X", "19491231")
    for wrong in ("·", "😀", "<script>", "a=b=c=d", "张\u202e伟", "  "):
        with pytest.raises(BadInput, match=r"[Nn]ame"):
            kept(wrong)


@pytest.mark.requirement("OIS-WORKFLOW")
def test_two_people_at_one_design_pass_nobody_over(context: Context) -> None:
    one, two = work.ADMIN, Caller("administrator", frozenset({"administrator"}))
    with context.database.reading() as session:
        drawing, form = designs.active(session, "proton-course").drawing, forms.active(session, "consent")
    second = designs.publish(context, one, "proton-course", drawing, "mine", 1)
    assert designs.publish(context, one, "proton-course", drawing, "again from the same page", 1).version == 3
    with pytest.raises(BadInput, match=f"{one.user} made version 3 meanwhile"):
        designs.publish(context, two, "proton-course", drawing, "theirs", second.version - 1)
    assert designs.publish(context, two, "proton-course", drawing, "put together", 3).version == 4
    forms.publish(context, one, form.content, "mine", form.version)
    with pytest.raises(BadInput, match="made version 2 meanwhile"):
        forms.publish(context, two, form.content, "theirs", form.version)
