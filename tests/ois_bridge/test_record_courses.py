"""Diagnosis, stage, course actions, reviews, follow-up, summary: the services on a real database file."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from common import authority
from common.errors import BadInput, Refused, Unauthorised
from common.text import set_language
from common.yaml_file import CONFIG, load_checked
from ois_bridge.domain import staging
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.course_states import CourseEvent, CourseState
from ois_bridge.domain.form_states import FormState
from ois_bridge.domain.task_states import TaskState
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.audit import AuditRow
from ois_bridge.models.clinical import Patient
from ois_bridge.models.record import CourseStage, Diagnosis, FollowUp
from ois_bridge.models.registration import PatientChange
from ois_bridge.models.search import SearchText
from ois_bridge.models.workflow import ProcessRecord, Task
from ois_bridge.services import alerts, courses, diagnoses, follow_up, reviews, summaries
from ois_bridge.services.courses import StageChoice
from ois_bridge.services.forms import signing
from ois_bridge.services.reviews import Written
from tests.ois_bridge.record_case import (
    DESK,
    DOCTOR,
    PHYSICIST,
    THERAPIST,
    Record,
    book,
    opened,
    treated,
)


@pytest.fixture
def record(tmp_path: Path, place: Callable[[Path], None]) -> Iterator[Record]:
    set_language("en")
    place(tmp_path)
    with opened(tmp_path) as context:
        yield treated(tmp_path, context)


@pytest.mark.requirement("OIS-DIAGNOSIS")
@pytest.mark.parametrize(
    ("table", "choice", "text"),
    [
        ("lung-tnm8", "T1mi N0 M0", "T1mi N0 M0 · IA1"),
        ("lung-tnm8", "T2b N1 M0", "T2b N1 M0 · IIB"),
        ("lung-tnm8", "T4 N2 M0", "T4 N2 M0 · IIIB"),
        ("lung-tnm8", "T4 N3 M0", "T4 N3 M0 · IIIC"),
        ("lung-tnm8", "TX NX M1c", "TX NX M1c · IVB"),
        ("lung-tnm8", "TX N0 M0", "TX N0 M0"),
        ("npc-tnm8", "T2 N1 M0", "T2 N1 M0 · II"),
        ("npc-tnm8", "T1 N3 M0", "T1 N3 M0 · IVA"),
        ("hcc-tnm8", "T4 N0 M0", "T4 N0 M0 · IIIB"),
        ("colorectum-tnm8", "T4a N2a M0", "T4a N2a M0 · IIIC"),
        ("colorectum-tnm8", "T1 N2b M0", "T1 N2b M0 · IIIB"),
        ("cervix-figo2018", "IIIC1", "IIIC1"),
    ],
)
def test_stage_groups(table: str, choice: str, text: str) -> None:
    tables = staging.parse(load_checked(CONFIG / "department/staging.yaml", "staging")["tables"])
    chosen = dict(zip([axis.name for axis in tables[table].axes], choice.split(), strict=True))
    assert staging.staged(tables[table], chosen).text == text
    with pytest.raises(BadInput, match="not 0815"):
        staging.staged(tables[table], chosen, "0815")
    with pytest.raises(BadInput, match="choose one of"):
        staging.staged(tables[table], {**chosen, tables[table].axes[0].name: "T99"})


@pytest.mark.requirement("OIS-DIAGNOSIS")
def test_every_lung_combination_without_unknowns_has_one_group() -> None:
    tables = staging.parse(load_checked(CONFIG / "department/staging.yaml", "staging")["tables"])
    for name in ("lung-tnm8", "npc-tnm8", "hcc-tnm8", "colorectum-tnm8"):
        table = tables[name]
        first, second, third = table.axes
        for t in first.values:
            for n in second.values:
                for m in third.values:
                    chosen = {first.name: t, second.name: n, third.name: m}
                    group = staging.staged(table, chosen).group
                    known = t not in ("TX", "T0", "Tis", "T1mi") and n != "NX"
                    assert group or not known, (name, t, n, m)


@pytest.mark.requirement("OIS-DIAGNOSIS")
def test_diagnosis_is_found_linked_and_staged(record: Record) -> None:
    context, key = record.context, record.course.key
    with context.database.reading() as session:
        for wanted in ("鼻咽", "biyan", "bya", "C11", "2b6b", "nasoph"):
            assert [row.code for row in diagnoses.search(session, wanted)] == ["NPC"], wanted
        assert diagnoses.search(session, "%") == []
        assert [row.code for row in diagnoses.search(session, "b\x00ya")] == ["NPC"]
    assert diagnoses.icd10_name("C11") == "Malignant neoplasm of nasopharynx"
    stage = StageChoice("npc-tnm8", {"T": "T3", "N": "N1", "M": "M0"})
    course = courses.diagnose(context, DOCTOR, key, "NPC", "", stage)
    assert (course.diagnosis_text, course.icd11, course.icd10) == ("Nasopharyngeal carcinoma", "2B6B", "C11")
    assert course.stage == "T3 N1 M0 · III"
    courses.diagnose(
        context, DOCTOR, key, "NPC", "", StageChoice("npc-tnm8", {"T": "T4", "N": "N1", "M": "M0"})
    )
    with context.database.reading() as session:
        assert [row.group for row in courses.stages(session, key)] == ["IVA", "III"]
    with pytest.raises(BadInput, match="not in the table"):
        courses.diagnose(context, DOCTOR, key, "C99", "", None)
    with pytest.raises(BadInput, match="choose one of"):
        courses.diagnose(context, DOCTOR, key, "LUNG", "", StageChoice("npc-tnm8", {"T": "T9"}))
    with pytest.raises(Unauthorised):
        courses.diagnose(context, PHYSICIST, key, "LUNG", "", None)
    with context.database.reading() as session:
        assert len(session.scalars(select(CourseStage)).all()) == 2, "a refusal changes nothing"


@pytest.mark.requirement("OIS-DIAGNOSIS")
def test_hospital_table_is_taken_in_whole_or_not_at_all(record: Record) -> None:
    context = record.context
    table = "code,name,name_en,icd11,icd10\nH1,胰头癌,,2C10,C25.0\nNPC,鼻咽恶性肿瘤,NPC,2B6B.0,C11.9\n"
    assert diagnoses.import_table(context, DOCTOR, table.encode("gb18030")) == 2
    with context.database.reading() as session:
        found = session.get_one(Diagnosis, "H1")
        assert (found.pinyin, found.initials, found.source) == ("yitouai", "yta", "hospital")
        assert session.get_one(Diagnosis, "NPC").icd11 == "2B6B.0"
        before = len(session.scalars(select(Diagnosis)).all())
    for bad, why in [
        ("code,name\nA1,x\nB 2,y\n", "Line 3"),
        ("a,b\n1,2\n", "heading"),
        ("code,name\n", "no line"),
    ]:
        with pytest.raises(BadInput, match=why):
            diagnoses.import_table(context, DOCTOR, bad.encode())
    with pytest.raises(BadInput, match="no text file"):
        diagnoses.import_table(context, DOCTOR, b"PK\x03\x04\x00\xff\xff")
    with context.database.reading() as session:
        assert len(session.scalars(select(Diagnosis)).all()) == before


@pytest.mark.requirement("OIS-COURSE")
def test_course_actions_and_what_follows_from_them(record: Record) -> None:
    context, key = record.context, record.course.key
    now = context.now()
    coming = book(record, 2, now + timedelta(days=1), AppointmentState.BOOKED)
    past = book(record, 1, now - timedelta(days=1), AppointmentState.DONE)
    here = book(record, 3, now + timedelta(minutes=1), AppointmentState.CALLED)
    late = book(record, 3, now - timedelta(minutes=30), AppointmentState.SIGNED_IN)

    def states() -> list[AppointmentState]:
        with context.database.reading() as session:
            return [session.get_one(Appointment, one).state for one in (coming, past, here, late)]

    with pytest.raises(Unauthorised):
        courses.act(context, THERAPIST, key, CourseEvent.INTERRUPT, "x")
    with pytest.raises(Refused, match="reason"):
        courses.act(context, DOCTOR, key, CourseEvent.INTERRUPT, " ")
    with pytest.raises(BadInput, match="cannot be read"):
        courses.act(context, DOCTOR, key, CourseEvent.INTERRUPT, "a\x00b")
    assert states()[0] is AppointmentState.BOOKED
    done = courses.act(context, DOCTOR, key, CourseEvent.INTERRUPT, "fever")
    assert (done.appointments, done.tasks) == (2, 0)
    assert states() == [
        AppointmentState.CANCELLED,
        AppointmentState.DONE,
        AppointmentState.CALLED,
        AppointmentState.CANCELLED,
    ]
    with context.database.reading() as session, pytest.raises(Refused, match="interrupted"):
        courses.must_be_active(session, key)
    with pytest.raises(Refused, match="What can be done: resume, cancel, end"):
        courses.act(context, DOCTOR, key, CourseEvent.REOPEN, "x")
    courses.act(context, DOCTOR, key, CourseEvent.RESUME, "well again")
    done = courses.act(context, DOCTOR, key, CourseEvent.END, "moved away")
    assert done.tasks == 1
    with context.database.reading() as session:
        assert [task.state for task in session.scalars(select(Task))] == [TaskState.CANCELLED]
        assert session.scalars(select(ProcessRecord)).one().ended is not None
    courses.act(context, DOCTOR, key, CourseEvent.REOPEN, "by mistake")
    courses.act(context, DOCTOR, key, CourseEvent.CANCEL, "refuses")
    course = courses.act(context, DOCTOR, key, CourseEvent.TO_HISTORY, "file").course
    assert course.state is CourseState.HISTORY
    with context.database.reading() as session:
        taken = [one.event for one in courses.steps(session, key)]
        refused = session.scalars(select(AuditRow).where(AuditRow.outcome == "refused")).all()
    assert [one.name for one in taken] == ["INTERRUPT", "RESUME", "END", "REOPEN", "CANCEL", "TO_HISTORY"]
    assert len([row for row in refused if row.action == "change the state of courses"]) == 4


@pytest.mark.requirement("OIS-EMR")
def test_alerts_follow_the_patient(record: Record) -> None:
    context, key = record.context, record.patient.key
    alerts.change(context, DESK, key, ["fall", "pacemaker"])
    patient = alerts.change(context, DOCTOR, key, ["allergy", "pacemaker"])
    assert [alert.text for alert in alerts.of(patient)] == ["Pacemaker or implant", "Allergy"]
    with pytest.raises(BadInput, match="Unknown alert"):
        alerts.change(context, DOCTOR, key, ["dragon"])
    with pytest.raises(Unauthorised):
        alerts.change(context, THERAPIST, key, [])
    with context.database.reading() as session:
        assert session.get_one(Patient, key).alerts == "pacemaker allergy"
        changes = session.scalars(select(PatientChange).where(PatientChange.field == "alerts")).all()
        assert {(one.old, one.new) for one in changes} == {
            ("", "pacemaker fall"),
            ("pacemaker fall", "pacemaker allergy"),
        }


@pytest.mark.requirement("OIS-IMAGEREVIEW")
def test_weekly_review_is_signed_and_overdue_ones_are_found(record: Record) -> None:
    context, key = record.context, record.course.key
    with context.database.reading() as session:
        (first,) = reviews.under_treatment(session, 7)
        assert (first.course.key, first.last, first.due) == (key, None, first.first_beam + timedelta(days=7))
        assert reviews.overdue(session, first.due) == []
        assert [one.course.key for one in reviews.overdue(session, first.due + timedelta(seconds=1))] == [key]
    written = Written("62.5", [("Fatigue", "1"), ("", "3")], "eats well")
    row = reviews.write(context, DOCTOR, key, written, record.password)
    said = authority.read_statement(context.signing_key.public_key(), row.signature)
    assert (said["purpose"], said["hash"], said["user"]) == (
        "physician-review",
        reviews.digest(row),
        "physician",
    )
    with context.database.reading() as session:
        kept = reviews.of_course(session, key)[0]
        assert kept.toxicities == [{"term": "Fatigue", "grade": 1}]
        assert reviews.digest(kept) == said["hash"], "what was read back is what was signed"
        assert reviews.overdue(session, kept.time + timedelta(days=7)) == []
    for bad in (Written("0", [], ""), Written("x", [], ""), Written("", [("Fatigue", "6")], "")):
        with pytest.raises(BadInput):
            reviews.write(context, DOCTOR, key, bad, record.password)
    with pytest.raises(Unauthorised):
        reviews.write(context, DOCTOR, key, written, "wrong")
    courses.act(context, DOCTOR, key, CourseEvent.INTERRUPT, "fever")
    with pytest.raises(Refused, match="interrupted"):
        reviews.write(context, DOCTOR, key, written, record.password)
    with context.database.reading() as session:
        assert len(reviews.of_course(session, key)) == 1
        assert reviews.under_treatment(session, 7) == []


@pytest.mark.requirement("OIS-FOLLOWUP")
def test_studies_and_follow_up(record: Record) -> None:
    context, key = record.context, record.course.key
    study = follow_up.add_study(context, DOCTOR, "PROTON-1", "adults")
    with pytest.raises(Refused, match="of this name"):
        follow_up.add_study(context, DOCTOR, "PROTON-1", "")
    follow_up.enrol(context, DOCTOR, study.key, key)
    with pytest.raises(Refused, match="already"):
        follow_up.enrol(context, DOCTOR, study.key, key)
    follow_up.open_study(context, DOCTOR, study.key, False)
    with pytest.raises(Refused, match="closed"):
        follow_up.enrol(context, DOCTOR, study.key, key)
    rows = follow_up.plan(context, DOCTOR, key, date(2026, 1, 31), [1, 3, 12])
    assert [row.due for row in rows] == [date(2026, 2, 28), date(2026, 4, 30), date(2027, 1, 31)]
    assert follow_up.plan(context, DOCTOR, key, date(2026, 1, 31), [3, 6])[0].months == 6
    with pytest.raises(BadInput):
        follow_up.plan(context, DOCTOR, key, date(2026, 1, 31), [0])
    with context.database.reading() as session:
        assert [row.months for row in follow_up.overdue(session, date(2026, 5, 1))] == [1, 3]
        assert [row.months for row in follow_up.coming(session, date(2026, 5, 1))] == [6, 12]
    follow_up.enter(context, DOCTOR, rows[0].key, "STABLE", "well")
    with pytest.raises(Refused, match="before"):
        follow_up.enter(context, DOCTOR, rows[0].key, "STABLE", "again")
    with pytest.raises(BadInput, match="one of"):
        follow_up.enter(context, DOCTOR, rows[1].key, "CURED", "")
    follow_up.enter(context, DOCTOR, rows[1].key, "DEAD", "")
    with context.database.reading() as session:
        left = session.scalars(select(FollowUp).order_by(FollowUp.due)).all()
        assert [row.outcome for row in left] == ["STABLE", "DEAD"], "nobody is asked to come who has died"


@pytest.mark.requirement("OIS-COURSE")
def test_summary_is_made_from_the_record_and_signed(record: Record) -> None:
    context, key = record.context, record.course.key
    reviews.write(context, DOCTOR, key, Written("", [("Fatigue", "2")], ""), record.password)
    draft = summaries.open_draft(context, DOCTOR, key)
    assert summaries.open_draft(context, DOCTOR, key).key == draft.key
    (plan,) = draft.content["facts"]["plans"]  # type: ignore[index]
    assert (plan["planned_gy"], plan["treated"]) == (6.0, 1)
    assert plan["delivered_gy"] == pytest.approx(7 / 18 * 2, abs=1e-3)
    assert plan["beats"][0]["interruptions"] == 1
    assert draft.content["toxicities"] == "Fatigue G2"
    saved = summaries.save(context, DOCTOR, draft.key, 1, {"treatment": "half"})
    with pytest.raises(Refused, match="meanwhile"):
        summaries.save(context, DOCTOR, draft.key, 1, {"treatment": "other"})
    with pytest.raises(Unauthorised):
        summaries.sign(context, DOCTOR, draft.key, saved.revision, {"treatment": "x"}, "wrong")
    signed = summaries.sign(
        context, DOCTOR, draft.key, saved.revision, {"treatment": "half"}, record.password
    )
    assert signing.verify(context, signed).user == "physician"
    with context.database.reading() as session:
        assert [row.kind for row in session.scalars(select(SearchText))] == ["course-summary"]
    with pytest.raises(Refused, match="signed"):
        summaries.save(context, DOCTOR, draft.key, signed.revision, {})
    for language in ("en", "zh"):
        assert summaries.pdf(context, DOCTOR, draft.key, language).startswith(b"%PDF")
    with pytest.raises(Unauthorised):
        summaries.pdf(context, DESK, draft.key, "en")
    with pytest.raises(Refused, match="reason"):
        summaries.withdraw(context, DOCTOR, draft.key, "")
    summaries.withdraw(context, DOCTOR, draft.key, "wrong dose")
    with context.database.reading() as session:
        assert summaries.of_course(session, key) is None
    assert summaries.open_draft(context, DOCTOR, key).state is FormState.DRAFT
