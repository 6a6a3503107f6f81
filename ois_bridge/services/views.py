"""What the REST interface says of things, as plain data in the contract's names."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ois_bridge.models.archive import DicomInstance
from ois_bridge.models.clinical import Patient, Prescription
from ois_bridge.models.plans import Plan
from ois_bridge.models.treatment import Fraction


def patient(row: Patient) -> dict[str, Any]:
    """A patient; birth_date as YYYYMMDD."""
    return {
        "patient_id": row.patient_id,
        "name": row.name,
        "birth_date": row.birth_date,
        "sex": row.sex,
    }


def patient_with_courses(row: Patient) -> dict[str, Any]:
    """A patient with courses and the keys of their prescriptions."""
    courses = [
        {
            "id": course.key,
            "name": course.name,
            "diagnosis": course.diagnosis_text,
            "prescriptions": [prescription.key for prescription in course.prescriptions],
        }
        for course in row.courses
    ]
    return {**patient(row), "courses": courses}


def prescription(row: Prescription) -> dict[str, Any]:
    """A prescription with its patient."""
    return {
        "id": row.key,
        "patient_id": row.course.patient.patient_id,
        "course_id": row.course_key,
        "target": row.target,
        "dose_per_fraction": row.dose_per_fraction,
        "fractions": row.fractions,
        "rbe_model": row.rbe_model,
        "structure_set_uid": row.structure_set_uid,
        "organs": [{"name": organ.name, "max_gy": organ.max_gy} for organ in row.organs],
        "prescribed_by": row.created_by,
        "time": row.created.isoformat(timespec="seconds"),
    }


def instance(row: DicomInstance) -> dict[str, Any]:
    """An object of the archive."""
    return {
        "sop_instance_uid": row.sop_uid,
        "sop_class_uid": row.sop_class_uid,
        "series_instance_uid": row.series_uid,
        "study_instance_uid": row.series.study_uid,
        "modality": row.series.modality,
    }


def fractions(session: Session, plan_uid: str) -> list[dict[str, Any]]:
    """Fractions of a plan in order."""
    rows = session.scalars(select(Fraction).where(Fraction.plan_uid == plan_uid).order_by(Fraction.number))
    return [
        {
            "number": row.number,
            "state": row.state.value,
            "delivered_mu": row.delivered_mu,
            "planned_mu": row.planned_mu,
            "parts": [part.record_uid for part in row.parts],
        }
        for row in rows
    ]


def plan(session: Session, row: Plan, digest: str) -> dict[str, Any]:
    """A plan with the hash of its file as it is now."""
    approval = row.approval
    return {
        "sop_instance_uid": row.sop_uid,
        "patient_id": row.patient.patient_id,
        "label": row.label,
        "machine": row.machine,
        "state": row.state.value,
        "hash": digest,
        "approval": approval.signed if approval else None,
        "prescription_id": row.prescription_key,
        "course_state": row.prescription.course.state.name if row.prescription else None,
        "fractions": fractions(session, row.sop_uid),
    }
