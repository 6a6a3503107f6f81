"""Everything of a fraction that its report states, as plain data."""

from datetime import datetime
from importlib.metadata import version
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ois_bridge.domain.plan_states import PlanEvent
from ois_bridge.models.accounts import Account
from ois_bridge.models.base import new_key
from ois_bridge.models.clinical import Prescription
from ois_bridge.models.plans import Plan
from ois_bridge.models.treatment import Fraction, FractionPart


def gather(session: Session, fraction: Fraction, author: str, now: datetime) -> dict[str, Any]:
    """The facts as JSON-ready data; times in ISO 8601 with their zone."""
    plan = fraction.plan
    return {
        "report": {
            "id": new_key(),
            "author": _person(session, author),
            "created": now.isoformat(timespec="seconds"),
            "version": version("ptcs"),
        },
        "patient": {
            "patient_id": plan.patient.patient_id,
            "name": plan.patient.name,
            "birth_date": plan.patient.birth_date,
            "sex": plan.patient.sex,
        },
        "prescription": _prescription(session, plan.prescription),
        "plan": _plan(plan, fraction),
        "approval": _approval(session, plan),
        "fraction": {
            "number": fraction.number,
            "of": plan.fractions_planned,
            "state": fraction.state.value,
            "planned_mu": fraction.planned_mu,
            "delivered_mu": fraction.delivered_mu,
            "parts": [_part(session, part) for part in fraction.parts],
        },
    }


def _person(session: Session, user: str | None) -> str:
    found = session.scalar(select(Account).where(Account.user == user)) if user else None
    return f"{found.full_name} ({found.user})" if found and found.full_name else user or ""


def _people(session: Session, users: str) -> str:
    """Accounts with ", " between them, as people."""
    return ", ".join(_person(session, user) for user in users.split(", ") if user)


def _prescription(session: Session, row: Prescription | None) -> dict[str, Any]:
    if row is None:
        return {}
    return {
        "course": row.course.name,
        "diagnosis": row.course.diagnosis,
        "diagnosis_en": row.course.diagnosis_en,
        "target": row.target,
        "dose_per_fraction": row.dose_per_fraction,
        "fractions": row.fractions,
        "rbe_model": row.rbe_model,
        "prescribed_by": _person(session, row.created_by),
        "organs": [{"name": organ.name, "max_gy": organ.max_gy} for organ in row.organs],
    }


def _plan(plan: Plan, fraction: Fraction) -> dict[str, Any]:
    given: dict[int, float] = {}
    for beam in (beam for part in fraction.parts for beam in part.beams):
        given[beam.number] = given.get(beam.number, 0.0) + beam.delivered_mu
    return {
        "label": plan.label,
        "sop_uid": plan.sop_uid,
        "hash": plan.hash,
        "machine": plan.machine,
        "fields": [
            {
                "number": beam.number,
                "name": beam.name,
                "gantry": beam.gantry,
                "couch": beam.couch,
                "layers": beam.layers,
                "spots": beam.spots,
                "energy_low": beam.energy_low,
                "energy_high": beam.energy_high,
                "planned_mu": beam.meterset,
                "delivered_mu": given.get(beam.number, 0.0),
            }
            for beam in plan.beams
        ],
    }


def _approval(session: Session, plan: Plan) -> dict[str, Any]:
    submitted = [review for review in plan.reviews if review.event is PlanEvent.SUBMIT]
    approval = plan.approval
    return {
        "state": plan.state.value,
        "submitted_by": _person(session, submitted[-1].user if submitted else None),
        "submitted": submitted[-1].time.isoformat(timespec="seconds") if submitted else "",
        "approver": _person(session, approval.approver) if approval else "",
        "approved": approval.time.isoformat(timespec="seconds") if approval else "",
        "hash": approval.hash if approval else "",
        "signature": approval.signed.rsplit(".", 1)[-1] if approval else "",
    }


def _part(session: Session, part: FractionPart) -> dict[str, Any]:
    return {
        "part": part.part,
        "record_uid": part.record_uid,
        "started": part.started.isoformat(timespec="milliseconds"),
        "ended": part.ended.isoformat(timespec="milliseconds"),
        "clock_factor": part.clock_factor,
        "verified_by": _people(session, part.verified_by),
        "operators": _people(session, part.operators),
        "flag": part.flag,
        "beams": [
            {
                "number": beam.number,
                "name": beam.name,
                "delivered_mu": beam.delivered_mu,
                "planned_mu": beam.planned_mu,
                "termination": beam.termination,
                "delivery_type": beam.delivery_type,
                "cause": beam.cause,
                "started": beam.started.isoformat(timespec="milliseconds"),
                "ended": beam.ended.isoformat(timespec="milliseconds"),
            }
            for beam in part.beams
        ],
    }
