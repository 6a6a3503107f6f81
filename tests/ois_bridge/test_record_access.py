"""Restricted records: who sees them, who does not, and how they are opened in need."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from common import site
from common.errors import BadInput, Refused, Unauthorised
from common.state import StateDir
from ois_bridge import process
from ois_bridge.application import create
from ois_bridge.models.clinical import Patient
from ois_bridge.services import access, courses
from ois_bridge.services.context import Caller, Context
from tests.ois_bridge.workflow_steps import Browser, staff

pytestmark = pytest.mark.requirement("OIS-USERS")

ANNA, BERT = (Caller(name, frozenset({"physician"})) for name in ("anna", "bert"))
DESK = Caller("receptionist", frozenset({"receptionist"}))


@pytest.fixture
def clock() -> list[datetime]:
    return [datetime(2026, 11, 23, 8, tzinfo=UTC)]


@pytest.fixture
def means(tmp_path: Path, place: Callable[[Path], None], clock: list[datetime]) -> Iterator[Context]:
    place(tmp_path)
    built = process.build(StateDir(tmp_path), site.load())
    yield replace(built, now=lambda: clock[0])
    built.close()


@pytest.fixture
def patient(means: Context) -> str:
    fields = {"patient_id": "P1", "name": "Wang^Wu", "birth_date": "19600101", "sex": "M"}
    with means.database.writing() as session:
        row = Patient(**fields, registered=means.now(), registered_by="anna")
        session.add(row)
    return row.key


def sees(means: Context, who: Caller, patient: str) -> bool:
    with means.database.reading() as session:
        listed = session.scalars(select(Patient.key).where(access.visible(who, means))).all()
        try:
            access.check(session, who, patient, means)
        except access.RecordClosed:
            assert patient not in listed
            return False
        assert patient in listed
        return True


def test_restricted_record_is_open_to_its_team_only(means: Context, patient: str) -> None:
    assert all(sees(means, who, patient) for who in (ANNA, BERT, DESK))
    access.restrict(means, ANNA, patient, "a colleague of this house")
    assert [sees(means, who, patient) for who in (ANNA, BERT, DESK)] == [True, False, False]
    with pytest.raises(BadInput, match="colleague"):
        access.add_member(means, ANNA, patient, "nobody")
    access.add_member(means, ANNA, patient, "receptionist")
    assert sees(means, DESK, patient)
    access.remove_member(means, ANNA, patient, "receptionist")
    assert not sees(means, DESK, patient)
    with pytest.raises(Refused, match="yourself"):
        access.remove_member(means, ANNA, patient, "anna")
    with pytest.raises(access.RecordClosed):
        access.restrict(means, BERT, patient, "to come in by the back door")
    with pytest.raises(access.RecordClosed):
        access.add_member(means, BERT, patient, "bert")
    with pytest.raises(access.RecordClosed):
        access.release(means, BERT, patient)
    with pytest.raises(Unauthorised):
        access.restrict(means, DESK, patient, "a colleague of this house")
    access.release(means, ANNA, patient)
    assert sees(means, BERT, patient)


def test_opening_in_need_takes_a_reason_and_ends(means: Context, patient: str, clock: list[datetime]) -> None:
    access.restrict(means, ANNA, patient, "a colleague of this house")
    with pytest.raises(BadInput, match="reason"):
        access.open_in_need(means, BERT, patient, " ")
    assert not sees(means, BERT, patient)
    access.open_in_need(means, BERT, patient, "emergency in the waiting hall")
    assert sees(means, BERT, patient)
    clock[0] += access.IN_NEED + timedelta(minutes=1)
    assert not sees(means, BERT, patient)
    access.open_in_need(means, BERT, patient, "a second emergency")
    assert sees(means, BERT, patient)


def test_physician_in_charge_belongs_to_the_team(means: Context, patient: str) -> None:
    course = courses.add(means, BERT, "P1", "C1", "prostate")
    with means.database.writing() as session:
        session.merge(course).physician = "bert"
    access.restrict(means, ANNA, patient, "a colleague of this house")
    assert sees(means, BERT, patient)


def test_page_restricts_and_takes_colleagues_in(means: Context, patient: str) -> None:
    staff(means)
    path = f"/patients/{patient}/access"
    with Browser(create(means)) as browser:
        token = browser.log_in("physician")
        assert path in browser.get(f"/patients/{patient}").text
        assert "role reads records" in browser.get(path).text
        short = browser.post(path, {"csrf": token, "act": "restrict", "reason": "why"})
        assert (short.status_code, 'value="why"' in short.text) == (422, True)
        wish = {"csrf": token, "act": "restrict", "reason": "a colleague of this house"}
        assert "a colleague of this house" in browser.post(path, wish).text
        assert not sees(means, DESK, patient)
        assert browser.post(path, {"csrf": token, "act": "add", "user": "receptionist"}).status_code == 200
        assert sees(means, DESK, patient)
        assert browser.post(path, {"csrf": token, "act": "remove", "user": "receptionist"}).status_code == 200
        assert not sees(means, DESK, patient)
        browser.log_in("receptionist")
        assert browser.get(path).status_code == 403
