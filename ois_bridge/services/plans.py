"""Plans: they arrive, a physicist submits, a physician approves or revokes."""

from pydicom.dataset import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from common import authority
from common.dicom import canonical, checker, ion_plan, modules
from common.errors import Refused, Tampered, Unauthorised
from common.text import _
from ois_bridge.domain import prescription as prescribed
from ois_bridge.domain.fraction_states import FractionState
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.plan_states import PlanEvent, PlanState, next_state
from ois_bridge.models.archive import DicomInstance
from ois_bridge.models.clinical import Patient, Prescription
from ois_bridge.models.plans import Approval, Plan, PlanBeam, PlanReview
from ois_bridge.models.treatment import Fraction
from ois_bridge.services import access, accounts, archive, courses, patients
from ois_bridge.services.context import Caller, Context


def arrive(context: Context, session: Session, ds: Dataset, row: DicomInstance, patient: Patient) -> None:
    """Put a plan that has just been kept into the list of plans. Raises BadDicom."""
    plan = ion_plan.from_dataset(ds)
    entry = Plan(
        sop_uid=row.sop_uid,
        patient_key=patient.key,
        label=plan.label,
        machine=plan.machine,
        fractions_planned=plan.fractions,
        hash=row.content_hash,
        state=PlanState.ARRIVED,
        arrived=context.now(),
    )
    entry.beams = [
        PlanBeam(
            number=beam.number,
            name=beam.name,
            gantry=beam.gantry,
            couch=beam.couch,
            layers=len(beam.layers),
            spots=beam.spot_count,
            energy_low=min(layer.energy for layer in beam.layers),
            energy_high=max(layer.energy for layer in beam.layers),
            meterset=beam.meterset,
        )
        for beam in plan.beams
    ]
    session.add(entry)
    session.flush()


def _open(context: Context, session: Session, caller: Caller, sop_uid: str) -> Plan:
    """A plan of a patient whose record is open to the caller. Raises NotFound, RecordClosed."""
    plan = patients.must(session.get(Plan, sop_uid))
    access.check(session, caller, plan.patient_key, context)
    return plan


def submit(context: Context, caller: Caller, sop_uid: str, prescription_key: str) -> None:
    """A physicist says: this plan does what the prescription asks. Signs nothing.

    Raises Refused when the plan's state, patient, dose, machine or prescription does not fit,
    Tampered when its file at rest was altered.
    """
    with context.permitted(caller, Action.SUBMIT_PLAN, sop_uid) as session:
        plan = _open(context, session, caller, sop_uid)
        state = next_state(plan.state, PlanEvent.SUBMIT)
        wish = patients.must(session.get(Prescription, prescription_key))
        if wish.course.patient_key != plan.patient_key:
            raise Refused(_("The prescription is another patient's."))
        courses.must_be_active(session, wish.course_key)
        ds = _at_rest(context, session, plan)
        plan.dose_uid = _dose(context, session, plan, ds)
        _must_fit(context, ds, wish)
        plan.state, plan.prescription_key, plan.submitted_by = state, wish.key, caller.user
        _remember(context, session, plan, PlanEvent.SUBMIT, caller)


def approve(context: Context, caller: Caller, sop_uid: str, password: str) -> None:
    """A physician, other than the submitter, signs the plan's hash; its fractions come into being.

    The password is asked again. Raises Unauthorised, Refused, and Tampered when the file at rest or the
    dose was altered.
    """
    try:
        accounts.authenticate(context, caller.user, password, "confirm an approval")
    except Unauthorised as why:
        context.refused(caller.user, Action.APPROVE_PLAN.value, sop_uid, why)
        raise
    with context.permitted(caller, Action.APPROVE_PLAN, sop_uid) as session:
        plan = _open(context, session, caller, sop_uid)
        plan.state = next_state(plan.state, PlanEvent.APPROVE)
        if plan.submitted_by == caller.user:
            raise Unauthorised(_("Who submitted a plan may not approve it; another physician is needed."))
        courses.must_be_active(session, patients.must(plan.prescription).course_key)
        ds = _at_rest(context, session, plan)
        archive.load(context, patients.must(session.get(DicomInstance, plan.dose_uid)))
        now = context.now()
        statement = {
            "hash": canonical.plan_hash(ds),
            "sop_instance_uid": plan.sop_uid,
            "approver": caller.user,
            "time": now.isoformat(timespec="seconds"),
        }
        signed = authority.sign(context.signing_key, statement)
        session.add(Approval(plan_uid=sop_uid, approver=caller.user, hash=plan.hash, signed=signed, time=now))
        _plan_fractions(session, plan)
        _remember(context, session, plan, PlanEvent.APPROVE, caller)


