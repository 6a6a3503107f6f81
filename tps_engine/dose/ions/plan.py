"""Dose of the beams of an ion plan, given together in one fraction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonBeam
from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.ion_machine import IonMachine
from tps_engine.biology.effect import weighted_dose
from tps_engine.biology.tissues import photons_of
from tps_engine.dose.ions import engine, spots
from tps_engine.dose.spots import Spots
from tps_engine.patient.grid import Floats, Grid, resample_nearest
from tps_engine.patient.model import Patient
from tps_engine.plan.geometry import beam_frame


@dataclass(frozen=True)
class IonPlanDose:
    """Arrays (nz, ny, nx) float32 of one fraction; None: not asked for.

    physical: dose to water, Gy. let: dose-averaged, keV/um. weighted: RBE-weighted dose, Gy (RBE), by the
    machine's biology. It is not a sum over beams: the effect depends on the dose of the whole fraction.
    """

    physical: NDArray[np.float32] = field(repr=False)
    let: NDArray[np.float32] | None = field(default=None, repr=False)
    weighted: NDArray[np.float32] | None = field(default=None, repr=False)


def plan_dose(
    patient: Patient,
    grid: Grid,
    beams: Sequence[IonBeam],
    machine: IonMachine,
    tissue: NDArray[np.int8] | None = None,
    let: bool = False,
    done: Callable[[], object] = lambda: None,
) -> IonPlanDose:
    """Dose inside the body; `done` is called after each beam. tissue: (nz, ny, nx) numbers (`tissue_map`).

    Ripple filters count as part of the machine's tables. Raises BadInput for no beam, a beam with a range
    shifter, aperture, compensator or other accessory, energies or positions outside the machine, LET or
    biology that it lacks, tissues on another grid.
    """
    if not beams:
        raise BadInput(_("a plan needs one field or more"))
    if tissue is not None and tissue.shape != grid.shape:
        raise BadInput(f"tissues on {tissue.shape} voxels: allowed is the dose grid's {grid.shape}")
    placed = [spots_of(beam, machine) for beam in beams]
    flat = np.flatnonzero(resample_nearest(patient.body, patient.grid, grid))
    here = None if tissue is None else tissue.ravel()[flat]
    sums = np.zeros((4, len(flat)))
    for beam, (own, mu) in zip(beams, placed, strict=True):
        sums += _sums(patient, grid.points(flat), beam, machine, own, mu, here, let)
        done()
    dose, lets, alphas, roots = sums
    share = np.divide(1.0, dose, out=np.zeros_like(dose), where=dose > 0.0)
    weighted = None
    if here is not None:
        weighted = weighted_dose(dose, alphas * share, (roots * share) ** 2, photons_of(machine, here))
    return IonPlanDose(
        _on(grid, flat, dose),
        _on(grid, flat, lets * share) if let else None,
        None if weighted is None else _on(grid, flat, weighted),
    )


def beam_sums(
    patient: Patient,
    grid: Grid,
    beam: IonBeam,
    machine: IonMachine,
    tissue: NDArray[np.int8] | None = None,
    let: bool = False,
) -> Floats:
    """(4, voxels) dose Gy, LET x dose, alpha x dose and sqrt(beta) x dose of one beam on the whole grid.

    Arguments and errors as `plan_dose`; 0 outside the body and for what is not asked for.
    """
    own, mu = spots_of(beam, machine)
    flat = np.flatnonzero(resample_nearest(patient.body, patient.grid, grid))
    here = None if tissue is None else tissue.ravel()[flat]
    out = np.zeros((4, grid.size))
    out[:, flat] = _sums(patient, grid.points(flat), beam, machine, own, mu, here, let)
    return out


def spots_of(beam: IonBeam, machine: IonMachine) -> tuple[Spots, Floats]:
    """All spots of a beam with the machine's widths, and their metersets (n,) MU."""
    parts = [beam.range_shifter, beam.aperture and beam.aperture.id, beam.compensator and beam.compensator.id]
    held = [part for part in (*parts, *beam.accessories) if part]
    if held:
        raise BadInput(
            _("beam {number} holds {what}, which the dose engine does not model").format(
                number=beam.number, what=", ".join(dict.fromkeys(held))
            )
        )
    none = [np.zeros(0)]
    energy = np.repeat([layer.energy for layer in beam.layers], [len(layer.x) for layer in beam.layers])
    x = np.concatenate([layer.x for layer in beam.layers] or none).astype(np.float64)
    y = np.concatenate([layer.y for layer in beam.layers] or none).astype(np.float64)
    mu = np.concatenate([layer.mu for layer in beam.layers] or none).astype(np.float64)
    return spots.nominal(machine, energy, x, y), mu


def _sums(
    patient: Patient,
    points: Floats,
    beam: IonBeam,
    machine: IonMachine,
    own: Spots,
    mu: Floats,
    tissue: NDArray[np.int8] | None,
    let: bool,
) -> Floats:
    """(4, n) dose, LET, alpha and sqrt(beta) x dose of a beam at points (n, 3)."""
    if not len(own) or not len(points):
        return np.zeros((4, len(points)))
    frame = beam_frame(beam.gantry, beam.couch, beam.isocentre, beam.virtual_sad, patient.position)
    voxels = spots.field_of(machine, patient.rsp, patient.grid, frame, points, own)
    found = engine.forward(voxels, machine, own, mu, tissue, let)
    dose = found.dose.astype(np.float64)
    nothing = np.zeros_like(dose)
    return np.stack(
        [
            dose,
            nothing if found.let is None else dose * found.let,
            nothing if found.alpha is None else dose * found.alpha,
            nothing if found.beta is None else dose * np.sqrt(found.beta),
        ]
    )


def _on(grid: Grid, flat: NDArray[np.int64], values: NDArray[np.floating]) -> NDArray[np.float32]:
    out = np.zeros(grid.size, dtype=np.float32)
    out[flat] = values
    return out.reshape(grid.shape)
