"""Processes and visits go on by what happens: a registration, a booking, a treatment record, a review."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from common.errors import BadInput
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.registration import CourseEntry, PatientEntry
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Course
from ois_bridge.models.workflow import ProcessRecord, Task
from ois_bridge.services import deliveries, intake, registration, reviews
from ois_bridge.services.context import Context
from ois_bridge.services.reviews import Written
from ois_bridge.services.workflow import designs
from tests.ois_bridge.ois_case import START_NS
from tests.ois_bridge.record_case import CASE, DESK, DOCTOR, Record, book, opened, treated
from tests.ois_bridge.workflow_steps import ADMIN, SECRET, do, open_tasks, staff, up_to

pytestmark = pytest.mark.requirement("OIS-WORKFLOW")
BEAM = datetime.fromtimestamp(START_NS / 1e9, UTC)


@pytest.fixture
def means(tmp_path: Path) -> Iterator[Context]:
    with opened(tmp_path) as context:
        yield context


@pytest.fixture
def record(tmp_path: Path, means: Context) -> Record:
    """A course with a plan of three fractions, the first half delivered; two visits booked."""
    made = treated(tmp_path, means)
    staff(means)
    return made


def visit(context: Context, key: str) -> tuple[AppointmentState, str]:
    """State of a visit, and what it gives."""
    with context.database.reading() as session:
        row = session.get_one(Appointment, key)
        named = deliveries.named(session, [row])[key]
        return row.state, f"{named.label} {named.number}/{named.total} {named.state}"


def test_registration_begins_the_process(means: Context) -> None:
    entry = PatientEntry("王芳", "LIVE-1", "1960-01-01", "F")
    patient = registration.register(means, DESK, entry, CourseEntry(diagnosis="PROSTATE"))
    with means.database.reading() as session:
        course = session.scalars(select(Course).where(Course.patient_key == patient.key)).one()
        task = session.scalars(select(Task).where(Task.course_key == course.key)).one()
        begun = session.scalars(select(ProcessRecord)).one()
    assert (task.name, task.role, begun.created_by) == ("consultation", "physician", "receptionist")
    assert course.diagnosis != course.diagnosis_en != ""


def test_start_asks_the_kind_of_treatment(means: Context) -> None:
    with means.database.reading() as session:
        drawing = designs.active(session, "proton-course").drawing
    named = drawing.replace('ptcs:begins="course"', 'ptcs:begins="course" ptcs:when="{}"')
    with pytest.raises(BadInput, match="may ask for diagnosis, physician, source, technique"):
        designs.publish(means, ADMIN, "proton-course", named.format("age > 3"), "")
    with pytest.raises(BadInput, match="begins by hand"):
        designs.publish(means, ADMIN, "proton-course", drawing.replace('begins="course"', 'begins="x"'), "")
    with pytest.raises(BadInput, match="only what is done"):
        designs.publish(means, ADMIN, "proton-course", drawing.replace('doneOn="booked"', 'doneOn="x"'), "")
    asks = named.format("technique == 'IMPT' and source == 'inpatient'")
    designs.publish(means, ADMIN, "proton-course", asks, "inpatients")
    for number, source in enumerate(("outpatient", "inpatient")):
        entry = CourseEntry(technique="IMPT", source=source)
        person = PatientEntry(f"王芳{number}", f"LIVE-K{number}", "1960-01-01", "F")
        registration.register(means, DESK, person, entry)
        with means.database.reading() as session:
            assert len(session.scalars(select(ProcessRecord)).all()) == number


def visits(record: Record) -> tuple[str, str]:
    """Visits of the day of the record and of the next day."""
    return (
        book(record, 1, BEAM + timedelta(minutes=5), AppointmentState.CALLED),
        book(record, 2, BEAM + timedelta(days=1), AppointmentState.BOOKED),
    )


def test_the_record_moves_visit_and_process(means: Context, record: Record) -> None:
    key = record.course.key
    first, later = visits(record)
    up_to(means, key, "scheduling")
    do(means, key, "scheduling")
    assert set(open_tasks(means, key)) == {"treatment", "weekly-review"}
    assert visit(means, first) == (AppointmentState.CALLED, "Prostate 1/3 PARTIAL")
    intake.store(means, CASE.record(2, whole=False), "PTCS_TCS")
    assert visit(means, first) == (AppointmentState.DONE, "Prostate 1/3 DELIVERED")
    assert visit(means, later) == (AppointmentState.BOOKED, "Prostate 2/3 PLANNED")
    day = 86_400_000_000_000
    shifted = CASE.record(
        1, whole=False, fraction=2, start_ns=START_NS + day, end_ns=START_NS + day + 40_000_000_000
    )
    intake.store(means, shifted, "PTCS_TCS")
    assert visit(means, later) == (AppointmentState.IN_ROOM, "Prostate 2/3 PARTIAL")
    intake.store(
        means,
        CASE.record(2, whole=False, fraction=2, start_ns=START_NS + 2 * day, end_ns=START_NS + 2 * day + 1),
        "PTCS_TCS",
    )
    assert visit(means, later) == (AppointmentState.DONE, "Prostate 2/3 PARTIAL"), "the rest came later"
    assert set(open_tasks(means, key)) == {"treatment", "weekly-review"}
    intake.store(means, CASE.record(fraction=3), "PTCS_TCS")
    assert set(open_tasks(means, key)) == {"course-summary"}
    with means.database.reading() as session:
        done = session.scalars(select(Task).where(Task.course_key == key, Task.name == "treatment")).one()
    assert (done.done_by, done.outcome) == ("therapist", "done")


def test_a_signed_review_ends_the_weekly_task_and_begins_the_next(means: Context, record: Record) -> None:
    key = record.course.key
    up_to(means, key, "scheduling")
    do(means, key, "scheduling")
    before = open_tasks(means, key)["weekly-review"].key
    reviews.write(means, DOCTOR, key, Written("70", [], "well"), SECRET)
    after = open_tasks(means, key)
    assert set(after) == {"treatment", "weekly-review"}
    assert after["weekly-review"].key != before


def test_booked_fractions_end_the_scheduling(means: Context, record: Record) -> None:
    key = record.course.key
    visits(record)
    up_to(means, key, "scheduling")
    with means.database.writing() as session:
        deliveries.booked(session, means, "receptionist", [key])
    assert set(open_tasks(means, key)) == {"scheduling"}, "two of three fractions are booked"
    book(record, 3, BEAM + timedelta(days=2), AppointmentState.BOOKED)
    with means.database.writing() as session:
        deliveries.booked(session, means, "receptionist", [key])
    assert set(open_tasks(means, key)) == {"treatment", "weekly-review"}
