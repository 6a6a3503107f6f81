"""The table of pieces of names and numbers, kept in step with its patients."""

from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from ois_bridge.domain import search_parts
from ois_bridge.models.clinical import Patient
from ois_bridge.models.search import SearchPart


def of(patient: Patient) -> set[str]:
    """The pieces under which a patient is found."""
    numbers = (
        patient.patient_id, patient.id_card, patient.hospital_number, patient.barcode, patient.phone
    )  # fmt: skip
    return search_parts.of_patient(patient.name, numbers)


def put(session: Session, patient: Patient, before: set[str] | None = None) -> None:
    """Enter a patient's pieces in place of those of `before`, in the deed's transaction."""
    before, now = before or set(), of(patient)
    if before - now:
        session.execute(
            delete(SearchPart).where(
                SearchPart.patient_key == patient.key, SearchPart.part.in_(sorted(before - now))
            )
        )
    if now - before:
        rows = [{"part": part, "patient_key": patient.key} for part in sorted(now - before)]
        session.execute(insert(SearchPart), rows)
