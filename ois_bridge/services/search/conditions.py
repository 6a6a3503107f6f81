"""Conditions that a user combined, in the words of the database."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, String, and_, cast, exists, false, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from ois_bridge.domain import chinese, search_parts
from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.rules import FIELDS, Group, Rule
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.models.record import Diagnosis
from ois_bridge.models.search import SearchPart
from ois_bridge.services.search import moments, visits
from ois_bridge.services.search import text as full_text

Condition = ColumnElement[bool]
LAST = "\U0010ffff"
"""Above every character: the end of the range of a prefix."""

COLUMNS: Mapping[str, InstrumentedAttribute[Any]] = {
    "patient_id": Patient.patient_id, "id_card": Patient.id_card, "barcode": Patient.barcode,
    "hospital_number": Patient.hospital_number, "phone": Patient.phone, "sex": Patient.sex,
    "birth_date": Patient.birth_date, "source": Course.source, "ward": Course.ward,
    "diagnosis": Course.diagnosis, "icd11": Course.icd11, "icd10": Course.icd10, "stage": Course.stage,
    "technique": Course.technique, "physician": Course.physician, "charging": Course.charging,
}  # fmt: skip


def of_group(session: Session, group: Group) -> Condition:
    """The condition on `patient` that a group says.

    Rules on courses in one group of which all must hold are about one and the same course, those on visits
    about one and the same visit. Raises BadInput for a date that does not exist.
    """
    on_course = [_beside(item) for item in _course_rules(group)]
    found: list[Condition] = []
    for item in group.items:
        if isinstance(item, Group):
            found.append(of_group(session, item))
        elif FIELDS[item.field].of not in ("course", "visit"):
            found.append(_of_patient(session, item))
    if on_course:
        joined = and_(*on_course) if group.every else or_(*on_course)
        found.append(exists().where(Course.patient_key == Patient.key, joined))
    if on_visit := [visits.rule(item) for item in visits.rules_of(group)]:
        joined = and_(*on_visit) if group.every else or_(*on_visit)
        found.append(exists().where(Appointment.patient_key == Patient.key, visits.KEPT, joined))
    if not found:
        return true()
    return and_(*found) if group.every else or_(*found)


def few(session: Session, group: Group, most: int) -> list[str] | None:
    """Keys of the patients whose courses fit, where a group needs that and they are at most `most`."""
    if not group.every:
        return None
    keys = visits.few(session, group, max(most, visits.MOST))
    wanted = [_simple(item) for item in _course_rules(group)]
    if keys is not None or not wanted:
        return keys
    query = select(Course.patient_key).where(*wanted).limit(most + 1)
    found = session.scalars(query).all()
    return sorted(set(found)) if len(found) <= most else None


def _course_rules(group: Group) -> list[Rule]:
    return [item for item in group.items if isinstance(item, Rule) and FIELDS[item.field].of == "course"]


def _beside(rule: Rule) -> Condition:
    """A rule on the few courses of one patient. The database is kept from walking an index of the whole
    table instead: an expression has none.
    """
    if rule.operator != "is" or rule.field == "diagnosis":
        return _simple(rule)
    value = rule.value
    column: Any = cast(Course.state, String) if rule.field == "state" else COLUMNS[rule.field]
    same: Condition = column.concat("") == value
    return same


def in_parts(piece: str) -> Condition:
    """The patient is found under a (folded) piece of a name or number."""
    ranges = [
        and_(SearchPart.part >= lead, SearchPart.part < lead + LAST) for lead in search_parts.leads(piece)
    ]
    return Patient.key.in_(select(SearchPart.patient_key).where(or_(*ranges)))


def _of_patient(session: Session, rule: Rule) -> Condition:
    if rule.field == "form":
        keys = full_text.patients_with(session, rule.value)
        return false() if keys is None else Patient.key.in_(keys)
    if rule.field == "name":
        return _name(rule)
    if rule.field == "registered":
        return _registered(rule)
    return _simple(rule)


def _simple(rule: Rule) -> Condition:
    if rule.field == "state":
        same: Condition = Course.state == CourseState[rule.value]
        return same if rule.operator == "is" else ~same
    value = f"{moments.day(rule):%Y%m%d}" if rule.field == "birth_date" else rule.value
    said = _compared(COLUMNS[rule.field], rule.operator, value)
    if rule.field == "diagnosis" and rule.operator in ("is", "contains", "begins"):
        # kept in the words of whoever wrote it: the table of diagnoses knows the other language
        names = [_compared(name, rule.operator, value) for name in (Diagnosis.name, Diagnosis.name_en)]
        return said | Course.diagnosis_code.in_(select(Diagnosis.code).where(or_(*names)))
    return said


def _compared(column: InstrumentedAttribute[Any], operator: str, value: str) -> Condition:
    operators: Mapping[str, Condition] = {
        "is": column == value,
        "is not": column != value,
        "contains": column.icontains(value, autoescape=True),
        "begins": column.istartswith(value, autoescape=True),
        "empty": column == "",
        "filled": column != "",
        "from": column >= value,
        "until": column <= value,
    }
    return operators[operator]


def _name(rule: Rule) -> Condition:
    """Names are compared as people write them, not as DICOM keeps them."""
    value = rule.value
    family, given = chinese.split(value)
    written = f"={family}^{given}" if given else f"={family}"
    if not chinese.is_chinese(value):
        written = chinese.person_name(value)
    whole = Patient.name.iendswith(written, autoescape=True) | (Patient.pinyin == value.casefold())
    if rule.operator == "contains":
        return in_parts(search_parts.fold(value))
    if rule.operator == "begins":
        begins = Patient.name.icontains(written, autoescape=True)
        if not chinese.is_chinese(value):
            begins = Patient.name.istartswith(value, autoescape=True)
        return begins | Patient.pinyin.istartswith(value, autoescape=True)
    return {"is": whole, "is not": ~whole, "empty": Patient.name == "", "filled": Patient.name != ""}[
        rule.operator
    ]


def _registered(rule: Rule) -> Condition:
    return moments.of_day(Patient.registered, rule)
