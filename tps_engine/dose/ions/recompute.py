"""A carbon plan on a patient or phantom: checked before time is spent, then physical or RBE-weighted dose."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonPlan
from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.ion_machine import IonMachine
from tps_engine.dose.ions.plan import plan_dose
from tps_engine.dose.recompute import check_position
from tps_engine.patient.grid import Grid
from tps_engine.patient.model import Patient

_SAME_RATIO = 0.01


@dataclass(frozen=True)
class CarbonDose:
    """One fraction, (nz, ny, nx). dose: Gy, RBE-weighted where a ratio was given. what: for the file."""

    dose: NDArray[np.float32] = field(repr=False)
    what: str


def recompute(
    patient: Patient, grid: Grid, plan: IonPlan, machine: IonMachine, alpha_beta: float | None
) -> CarbonDose:
    """Dose of all beams together. alpha_beta: Gy, of one tissue everywhere; None: physical dose.

    Metersets in numbers of particles (NP) are taken as they are. Raises BadInput for another ion, patient
    position or meterset unit, a ratio that the machine has no tables of, and as `plan_dose`.
    """
    if plan.radiation != "ION" or machine.ion != "carbon":
        raise BadInput(
            _("the plan is for {ion}, the machine {name} for {other}").format(
                ion=plan.radiation, name=machine.name, other=machine.ion
            )
        )
    if plan.meterset_unit not in ("MU", "NP"):
        raise BadInput(
            _("metersets are in {unit}: allowed are MU and NP").format(unit=plan.meterset_unit or "-")
        )
    check_position(plan, patient)
    if plan.meterset_unit == "NP":
        machine = replace(machine, particles_per_mu=np.ones_like(machine.energies))
    tissue = None if alpha_beta is None else np.full(grid.shape, _tissue(machine, alpha_beta), dtype=np.int8)
    found = plan_dose(patient, grid, plan.beams, machine, tissue)
    dose = found.physical if found.weighted is None else found.weighted
    if not dose.any():
        raise BadInput(_("no beam gives any dose on the grid: check isocentre, gantry angles and image"))
    name = f"pb {machine.name} {machine.version}"
    return CarbonDose(dose, name if alpha_beta is None else f"{name} {machine.biology} a/b {alpha_beta:g} Gy")


def _tissue(machine: IonMachine, ratio: float) -> int:
    """Number of the machine's tissue of a ratio. Raises BadInput naming those that it has."""
    for number, tissue in enumerate(machine.tissues):
        if abs(tissue.ratio - ratio) < _SAME_RATIO:
            return number
    known = ", ".join(f"{tissue.ratio:g}" for tissue in machine.tissues)
    raise BadInput(
        _("alpha/beta {ratio} Gy: the machine {name} has tables for {known}").format(
            ratio=f"{ratio:g}", name=machine.name, known=known or "-"
        )
    )