def revoke(context: Context, caller: Caller, sop_uid: str, reason: str) -> None:
    """A physician takes a submitted or approved plan out of use for good. Raises Refused."""
    with context.permitted(caller, Action.REVOKE_PLAN, sop_uid) as session:
        plan = _open(context, session, caller, sop_uid)
        plan.state = next_state(plan.state, PlanEvent.REVOKE)
        if not reason.strip() or len(reason) > 500:
            raise Refused(_("A reason of 1 to 500 characters is needed."))
        for approval in plan.approvals:
            approval.revoked = approval.revoked or context.now()
        _remember(context, session, plan, PlanEvent.REVOKE, caller, reason.strip())


def confirm_at_rest(context: Context, caller: Caller, sop_uid: str) -> str:
    """Hash recomputed from the plan's file. Raises NotFound, and Tampered (audited) when it was altered."""
    with context.reading(caller, Action.READ_PLAN) as session:
        plan = patients.must(session.get(Plan, sop_uid))
    digest = canonical.plan_hash(archive.loaded(context, sop_uid, caller.user, "read plan"))
    if digest != plan.hash:
        raise Tampered(_("The file of an object was altered at rest; restore it from the backup."))
    return digest


def _at_rest(context: Context, session: Session, plan: Plan) -> Dataset:
    """The plan's data set from its file, which must still be what arrived."""
    ds = archive.load(context, patients.must(session.get(DicomInstance, plan.sop_uid)))
    if canonical.plan_hash(ds) != plan.hash:
        raise Tampered(_("The file of an object was altered at rest; restore it from the backup."))
    return ds


def _dose(context: Context, session: Session, plan: Plan, ds: Dataset) -> str:
    """UID of the RT Dose that was calculated for a plan."""
    wanted = ion_plan.from_dataset(ds).dose_sop_instance_uid
    query = select(DicomInstance).where(
        DicomInstance.sop_class_uid == modules.RT_DOSE, DicomInstance.refers_to == plan.sop_uid
    )
    if wanted:
        query = query.where(DicomInstance.sop_uid == wanted)
    dose = session.scalars(query.order_by(DicomInstance.received).limit(1)).first()
    if dose is None or dose.series.patient_key != plan.patient_key:
        raise Refused(_("The plan's RT Dose has not arrived; send it first."))
    archive.load(context, dose)
    return dose.sop_uid


def _must_fit(context: Context, ds: Dataset, wish: Prescription) -> None:
    checker.require_good(ds)
    plan = ion_plan.from_dataset(ds)
    errors = []
    if plan.machine != context.machine:
        errors.append(
            _("The plan is for the machine {a}; this site has {b}.").format(a=plan.machine, b=context.machine)
        )
    errors += prescribed.contradictions(text_of(wish), plan)
    if errors:
        raise Refused(" ".join(errors))


def text_of(row: Prescription) -> prescribed.PrescriptionText:
    """A prescription as written."""
    goals = tuple(prescribed.OrganGoal(organ.name, organ.max_gy) for organ in row.organs)
    return prescribed.PrescriptionText(
        row.target, row.dose_per_fraction, row.fractions, row.rbe_model, row.structure_set_uid, goals
    )


def _plan_fractions(session: Session, plan: Plan) -> None:
    meterset = sum(beam.meterset for beam in plan.beams)
    for number in range(1, plan.fractions_planned + 1):
        session.add(
            Fraction(plan_uid=plan.sop_uid, number=number, state=FractionState.PLANNED, planned_mu=meterset)
        )


def _remember(
    context: Context, session: Session, plan: Plan, event: PlanEvent, caller: Caller, reason: str = ""
) -> None:
    session.add(
        PlanReview(plan_uid=plan.sop_uid, event=event, user=caller.user, time=context.now(), reason=reason)
    )
