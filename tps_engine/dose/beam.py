"""Dose of whole beams on a grid, without a matrix: planned spots, or spots as they were measured."""

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonBeam
from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.model import BeamModel
from tps_engine.dose import engine, spots
from tps_engine.dose.field import prepare
from tps_engine.dose.hardware import forward, parts, ripple
from tps_engine.dose.raytrace import project
from tps_engine.dose.upstream import upstream_of
from tps_engine.patient.grid import Floats, Grid, resample_nearest
from tps_engine.patient.model import Patient
from tps_engine.plan.geometry import beam_frame


def beam_dose(
    patient: Patient, grid: Grid, beam: IonBeam, beam_model: BeamModel, device: str = "cpu"
) -> NDArray[np.float32]:
    """Physical dose to water in Gy of one fraction of a planned beam, (nz, ny, nx) on `grid`.

    device: cpu, cuda or auto. Raises BadInput for an energy that the machine lacks, spots outside its scan
    limits, and cuda where there is none or where the beam has plates.
    """
    if parts.has_plates(beam):
        if device == "cuda":
            raise BadInput(
                _("beam {number}: plates are calculated on the cores only; take device cpu or auto").format(
                    number=beam.number
                )
            )
        return forward.beam_dose(patient, grid, beam, beam_model)
    behind = ripple.for_beam(beam_model, beam)
    placed, mu = spots.of_beam(beam, behind)
    return spot_dose(patient, grid, beam, placed, mu, behind, device)


def beam_dose_and_let(
    patient: Patient, grid: Grid, beam: IonBeam, beam_model: BeamModel, device: str = "cpu"
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Dose as `beam_dose`, and dose-averaged LET of protons in water in keV/um, 0 where no dose is.

    Raises BadInput as `beam_dose`, and for a beam with aperture, compensator or ripple filter.
    """
    if parts.has_plates(beam) or beam.ripple_filter is not None:
        raise BadInput(
            _("beam {number}: LET behind apertures, compensators and ripple filters is not modelled").format(
                number=beam.number
            )
        )
    placed, mu = spots.of_beam(beam, beam_model)
    found = _on_grid(patient, grid, beam, placed, mu, beam_model, let=True, device=device)
    return found[0], found[1]


def spot_dose(
    patient: Patient,
    grid: Grid,
    beam: IonBeam,
    placed: spots.Spots,
    mu: Floats,
    beam_model: BeamModel,
    device: str = "cpu",
) -> NDArray[np.float32]:
    """Physical dose to water in Gy, (nz, ny, nx) on `grid`, of any spots in the geometry of a beam.

    placed, mu: energies, positions, sizes and metersets of the spots, measured ones for instance; the
    beam's own layers are not read. Dose is given inside the body only. Raises BadInput for energies
    outside the machine, and for a range shifter of which thickness or place is not known.
    """
    return _on_grid(patient, grid, beam, placed, mu, beam_model, let=False, device=device)[0]


def spot_dose_and_let(
    patient: Patient, grid: Grid, beam: IonBeam, placed: spots.Spots, mu: Floats, beam_model: BeamModel
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Dose as `spot_dose`, and dose-averaged LET as `beam_dose_and_let`."""
    dose, let = _on_grid(patient, grid, beam, placed, mu, beam_model, let=True)
    return dose, let


def _on_grid(
    patient: Patient,
    grid: Grid,
    beam: IonBeam,
    placed: spots.Spots,
    mu: Floats,
    beam_model: BeamModel,
    let: bool,
    device: str = "cpu",
) -> list[NDArray[np.float32]]:
    """Dose, and LET where it is wanted, (nz, ny, nx) each."""
    frame = beam_frame(beam.gantry, beam.couch, beam.isocentre, beam.virtual_sad, patient.position)
    flat = np.flatnonzero(resample_nearest(patient.body, patient.grid, grid))
    points = grid.points(flat)
    out = np.zeros((2 if let else 1, grid.size), dtype=np.float32)
    if len(placed) and len(flat):
        projected = project(frame, points)
        heights = projected[:, 2]
        upstream = upstream_of(beam, beam_model, float(heights.max()))
        highest = float(np.abs(heights).max())
        reach = engine.reach_across(beam_model, placed, frame.sad, highest, upstream)
        window = (np.column_stack([placed.x, placed.y]), reach)
        voxels = prepare(patient.rsp, patient.grid, frame, points, window, upstream, projected=projected)
        if let:
            out[0, flat], out[1, flat] = engine.forward_with_let(voxels, beam_model, placed, mu, device)
        else:
            out[0, flat] = engine.forward(voxels, beam_model, placed, mu, device)
    return [values.reshape(grid.shape) for values in out]
