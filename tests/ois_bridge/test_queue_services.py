"""Sign-in and calls on a real database: which visit, which number, who is told; nothing twice."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from common.errors import BadInput, Refused, Unauthorised
from ois_bridge.domain.appointment_states import AppointmentState as S
from ois_bridge.domain.barcode import BarcodeRule
from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.id_card import check_character
from ois_bridge.domain.queue.order import checked_rule
from ois_bridge.domain.queue.told import SignInRefused
from ois_bridge.models.clinical import Course
from ois_bridge.models.outbox import Outgoing
from ois_bridge.models.queue import BiometricTemplate, Contact, QueueCall, ScreenNotice
from ois_bridge.services import notices
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.events import Event
from ois_bridge.services.queue import calling, listing, rules, sign_in
from ois_bridge.services.queue.sign_in import Asked, SignedIn
from tests.ois_bridge.queue_case import (
    ADMINISTRATOR,
    KIOSK,
    THERAPIST,
    Clock,
    appointment,
    at,
    build,
    patient,
    visit,
)

pytestmark = pytest.mark.requirement("OIS-QUEUE")

BARCODE = BarcodeRule().make(at("08:00").date(), 1)
CARD = "11010519491231002" + check_character("11010519491231002")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def means(tmp_path: Path, clock: Clock) -> Iterator[Context]:
    built = build(tmp_path, clock)
    yield built
    built.close()


def scan(means: Context, code: str, **more: str) -> SignedIn:
    done = sign_in.by_code(means, KIOSK, code, "barcode", **more)
    assert isinstance(done, SignedIn)
    return done


def line(means: Context, device: str = "ROOM1") -> list[int | None]:
    with means.database.reading() as session:
        queue = listing.of_device(session, device, means.now())
        return [row.visit.queue_number for row in queue.waiting]


def messages(means: Context) -> list[Outgoing]:
    with means.database.reading() as session:
        return list(session.scalars(select(Outgoing).order_by(Outgoing.created)))


@pytest.mark.parametrize("code", ["P1", "HN77", "BC9", CARD, CARD.lower(), " P1 "])
def test_every_number_of_a_patient_signs_in(means: Context, clock: Clock, code: str) -> None:
    key = visit(
        means, patient(means, "P1", hospital_number="HN77", barcode="BC9", id_card=CARD), "ROOM1", "08:30"
    )
    heard: list[Event | None] = []
    means.events.listen(heard.append)
    done = scan(means, code)
    assert (done.key, done.number, done.name, done.again) == (key, 1, "张*", False)
    assert heard == [Event(1, "queue", "ROOM1")]
    row = appointment(means, key)
    assert (row.state, row.signed_in, row.signed_in_by) == (S.SIGNED_IN, at("08:00"), "barcode")
    clock.set("08:10")
    again = scan(means, code)
    assert (again.again, again.number) == (True, 1)
    assert appointment(means, key).signed_in == at("08:00")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("NOBODY", "not known"),
        ("", "scan your barcode"),
        ("x" * 65, "scan your barcode"),
        (CARD[:17] + ("1" if CARD[17] == "0" else "0"), "a character is wrong"),
        (BARCODE[:-1] + str((int(BARCODE[-1]) + 1) % 10), "not read rightly"),
        ("' OR 1=1 --", "not known"),
    ],
)
def test_wrong_numbers_are_told_in_both_languages(means: Context, code: str, words: str) -> None:
    patient(means, "P1")
    with pytest.raises(SignInRefused, match=words) as caught:
        sign_in.by_code(means, KIOSK, code, "touch")
    assert caught.value.told.said("en") != caught.value.told.said("zh")


def test_days_without_a_visit_say_when_the_next_is(means: Context, clock: Clock) -> None:
    key = patient(means, "P1")
    with pytest.raises(SignInRefused, match="no appointment"):
        scan(means, "P1")
    visit(means, key, "ROOM1", "10:00", day=2)
    with pytest.raises(SignInRefused, match=r"2026-11-25 10:00"):
        scan(means, "P1")
    today = visit(means, key, "ROOM2", "11:00")
    with pytest.raises(SignInRefused, match=r"sign in from 09:00") as caught:
        scan(means, "P1")
    assert "09:00" in caught.value.told.said("zh")
    clock.set("12:30")
    with pytest.raises(SignInRefused, match="too long ago"):
        scan(means, "P1")
    assert appointment(means, today).state is S.BOOKED
    done = sign_in.of_visit(means, THERAPIST, today)
    assert done.number == 1, "a therapist answers for the time"


def test_cancelled_course_and_cancelled_visit_are_refused(means: Context) -> None:
    key = patient(means, "P1")
    booked = visit(means, key, "ROOM1", "08:30")
    with means.database.writing() as session:
        session.query(Course).filter_by(patient_key=key).one().state = CourseState.CANCELLED
    with pytest.raises(SignInRefused, match="not going on"):
        scan(means, "P1")
    with pytest.raises(SignInRefused, match="not going on"):
        sign_in.of_visit(means, THERAPIST, booked)
    with means.database.writing() as session:
        appointment_row = session.merge(appointment(means, booked))
        appointment_row.state = S.CANCELLED
    with pytest.raises(SignInRefused, match="was cancelled"):
        scan(means, "P1")


def test_two_devices_are_asked_about_and_two_visits_a_day_are_told_apart(
    means: Context, clock: Clock
) -> None:
    key = patient(means, "P1")
    ct, room = visit(means, key, "CT_SIM", "08:20"), visit(means, key, "ROOM1", "08:40")
    asked = sign_in.by_code(means, KIOSK, "P1", "touch")
    assert isinstance(asked, Asked)
    assert [one.key for one in asked.visits] == [ct, room]
    assert scan(means, "P1", wanted=room).key == room
    assert scan(means, "P1").others[0].key == ct
    other = patient(means, "P2")
    morning, evening = visit(means, other, "ROOM1", "09:00"), visit(means, other, "ROOM1", "15:30")
    assert scan(means, "P2").key == morning
    for deed in (calling.call, calling.enter, calling.finish):
        deed(means, THERAPIST, morning)
    clock.set("15:00")
    assert scan(means, "P2").key == evening
    assert line(means) == [1, 3]


def test_numbers_are_given_once_when_many_sign_in_at_once(means: Context) -> None:
    for number in range(12):
        visit(means, patient(means, f"P{number}"), "ROOM1", "08:30")
    found: list[int] = []
    errors: list[Exception] = []

    def come(number: int) -> None:
        try:
            found.append(scan(means, f"P{number}").number)
        except Exception as why:  # noqa: BLE001 - whatever it is fails the test below
            errors.append(why)

    # each patient's barcode is read twice at the same moment
    threads = [threading.Thread(target=come, args=(number % 12,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(found) == sorted([*range(1, 13)] * 2)
    assert sorted(number or 0 for number in line(means)) == list(range(1, 13))


def test_a_patient_is_called_enters_and_is_finished(means: Context, clock: Clock) -> None:
    first = visit(means, patient(means, "P1"), "ROOM1", "08:30")
    second = visit(means, patient(means, "P2"), "ROOM1", "08:50")
    scan(means, "P2")
    scan(means, "P1")
    assert line(means) == [2, 1], "by the time of the appointment"
    with pytest.raises(Unauthorised):
        calling.call(means, Caller("receptionist", frozenset({"receptionist"})), first)
    calling.call(means, THERAPIST, first)
    calling.call(means, THERAPIST, first)  # the second click of a double click
    clock.set("08:02")
    calling.call(means, THERAPIST, first)
    with means.database.reading() as session:
        calls = session.scalars(select(QueueCall).order_by(QueueCall.time)).all()
        assert [(one.appointment_key, one.count) for one in calls] == [(first, 1), (first, 2)]
    calling.pass_over(means, THERAPIST, first)
    assert line(means) == [2, 1], "its time had not come: it keeps its place"
    clock.set("09:00")
    calling.call(means, THERAPIST, first)
    calling.pass_over(means, THERAPIST, first)
    assert line(means) == [1, 2]
    calling.call(means, THERAPIST, second)
    calling.enter(means, THERAPIST, second)
    with pytest.raises(Refused, match="finish"):
        calling.call(means, THERAPIST, second)
    calling.finish(means, THERAPIST, second)
    row = appointment(means, second)
    assert (row.state, row.entered, row.finished) == (S.DONE, at("09:00"), at("09:00"))
    calling.miss(means, THERAPIST, first)
    assert appointment(means, first).state is S.MISSED
    assert line(means) == []


def test_special_patient_is_put_forward_with_a_reason(means: Context) -> None:
    visit(means, patient(means, "P1"), "ROOM1", "08:10")
    last = visit(means, patient(means, "P2"), "ROOM1", "09:30")
    scan(means, "P1")
    scan(means, "P2")
    with pytest.raises(BadInput, match="reason"):
        calling.put_forward(means, THERAPIST, last, 1, " ")
    with pytest.raises(BadInput, match="priority"):
        calling.put_forward(means, THERAPIST, last, 10, "why")
    calling.put_forward(means, THERAPIST, last, 2, "in pain")
    assert line(means) == [2, 1]
    calling.put_forward(means, THERAPIST, last, 0, "")
    assert line(means) == [1, 2]
    calling.leave(means, THERAPIST, last)
    assert line(means) == [1]
    assert scan(means, "P2").number == 3, "a number is given once"


def test_rule_is_previewed_versioned_and_activated(means: Context, clock: Clock) -> None:
    for number, time in (("P1", "08:40"), ("P2", "08:10")):
        visit(means, patient(means, number), "ROOM1", time)
        scan(means, number)
        clock.set("08:05")
    first_come = {"weights": {"waited_min": 1}}
    with pytest.raises(Unauthorised):
        rules.add(means, KIOSK, "first come", first_come)
    version = rules.add(means, THERAPIST, "first come", first_come).version
    assert line(means) == [2, 1]
    with means.database.reading() as session:
        seen = rules.preview(means, session, "ROOM1", checked_rule(first_come))
    assert seen == [(2, 1), (1, 2)]
    rules.activate(means, ADMINISTRATOR, version)
    assert line(means) == [1, 2]
    rules.activate(means, ADMINISTRATOR, 0)
    assert line(means) == [2, 1]


def test_reader_of_features_signs_in(means: Context) -> None:
    key = patient(means, "P1")
    booked = visit(means, key, "ROOM1", "08:30")
    with pytest.raises(SignInRefused, match="does not know you"):
        sign_in.by_feature(means, KIOSK, "finger-7")
    with means.database.writing() as session:
        session.add(
            BiometricTemplate(template="finger-7", patient_key=key, enrolled=means.now(), enrolled_by="test")
        )
    done = sign_in.by_feature(means, KIOSK, "finger-7")
    assert isinstance(done, SignedIn)
    assert appointment(means, booked).signed_in_by == "biometric"


@pytest.mark.requirement("OIS-NOTIFY")
def test_two_before_you_is_told_once_to_those_who_want_it(means: Context, clock: Clock) -> None:
    keys = [patient(means, f"P{number}", phone=f"1380000000{number}") for number in range(5)]
    visits = [visit(means, key, "ROOM1", f"08:{10 * number + 10}") for number, key in enumerate(keys)]
    with means.database.writing() as session:
        for key, more in ((keys[3], {"wechat": "openid-3"}), (keys[4], {"sms": False})):
            session.add(Contact(kind="patient", subject=key, changed=means.now(), changed_by="test", **more))
    for number in range(5):
        scan(means, f"P{number}")
    assert messages(means) == []
    for key in visits[:2]:
        clock.time = clock.time.replace(minute=clock.time.minute + 1)
        calling.call(means, THERAPIST, key)
        calling.enter(means, THERAPIST, key)
    told = {row.recipient: row for row in messages(means)}
    assert set(told) == {"13800000001", "13800000002", "13800000003"} ^ {"13800000003", "openid-3"}
    assert all(row.kind == "queue-soon" for row in told.values())
    assert "前面还有 2 位" in told["openid-3"].content
    assert not any("cancer" in row.content or "张^明" in row.content for row in told.values())


@pytest.mark.requirement("OIS-NOTIFY")
def test_fault_is_told_to_patients_and_staff_concerned(means: Context) -> None:
    key = patient(means, "P1", phone="13800000001")
    visit(means, key, "ROOM1", "09:00")
    visit(means, key, "ROOM1", "11:00")
    visit(means, patient(means, "P2", phone="13800000002"), "ROOM2", "09:00")
    visit(means, patient(means, "P3", phone="13800000003"), "ROOM1", "16:00")
    with means.database.writing() as session:
        session.add(
            Contact(
                kind="staff", subject="therapist", phone="13900000000", changed=means.now(), changed_by="t"
            )
        )
        session.flush()
        count = notices.device_fault(session, "ROOM1", at("14:00"), "therapist", means.now())
    assert count == 2
    assert sorted(row.recipient for row in messages(means)) == ["13800000001", "13900000000"]
    with means.database.reading() as session:
        (shown,) = session.scalars(select(ScreenNotice))
        assert "14:00" in shown.text_zh
        assert shown.finish == at("14:00")


@pytest.mark.requirement("OIS-NOTIFY")
def test_appointments_are_told(means: Context) -> None:
    key = visit(means, patient(means, "P1", name="欧阳^明华", phone="13800000001"), "ROOM1", "09:00")
    with means.database.writing() as session:
        row = session.merge(appointment(means, key))
        notices.appointment_made(session, row, "receptionist", means.now())
        notices.appointment_moved(session, row, at("07:00"), "receptionist", means.now())
        notices.appointment_cancelled(session, row, "receptionist", means.now())
    texts = [row.content for row in messages(means)]
    assert len(texts) == 3
    with means.database.writing() as session:
        row = session.merge(appointment(means, key))
        for _fraction in range(30):
            notices.appointment_made(session, row, "receptionist", means.now())
    (many,) = [row.content for row in messages(means) if row.content not in texts]
    assert "30 次" in many
    assert all("欧**华" in text and "09:00" in text for text in texts)
    assert any("07:00" in text for text in texts)
