"""The patient on one page: everything of a patient, gathered for showing."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.errors import Tampered
from ois_bridge.domain import timeline
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.plan_states import PlanEvent, legal
from ois_bridge.models.archive import DicomInstance, DicomSeries
from ois_bridge.models.clinical import Course, Patient, Prescription
from ois_bridge.models.plans import Plan
from ois_bridge.models.treatment import Fraction, FractionPart, Report
from ois_bridge.services import archive, patients
from ois_bridge.services.context import Caller, Context


@dataclass(frozen=True)
class SeriesLine:
    """A series and how many objects it has."""

    series: DicomSeries
    count: int


@dataclass(frozen=True)
class FractionView:
    """A fraction, its time line (None before its first beam) and reports."""

    fraction: Fraction
    line: timeline.Line | None


@dataclass(frozen=True)
class PlanView:
    """A plan, whether its file is still the one that arrived, and what the caller may do with it."""

    plan: Plan
    intact: bool
    fractions: tuple[FractionView, ...]
    may: frozenset[PlanEvent]
    own_submission: bool


@dataclass(frozen=True)
class PatientView:
    """A patient's page."""

    patient: Patient
    courses: Sequence[Course]
    prescriptions: Sequence[Prescription]
    plans: tuple[PlanView, ...]
    series: tuple[SeriesLine, ...]
    structure_sets: Sequence[DicomInstance]
    reports: Sequence[Report]
    stray_parts: Sequence[FractionPart]


RIGHT = {
    PlanEvent.SUBMIT: Action.SUBMIT_PLAN,
    PlanEvent.APPROVE: Action.APPROVE_PLAN,
    PlanEvent.REVOKE: Action.REVOKE_PLAN,
}


def of_patient(context: Context, session: Session, caller: Caller, key: str) -> PatientView:
    """Everything of a patient. Raises NotFound."""
    patient = patients.must(session.get(Patient, key))
    plans = session.scalars(select(Plan).where(Plan.patient_key == key).order_by(Plan.arrived.desc())).all()
    reports = session.scalars(
        select(Report)
        .join(Fraction)
        .join(Plan)
        .where(Plan.patient_key == key)
        .order_by(Report.created.desc())
    ).all()
    return PatientView(
        patient=patient,
        courses=patient.courses,
        prescriptions=[wish for course in patient.courses for wish in course.prescriptions],
        plans=tuple(_plan(context, session, caller, plan) for plan in plans),
        series=_series(session, key),
        structure_sets=archive.of_patient(session, key, "RTSTRUCT"),
        reports=reports,
        stray_parts=_stray(session, key),
    )


def _plan(context: Context, session: Session, caller: Caller, plan: Plan) -> PlanView:
    row = session.get(DicomInstance, plan.sop_uid)
    try:
        archive.load(context, patients.must(row))
        intact = True
    except Tampered:
        intact = False
    fractions = session.scalars(
        select(Fraction).where(Fraction.plan_uid == plan.sop_uid).order_by(Fraction.number)
    )
    return PlanView(
        plan=plan,
        intact=intact,
        fractions=tuple(FractionView(row, line_of(row)) for row in fractions),
        may=frozenset(event for event in legal(plan.state) if caller.may(RIGHT[event])),
        own_submission=plan.submitted_by == caller.user,
    )


def line_of(fraction: Fraction) -> timeline.Line | None:
    """The time line of what was delivered of a fraction."""
    rows = {beam.number: row for row, beam in enumerate(fraction.plan.beams)}
    return timeline.draw(
        [
            timeline.Span(
                beam.started,
                beam.ended,
                rows.get(beam.number, len(rows)),
                f"{beam.name}: {beam.delivered_mu:.2f} MU",
                beam.termination == "NORMAL",
            )
            for part in fraction.parts
            for beam in part.beams
        ]
    )


def _series(session: Session, key: str) -> tuple[SeriesLine, ...]:
    rows = session.execute(
        select(DicomSeries, func.count(DicomInstance.sop_uid))
        .join(DicomInstance)
        .where(DicomSeries.patient_key == key)
        .group_by(DicomSeries.series_uid)
        .order_by(DicomSeries.created)
    )
    return tuple(SeriesLine(series, count) for series, count in rows)


def _stray(session: Session, key: str) -> Sequence[FractionPart]:
    """Records of this patient that belong to no fraction."""
    return session.scalars(
        select(FractionPart)
        .join(DicomInstance, DicomInstance.sop_uid == FractionPart.record_uid)
        .join(DicomSeries, DicomSeries.series_uid == DicomInstance.series_uid)
        .where(FractionPart.fraction_key.is_(None), DicomSeries.patient_key == key)
    ).all()
