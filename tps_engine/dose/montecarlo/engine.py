"""Monte Carlo dose of proton beams: whole fields with uncertainty and LET, and beamlets one by one."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonBeam
from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.model import BeamModel
from tps_engine.device import choice
from tps_engine.dose import spots as spot_module
from tps_engine.dose.engine import Influence
from tps_engine.dose.hardware import ripple
from tps_engine.dose.montecarlo import beamlets, calibration, plated, region, work
from tps_engine.dose.montecarlo.media import Medium, on_grid
from tps_engine.dose.montecarlo.source import cumulative
from tps_engine.dose.montecarlo.tallies import (
    EnergyBalance,
    Histories,
    MonteCarloDose,
    Rounds,
    Tallies,
    silent,
)
from tps_engine.dose.parallel import workers
from tps_engine.dose.spots import Spots
from tps_engine.dose.upstream import Upstream, upstream_of
from tps_engine.patient.grid import Floats, Grid, resample_nearest
from tps_engine.patient.model import Patient
from tps_engine.plan.geometry import BeamFrame, beam_frame

__all__ = ["EnergyBalance", "Histories", "MonteCarloDose", "beam_dose", "influence", "spot_dose"]

MEMORY_LIMIT = 6 * 2**30
"""Bytes that tallies may take unless the caller says otherwise."""

_ASIDE_MM, _SIGMAS = 60.0, 5.0  # how far from spots protons are followed: halo, and standard deviations


def beam_dose(
    patient: Patient,
    grid: Grid,
    beam: IonBeam,
    model: BeamModel,
    histories: Histories,
    progress: Callable[[float], object] = silent,
) -> MonteCarloDose:
    """Dose of one fraction of a planned beam on `grid`; given inside the body only, like the pencil beam's.

    Protons are followed from the plane of the beam model through air, range shifter, aperture, compensator
    and all of the body, also where `grid` does not reach. progress: called with the part (0..1) that
    is done. Raises BadInput for an energy that the machine lacks, spots outside its scan limits, a beam
    without spots, a range shifter of which thickness or place is not known, plates in the patient or closed.
    """
    model = ripple.for_beam(model, beam)
    placed, mu = spot_module.of_beam(beam, model)
    frame = beam_frame(beam.gantry, beam.couch, beam.isocentre, beam.virtual_sad, patient.position)
    surface = _surface(patient, frame)
    upstream, plates = upstream_of(beam, model, surface), plated.plates_of(beam, surface)
    where = region.region(patient, grid, frame, _window(placed, upstream))
    medium = on_grid(patient.rsp, patient.grid, where)
    inside = resample_nearest(patient.body, patient.grid, where) & (
        region.moved(np.ones(grid.shape, dtype=np.float32), grid, where) > 0.0
    )
    found = spot_dose(
        medium, frame, model, placed, mu, histories,
        upstream=upstream, counted=inside, progress=progress, plates=plates,
    )  # fmt: skip
    if plates is not None:
        plated.refuse_closed(not found.dose_to_water.any(), beam)

    def on_dose_grid(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return region.moved(np.where(inside, values, np.float32(0.0)), where, grid)

    return replace(
        found,
        grid=grid,
        dose_to_water=on_dose_grid(found.dose_to_water),
        dose_to_medium=on_dose_grid(found.dose_to_medium),
        sigma=on_dose_grid(found.sigma),
        let=on_dose_grid(found.let),
    )


def _surface(patient: Patient, frame: BeamFrame) -> float:
    """Height in mm above the isocentre at which the body begins, along the beam."""
    points, _step = region.sampled(patient.body, patient.grid)
    if not len(points):
        return 0.0
    return float(frame.to_gantry(points)[:, 2].max())


def _window(placed: Spots, upstream: Upstream | None) -> tuple[Floats, Floats]:
    """Low and high (u, v) in the isocentric plane within which protons matter, mm."""
    places = np.column_stack([placed.x, placed.y])
    if not len(places):
        return np.zeros(2), np.zeros(2)
    wide = _SIGMAS * float(max(placed.sigma_x.max(), placed.sigma_y.max()))
    aside = _ASIDE_MM + wide + (0.1 * upstream.gap if upstream is not None else 0.0)
    return places.min(axis=0) - aside, places.max(axis=0) + aside


def spot_dose(
    medium: Medium,
    frame: BeamFrame,
    model: BeamModel,
    spots: Spots,
    mu: Floats,
    histories: Histories,
    memory_limit: int = MEMORY_LIMIT,
    upstream: Upstream | None = None,
    counted: NDArray[np.bool_] | None = None,
    progress: Callable[[float], object] = silent,
    plates: plated.Plates | None = None,
) -> MonteCarloDose:
    """Dose of any spots with metersets (n,) MU; protons are drawn in proportion to those that a spot holds.

    upstream: what the beam passes before the grid. plates: and an aperture or compensator there, whose
    protons are followed on the cores. counted: (nz, ny, nx) voxels whose noise counts, None: all. Raises
    BadInput for no protons, energies outside the machine, or tallies beyond `memory_limit` bytes.
    """
    protons = (
        calibration.protons(model, spots, np.asarray(mu, dtype=np.float64)) if len(spots) else np.zeros(0)
    )
    if not np.isfinite(protons).all() or (protons < 0.0).any() or protons.sum() <= 0.0:
        raise BadInput(_("metersets must be numbers, not negative, and not all zero"))
    if plates is not None and histories.device == "cuda":
        raise BadInput(_("aperture and compensator are followed on the cores only; take device cpu or auto"))
    on_device = choice.chosen(histories.device) == "cuda" and plates is None
    threads = 1 if on_device else min(histories.threads or workers(), histories.batches)
    work.refuse_too_large(medium.grid, threads, memory_limit)
    tallies = Tallies(medium, histories, threads, None if counted is None else counted.ravel(), progress)
    edges = cumulative(protons)
    if plates is not None:
        tallies.run(plated.prepare(medium, frame, model, spots, upstream, plates), edges)
    else:
        ready = work.prepare(medium, frame, model, spots, upstream)
        tallies.run(_sent(ready) if on_device else ready, edges)
    return tallies.result(float(protons.sum()))


def _sent(ready: work.Work) -> Rounds:
    """The same work on the CUDA device."""
    from tps_engine.device.montecarlo import OnDevice  # noqa: PLC0415 - kernels that need a device

    return OnDevice(ready)


def influence(
    medium: Medium,
    frame: BeamFrame,
    model: BeamModel,
    spots: Spots,
    voxels: NDArray[np.int64],
    per_spot: int,
    seed: int = 1,
    cut: float = 1e-3,
    memory_limit: int = MEMORY_LIMIT,
    upstream: Upstream | None = None,
) -> Influence:
    """Beamlets: dose to water in Gy per MU of every spot in the voxels given by flat indices (n,).

    per_spot: histories a spot. upstream: what the beam passes before the grid.
    cut: doses below this part of a beamlet's largest are left out. Same layout
    as the pencil beam's matrix. Raises BadInput for no spot, no voxel, no history, energies outside the
    machine.
    """
    beamlets.check(spots, voxels, per_spot)
    work.refuse_too_large(medium.grid, workers(), memory_limit)
    ready = work.prepare(medium, frame, model, spots, upstream)
    protons = calibration.protons(model, spots, np.ones(len(spots)))
    return beamlets.matrix(ready, medium, protons, voxels, per_spot, seed, cut)
