"""Is this the plan that was approved, for this patient, on this machine, and is the fraction still due?"""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from common.authority import read_statement
from common.dicom.plan import IonPlan
from common.errors import Refused, Tampered
from common.text import _
from treatment.ledger import History
from treatment.monitor import Monitor

APPROVED, DELIVERED, ACTIVE = "APPROVED", "DELIVERED", "ACTIVE"

MU_TOLERANCE = 0.05
"""MU by which the OIS may know more of a fraction than this machine's journal (rounding of the record)."""


@dataclass(frozen=True)
class Fraction:
    """A fraction as the OIS knows it. state: PLANNED, PARTIAL or DELIVERED."""

    number: int
    state: str
    delivered_mu: float


@dataclass(frozen=True)
class Standing:
    """A plan as the OIS knows it. state: ARRIVED, SUBMITTED, APPROVED or REVOKED. approval: JWS or "".

    course_state: ACTIVE, INTERRUPTED, CANCELLED, ENDED, HISTORY or "" for a plan of no course.
    """

    state: str
    plan_hash: str
    approval: str
    fractions: tuple[Fraction, ...]
    course_state: str


def check_signed(key: Ed25519PublicKey, approval: str, plan_uid: str, plan_hash: str) -> str:
    """The approver named by a signed approval of exactly this plan.

    plan_uid, plan_hash: of the data set in hand, computed by the caller. Raises Tampered when the signature
    does not fit or the statement speaks of another plan or another content.
    """
    statement = read_statement(key, approval)
    if statement.get("sop_instance_uid") != plan_uid:
        raise Tampered(_("the approval belongs to another plan; fetch the plan and its approval again"))
    if statement.get("hash") != plan_hash:
        raise Tampered(_("the plan was altered after its approval; it must be reviewed and approved anew"))
    approver = str(statement.get("approver", ""))
    if not approver:
        raise Tampered(_("the approval names no approver"))
    return approver


def check_standing(standing: Standing) -> None:
    """Raise Refused unless the OIS holds the plan as approved and its course as active."""
    if standing.state != APPROVED or not standing.approval:
        raise Refused(
            _("the plan is {state}; only an approved plan can be treated").format(
                state=standing.state or _("unknown")
            )
        )
    if standing.course_state != ACTIVE:
        raise Refused(
            _("the course of this plan is {state}; only an active course is treated").format(
                state=standing.course_state or _("unknown")
            )
        )


def check_plan(plan: IonPlan, machine: str) -> None:
    """Raise Refused when this machine or its nozzle cannot treat the plan."""
    if plan.machine != machine:
        raise Refused(
            _("the plan is for machine {other}, this is {machine}").format(
                other=plan.machine, machine=machine
            )
        )
    if plan.radiation != "PROTON":
        raise Refused(_("the plan is for {radiation}: allowed is PROTON").format(radiation=plan.radiation))
    if not plan.beams:
        raise Refused(_("the plan has no beams"))
    if plan.meterset_unit != "MU":
        raise Refused(_("the plan counts in {unit}, this machine in MU").format(unit=plan.meterset_unit))
    for beam in plan.beams:
        if beam.accessories:
            raise Refused(
                _("beam {number} wants {name}; this nozzle has none").format(
                    number=beam.number, name=", ".join(beam.accessories)
                )
            )
        if beam.range_shifter is not None:
            raise Refused(
                _("beam {number} wants range shifter {name}; this nozzle has none").format(
                    number=beam.number, name=beam.range_shifter
                )
            )


def check_fraction(plan: IonPlan, number: int, standing: Standing, ours: History, monitor: Monitor) -> None:
    """Raise Refused unless the fraction exists, is not delivered, and nothing of it is unknown here.

    ours: what this machine's journal holds of it. What the OIS knows beyond that was delivered elsewhere or
    its journal is lost: the remainder cannot be told from counts and is not guessed.
    """
    if not 1 <= number <= plan.fractions:
        raise Refused(
            _("fraction {number}: the plan has {count}").format(number=number, count=plan.fractions)
        )
    known = next((fraction for fraction in standing.fractions if fraction.number == number), None)
    if ours.finished or (known is not None and known.state == DELIVERED):
        raise Refused(_("fraction {number} is already delivered").format(number=number))
    if ours.open_run is not None or any(run.termination == "UNKNOWN" for run in ours.runs):
        raise Refused(
            _(
                "the counters of an earlier part of fraction {number} were never read back; "
                "a physicist must resolve this"
            ).format(number=number)
        )
    counted = sum(
        float(monitor.mu(int(run.counters.primary.sum()), run.k_tp))
        for run in ours.runs
        if run.counters is not None
    )
    if known is not None and known.delivered_mu > counted + MU_TOLERANCE:
        raise Refused(
            _(
                "the OIS knows {known:.2f} MU of fraction {number}, this machine's journal {counted:.2f} MU; "
                "a physicist must resolve this"
            ).format(known=known.delivered_mu, number=number, counted=counted)
        )


def check_identity(plan: IonPlan, patient_id: str, birth_date: str) -> None:
    """Raise Refused unless both identifiers are exactly those of the plan's patient."""
    same_id = patient_id == plan.patient.patient_id
    same_date = birth_date.replace("-", "") == plan.patient.birth_date
    if not (plan.patient.patient_id and plan.patient.birth_date and same_id and same_date):
        raise Refused(_("the identifiers are not those of the plan's patient; check who is on the couch"))
