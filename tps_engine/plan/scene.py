"""The patient on the dose grid, and the fields laid out on it."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from common import memory
from common.dicom.ct import CtVolume
from common.dicom.structures import StructureSet
from common.errors import BadInput
from common.text import _
from tps_engine.dose.spots import Spots
from tps_engine.patient import masks, model, stopping_power
from tps_engine.patient.grid import Grid, dose_grid, resample_nearest
from tps_engine.patient.model import Patient
from tps_engine.plan.aims import parse
from tps_engine.plan.geometry import BeamFrame, Place, beam_frame
from tps_engine.plan.layout import Layout, place_spots
from tps_engine.plan.motion import Moved, moved
from tps_engine.plan.radiation import Machine, of
from tps_engine.plan.request import FieldRequest, PlanOptions, Prescription

Mask = NDArray[np.bool_]

_TISSUE = 0.2
_EDGE_SHARE = 0.01
_PART = 0.25
_BYTES, _REGION_BYTES, _FIELD_BYTES = 200, 6, 50
"""Memory for a voxel of the dose grid while a plan is made and its exact doses are calculated, and what each
region and field adds; without matrices. Measured: 300 for an abdomen and two fields."""


@dataclass(frozen=True)
class Scene:
    """Masks (nz, ny, nx) on the dose grid. planning_target: the target with its margin, inside the body.

    fractions: parts (0..1) of the voxels inside what is drawn, 0 where no dose is calculated: outside the
    body. phases: of the breathing cycle, beside the reference.
    """

    patient: Patient
    grid: Grid
    target_name: str
    body: Mask = field(repr=False)
    target: Mask = field(repr=False)
    planning_target: Mask = field(repr=False)
    organs: dict[str, Mask] = field(repr=False)
    fractions: dict[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)
    phases: tuple[Moved, ...] = ()

    @property
    def covered(self) -> Mask:
        """The target with voxels of which a quarter or more lies in it: what needs dose for its histogram."""
        part = self.fractions.get(self.target_name)
        return self.target if part is None else self.target | (part >= _PART)

    @property
    def drawn(self) -> dict[str, Mask]:
        """All regions that something may be asked of."""
        return {**self.organs, self.target_name: self.target}

    @property
    def isocentre(self) -> tuple[float, float, float]:
        """Centre of the target, patient mm, rounded to 0.1 mm."""
        centre = self.grid.points(np.flatnonzero(self.target)).mean(axis=0).round(1)
        return (float(centre[0]), float(centre[1]), float(centre[2]))


@dataclass(frozen=True)
class PlannedField:
    """A field with its spots laid out and no metersets yet.

    shallow: part of the planning target (0..1) in front of the Bragg peaks of the lowest energy.
    """

    request: FieldRequest
    frame: BeamFrame
    layout: Layout = field(repr=False)
    spots: Spots = field(repr=False)
    shallow: float


def grid_bytes(grid: Grid, regions: int, fields: int = 1) -> int:
    """Memory that a plan takes for a dose grid and the regions on it, without matrices."""
    return (_BYTES + _REGION_BYTES * regions + _FIELD_BYTES * fields) * grid.size


def build_scene(
    ct: CtVolume,
    structures: StructureSet,
    prescription: Prescription,
    options: PlanOptions,
    calibration: stopping_power.CtCalibration,
) -> Scene:
    """The patient model and its regions on the dose grid.

    Raises BadInput as `patient.model.build` does, and for a grid that does not fit in memory.
    """
    asked = [parse(text).region for text in (*options.objectives, *options.constraints)]
    names = list(dict.fromkeys([*(organ.name for organ in prescription.organs), *asked, *options.tissues]))
    told = model.ModelOptions(outside=options.outside)
    patient = model.build(ct, structures, names, prescription.target, calibration, told)
    grid = dose_grid(patient.grid, patient.body, options.dose_spacing)
    memory.require(grid_bytes(grid, len(names)), _("the dose grid"))
    body = resample_nearest(patient.body, patient.grid, grid)
    target = resample_nearest(patient.region(prescription.target), patient.grid, grid) & body
    if not target.any():
        raise BadInput(
            _("target {name} holds no voxel of the {spacing} mm dose grid; take a finer grid").format(
                name=prescription.target, spacing=options.dose_spacing
            )
        )
    organs = {
        name: resample_nearest(patient.region(name), patient.grid, grid) & body
        for name in names
        if name != prescription.target
    }
    inside = model.fractions_on(structures, [prescription.target, *organs], grid)
    fractions = {name: np.where(body, part.whole(grid), np.float32(0.0)) for name, part in inside.items()}
    phases = options.robust.phases if options.robust else ()
    found = Scene(
        patient, grid, prescription.target, body, target, target, organs,
        {name: part for name, part in fractions.items() if part.any()},
        tuple(moved(phase, patient, calibration, options.outside) for phase in phases),
    )  # fmt: skip
    planning_target = (masks.expand(target, grid, options.margin) & body) | found.covered
    return replace(found, planning_target=planning_target)


def lay_out(
    scene: Scene,
    request: FieldRequest,
    isocentre: tuple[float, float, float],
    machine: Machine,
    options: PlanOptions,
) -> PlannedField:
    """The spots of one field, which reach the target in every phase.

    Raises BadInput where its rays enter the body at the end of the image, and for a target out of the
    machine's range or scan limits.
    """
    radiation = of(machine)
    position = scene.patient.position
    frame = beam_frame(request.gantry, request.couch, isocentre, radiation.virtual_sad, position)
    points = scene.grid.points(np.flatnonzero(scene.planning_target))
    depths, projected = [], []
    for patient, here in ((scene.patient, points), *((one.patient, one.of(points)) for one in scene.phases)):
        depth, surface = radiation.depth(Place(patient.rsp, patient.grid, frame, here))
        if float((surface > _TISSUE).mean()) > _EDGE_SHARE:
            raise BadInput(
                _(
                    "field {name} enters the body where the image ends: its depth is unknown; "
                    "choose another angle or take a wider scan"
                ).format(name=request.name)
            )
        depths.append(depth)
        projected.append(frame.project(here))
    spacing = options.layout or radiation.layout
    layout = place_spots(radiation, np.concatenate(projected), np.concatenate(depths), spacing)
    placed = radiation.spots(layout.energy, layout.x, layout.y)
    shallow = float((depths[0] < radiation.peaks()[0][0] - spacing.least_step).mean())
    return PlannedField(request, frame, layout, placed, shallow)
