"""Treatment records: what was delivered, bound to plan, fraction and part. None is ever thrown away."""

from datetime import UTC, datetime

from pydicom.dataset import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from common.dicom import ion_record
from common.dicom.record import BeamRecord, TreatmentRecord
from common.text import _
from ois_bridge.domain import fraction_states
from ois_bridge.domain.plan_states import PlanState
from ois_bridge.domain.words import STATE
from ois_bridge.models.plans import Plan
from ois_bridge.models.treatment import Fraction, FractionPart, PartBeam
from ois_bridge.services import deliveries, patients
from ois_bridge.services.context import Context


def arrive(context: Context, session: Session, ds: Dataset, sop_uid: str, doubt: str, sender: str) -> None:
    """Enter a record that has just been kept. Raises BadDicom.

    `doubt` says why it is not its patient's. A record that fits no approved plan's fraction is entered
    without one, and flagged with the reason.
    """
    record = ion_record.from_dataset(ds)
    plan = session.get(Plan, record.plan_sop_instance_uid)
    owner = patients.by_id(session, record.patient.patient_id)
    foreign = plan is not None and (owner is None or owner.key != plan.patient_key)
    fraction = None if doubt or foreign else _fraction(session, record)
    part = FractionPart(
        record_uid=sop_uid,
        fraction_key=fraction.key if fraction else None,
        plan_uid=record.plan_sop_instance_uid,
        fraction_number=record.fraction,
        part=record.part,
        started=_moment(record.start_ns),
        ended=_moment(record.end_ns),
        clock_factor=record.clock_factor,
        verified_by=record.verified_by[:64],
        operators=", ".join(record.operators)[:255],
        flag="",
    )
    part.beams = [_beam(beam, part) for beam in record.beams]
    doubts = [doubt] if doubt else _doubts(plan, fraction, record, foreign)
    session.add(part)
    session.flush()
    if fraction is not None and plan is not None:
        doubts += _add_up(session, plan, fraction)
        deliveries.record_arrived(context, session, plan, fraction, part, sender)
    part.flag = " ".join(doubts)[:500]


def _fraction(session: Session, record: TreatmentRecord) -> Fraction | None:
    return session.scalar(
        select(Fraction).where(
            Fraction.plan_uid == record.plan_sop_instance_uid, Fraction.number == record.fraction
        )
    )


def _doubts(
    plan: Plan | None, fraction: Fraction | None, record: TreatmentRecord, foreign: bool
) -> list[str]:
    if plan is None:
        return [_("The plan of this record is not in the OIS.")]
    if foreign:
        return [_("The plan of this record is another patient's.")]
    doubts = []
    if plan.state is not PlanState.APPROVED:
        doubts.append(
            _("The plan of this record is not approved ({state}).").format(state=_(STATE[plan.state]))
        )
    elif fraction is None:
        doubts.append(_("The plan has no fraction {n}.").format(n=record.fraction))
    if fraction is not None and any(kept.part == record.part for kept in fraction.parts):
        doubts.append(_("Part {n} of this fraction was recorded before.").format(n=record.part))
    return doubts


def _add_up(session: Session, plan: Plan, fraction: Fraction) -> list[str]:
    """Sum the parts of a fraction, set its state, and return what is wrong with the sum."""
    parts = session.scalars(select(FractionPart).where(FractionPart.fraction_key == fraction.key)).all()
    planned = {beam.number: beam.meterset for beam in plan.beams}
    delivered: dict[int, float] = {}
    for beam in (beam for part in parts for beam in part.beams):
        delivered[beam.number] = delivered.get(beam.number, 0.0) + beam.delivered_mu
    fraction.delivered_mu = sum(delivered.values())
    fraction.state = fraction_states.next_state(fraction.state, fraction_states.event(planned, delivered))
    over = fraction_states.overdosed(planned, delivered)
    return [_("Field {n} got more than planned.").format(n=number) for number in over]


def _beam(beam: BeamRecord, part: FractionPart) -> PartBeam:
    starts = [layer.start_ns for layer in beam.layers if layer.start_ns]
    ends = [layer.end_ns for layer in beam.layers if layer.end_ns]
    return PartBeam(
        number=beam.number,
        name=beam.name,
        planned_mu=beam.planned_mu,
        delivered_mu=beam.delivered_mu,
        termination=beam.termination,
        delivery_type=beam.delivery_type,
        cause=beam.cause[:500],
        started=_moment(min(starts)) if starts else part.started,
        ended=_moment(max(ends)) if ends else part.ended,
    )


def _moment(wall_ns: int) -> datetime:
    return datetime.fromtimestamp(wall_ns / 1e9, tz=UTC)
