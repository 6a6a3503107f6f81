"""The time line of all plans of a patient: what was booked and what was treated, ours and other systems'."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from common.errors import BadInput, LinkLost
from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.foreign import ForeignFraction, ForeignPlan
from ois_bridge.domain.fraction_states import FractionState
from ois_bridge.domain.plan_line import Beat, Drawing, Lane, Mark, draw
from ois_bridge.domain.plan_states import PlanState
from ois_bridge.domain.words import STATE
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Course, Patient
from ois_bridge.models.plans import Plan
from ois_bridge.models.treatment import Fraction, FractionPart
from ois_bridge.services import access
from ois_bridge.services.context import Caller, Context

log = logging.getLogger(__name__)

WITHOUT_RECORD = {AppointmentState.MISSED: Mark.MISSED, AppointmentState.DONE: Mark.ATTENDED}
"""What became of a visit that no treatment record belongs to; the others are still planned."""


@dataclass(frozen=True)
class TimeLine:
    """Lanes and their drawing (None without a time). `silent`: other systems that did not answer."""

    lanes: tuple[Lane, ...]
    drawing: Drawing | None
    silent: tuple[str, ...]


def of_patient(context: Context, session: Session, caller: Caller, patient: Patient) -> TimeLine:
    """Everything that is known now. Raises RecordClosed."""
    access.check(session, caller, patient.key, context)
    lanes = own_lanes(session, patient)
    silent = []
    for other in context.record.others:
        try:
            lanes += [_foreign(plan, place) for place, plan in enumerate(other.plans(patient.patient_id))]
        except (LinkLost, BadInput) as why:
            log.warning("%s: not read (%s)", other.name, type(why).__name__)
            silent.append(other.name)
    return TimeLine(tuple(lanes), draw(lanes, context.now()), tuple(silent))


def own_lanes(session: Session, patient: Patient) -> list[Lane]:
    """Plans of this OIS, oldest first, then courses that are booked without a plan."""
    plans = session.scalars(select(Plan).where(Plan.patient_key == patient.key).order_by(Plan.arrived)).all()
    fractions = _fractions(session, [plan.sop_uid for plan in plans])
    booked = _booked(session, patient.key)
    lanes = []
    for plan in plans:
        course = plan.prescription.course_key if plan.prescription else ""
        # an appointment names course and fraction, no plan: it belongs to the course's plan in force
        visits = booked.pop(course, {}) if plan.state is PlanState.APPROVED else {}
        lanes.append(_lane(plan, fractions.get(plan.sop_uid, ()), visits))
    names = {course.key: course.name for course in session.scalars(
        select(Course).where(Course.patient_key == patient.key)
    )}  # fmt: skip
    lanes += [
        Lane(key, names.get(key, ""), "", "", "", tuple(_visit(*visit) for visit in sorted(visits.items())))
        for key, visits in booked.items()
    ]
    return lanes


def _fractions(session: Session, plan_uids: Sequence[str]) -> Mapping[str, Sequence[Fraction]]:
    rows = session.scalars(
        select(Fraction)
        .where(Fraction.plan_uid.in_(plan_uids))
        .options(selectinload(Fraction.parts).selectinload(FractionPart.beams))
        .order_by(Fraction.plan_uid, Fraction.number)
    )
    found: dict[str, list[Fraction]] = {}
    for row in rows:
        found.setdefault(row.plan_uid, []).append(row)
    return found


def _booked(session: Session, patient_key: str) -> dict[str, dict[int, Appointment]]:
    """Treatment appointments by course and fraction; of several the one that was not cancelled, or the last.

    Appointments without a fraction are numbered behind the others by time.
    """
    rows = session.scalars(
        select(Appointment)
        .where(
            Appointment.patient_key == patient_key,
            Appointment.kind == "treatment",
            Appointment.course_key.is_not(None),
            Appointment.state != AppointmentState.CANCELLED,
        )
        .order_by(Appointment.start)
    ).all()
    found: dict[str, dict[int, Appointment]] = {}
    for row in rows:
        visits = found.setdefault(row.course_key or "", {})
        if row.fraction is not None:
            visits[row.fraction] = row
    for row in rows:
        visits = found[row.course_key or ""]
        if row.fraction is None:
            visits[max(visits, default=0) + 1] = row
    return found


def _lane(plan: Plan, fractions: Sequence[Fraction], visits: Mapping[int, Appointment]) -> Lane:
    wish = plan.prescription
    numbers = {row.number: row for row in fractions}
    beats = [
        _beat(numbers[number], visits.get(number)) if number in numbers else _visit(number, visits[number])
        for number in sorted({*numbers, *visits})
    ]
    prescribed = f"{wish.dose_per_fraction:g} Gy (RBE) × {wish.fractions}" if wish else ""
    return Lane(plan.sop_uid, plan.label, "", STATE[plan.state.value], prescribed, tuple(beats))


def _beat(row: Fraction, visit: Appointment | None) -> Beat:
    parts = row.parts
    stops = sum(beam.termination != "NORMAL" for part in parts for beam in part.beams)
    people = dict.fromkeys(name for part in parts for name in (part.verified_by, part.operators) if name)
    causes = dict.fromkeys(beam.cause for part in parts for beam in part.beams if beam.cause)
    return Beat(
        number=row.number,
        planned=visit.start if visit else None,
        device=visit.device if visit else "",
        booking=visit.state.value if visit else "",
        started=min((part.started for part in parts), default=None),
        ended=max((part.ended for part in parts), default=None),
        planned_mu=row.planned_mu,
        delivered_mu=row.delivered_mu if parts else None,
        interruptions=stops,
        by=", ".join(people),
        note="; ".join(causes),
        mark=_mark(row, stops, visit),
    )


def _mark(row: Fraction, stops: int, visit: Appointment | None) -> Mark:
    if row.state is FractionState.DELIVERED:
        return Mark.INTERRUPTED if stops or len(row.parts) > 1 else Mark.TREATED
    if row.parts:
        return Mark.PARTIAL
    return WITHOUT_RECORD.get(visit.state, Mark.PLANNED) if visit is not None else Mark.PLANNED


def _visit(number: int, visit: Appointment) -> Beat:
    return Beat(
        number, visit.start, visit.device, visit.state.value, None, None, None, None, 0, "", visit.note,
        WITHOUT_RECORD.get(visit.state, Mark.PLANNED),
    )  # fmt: skip


def _foreign(plan: ForeignPlan, place: int) -> Lane:
    dose = plan.dose_per_fraction
    prescribed = f"{dose:g} Gy × {plan.fractions_planned}" if dose is not None else ""
    title = " · ".join(part for part in (plan.course, plan.label) if part)
    beats = tuple(_foreign_beat(row) for row in plan.fractions)
    return Lane(f"{plan.system}-{place}", title, plan.system, "", prescribed, beats)


def _foreign_beat(row: ForeignFraction) -> Beat:
    given = row.started is not None
    short = given and row.planned_mu and (row.delivered_mu or 0.0) < row.planned_mu * 0.995
    mark = Mark.PLANNED if not given else Mark.PARTIAL if short else Mark.TREATED
    return Beat(
        row.number, row.planned, row.machine, "", row.started, row.ended, row.planned_mu, row.delivered_mu,
        0, row.by, row.note, mark,
    )  # fmt: skip
