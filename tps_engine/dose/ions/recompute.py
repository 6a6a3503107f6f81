"""A carbon plan on a patient or phantom: checked before time is spent, then physical or RBE-weighted dose."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonBeam, IonPlan
from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.ion_machine import IonMachine
from tps_engine.biology.effect import Photons, weighted_dose
from tps_engine.biology.mkm_set import Cell
from tps_engine.dose import precheck
from tps_engine.dose.engines import DEFAULT_NOISE, MOST_HISTORIES, EngineDose, Options, Progress
from tps_engine.dose.ions.plan import plan_dose, spots_of
from tps_engine.dose.recompute import check_position
from tps_engine.patient.grid import Grid
from tps_engine.patient.model import Patient

_SAME_RATIO = 0.01


@dataclass(frozen=True)
class CarbonDose:
    """One fraction, (nz, ny, nx). dose: Gy, RBE-weighted where a ratio was given. what: for the file."""

    dose: NDArray[np.float32] = field(repr=False)
    what: str


def check(plan: IonPlan, machine: IonMachine) -> None:
    """Raise BadInput, before time is spent, for a plan that the machine or the engines cannot calculate.

    Another ion or meterset unit, energies or spots outside the machine, and what is held in the beam and is
    not modelled.
    """
    if plan.radiation != "ION" or plan.nuclide != (machine.mass_number, machine.charge):
        raise BadInput(
            _("the plan is for {ion}, the machine {name} for {other}").format(
                ion=plan.radiation, name=machine.name, other=machine.ion
            )
        )
    if plan.meterset_unit not in ("MU", "NP"):
        raise BadInput(
            _("metersets are in {unit}: allowed are MU and NP").format(unit=plan.meterset_unit or "-")
        )
    for beam in plan.beams:
        spots_of(beam, machine)


def refuse_unproven(machine: IonMachine, options: Options) -> None:
    """Raise BadInput for Monte Carlo of an ion whose fragments are not right, unless they are asked for."""
    if machine.ion == "helium" and not options.approximate_fragments:
        raise BadInput(
            _(
                "Monte Carlo of helium is not right yet: behind the peak its fragments give 20 to 65 % too "
                "little dose; take the pencil beam, or ask for it by --approximate-fragments "
                "(approximate_fragments in a script)"
            )
        )


def recompute(
    patient: Patient,
    grid: Grid,
    plan: IonPlan,
    machine: IonMachine,
    alpha_beta: float | None,
    tell: Callable[[str], object] = lambda _text: None,
) -> CarbonDose:
    """Dose of all beams together. alpha_beta: Gy, of one tissue everywhere; None: physical dose.

    Metersets in numbers of particles (NP) are taken as they are. tell: called with each warning before time
    is spent. Raises BadInput as `check`, for a ratio that the machine has no tables of, another patient
    position, and what `precheck` refuses.
    """
    number = None if alpha_beta is None else tissue_of(machine, alpha_beta)
    machine = checked(patient, grid, plan, machine, tell)
    tissue = None if number is None else np.full(grid.shape, number, dtype=np.int8)
    found = plan_dose(patient, grid, plan.beams, machine, tissue)
    dose = found.physical if found.weighted is None else found.weighted
    _refuse_nothing(dose)
    name = f"pb {machine.name} {machine.version}"
    return CarbonDose(dose, name if alpha_beta is None else f"{name} {machine.biology} a/b {alpha_beta:g} Gy")


def monte_carlo(
    patient: Patient,
    grid: Grid,
    plan: IonPlan,
    machine: IonMachine,
    options: Options,
    progress: Progress = lambda _done: None,
    cell: Cell | None = None,
    tell: Callable[[str], object] = lambda _text: None,
) -> EngineDose:
    """Dose of all beams of one fraction together by Monte Carlo; noise is that of each beam.

    cell: RBE-weighted dose, Gy (RBE), of these cells everywhere, by the microdosimetric kinetic model with z*
    averaged over all nuclei that are followed; sigma is then that of the physical dose. None: physical dose.
    The machine's own alpha and beta are tables over depth and not used. Raises BadInput as `recompute` and
    `refuse_unproven`.
    """
    machine = checked(patient, grid, plan, machine, tell)
    return of_beams(patient, grid, plan.beams, machine, options, progress, cell)


def of_beams(
    patient: Patient,
    grid: Grid,
    beams: Sequence[IonBeam],
    machine: IonMachine,
    options: Options,
    progress: Progress = lambda _done: None,
    cell: Cell | None = None,
) -> EngineDose:
    """As `monte_carlo`, of beams that were checked or planned on this image."""
    # imported here: its compiled code takes seconds to load, and the pencil beam needs none of it
    from tps_engine.dose.montecarlo.ions import engine  # noqa: PLC0415
    from tps_engine.dose.montecarlo.tallies import Histories  # noqa: PLC0415

    refuse_unproven(machine, options)
    if options.device == "cuda":
        raise BadInput(_("ions are followed on the cores only; take device cpu or auto"))
    noise = options.noise
    if noise is None and options.histories is None:
        noise = DEFAULT_NOISE
    count = MOST_HISTORIES if options.histories is None else options.histories
    asked = Histories(count, options.seed, noise=noise)
    parameters = None if cell is None else cell.parameters
    found = engine.plan_dose(patient, grid, beams, machine, asked, progress, parameters)
    dose = found.dose if options.quantity == "water" else found.dose_to_medium
    _refuse_nothing(dose)
    if cell is not None:
        dose = _weighted(dose, found.star, cell)
    return EngineDose(
        dose,
        found.sigma,
        found.let,
        max(beam.mean_uncertainty() for beam in found.beams),
        sum(beam.histories.count for beam in found.beams),
    )


def _weighted(dose: NDArray[np.float32], star: NDArray[np.float32], cell: Cell) -> NDArray[np.float32]:
    """RBE-weighted dose, Gy (RBE), of a dose in Gy and its z* in Gy."""
    # straggling may leave a voxel with next to no dose a z* below zero
    alpha = cell.parameters.alpha(np.maximum(star.astype(np.float64), 0.0))
    beta = np.full(dose.shape, cell.parameters.beta)
    return weighted_dose(dose.astype(np.float64), alpha, beta, Photons(cell.photons.alpha, cell.photons.beta))


def checked(
    patient: Patient, grid: Grid, plan: IonPlan, machine: IonMachine, tell: Callable[[str], object]
) -> IonMachine:
    """The machine in the unit of the plan's metersets. Arguments and errors as `recompute`."""
    check(plan, machine)
    check_position(plan, patient)
    points = precheck.check_room(patient, grid, precheck.BYTES_IONS)
    for beam in plan.beams:
        for warning in precheck.check_beam(patient, points, beam, spots_of(beam, machine)[0]):
            tell(warning)
    if plan.meterset_unit == "NP":
        machine = replace(machine, particles_per_mu=np.ones_like(machine.energies))
    return machine


def _refuse_nothing(dose: NDArray[np.float32]) -> None:
    if not dose.any():
        raise BadInput(_("no beam gives any dose on the grid: check isocentre, gantry angles and image"))


def tissue_of(machine: IonMachine, ratio: float) -> int:
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
