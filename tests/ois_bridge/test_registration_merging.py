"""Two records of one person: merged with everything that hangs on them, and made two again."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from common.errors import BadInput, Refused, Unauthorised
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.course_states import CourseEvent
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.registration import CourseEntry, PatientEntry
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.archive import DicomSeries
from ois_bridge.models.audit import AuditRow
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.models.plans import Plan
from ois_bridge.models.queue import BiometricTemplate, Contact
from ois_bridge.models.treatment import FractionPart
from ois_bridge.services import access, alerts, courses, intake, merging, patients, registration
from ois_bridge.services.context import Context
from ois_bridge.services.queue import people
from ois_bridge.services.search import find
from tests.ois_bridge.record_case import CASE, DESK, DOCTOR, THERAPIST, Record, book, opened, treated

pytestmark = pytest.mark.requirement("OIS-REGISTER")


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    with opened(tmp_path) as context:
        yield treated(tmp_path, context)


def other(context: Context, number: str = "DUP-1", **changes: str) -> Patient:
    """The same person, registered once more in a hurry."""
    entry = PatientEntry(
        "张伟", number, CASE.patient.birth_date, "M", phone="13900001234", hospital_number="ZY77", **changes
    )
    return registration.register(context, DESK, entry, CourseEntry(diagnosis="PROSTATE"))


def whose(context: Context) -> dict[str, set[str]]:
    """Owner's key -> what is theirs, by table and key."""
    found: dict[str, set[str]] = {}
    with context.database.reading() as session:
        for course in session.scalars(select(Course)):
            found.setdefault(course.patient_key, set()).add(f"course {course.key}")
        for visit in session.scalars(select(Appointment)):
            found.setdefault(visit.patient_key or "", set()).add(f"appointment {visit.key}")
        for plan in session.scalars(select(Plan)):
            found.setdefault(plan.patient_key, set()).add(f"plan {plan.sop_uid}")
        for series in session.scalars(select(DicomSeries)):
            found.setdefault(series.patient_key or "", set()).add(f"series {series.series_uid}")
    return found


def test_everything_follows_and_goes_back(record: Record) -> None:
    context = record.context
    double = other(context)
    alerts.change(context, DESK, double.key, ["pacemaker"])
    book(record, 1, datetime.now(UTC) + timedelta(days=1), AppointmentState.BOOKED)
    now = datetime.now(UTC)
    with context.database.writing() as session:
        session.add(
            Contact(kind="patient", subject=double.key, wechat="w", changed=now, changed_by="receptionist")
        )
        session.add(
            BiometricTemplate(template="F1", patient_key=double.key, enrolled=now, enrolled_by="receptionist")
        )
    before = whose(context)
    kept = record.patient.key
    done = merging.merge(context, DESK, kept, double.key, "registered twice")
    after = whose(context)
    assert set(after) == {kept}
    assert after[kept] == before[kept] | before[double.key]
    with context.database.reading() as session:
        stays = session.get_one(Patient, kept)
        assert (stays.alerts, stays.phone, stays.hospital_number) == ("pacemaker", "13900001234", "ZY77")
        assert patients.must(patients.by_id(session, "DUP-1")).key == kept
        assert people.find(session, "DUP-1", context.desk.barcodes, now.date()).key == kept
        assert [row.key for row in find.page(session, find.Query()).patients] == [kept]
        assert [row.key for row in find.page(session, find.Query("13900001234")).patients] == [kept]
        assert session.get_one(Contact, ("patient", kept)).wechat == "w"
        assert session.get_one(BiometricTemplate, "F1").patient_key == kept
        said = session.scalars(select(AuditRow).where(AuditRow.action == Action.MERGE_PATIENTS.value)).all()
        assert [row.outcome for row in said] == ["done"]
        moved = next(row for row in stays.courses if row.key != record.course.key)
    with pytest.raises(Refused, match="merged before"):
        merging.merge(context, DESK, double.key, kept, "again")
    later = courses.add(context, DOCTOR, "DUP-1", "C9", "new")
    with context.database.writing() as session:
        row = Appointment(
            patient_key=kept, course_key=moved.key, device="ROOM1", kind="review", start=now, minutes=10,
            state=AppointmentState.BOOKED, created=now, created_by="test",
        )  # fmt: skip
        session.add(row)
    merging.undo(context, DESK, done.key)
    apart = whose(context)
    assert apart[kept] == before[kept] | {f"course {later.key}"}
    assert apart[double.key] == before[double.key] | {f"appointment {row.key}"}, "it goes with its course"
    with context.database.reading() as session:
        one, two = session.get_one(Patient, kept), session.get_one(Patient, double.key)
        assert (one.alerts, one.phone, two.phone, two.hospital_number) == ("", "", "13900001234", "ZY77")
        assert patients.must(patients.by_id(session, "DUP-1")).key == double.key
        assert session.get_one(Contact, ("patient", double.key)).wechat == "w"
        assert [row.key for row in find.page(session, find.Query("13900001234")).patients] == [double.key]
    with pytest.raises(Refused, match="undone before"):
        merging.undo(context, DESK, done.key)


def test_refusals(record: Record) -> None:
    context, kept = record.context, record.patient.key
    double = other(context)
    woman = registration.register(context, DESK, PatientEntry("张薇", "DUP-2", "1990-01-01", "F"))
    with pytest.raises(Refused, match="is under treatment by a plan"):
        merging.merge(context, DESK, double.key, kept, "twice")
    with pytest.raises(Refused, match="compare the persons"):
        merging.merge(context, DESK, kept, woman.key, "twice")
    with pytest.raises(BadInput):
        merging.merge(context, DESK, kept, double.key, " ")
    with pytest.raises(Refused, match="one and the same"):
        merging.merge(context, DESK, kept, kept, "twice")
    with pytest.raises(Unauthorised):
        merging.merge(context, THERAPIST, kept, double.key, "twice")
    access.restrict(context, DOCTOR, double.key, "a colleague")
    with pytest.raises(access.RecordClosed):
        merging.merge(context, DESK, kept, double.key, "twice")
    merging.merge(context, DOCTOR, kept, double.key, "twice")
    with context.database.reading() as session, pytest.raises(access.RecordClosed):
        access.check(session, DESK, kept, context)


def test_records_of_the_other_number_find_their_patient(record: Record) -> None:
    """The plan's record is the one that goes: its files keep stating its own number."""
    context = record.context
    courses.act(context, DOCTOR, record.course.key, CourseEvent.END, "moved to the other record")
    stays = other(context)
    merging.merge(context, DOCTOR, stays.key, record.patient.key, "twice")
    intake.store(context, CASE.record(2, whole=False), "PTCS_TCS")
    with context.database.reading() as session:
        parts = session.scalars(select(FractionPart).order_by(FractionPart.part)).all()
        assert [(part.part, part.flag) for part in parts] == [(1, ""), (2, "")]
        assert {row.patient_key for row in session.scalars(select(DicomSeries))} == {stays.key}
