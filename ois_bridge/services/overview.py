"""The patient on one page: everything that the caller may see of a patient, gathered for showing."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload, selectinload

from common.errors import Tampered
from ois_bridge.domain import timeline
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.plan_states import PlanEvent, legal
from ois_bridge.models.archive import DicomInstance, DicomSeries
from ois_bridge.models.clinical import Course, Patient, Prescription
from ois_bridge.models.plans import Plan
from ois_bridge.models.treatment import Fraction, FractionPart, Report
from ois_bridge.services import access, archive, course_views, patients, plan_line
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.course_views import CourseView
from ois_bridge.services.plan_line import TimeLine


@dataclass(frozen=True)
class SeriesLine:
    """A series and how many objects it has."""

    series: DicomSeries
    count: int


@dataclass(frozen=True)
class FractionView:
    """A fraction, and its time line (None before its first beam)."""

    fraction: Fraction
    line: timeline.Line | None


@dataclass(frozen=True)
class PlanView:
    """A plan, whether its file is still the one that arrived, and what the caller may do with it.

    `newest`: the fraction that was treated last; the others are shown when they are asked for.
    """

    plan: Plan
    intact: bool
    fractions: tuple[Fraction, ...]
    newest: FractionView | None
    may: frozenset[PlanEvent]
    own_submission: bool


@dataclass(frozen=True)
class PatientView:
    """A patient's page. What the caller may not see is empty; the template says so nowhere."""

    patient: Patient
    courses: tuple[CourseView, ...]
    prescriptions: Sequence[Prescription]
    line: TimeLine | None
    plans: tuple[PlanView, ...]
    series: tuple[SeriesLine, ...]
    reports: Sequence[Report]
    stray_parts: Sequence[FractionPart]


RIGHT = {
    PlanEvent.SUBMIT: Action.SUBMIT_PLAN,
    PlanEvent.APPROVE: Action.APPROVE_PLAN,
    PlanEvent.REVOKE: Action.REVOKE_PLAN,
}


def of_patient(context: Context, session: Session, caller: Caller, key: str) -> PatientView:
    """Everything of a patient. Raises NotFound, RecordClosed."""
    patient = patients.must(session.get(Patient, key))
    access.check(session, caller, key, context)
    courses = session.scalars(
        select(Course)
        .where(Course.patient_key == key)
        .options(selectinload(Course.prescriptions))
        .order_by(Course.created.desc())
    ).all()
    sees_plans = caller.may(Action.READ_PLAN)
    return PatientView(
        patient=patient,
        courses=course_views.of_courses(context, session, caller, courses),
        prescriptions=[wish for course in reversed(courses) for wish in course.prescriptions],
        line=plan_line.of_patient(context, session, caller, patient) if sees_plans else None,
        plans=_plans(context, session, caller, key) if sees_plans else (),
        series=series_of(session, key) if caller.may(Action.READ_INSTANCES) else (),
        reports=_reports(session, key) if caller.may(Action.READ_REPORT) else (),
        stray_parts=_stray(session, key) if sees_plans else (),
    )


def of_fraction(context: Context, session: Session, caller: Caller, key: str) -> FractionView:
    """One fraction. Raises NotFound, RecordClosed."""
    fraction = patients.must(session.get(Fraction, key))
    access.check(session, caller, fraction.plan.patient_key, context)
    return FractionView(fraction, line_of(fraction))


def _reports(session: Session, key: str) -> Sequence[Report]:
    return session.scalars(
        select(Report)
        .join(Fraction)
        .join(Plan)
        .where(Plan.patient_key == key)
        .options(joinedload(Report.fraction))
        .order_by(Report.created.desc())
    ).all()


def _plans(context: Context, session: Session, caller: Caller, key: str) -> tuple[PlanView, ...]:
    rows = session.scalars(
        select(Plan)
        .where(Plan.patient_key == key)
        .options(selectinload(Plan.reviews), selectinload(Plan.approvals))
        .order_by(Plan.arrived.desc())
    ).all()
    return tuple(_plan(context, session, caller, plan) for plan in rows)


def _plan(context: Context, session: Session, caller: Caller, plan: Plan) -> PlanView:
    row = session.get(DicomInstance, plan.sop_uid)
    try:
        archive.content_of(context, patients.must(row))
        intact = True
    except Tampered:
        intact = False
    fractions = session.scalars(
        select(Fraction)
        .where(Fraction.plan_uid == plan.sop_uid)
        .options(selectinload(Fraction.parts).selectinload(FractionPart.beams))
        .order_by(Fraction.number)
    ).all()
    treated = [one for one in fractions if one.parts]
    newest = max(treated, key=lambda one: one.parts[-1].started, default=None)
    return PlanView(
        plan=plan,
        intact=intact,
        fractions=tuple(fractions),
        newest=FractionView(newest, line_of(newest)) if newest else None,
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


def series_of(session: Session, key: str) -> tuple[SeriesLine, ...]:
    """Series of a patient, newest first."""
    rows = session.execute(
        select(DicomSeries, func.count(DicomInstance.sop_uid))
        .join(DicomInstance)
        .where(DicomSeries.patient_key == key)
        .group_by(DicomSeries.series_uid)
        .order_by(DicomSeries.created.desc(), DicomSeries.series_uid)
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
