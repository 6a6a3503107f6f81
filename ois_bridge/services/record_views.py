"""What the REST interface says of the record, as plain data."""

from datetime import date, datetime
from typing import Any

from ois_bridge.domain.plan_line import Beat
from ois_bridge.models.clinical import Course
from ois_bridge.models.record import Diagnosis, FollowUp
from ois_bridge.services.follow_up import StudyLine
from ois_bridge.services.plan_line import TimeLine
from ois_bridge.services.reviews import Due


def diagnosis(row: Diagnosis) -> dict[str, Any]:
    """A diagnosis of the table."""
    return {
        "code": row.code,
        "name": row.name,
        "name_en": row.name_en,
        "icd11": row.icd11,
        "icd10": row.icd10,
        "staging": row.staging.split(),
        "source": row.source,
    }


def course(row: Course) -> dict[str, Any]:
    """A course's state, diagnosis and stage."""
    return {
        "id": row.key,
        "name": row.name,
        "state": row.state.name,
        "reason": row.state_reason,
        "changed": _moment(row.changed),
        "diagnosis": row.diagnosis_text,
        "diagnosis_code": row.diagnosis_code,
        "icd11": row.icd11,
        "icd10": row.icd10,
        "stage": row.stage,
        "charging": row.charging,
    }


def time_line(line: TimeLine) -> dict[str, Any]:
    """All plans of a patient."""
    return {
        "plans": [
            {
                "title": lane.title,
                "source": lane.source,
                "prescribed": lane.prescribed,
                "fractions": [_beat(beat) for beat in lane.beats],
            }
            for lane in line.lanes
        ],
        "silent": list(line.silent),
    }


def _beat(beat: Beat) -> dict[str, Any]:
    return {
        "number": beat.number,
        "planned": _moment(beat.planned),
        "device": beat.device,
        "started": _moment(beat.started),
        "ended": _moment(beat.ended),
        "planned_mu": beat.planned_mu,
        "delivered_mu": beat.delivered_mu,
        "interruptions": beat.interruptions,
        "state": beat.mark.name,
        "by": beat.by,
        "note": beat.note,
    }


def due(one: Due, now: datetime) -> dict[str, Any]:
    """A course under treatment."""
    return {
        "course_id": one.course.key,
        "patient_id": one.course.patient.patient_id,
        "last": _moment(one.last),
        "due": _moment(one.due),
        "overdue": one.late(now),
    }


def follow_up(row: FollowUp) -> dict[str, Any]:
    """A follow-up."""
    return {
        "id": row.key,
        "course_id": row.course_key,
        "months": row.months,
        "due": row.due.isoformat(),
        "outcome": row.outcome,
        "note": row.note,
        "done": _moment(row.done),
    }


def study(line: StudyLine) -> dict[str, Any]:
    """A study."""
    return {
        "id": line.study.key,
        "name": line.study.name,
        "criteria": line.study.criteria,
        "open": line.study.open,
        "courses": line.count,
    }


def _moment(value: datetime | date | None) -> str:
    return value.isoformat() if value else ""
