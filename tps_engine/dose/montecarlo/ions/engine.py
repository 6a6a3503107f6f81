"""Monte Carlo dose of helium and carbon beams: fields with uncertainty and LET, and beamlets one by one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonBeam
from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.ion_machine import IonMachine
from tps_engine.biology.mkm import MkmParameters
from tps_engine.dose.engine import Influence
from tps_engine.dose.ions.plan import spots_of
from tps_engine.dose.ions.spots import energy_rows
from tps_engine.dose.montecarlo import beamlets, region
from tps_engine.dose.montecarlo.engine import MEMORY_LIMIT
from tps_engine.dose.montecarlo.ions import work
from tps_engine.dose.montecarlo.ions.transport import TALLIES
from tps_engine.dose.montecarlo.media import Medium, on_grid
from tps_engine.dose.montecarlo.source import cumulative
from tps_engine.dose.montecarlo.tallies import Histories, MonteCarloDose, Tallies, silent
from tps_engine.dose.montecarlo.work import refuse_too_large
from tps_engine.dose.parallel import workers
from tps_engine.dose.spots import Spots
from tps_engine.patient.grid import Floats, Grid, resample_nearest
from tps_engine.patient.model import Patient
from tps_engine.plan.geometry import BeamFrame, beam_frame

_ASIDE_MM, _SIGMAS = 60.0, 5.0  # how far from spots ions are followed: fragments, and standard deviations


def spot_dose(
    medium: Medium,
    frame: BeamFrame,
    machine: IonMachine,
    spots: Spots,
    mu: Floats,
    histories: Histories,
    memory_limit: int = MEMORY_LIMIT,
    counted: NDArray[np.bool_] | None = None,
    progress: Callable[[float], object] = silent,
    cell: MkmParameters | None = None,
) -> MonteCarloDose:
    """Dose of any spots with metersets (n,) MU; ions are drawn in proportion to those that a spot holds.

    counted: (nz, ny, nx) voxels whose noise counts, None: all. LET is that of all charged particles; with a
    cell so is its z*, for each nucleus at its own energy. Raises
    BadInput for no ions, energies outside the machine, an ion heavier than carbon, or tallies beyond
    `memory_limit` bytes.
    """
    ions = particles(machine, spots, np.asarray(mu, dtype=np.float64))
    if not np.isfinite(ions).all() or (ions < 0.0).any() or ions.sum() <= 0.0:
        raise BadInput(_("metersets must be numbers, not negative, and not all zero"))
    threads = min(histories.threads or workers(), histories.batches)
    refuse_too_large(medium.grid, threads, memory_limit, TALLIES)
    noted = None if counted is None else counted.ravel()
    tallies = Tallies(medium, histories, threads, noted, progress, TALLIES)
    tallies.run(work.prepare(medium, frame, machine, spots, cell), cumulative(ions))
    return tallies.result(float(ions.sum()))


def particles(machine: IonMachine, spots: Spots, mu: Floats) -> Floats:
    """Ions (n,) that spots of metersets (n,) MU hold. Raises BadInput for energies outside the machine."""
    if not len(spots):
        return np.zeros(0)
    used, which = energy_rows(machine, spots.energy)
    return np.asarray(mu * machine.particles_per_mu[used][which])


def influence(
    medium: Medium,
    frame: BeamFrame,
    machine: IonMachine,
    spots: Spots,
    voxels: NDArray[np.int64],
    per_spot: int,
    seed: int = 1,
    cut: float = 1e-3,
    memory_limit: int = MEMORY_LIMIT,
) -> Influence:
    """Beamlets: dose to water in Gy per MU of every spot in the voxels given by flat indices (n,).

    Arguments and errors as those of the protons' `engine.influence`.
    """
    beamlets.check(spots, voxels, per_spot)
    refuse_too_large(medium.grid, workers(), memory_limit, TALLIES)
    ready = work.prepare(medium, frame, machine, spots)
    scale = particles(machine, spots, np.ones(len(spots)))
    return beamlets.matrix(ready, medium, scale, voxels, per_spot, seed, cut, TALLIES)


@dataclass(frozen=True)
class IonPlanDose:
    """One fraction on the dose grid, (nz, ny, nx) float32.

    dose: physical, to water, Gy. sigma: Gy, one standard deviation. let: dose-averaged, keV/um, of all
    charged particles. star: dose-averaged z*, Gy, 0 without a cell. beams: each on the grid of its transport.
    """

    dose: NDArray[np.float32] = field(repr=False)
    dose_to_medium: NDArray[np.float32] = field(repr=False)
    sigma: NDArray[np.float32] = field(repr=False)
    let: NDArray[np.float32] = field(repr=False)
    star: NDArray[np.float32] = field(repr=False)
    beams: tuple[MonteCarloDose, ...] = field(repr=False)


def plan_dose(
    patient: Patient,
    grid: Grid,
    beams: Sequence[IonBeam],
    machine: IonMachine,
    histories: Histories,
    progress: Callable[[float], object] = silent,
    cell: MkmParameters | None = None,
) -> IonPlanDose:
    """Dose inside the body; histories are those of each beam. progress: the part (0..1) that is done.

    Raises BadInput for no beam, a beam without spots or with something that is not modelled, energies or
    positions outside the machine, an ion heavier than carbon.
    """
    if not beams:
        raise BadInput(_("a plan needs one field or more"))
    placed = [spots_of(beam, machine) for beam in beams]  # all are checked before time is spent
    sums = [np.zeros(grid.shape) for _k in range(5)]
    found = []
    for number, (beam, (own, mu)) in enumerate(zip(beams, placed, strict=True)):

        def part(done: float, number: int = number) -> None:
            progress((number + done) / len(beams))

        one, inside, where = _beam(patient, grid, beam, machine, own, mu, histories, part, cell)
        dose = one.dose_to_water.astype(np.float64)
        arrays: tuple[NDArray[np.floating], ...] = (
            dose,
            one.dose_to_medium,
            one.sigma.astype(np.float64) ** 2,
            dose * one.let,
            dose * (0.0 if one.star is None else one.star),
        )
        for k, values in enumerate(arrays):
            sums[k] += region.moved(np.where(inside, values, 0.0).astype(np.float32), where, grid)
        found.append(one)
    dose, medium, variance, *weighed = sums
    let, star = (np.divide(one, dose, out=np.zeros_like(dose), where=dose > 0.0) for one in weighed)
    return IonPlanDose(
        np.maximum(dose, 0.0).astype(np.float32),
        np.maximum(medium, 0.0).astype(np.float32),
        np.sqrt(variance).astype(np.float32),
        let.astype(np.float32),
        star.astype(np.float32),
        tuple(found),
    )


def _beam(
    patient: Patient,
    grid: Grid,
    beam: IonBeam,
    machine: IonMachine,
    own: Spots,
    mu: Floats,
    histories: Histories,
    progress: Callable[[float], object],
    cell: MkmParameters | None,
) -> tuple[MonteCarloDose, NDArray[np.bool_], Grid]:
    """Dose of a beam on the grid that its ions are followed through, the body there, and that grid."""
    frame = beam_frame(beam.gantry, beam.couch, beam.isocentre, beam.virtual_sad, patient.position)
    where = region.region(patient, grid, frame, _window(own))
    medium = on_grid(patient.rsp, patient.grid, where)
    inside = resample_nearest(patient.body, patient.grid, where) & (
        region.moved(np.ones(grid.shape, dtype=np.float32), grid, where) > 0.0
    )
    found = spot_dose(
        medium, frame, machine, own, mu, histories, counted=inside, progress=progress, cell=cell
    )
    return found, inside, where


def _window(placed: Spots) -> tuple[Floats, Floats]:
    """Low and high (u, v) in the isocentric plane within which ions matter, mm."""
    places = np.column_stack([placed.x, placed.y])
    if not len(places):
        return np.zeros(2), np.zeros(2)
    aside = _ASIDE_MM + _SIGMAS * float(max(placed.sigma_x.max(), placed.sigma_y.max()))
    return places.min(axis=0) - aside, places.max(axis=0) + aside
