"""The time line (ours, ARIA's, MOSAIQ's), charging, and the export: the services on a real database file."""

import io
import json
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml
from openpyxl import load_workbook
from pydicom import dcmread
from sqlalchemy import select

from common.errors import BadConfig, BadInput, Refused, Tampered, Unauthorised
from common.text import set_language
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.plan_line import Mark
from ois_bridge.interfaces import record_links
from ois_bridge.interfaces.other_ois import sqlite_file
from ois_bridge.models.audit import AuditRow
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.models.forms import FormRecord
from ois_bridge.services import charging, courses, intake, overview, plan_line, summaries
from ois_bridge.services.export import choice, package
from ois_bridge.services.forms import printing
from simulation.hospital import other_ois
from simulation.hospital.charging import ChargingService
from tests.ois_bridge.record_case import CASE, DESK, DOCTOR, THERAPIST, Record, book, opened, treated

START = datetime(2026, 3, 2, 9, 30)


@pytest.fixture
def record(tmp_path: Path, place: Callable[[Path], None]) -> Iterator[Record]:
    """A treated patient whom ARIA and MOSAIQ know too; a third system is gone."""
    set_language("en")
    place(tmp_path)
    (tmp_path / "ois").mkdir(exist_ok=True)
    other_ois.write_aria(tmp_path / "aria.db", ["OTHER", "R-1"], START)
    other_ois.write_mosaiq(tmp_path / "mosaiq.db", ["R-1"], START, 4)
    links = [
        {"name": "ARIA", "kind": "aria", "path": str(tmp_path / "aria.db")},
        {"name": "MOSAIQ", "kind": "mosaiq", "path": str(tmp_path / "mosaiq.db")},
        {"name": "Gone", "kind": "aria", "path": str(tmp_path / "gone.db")},
    ]
    (tmp_path / "ois/links.yaml").write_text(yaml.safe_dump({"other_ois": links}))
    with opened(tmp_path) as context:
        yield treated(tmp_path, context)


@pytest.mark.requirement("OIS-TIMELINE")
def test_time_line_shows_bookings_records_and_other_systems(record: Record) -> None:
    context = record.context
    now = context.now()
    book(record, 2, now + timedelta(days=1), AppointmentState.BOOKED)
    book(record, 3, now + timedelta(days=2), AppointmentState.CANCELLED)
    book(record, 3, now - timedelta(days=2), AppointmentState.MISSED)
    with context.database.reading() as session:
        line = plan_line.of_patient(context, session, DOCTOR, session.get_one(Patient, record.patient.key))
    own, aria, mosaiq = line.lanes
    assert line.silent == ("Gone",)
    first, second, third = own.beats
    assert (first.mark, first.interruptions, first.by) == (Mark.PARTIAL, 1, "therapist, Li^Ming")
    assert first.delivered_mu == pytest.approx(7.0)
    assert first.planned_mu == pytest.approx(18.0)
    assert (second.mark, second.device) == (Mark.PLANNED, "ROOM1")
    assert third.mark is Mark.MISSED
    assert (aria.source, aria.title, aria.treated, len(aria.beats)) == ("ARIA", "C1 · PhotonPelvis", 25, 25)
    assert aria.beats[0].delivered_mu == 190.0, "fields of a fraction are summed up"
    assert aria.beats[0].planned == START.astimezone()
    assert (mosaiq.prescribed, mosaiq.treated) == ("3 Gy × 4", 2)
    assert line.drawing is not None
    points = line.drawing.points
    assert len(points) == len({point.anchor for point in points}) == 1 + 2 + 50 + 6
    assert all(0 < point.x < 1000 for point in points)


@pytest.mark.requirement("OIS-TIMELINE")
def test_other_systems_are_never_written(record: Record) -> None:
    connection = sqlite_file(record.root / "aria.db")()
    with closing(connection), pytest.raises(sqlite3.OperationalError):
        connection.execute("DELETE FROM Patient")
    with closing(sqlite3.connect(record.root / "aria.db")) as database, database:
        database.execute("UPDATE TreatmentHistory SET TreatmentStartTime = 'yesterday'")
    with record.context.database.reading() as session:
        line = plan_line.of_patient(
            record.context, session, DOCTOR, session.get_one(Patient, record.patient.key)
        )
    assert line.silent == ("ARIA", "Gone"), "odd data are told, not guessed"
    (record.root / "ois/links.yaml").write_text("other_ois: [{name: X, kind: varian, path: x}]")
    with pytest.raises(BadConfig, match="line 1"):
        record_links.build(record.root / "ois")


@pytest.mark.requirement("OIS-EMR")
def test_charging_is_asked_and_unknown_stays_unknown(tmp_path: Path) -> None:
    set_language("en")
    (tmp_path / "ois").mkdir()
    with ChargingService({"R-1": ("paid", "receipt 7")}) as service:
        (tmp_path / "ois/links.yaml").write_text(
            yaml.safe_dump({"other_ois": [], "charging": {"url": service.url}})
        )
        with opened(tmp_path) as context:
            record = treated(tmp_path, context)
            answer = charging.ask(context, DOCTOR, record.course.key)
            assert (answer.state, answer.detail) == ("paid", "receipt 7")
    with opened(tmp_path) as context:
        answer = charging.ask(context, DOCTOR, record.course.key)
        assert (answer.state, answer.detail) == ("unknown", "The charging system does not answer.")
        with context.database.reading() as session:
            assert session.get_one(Course, record.course.key).charging == "unknown"
    (tmp_path / "ois/links.yaml").write_text("other_ois: []")
    with opened(tmp_path) as context, pytest.raises(Refused, match="No charging system"):
        charging.ask(context, DOCTOR, record.course.key)


