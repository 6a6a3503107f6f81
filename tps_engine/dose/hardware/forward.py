"""Pencil-beam dose of beams with aperture and compensator: the sum over their parts."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonBeam
from tps_engine.beamdata.model import BeamModel
from tps_engine.dose import engine
from tps_engine.dose.field import prepare
from tps_engine.dose.hardware import parts, ripple
from tps_engine.dose.upstream import upstream_of
from tps_engine.patient.grid import Grid, resample_nearest
from tps_engine.patient.model import Patient
from tps_engine.plan.geometry import beam_frame


def beam_dose(patient: Patient, grid: Grid, beam: IonBeam, model: BeamModel) -> NDArray[np.float32]:
    """Physical dose to water in Gy of one fraction of a planned beam, (nz, ny, nx) on `grid`.

    Metal stops protons where it stands, and its edge scatters none; raises BadInput as `parts_of` does.
    """
    frame = beam_frame(beam.gantry, beam.couch, beam.isocentre, beam.virtual_sad, patient.position)
    flat = np.flatnonzero(resample_nearest(patient.body, patient.grid, grid))
    out = np.zeros(grid.size, dtype=np.float32)
    if not len(flat):
        return out.reshape(grid.shape)
    points = grid.points(flat)
    heights = frame.to_gantry(points)[:, 2]
    behind = ripple.for_beam(model, beam)
    pieces = parts.parts_of(beam, behind, float(heights.max()))
    highest = float(np.abs(heights).max())
    reach = max(
        engine.reach_across(part.model, part.spots, frame.sad, highest, part.upstream) for part in pieces
    )
    places = np.concatenate([np.column_stack([part.spots.x, part.spots.y]) for part in pieces])
    air = upstream_of(beam, behind, float(heights.max()))
    voxels = prepare(patient.rsp, patient.grid, frame, points, (places, reach), air)
    total = np.zeros(len(points))
    for part in pieces:
        total += engine.forward(replace(voxels, upstream=part.upstream), part.model, part.spots, part.mu)
    out[flat] = total
    return out.reshape(grid.shape)
