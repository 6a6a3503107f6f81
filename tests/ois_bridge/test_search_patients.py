"""Patients and forms found by every feature, on a real database; pages follow each other without a gap."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from common import site
from common.errors import BadInput
from common.state import StateDir
from ois_bridge import process
from ois_bridge.domain import grams, highlight, rules, wish
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.registration import CourseEntry, PatientEntry
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.services import registration
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.search import find, parts, text, visits
from ois_bridge.services.search.find import Query

pytestmark = pytest.mark.requirement("OIS-SEARCH")

DESK = Caller("receptionist", frozenset({"receptionist"}))
PEOPLE = (
    (PatientEntry("张伟明", "P-001", "1960-02-29", "M", hospital_number="H77", phone="13900001111"),
     CourseEntry(diagnosis="鼻咽癌", technique="IMPT", source="inpatient", ward="7A", physician="physician")),
    (PatientEntry("王伟", "P-002", "1971-03-04", "M"), CourseEntry(diagnosis="肺癌", technique="PBS")),
    (PatientEntry("欧阳修文", "P-003", "1982-05-06", "F"), CourseEntry(diagnosis="chordoma, skull base")),
    (PatientEntry("Anna Schmidt", "Q-1", "1990-07-08", "F"), CourseEntry(technique="PBS")),
    (PatientEntry("伟伟", "P-005", "1960-02-29", "F"), CourseEntry(diagnosis="鼻咽癌", technique="PBS")),
)  # fmt: skip

VISITS = (
    ("P-001", "ROOM1", 2, AppointmentState.DONE), ("P-001", "ROOM2", 9, AppointmentState.BOOKED),
    ("P-002", "ROOM1", 9, AppointmentState.BOOKED), ("P-003", "ROOM1", 9, AppointmentState.CANCELLED),
)  # fmt: skip


@pytest.fixture(scope="module")
def means(tmp_path_factory: pytest.TempPathFactory, place: Callable[[Path], None]) -> Iterator[Context]:
    state = tmp_path_factory.mktemp("search")
    place(state)
    built = process.build(StateDir(state), site.load())
    for entry, course in PEOPLE:
        registration.register(built, DESK, entry, course)
    with built.database.writing() as session:
        late = session.query(Course).join(Patient).filter(Patient.patient_id == "P-002").one()
        late.state = CourseState.INTERRUPTED
        session.add(
            Course(patient_key=late.patient_key, name="C0", diagnosis="肺癌", technique="IMPT",
                   state=CourseState.HISTORY, created=built.now(), created_by="physician")
        )  # fmt: skip
        who = {row.patient_id: row.key for row in session.query(Patient)}
        for patient, device, day, stands in VISITS:
            start = datetime(2026, 3, day, 10, tzinfo=UTC)
            session.add(
                Appointment(patient_key=who[patient], device=device, kind="treatment", start=start,
                            minutes=20, state=stands, created=built.now(), created_by="receptionist")
            )  # fmt: skip
    yield built
    built.close()


@pytest.fixture
def session(means: Context) -> Iterator[Session]:
    with means.database.reading() as opened:
        yield opened


def found(session: Session, wanted: str = "", group: Mapping[str, Any] | None = None) -> set[str]:
    query = Query(wanted, rules.read(group) if group else find.NOTHING)
    return {row.patient_id for row in find.page(session, query).patients}


def every(*rows: tuple[str, str, str]) -> dict[str, Any]:
    return {"match": "all", "rules": [{"field": f, "op": o, "value": v} for f, o, v in rows]}


@pytest.mark.parametrize(
    ("wanted", "who"),
    [
        ("伟", {"P-001", "P-002", "P-005"}),
        ("伟明", {"P-001"}),
        ("修文", {"P-003"}),
        ("weiming", {"P-001"}),
        ("ouyang", {"P-003"}),
        ("zwm", {"P-001"}),
        ("OYXW", {"P-003"}),
        ("schmidt", {"Q-1"}),
        ("anna schmidt", {"Q-1"}),
        ("p-00", {"P-001", "P-002", "P-003", "P-005"}),
        ("h77", {"P-001"}),
        ("13900001111", {"P-001"}),
        ("1960-02-29", {"P-001", "P-005"}),
        ("伟 女", {"P-005"}),
        ("伟 19600229 男", {"P-001"}),
        ("伟 P-002", {"P-002"}),
        ("%", set()),
        ("\x00", {"P-001", "P-002", "P-003", "P-005", "Q-1"}),
        ("王\u3000伟", {"P-002"}),
        ("\ud800伟", {"P-001", "P-002", "P-005"}),
        ("明伟", set()),
    ],
)
def test_one_box_understands(session: Session, wanted: str, who: set[str]) -> None:
    assert found(session, wanted) == who


@pytest.mark.parametrize(
    ("rows", "who"),
    [
        ((("diagnosis", "contains", "鼻咽"),), {"P-001", "P-005"}),
        ((("diagnosis", "contains", "nasopharyn"),), {"P-001", "P-005"}),
        ((("diagnosis", "is", "鼻咽癌"), ("technique", "is", "pbs")), set()),
        ((("diagnosis", "is", "鼻咽癌"), ("technique", "is", "PBS")), {"P-005"}),
        ((("icd11", "begins", "2B6"), ("sex", "is", "M")), {"P-001"}),
        ((("source", "is", "inpatient"), ("ward", "is", "7A")), {"P-001"}),
        ((("physician", "is", "physician"),), {"P-001"}),
        ((("state", "is", "INTERRUPTED"),), {"P-002"}),
        ((("state", "is", "INTERRUPTED"), ("technique", "is", "IMPT")), set()),
        ((("state", "is", "HISTORY"), ("technique", "is", "IMPT")), {"P-002"}),
        ((("registered", "from", date.today().isoformat()), ("name", "is", "王伟")), {"P-002"}),
        ((("registered", "until", "2001-01-01"),), set()),
        ((("birth_date", "from", "1980-01-01"), ("birth_date", "until", "1985-01-01")), {"P-003"}),
        ((("name", "begins", "欧阳修"),), {"P-003"}),
        ((("name", "contains", "伟"), ("name", "is not", "王伟")), {"P-001", "P-005"}),
        ((("hospital_number", "empty", ""), ("sex", "is", "M")), {"P-002"}),
        ((("diagnosis", "contains", ""),), {"P-001", "P-002", "P-003", "P-005", "Q-1"}),
    ],
)
def test_every_feature_is_searched_by(
    session: Session, rows: tuple[tuple[str, str, str], ...], who: set[str]
) -> None:
    assert found(session, "", every(*rows)) == who


@pytest.mark.parametrize(
    ("rows", "who"),
    [
        ([("device", "is", "ROOM1")], {"P-001", "P-002"}),
        ([("visit", "is", "2026-03-09")], {"P-001", "P-002"}),
        ([("device", "is", "ROOM1"), ("visit", "from", "2026-03-03")], {"P-002"}),
        ([("device", "is", "ROOM1"), ("visit", "until", "2026-03-08"), ("sex", "is", "M")], {"P-001"}),
        ([("device", "is", "ROOM2"), ("technique", "is", "PBS")], set()),
    ],
)
def test_a_visit_is_searched_by_device_and_day(
    session: Session, monkeypatch: pytest.MonkeyPatch, rows: list[tuple[str, str, str]], who: set[str]
) -> None:
    assert found(session, "", every(*rows)) == who
    assert found(session, "伟", every(*rows)) == who, "with text of the box"
    monkeypatch.setattr(find, "FEW", 0)
    monkeypatch.setattr(visits, "MOST", 0)
    assert found(session, "", every(*rows)) == who, "along the list, as where many patients fit"


def test_rules_are_combined_and_nested(session: Session) -> None:
    group = {
        "match": "any",
        "rules": [
            *every(("patient_id", "is", "Q-1"))["rules"],
            every(("sex", "is", "M"), ("technique", "is", "IMPT"), ("state", "is", "ACTIVE")),
        ],
    }
    assert found(session, "", group) == {"Q-1", "P-001"}
    assert rules.written(rules.read(group)) == group
    assert found(session, "张", group) == {"P-001"}


@pytest.mark.parametrize(
    "bad",
    [
        {"match": "none", "rules": []},
        {"match": "all", "rules": "x"},
        {"match": "all", "rules": [7]},
        every(("password", "is", "x")),
        every(("sex", "contains", "F")),
        every(("sex", "is", "Q")),
        every(("registered", "from", "tomorrow")),
        every(("name", "is", "x" * 121)),
        every(("name", "is", "\x00")),
        {"match": "all", "rules": [{"match": "all", "rules": [every(("sex", "is", "F"))]}]},
        {"match": "all", "rules": [{"field": "sex", "op": "is", "value": "F"}] * 21},
    ],
)
def test_rules_that_cannot_be_meant_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="Rules"):
        rules.read(bad)


def test_a_date_that_does_not_exist_is_refused(session: Session) -> None:
    with pytest.raises(BadInput, match="calendar"):
        found(session, "", every(("registered", "from", "2026-02-30")))


@pytest.mark.parametrize("wanted", ["", "伟", "p-"])
def test_pages_follow_without_gap_or_repetition(session: Session, wanted: str) -> None:
    whole = [row.key for row in find.page(session, Query(wanted)).patients]
    walked: list[str] = []
    after = ""
    while True:
        page = find.page(session, Query(wanted), after, limit=1)
        walked += [row.key for row in page.patients]
        after = page.after
        if not after:
            break
    assert walked == whole
    assert len(set(walked)) == len(walked) > 2
    for damaged in ("x", "[]", '["a"]', "[1,2]", '{"a": 1}'):
        with pytest.raises(BadInput, match="search again"):
            find.page(session, Query(wanted), damaged)


def test_the_box_keeps_words_apart() -> None:
    assert wish.understand("19600229") == wish.Wish(("19600229",))
    assert wish.understand("zhang wei 男").pieces == ("zhangwei",)
    assert wish.understand("  ") == wish.Wish()


@pytest.mark.requirement("OIS-EMR")
def test_forms_are_found_by_any_two_characters(means: Context) -> None:
    with means.database.writing() as session:
        keys = {row.patient_id: row.key for row in session.query(Patient)}
        text.put(session, "form1", None, keys["P-001"], "plan-request", "靶区: 鼻咽肿瘤 T2N0M0, 热塑膜固定")
        text.put(session, "form2", None, keys["P-001"], "treatment-sheet", "Boost of the skull base 面罩热塑")
        text.put(session, "form3", None, keys["P-002"], "plan-request", "真空垫 vacuum bag")
        text.put(session, "form3", None, keys["P-002"], "plan-request", "发泡胶 foam")

    def hits(wanted: str) -> dict[str, set[str]]:
        with means.database.reading() as session:
            page = text.find(session, wanted)
            return {row.patient.patient_id: {form.subject_key for form in row.forms} for row in page.patients}

    assert hits("热塑") == {"P-001": {"form1", "form2"}}
    assert hits("热塑膜") == hits("膜") == hits("t2n0") == {"P-001": {"form1"}}
    assert hits("鼻咽 固定") == {"P-001": {"form1"}}
    assert hits("SKULL bas") == {"P-001": {"form2"}}
    assert hits("发泡") == {"P-002": {"form3"}}
    assert hits("vacuum") == hits("塑热") == hits('"') == hits("") == hits("NOT * (") == {}
    with means.database.reading() as session:
        (row,) = text.find(session, "热塑膜").patients
        assert ("热塑膜", True) in row.forms[0].snippet
        assert found(session, "", every(("form", "contains", "面罩"), ("sex", "is", "M"))) == {"P-001"}
    with means.database.writing() as session:
        text.put(session, "form3", None, keys["P-002"], "plan-request", "")
    assert hits("发泡") == {}


def test_marks_and_tokens() -> None:
    assert highlight.pieces("a<b> Bone bone", ["bone"]) == [
        ("a<b> ", False), ("Bone", True), (" ", False), ("bone", True),
    ]  # fmt: skip
    assert len(grams.of_text("热塑膜 T2").split()) == 4
    assert all(token.isascii() and token.isalnum() for token in grams.of_text("é 热🙂_ T2-N0").split())


def test_the_last_four_of_a_number_find_their_patients(tmp_path: Path) -> None:
    context = process.build(StateDir(tmp_path), site.load())
    try:
        for number, phone in enumerate(("13900005678", "13756781111", "0411-8888 5678", "13900005679")):
            entry = PatientEntry(f"李{'一二三四'[number]}", f"L-{number}", "1960-01-01", "M", phone=phone)
            registration.register(context, DESK, entry)

        def ids(text: str, limit: int = 50) -> list[str]:
            found: list[str] = []
            after = ""
            with context.database.reading() as session:
                while True:
                    page = find.page(session, find.Query(text), after, limit)
                    found += [row.patient_id for row in page.patients]
                    if not page.after:
                        return found
                    after = page.after

        assert sorted(ids("5678")) == ["L-0", "L-2"]
        assert sorted(ids("5678", limit=1)) == ["L-0", "L-2"]
        assert sorted(ids("李 5678")) == ["L-0", "L-2"]
        assert ids("1375") == ["L-1"], "a beginning is still one"
        assert ids("1111") == ["L-1"]
        with context.database.writing() as session:
            row = session.scalars(select(Patient).where(Patient.patient_id == "L-0")).one()
            before = parts.of(row)
            row.phone = ""
            parts.put(session, row, before)
        assert ids("5678") == ["L-2"]
    finally:
        context.close()
