"""What a row of the list shows, in words."""

from collections.abc import Iterable, Mapping

from common.text import _
from ois_bridge.domain import words
from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.identity import readable_date
from ois_bridge.domain.rules import SOURCE
from ois_bridge.models.clinical import Course, Patient

HIDDEN = (CourseState.HISTORY, CourseState.CANCELLED)


def current(patient: Patient) -> Course | None:
    """The course that the list is about: the newest that is not history or cancelled, else the newest."""
    newest_first = list(reversed(patient.courses))
    live = (course for course in newest_first if course.state not in HIDDEN)
    return next(live, newest_first[0] if newest_first else None)


def cells(patient: Patient, columns: Iterable[str], doctors: Mapping[str, str]) -> dict[str, str]:
    """Column -> text, in the language in force. `doctors`: user -> full name."""
    course = current(patient)
    person = {
        "patient_id": patient.patient_id,
        "birth_date": readable_date(patient.birth_date),
        "sex": _(words.SEX[patient.sex]),
        "hospital_number": patient.hospital_number,
        "id_card": patient.id_card,
        "barcode": patient.barcode,
        "phone": patient.phone,
        "address": patient.address,
        "registered": f"{patient.registered.astimezone():%Y-%m-%d %H:%M}",
    }
    about = {**person, **(_of_course(course, doctors) if course is not None else {})}
    return {name: about.get(name, "") for name in columns}


def _of_course(course: Course, doctors: Mapping[str, str]) -> dict[str, str]:
    return {
        "source": _(SOURCE.get(course.source, course.source)),
        "ward": " / ".join(filter(None, (course.ward, course.bed))),
        "diagnosis": course.diagnosis_text,
        "icd11": course.icd11,
        "stage": course.stage,
        "technique": course.technique,
        "physician": doctors.get(course.physician, course.physician),
        "state": _(course.state.value),
        "course": course.name,
        "charging": course.charging,
    }
