"""Visits and processes follow the treatment record; a visit names its plan and fraction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from ois_bridge.domain.appointment_states import APPOINTMENT_TABLE, AppointmentEvent, AppointmentState
from ois_bridge.domain.fraction_states import FractionState
from ois_bridge.domain.plan_states import PlanState
from ois_bridge.domain.process_steps import Happening
from ois_bridge.domain.queue.day import bounds
from ois_bridge.domain.scheduling.plan import Kind
from ois_bridge.domain.state_table import step
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.clinical import Prescription
from ois_bridge.models.delivery import VisitDelivery
from ois_bridge.models.plans import Plan
from ois_bridge.models.treatment import Fraction, FractionPart
from ois_bridge.services import events
from ois_bridge.services.context import Context
from ois_bridge.services.forms import records
from ois_bridge.services.workflow import happenings

OPEN_PLANS = (PlanState.APPROVED, PlanState.SUBMITTED)


@dataclass(frozen=True)
class Named:
    """What a treatment visit gives: plan, fraction of so many, and how far that fraction is.

    `state`: PLANNED, PARTIAL, DELIVERED; `fraction_key` empty for a fraction that is not planned.
    """

    plan_uid: str
    label: str
    number: int
    total: int
    state: str
    fraction_key: str = ""


def record_arrived(
    context: Context, session: Session, plan: Plan, fraction: Fraction, part: FractionPart, sender: str
) -> None:
    """What a part that was just added up means for visit and process, in its transaction."""
    course_key = plan.prescription.course_key if plan.prescription else ""
    if not course_key:
        return
    session.flush()
    visit = _visit(session, course_key, fraction, part)
    if visit is not None:
        _follow(session, visit, fraction, part)
    if fraction.state is FractionState.DELIVERED:
        _end_earlier(session, fraction)
    if fraction.state is FractionState.DELIVERED and delivered(session, course_key):
        user = part.verified_by or sender
        happenings.happened(session, context, user, course_key, Happening.DELIVERED, over=True)


def delivered(session: Session, course_key: str) -> bool:
    """Whether every fraction of every plan of a course is delivered; no plan may wait for its approval."""
    plans = select(Plan).join(Prescription, Prescription.key == Plan.prescription_key)
    found = session.scalars(
        plans.where(Prescription.course_key == course_key, Plan.state.in_(OPEN_PLANS))
    ).all()
    if not found or any(plan.state is PlanState.SUBMITTED for plan in found):
        return False
    left = select(func.count()).select_from(Fraction)
    left = left.where(
        Fraction.plan_uid.in_([plan.sop_uid for plan in found]), Fraction.state != FractionState.DELIVERED
    )
    return session.scalar(left) == 0


def booked(session: Session, context: Context, user: str, course_keys: Iterable[str]) -> None:
    """After visits were booked: a course with a visit for each prescribed fraction needs no more booking."""
    for key in sorted(set(course_keys)):
        if _all_booked(session, key):
            happenings.happened(session, context, user, key, Happening.BOOKED)


def named(session: Session, visits: Sequence[Appointment]) -> dict[str, Named]:
    """Plan and fraction of treatment visits, by the key of the visit.

    What was delivered is known from the record. A visit to come is counted through the course's approved
    plans in the order of their arrival: fraction 26 after a plan of 25 is the first of the next one.
    """
    rows = [row for row in visits if row.kind == Kind.TREATMENT and row.course_key]
    given = _given(session, [row.key for row in rows])
    plans = _plans(session, {row.course_key for row in rows if row.course_key and row.key not in given})
    found = {}
    for row in rows:
        if row.key in given:
            found[row.key] = _of_fraction(given[row.key].fraction, given[row.key].state)
        elif row.fraction:
            counted = _counted(plans.get(row.course_key or "", ()), row.fraction)
            if counted is not None:
                found[row.key] = counted
    return found


def _visit(session: Session, course_key: str, fraction: Fraction, part: FractionPart) -> Appointment | None:
    """The visit of that day in which a part was given: the one that is bound to the fraction, the one
    booked for it, the one in the room, else the nearest.
    """
    first, last = bounds(part.started)
    query = select(Appointment).where(
        Appointment.course_key == course_key,
        Appointment.kind == Kind.TREATMENT,
        Appointment.start >= first,
        Appointment.start < last,
        Appointment.state != AppointmentState.CANCELLED,
    )
    rows = session.scalars(query.with_for_update()).all()
    bound = {
        row.appointment_key: row.fraction_key
        for row in session.scalars(
            select(VisitDelivery).where(VisitDelivery.appointment_key.in_([row.key for row in rows]))
        )
    }
    free = [row for row in rows if bound.get(row.key, fraction.key) == fraction.key]
    return min(
        free,
        key=lambda row: (
            row.key not in bound,
            row.fraction != fraction.number,
            row.state is not AppointmentState.IN_ROOM,
            abs(row.start - part.started),
            row.key,
        ),
        default=None,
    )


def _follow(session: Session, visit: Appointment, fraction: Fraction, part: FractionPart) -> None:
    whole = fraction.state is FractionState.DELIVERED
    visit.state = step(
        APPOINTMENT_TABLE, visit.state, AppointmentEvent.GIVEN if whole else AppointmentEvent.PART_GIVEN
    )
    visit.entered = visit.entered or part.started
    if whole:
        visit.finished = visit.finished or part.ended
    bound = session.get(VisitDelivery, visit.key) or VisitDelivery(appointment_key=visit.key)
    bound.fraction_key, bound.state, bound.time = fraction.key, fraction.state.value, part.ended
    session.add(bound)
    for topic in ("queue", "appointments"):
        events.announce(session, topic, visit.device)


def _end_earlier(session: Session, fraction: Fraction) -> None:
    """Visits in which a part of the fraction was given are over with it."""
    session.flush()
    query = (
        select(Appointment)
        .join(VisitDelivery, VisitDelivery.appointment_key == Appointment.key)
        .where(VisitDelivery.fraction_key == fraction.key)
    )
    for row in session.scalars(query):
        row.state = step(APPOINTMENT_TABLE, row.state, AppointmentEvent.GIVEN)


def _given(session: Session, keys: Sequence[str]) -> Mapping[str, VisitDelivery]:
    query = (
        select(VisitDelivery)
        .where(VisitDelivery.appointment_key.in_(keys))
        .options(joinedload(VisitDelivery.fraction).joinedload(Fraction.plan))
    )
    return {row.appointment_key: row for row in session.scalars(query)}


def _plans(session: Session, course_keys: Iterable[str]) -> Mapping[str, Sequence[Sequence[Fraction]]]:
    """Fractions of the approved plans of courses, plan after plan."""
    query = (
        select(Prescription.course_key, Fraction)
        .join(Plan, Plan.prescription_key == Prescription.key)
        .join(Fraction, Fraction.plan_uid == Plan.sop_uid)
        .where(Prescription.course_key.in_(sorted(course_keys)), Plan.state == PlanState.APPROVED)
        .options(joinedload(Fraction.plan))
        .order_by(Plan.arrived, Plan.sop_uid, Fraction.number)
    )
    found: dict[str, list[list[Fraction]]] = {}
    for course_key, fraction in session.execute(query):
        plans = found.setdefault(course_key, [])
        if not plans or plans[-1][0].plan_uid != fraction.plan_uid:
            plans.append([])
        plans[-1].append(fraction)
    return found


def _counted(plans: Sequence[Sequence[Fraction]], number: int) -> Named | None:
    for fractions in plans:
        if number <= len(fractions):
            return _of_fraction(fractions[number - 1], fractions[number - 1].state.value)
        number -= len(fractions)
    return None


def _of_fraction(row: Fraction, state: str) -> Named:
    return Named(row.plan_uid, row.plan.label, row.number, row.plan.fractions_planned, state, row.key)


def _all_booked(session: Session, course_key: str) -> bool:
    wanted = session.scalar(
        select(Prescription.fractions)
        .where(Prescription.course_key == course_key)
        .order_by(Prescription.created.desc())
        .limit(1)
    ) or on_the_sheet(session, course_key)
    count = session.scalar(
        select(func.count())
        .select_from(Appointment)
        .where(
            Appointment.course_key == course_key,
            Appointment.kind == Kind.TREATMENT,
            Appointment.state.not_in((AppointmentState.CANCELLED, AppointmentState.MISSED)),
        )
    )
    return wanted > 0 and (count or 0) >= wanted


def on_the_sheet(session: Session, course_key: str) -> int:
    """Fractions that the approved treatment sheet names; 0 without one."""
    sheet = records.approved(session, course_key, "treatment-sheet")
    doses: Any = sheet.content.get("doses", ()) if sheet is not None else ()
    return max((int(row.get("fractions") or 0) for row in doses), default=0)
