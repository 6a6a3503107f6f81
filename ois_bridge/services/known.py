"""Is this person registered already? Asked while the front desk types, and again before a record is made."""

from dataclasses import asdict, dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from ois_bridge.domain import chinese, search_parts
from ois_bridge.domain.registration import PatientEntry
from ois_bridge.domain.words import N_
from ois_bridge.models.clinical import Patient
from ois_bridge.models.search import SearchPart

MOST = 5

ID_CARD = N_("same id card")
HOSPITAL_NUMBER = N_("same hospital number")
BARCODE = N_("same barcode")
PATIENT_ID = N_("same patient ID")
PERSON = N_("same name and birth date")


@dataclass(frozen=True)
class Known:
    """A registered patient who may be the person, and why."""

    patient: Patient
    why: str


def known(session: Session, entry: PatientEntry) -> list[Known]:
    """Patients who agree with what is typed so far, the surest first."""
    if not all(text.isprintable() for text in asdict(entry).values()):
        return []
    found: dict[str, Known] = {}
    exact = (
        (Patient.id_card, entry.id_card.strip().upper(), ID_CARD),
        (Patient.hospital_number, entry.hospital_number.strip(), HOSPITAL_NUMBER),
        (Patient.barcode, entry.barcode.strip().upper(), BARCODE),
        (Patient.patient_id, entry.patient_id.strip(), PATIENT_ID),
    )
    for column, value, why in exact:
        if value:
            for patient in session.scalars(select(Patient).where(column == value).limit(MOST)):
                found.setdefault(patient.key, Known(patient, why))
    for patient in _same_person(session, entry):
        found.setdefault(patient.key, Known(patient, PERSON))
    return list(found.values())[:MOST]


def _same_person(session: Session, entry: PatientEntry) -> list[Patient]:
    """Patients of the same name (Chinese or Latin letters) and birth date."""
    birth_date = entry.birth_date.replace("-", "").strip()
    name = chinese.person_name(entry.name)
    piece = search_parts.fold(chinese.chinese_of(name) or name)
    if not piece or len(birth_date) != 8:
        return []
    query = (
        select(Patient)
        .join(SearchPart, SearchPart.patient_key == Patient.key)
        .where(SearchPart.part == piece, Patient.birth_date == birth_date)
        .limit(MOST)
    )
    return list(session.scalars(query))
