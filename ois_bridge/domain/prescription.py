"""What a physician prescribes, and whether a plan does what is prescribed."""

from dataclasses import dataclass

from common.dicom.plan import IonPlan
from common.errors import BadInput
from common.text import _

DOSE_TOLERANCE = 1e-4
"""Relative: a plan carries its prescription as a decimal string or a float32."""


@dataclass(frozen=True)
class OrganGoal:
    """Highest dose allowed in an organ, Gy (RBE), over the whole course."""

    name: str
    max_gy: float


@dataclass(frozen=True)
class PrescriptionText:
    """A prescription as written. dose_per_fraction: RBE-weighted Gy to the target."""

    target: str
    dose_per_fraction: float
    fractions: int
    rbe_model: str
    structure_set_uid: str
    organs: tuple[OrganGoal, ...] = ()

    @property
    def total(self) -> float:
        """Dose of all fractions, Gy (RBE)."""
        return self.dose_per_fraction * self.fractions


def checked(text: PrescriptionText) -> PrescriptionText:
    """The prescription itself. Raises BadInput for a value outside what is allowed."""
    if not text.target.strip():
        raise BadInput(_("Target: the name of a region of the structure set is needed."))
    if not 0.0 < text.dose_per_fraction <= 30.0:
        raise BadInput(_("Dose per fraction: more than 0 and at most 30 Gy (RBE) are allowed."))
    if not 1 <= text.fractions <= 60:
        raise BadInput(_("Fractions: 1 to 60 are allowed."))
    if not text.rbe_model.strip():
        raise BadInput(_("RBE model: it must be named, for example constant 1.1."))
    names = [goal.name.strip() for goal in text.organs]
    if "" in names or len(set(names)) != len(names):
        raise BadInput(_("Organ goals: each needs a name, and each name once."))
    if any(not 0.0 < goal.max_gy <= 200.0 for goal in text.organs):
        raise BadInput(_("Organ goals: more than 0 and at most 200 Gy (RBE) are allowed."))
    return text


def contradictions(text: PrescriptionText, plan: IonPlan) -> tuple[str, ...]:
    """What in a plan is not what the prescription asks, as sentences."""
    found = []
    if plan.fractions != text.fractions:
        found.append(
            _("The plan has {n} fractions, prescribed are {m}.").format(n=plan.fractions, m=text.fractions)
        )
    if abs(plan.prescription - text.dose_per_fraction) > DOSE_TOLERANCE * text.dose_per_fraction:
        found.append(
            _("The plan gives {a:.4g} Gy (RBE) a fraction, prescribed are {b:.4g}.").format(
                a=plan.prescription, b=text.dose_per_fraction
            )
        )
    if plan.structure_set_uid != text.structure_set_uid:
        found.append(_("The plan refers to another structure set than the prescription."))
    if plan.target and plan.target != text.target:
        found.append(_("The plan's target is {a}, prescribed is {b}.").format(a=plan.target, b=text.target))
    return tuple(found)
