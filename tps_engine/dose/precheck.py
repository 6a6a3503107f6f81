"""What a plan needs of the image and the grid, looked at before time is spent."""

import numpy as np
from numpy.typing import NDArray

from common import memory
from common.dicom.plan import IonBeam, IonPlan
from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.model import BeamModel
from tps_engine.dose import spots
from tps_engine.dose.hardware import ripple
from tps_engine.dose.raytrace import water_depth
from tps_engine.dose.upstream import upstream_of
from tps_engine.patient.grid import Floats, Grid, resample_nearest
from tps_engine.patient.model import Patient
from tps_engine.plan.geometry import BeamFrame, beam_frame

_TISSUE = 0.1
"""Relative stopping power above which a ray that enters the image has entered a body."""

_EDGE_SHARE = 0.01
_MOST_POINTS, _FEW_POINTS = 200_000, 2_000
_SIGMAS, _ASIDE_MM = 4.0, 10.0
BYTES_PROTONS, BYTES_IONS, _BYTES_GRID = 650, 850, 24
"""Largest memory of the pencil beams, measured with a field as wide as the body: for a dose voxel in the
body, of protons and of ions with their biology, and for any dose voxel. Monte Carlo takes half as much."""


def check_setting(patient: Patient, grid: Grid, plan: IonPlan, model: BeamModel) -> list[str]:
    """Warnings about a plan of protons, already checked against its beam model, on an image and a dose grid.

    Raises BadInput as `check_room` and `check_beam`, and for a range shifter of unknown place, in the
    patient, or that stops a layer.
    """
    points = check_room(patient, grid, BYTES_PROTONS)
    warnings = []
    for beam in plan.beams:
        behind = ripple.for_beam(model, beam)
        placed, _mu = spots.of_beam(beam, behind)
        warnings += check_beam(patient, points, beam, placed)
        frame = beam_frame(beam.gantry, beam.couch, beam.isocentre, beam.virtual_sad, patient.position)
        upstream = upstream_of(beam, behind, float(frame.to_gantry(points)[:, 2].max()))
        if upstream is not None and upstream.shifter is not None:
            _refuse_stopped(beam, behind, upstream.water)
    return warnings


def check_room(patient: Patient, grid: Grid, in_body: int) -> Floats:
    """Points of the body (n, 3) mm, for `check_beam`. in_body: bytes that a dose voxel in the body takes.

    Raises BadInput for a dose grid beside the body or too large for memory.
    """
    body_voxels = float(np.count_nonzero(patient.body)) * patient.grid.voxel_cm3 / grid.voxel_cm3
    memory.require(int(in_body * min(body_voxels, grid.size) + _BYTES_GRID * grid.size), _("the dose"))
    if not resample_nearest(patient.body, patient.grid, grid).any():
        raise BadInput(
            _("the dose grid holds nothing of the body: check --like and the image; the dose would be zero")
        )
    return _sampled(patient.body, patient.grid, _MOST_POINTS)


def check_beam(patient: Patient, points: Floats, beam: IonBeam, placed: spots.Spots) -> list[str]:
    """Warnings about the place of a beam and its spots in a body, of which `points` are some.

    Raises BadInput for a beam without spots, one that passes the body, or a virtual source in the patient.
    """
    if not len(placed):
        raise BadInput(_("beam {number} has no spots; leave it out").format(number=beam.number))
    frame = beam_frame(beam.gantry, beam.couch, beam.isocentre, beam.virtual_sad, patient.position)
    height = float(frame.to_gantry(points)[:, 2].max())
    if height >= min(beam.virtual_sad):
        raise BadInput(
            _(
                "beam {number}: virtual source at {sad} mm from the isocentre, inside the patient, who "
                "begins at {surface} mm"
            ).format(number=beam.number, sad=f"{min(beam.virtual_sad):.0f}", surface=f"{height:.0f}")
        )
    met = points[_met(frame, placed, points, patient.grid)]
    if not len(met):
        raise BadInput(
            _(
                "beam {number} passes beside the body: its spots lie at x {x} mm, y {y} mm about the "
                "isocentre {isocentre} mm; check isocentre, gantry and couch angle, and the image"
            ).format(
                number=beam.number, x=_span(placed.x), y=_span(placed.y),
                isocentre=", ".join(f"{value:.1f}" for value in beam.isocentre),
            )
        )  # fmt: skip
    return _cut(patient, frame, met, beam)


def _refuse_stopped(beam: IonBeam, model: BeamModel, wet: float) -> None:
    lowest = min(layer.energy for layer in beam.layers)
    mean = float(model.at(np.array([lowest]), model.mean_energy)[0])
    if float(model.water.range_of(mean)) <= wet:
        raise BadInput(
            _("{energy} MeV ends in the range shifter of {wet} mm water; raise the lowest energy").format(
                energy=f"{lowest:.1f}", wet=f"{wet:.1f}"
            )
        )


def _met(frame: BeamFrame, placed: spots.Spots, points: Floats, grid: Grid) -> NDArray[np.bool_]:
    """Which points (n,) lie within the outline of the spots and their widths."""
    places = np.column_stack([placed.x, placed.y])
    aside = _ASIDE_MM + _SIGMAS * max(placed.sigma_x.max(), placed.sigma_y.max()) + max(grid.spacing)
    projected = frame.project(points)[:, :2]
    inside = (projected >= places.min(axis=0) - aside) & (projected <= places.max(axis=0) + aside)
    return np.asarray(inside.all(axis=1))


def _cut(patient: Patient, frame: BeamFrame, met: Floats, beam: IonBeam) -> list[str]:
    """A text when a beam enters the body where the image ends."""
    some = met[:: max(1, len(met) // _FEW_POINTS)]
    entry = water_depth(patient.rsp, patient.grid, frame, some)[1]
    part = float(np.mean(entry > _TISSUE))
    if part < _EDGE_SHARE:
        return []
    return [
        _(
            "beam {number} enters the body where the image ends, for {percent} % of the voxels that it "
            "meets: what lies before is not counted"
        ).format(number=beam.number, percent=f"{100.0 * part:.0f}")
    ]


def _span(values: Floats) -> str:
    return f"{values.min():.0f} .. {values.max():.0f}"


def _sampled(body: NDArray[np.bool_], grid: Grid, most: int) -> Floats:
    """At most about so many voxels (n, 3) mm of a mask, with its first and last along every axis."""
    flat = np.flatnonzero(body)
    step = max(1, len(flat) // most)
    axes = [np.flatnonzero(body.any(axis=tuple(d for d in range(3) if d != axis))) for axis in range(3)]
    ends = []
    for axis, used in enumerate(axes):
        for index in used[[0, -1]]:
            plane = np.argwhere(np.take(body, index, axis=axis))
            place = np.insert(plane[:: max(1, len(plane) // 1000)], axis, index, axis=1)
            ends.append(np.ravel_multi_index(tuple(place.T), body.shape))
    return grid.points(np.unique(np.concatenate([flat[::step], *ends])))