def exported(record: Record, caller: object, wish: choice.Choice) -> bytes:
    made = package.make(record.context, caller, record.patient.key, wish)  # type: ignore[arg-type]
    content = b"".join(made.chunks())
    assert len(content) == made.size
    assert made.content.closed
    return content


@pytest.mark.requirement("OIS-EXPORT")
def test_package_holds_what_was_chosen(record: Record) -> None:
    book(record, 2, record.context.now() + timedelta(days=1), AppointmentState.BOOKED)
    courses.diagnose(record.context, DOCTOR, record.course.key, "", "=HYPERLINK(1)", None)
    with record.context.database.reading() as session:
        series = {
            line.series.modality: line.series.series_uid
            for line in overview.series_of(session, record.patient.key)
        }
    wish = choice.checked("zip", "zh", ["schedule", "plans", "images", "forms"], [series["CT"]])
    with zipfile.ZipFile(io.BytesIO(exported(record, DOCTOR, wish))) as found:
        names = found.namelist()
        slices = [name for name in names if name.startswith("dicom/001-CT/")]
        assert len(slices) == len(CASE.ct())
        assert dcmread(io.BytesIO(found.read(slices[0]))).PatientID == "R-1"
        assert f"plans/{CASE.uid('plan')}.dcm" in names
        assert "1 号治疗室" in found.read("schedule.csv").decode("utf-8-sig")
        assert found.read("record-zh.pdf").startswith(b"%PDF")
        book_ = load_workbook(io.BytesIO(found.read("record.xlsx")))
        assert "分次" in book_.sheetnames
        cells = [cell for row in book_["疗程"].iter_rows(min_row=2) for cell in row]
        assert [cell.data_type for cell in cells if cell.value == "=HYPERLINK(1)"] == ["s"]
    with record.context.database.reading() as session:
        row = session.scalars(select(AuditRow).where(AuditRow.action == "export records")).one()
    assert (row.user, row.outcome, row.detail) == ("physician", "done", "zip: 4 parts, 1 series")


@pytest.mark.requirement("OIS-EXPORT")
def test_export_is_limited_to_what_one_may_see(record: Record) -> None:
    with record.context.database.reading() as session:
        uid = overview.series_of(session, record.patient.key)[0].series.series_uid
    sheets = load_workbook(
        io.BytesIO(exported(record, DESK, choice.checked("xlsx", "en", [], [])))
    ).sheetnames
    assert "Courses" in sheets
    assert not {"Fractions", "Prescriptions", "Plans", "Objects", "Reviews"} & set(sheets)
    sheets = load_workbook(
        io.BytesIO(exported(record, THERAPIST, choice.checked("xlsx", "en", [], [])))
    ).sheetnames
    assert {"Fractions", "Prescriptions", "Plans", "Objects"} <= set(sheets)
    with pytest.raises(Refused, match="not this patient's"):
        exported(record, DESK, choice.checked("zip", "en", ["images"], [uid]))
    with pytest.raises(Unauthorised):
        exported(
            record, type(DESK)("admin", frozenset({"administrator"})), choice.checked("pdf", "en", [], [])
        )
    for name, language, part in (("doc", "en", "forms"), ("pdf", "fr", "forms"), ("zip", "en", "all")):
        with pytest.raises(BadInput):
            choice.checked(name, language, [part], [])


@pytest.mark.requirement("OIS-EXPORT")
def test_altered_object_stops_the_export_before_its_first_byte(record: Record) -> None:
    with record.context.database.reading() as session:
        line = next(
            one for one in overview.series_of(session, record.patient.key) if one.series.modality == "CT"
        )
        path = record.root / "ois/dicom" / line.series.instances[-1].path
    path.write_bytes(path.read_bytes() + b" ")
    wish = choice.checked("zip", "en", ["images"], [line.series.series_uid])
    with pytest.raises(Tampered):
        exported(record, DOCTOR, wish)
    with record.context.database.reading() as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.action == "export records")).all()
    assert [row.outcome for row in rows] == ["refused"]


@pytest.mark.requirement("OIS-EXPORT")
def test_forms_of_a_record_are_exported_as_they_are(record: Record) -> None:
    draft = summaries.open_draft(record.context, DOCTOR, record.course.key)
    wish = choice.checked("zip", "en", ["forms"], [])
    with zipfile.ZipFile(io.BytesIO(exported(record, DOCTOR, wish))) as found:
        said = json.loads(found.read(f"forms/course-summary-{draft.key}.json"))
        assert said["content"]["facts"]["course"]["name"] == "C1"
        assert f"forms/course-summary-{draft.key}.pdf" in found.namelist()
    with record.context.database.writing() as session:
        # filled as a form, by another system: it holds no facts
        session.get_one(FormRecord, draft.key).content = {"treatment": "as planned"}
    assert summaries.pdf(record.context, DOCTOR, draft.key, "zh").startswith(b"%PDF")
    assert printing.pdf(record.context, DOCTOR, draft.key, "zh").startswith(b"%PDF")
    intake.store(record.context, CASE.record(2, whole=False), "PTCS_TCS")
    with record.context.database.reading() as session:
        line = plan_line.of_patient(
            record.context, session, DOCTOR, session.get_one(Patient, record.patient.key)
        )
    assert line.lanes[0].beats[0].mark is Mark.INTERRUPTED, "live from the records"
