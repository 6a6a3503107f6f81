"""When the OIS is away: lists that lie ready, and the paper taken back in; visits that need a place."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from common import site
from common.errors import BadInput, Refused, Unauthorised
from common.state import StateDir
from ois_bridge import process
from ois_bridge.application import create
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.delivery import PaperEntry
from ois_bridge.models.scheduling import WaitingVisit
from ois_bridge.services import downtime
from ois_bridge.services.appointments import book, days, handling
from ois_bridge.services.context import Context
from ois_bridge.services.downtime import Said
from tests.ois_bridge import appointments_case as case
from tests.ois_bridge.appointments_case import PHYSICIAN, RECEPTIONIST
from tests.ois_bridge.workflow_steps import Browser, staff

pytestmark = pytest.mark.requirement("OIS-SCHEDULE")


@pytest.fixture
def means(tmp_path: Path) -> Iterator[Context]:
    context = process.build(StateDir(tmp_path), site.load())
    yield context
    context.close()


def three(means: Context) -> list[Appointment]:
    """Visits of some earlier hours of today."""
    now = datetime.now(UTC)
    start = max(now - timedelta(hours=3), case.at(book.day_of(now), 0))
    with means.database.writing() as session:
        made = [case.patient(session, number) for number in range(3)]
        return [
            case.put(session, one, "ROOM1", start + timedelta(minutes=20 * n), fraction=1)
            for n, one in enumerate(made)
        ]


def test_lists_lie_ready_and_are_renewed_when_they_change(means: Context, tmp_path: Path) -> None:
    rows = three(means)
    assert downtime.keep_lists(means) == 4
    assert downtime.keep_lists(means) == 0
    today = book.day_of(datetime.now(UTC)).isoformat()
    for language, word in (("zh", "到达"), ("en", "Arrived")):
        path = tmp_path / f"ois/downtime/{today}-{language}.html"
        text = path.read_text()
        assert path.stat().st_mode & 0o777 == 0o600
        assert word in text
        assert all(number in text for number in ("S00000", "S00001", "S00002"))
    with means.database.writing() as session:
        session.get_one(Appointment, rows[0].key).state = AppointmentState.CANCELLED
    assert downtime.keep_lists(means) == 2
    (tmp_path / "ois/downtime/2020-01-01-zh.html").write_text("old")
    downtime.keep_lists(means)
    assert not (tmp_path / "ois/downtime/2020-01-01-zh.html").exists()
    assert downtime.printed(means, PHYSICIAN, book.day_of(rows[0].start), "zh").startswith(b"%PDF")


def test_paper_is_taken_in_whole_or_not_at_all(means: Context) -> None:
    rows = three(means)
    day = book.day_of(rows[0].start)
    good = [
        Said(rows[0].key, "done", "00:00", "00:01", "by hand"), Said(rows[1].key, "partial"),
        Said(rows[2].key, "missed"),
    ]  # fmt: skip
    wrong = (
        (Said(rows[2].key, "missed", "25:00"), "HH:MM"),
        (Said(rows[2].key, "lost"), "one of the list"),
        (Said(rows[2].key, "done", "00:02", "00:01"), "before the patient came"),
    )
    for bad, why in wrong:
        with pytest.raises(BadInput, match=why):
            downtime.take_in(means, RECEPTIONIST, day, [*good[:2], bad])
    with pytest.raises(BadInput, match="another day"):
        downtime.take_in(means, RECEPTIONIST, day - timedelta(days=1), good)
    with pytest.raises(Unauthorised):
        downtime.take_in(means, PHYSICIAN, day, good)
    with means.database.reading() as session:
        assert session.query(PaperEntry).count() == 0
    assert downtime.take_in(means, RECEPTIONIST, day, good) == 3
    with means.database.reading() as session:
        states = [session.get_one(Appointment, row.key).state for row in rows]
        first = session.get_one(Appointment, rows[0].key)
    assert states == [AppointmentState.DONE, AppointmentState.IN_ROOM, AppointmentState.MISSED]
    assert (first.signed_in_by, first.signed_in is not None, first.finished is not None) == (
        "paper",
        True,
        True,
    )
    with pytest.raises(Refused, match="entered before"):
        downtime.take_in(means, RECEPTIONIST, day, good[:1])


def test_what_needs_a_place_is_listed(means: Context) -> None:
    now = datetime.now(UTC)
    with means.database.writing() as session:
        day = case.workday(session, book.day_of(now))
        made = [case.patient(session, number) for number in range(3)]
        case.put(session, made[0], "ROOM1", case.at(day, 10), fraction=1)
        missed = case.put(
            session, made[1], "ROOM1", now - timedelta(days=1), fraction=2, state=AppointmentState.MISSED
        )
        session.add(
            WaitingVisit(
                day=day.isoformat(), patient_key=made[2].patient, course_key=made[2].course, device="",
                kind="treatment", minutes=20, particle="proton", created=now, created_by="test",
            )
        )  # fmt: skip
        assert {one.kind for one in handling.of_days(session, day, day, now)} == {
            handling.WAITS, handling.MISSED,
        }  # fmt: skip
    days.set_day(means, case.PHYSICIST, day, "holiday", "new")
    with means.database.writing() as session:
        kinds = [one.kind for one in handling.of_days(session, day, day, now)]
        assert kinds == [handling.NO_PLACE, handling.WAITS, handling.MISSED]
        case.put(session, made[1], "ROOM2", case.at(day, 11), fraction=2)
        found = handling.of_days(session, day - timedelta(days=1), day - timedelta(days=1), now)
        assert missed.key not in [one.visit for one in found], "its fraction has another visit"


def test_pages(means: Context) -> None:
    staff(means)
    rows = three(means)
    day = book.day_of(rows[0].start).isoformat()
    with Browser(create(means)) as browser:
        token = browser.log_in("receptionist")
        page = browser.get(f"/downtime?day={day}").text
        assert f'name="outcome-{rows[0].key}"' in page
        fields = {"csrf": token, "day": day, f"outcome-{rows[0].key}": "done", f"arrived-{rows[0].key}": "9x"}
        refused = browser.post("/downtime", fields)
        assert refused.status_code == 422
        assert 'value="9x"' in refused.text, "what was typed stays"
        fields[f"arrived-{rows[0].key}"] = "00:00"
        assert "1 visits are entered" in browser.post("/downtime", fields).text
        assert "begun" not in browser.get(f"/appointments/{rows[0].key}").text
        assert browser.get(f"/appointments?day={day}&view=day").status_code == 200
        assert browser.get(f"/downtime/{day}.pdf").content.startswith(b"%PDF")
