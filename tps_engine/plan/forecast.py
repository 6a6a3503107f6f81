"""How much memory a plan will take, told from a coarse sample of its image before the plan is begun.

The fields are laid out on every few mm of the image, and some of each field's spots tell how many voxels a
spot reaches; how many there are of the dose grid then follows from the volume of a voxel.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from common import memory
from common.dicom.ct import CtVolume
from common.dicom.structures import StructureSet
from common.errors import BadInput
from common.text import _
from tps_engine.dose.spots import Spots
from tps_engine.patient import contours, masks
from tps_engine.patient.grid import Grid, dose_grid, resample_nearest
from tps_engine.patient.stopping_power import CtCalibration
from tps_engine.plan.aims import PLAN_DOSE, parse
from tps_engine.plan.effects import DOSE, Effects
from tps_engine.plan.geometry import Place
from tps_engine.plan.goals import standard
from tps_engine.plan.radiation import Radiation
from tps_engine.plan.request import FieldRequest, PlanOptions, Prescription
from tps_engine.plan.scene import PlannedField, Scene, build_scene, grid_bytes, lay_out
from tps_engine.plan.situations import allowed_bytes, number_of

SURE, LOW = 1.1, 1.3
"""Matrices that exceed the limit by less than `SURE` are left to the count on the dose grid. A forecast may
be too low by the factor `LOW`: what is said to fit allows for that."""

_SAMPLE_MM = 5.0
_SPOTS = 48
_POINTS = 300_000
_INDEX, _VALUE = 4, 4  # bytes of an entry: its voxel, and its value in each matrix
_COARSEST_MM = 20.0

Images = tuple[CtVolume, StructureSet]


@dataclass(frozen=True)
class Forecast:
    """spots: of all fields. grid, matrices: bytes for the dose grid, and for all matrices of all situations.

    allowed: bytes that these two may take. spacing: mm between dose voxels.
    """

    spots: int
    grid: float
    matrices: float
    allowed: tuple[float, float]
    spacing: float

    @property
    def fitting(self) -> float:
        """Distance of dose voxels, mm, with which all would fit."""
        excess = max(self.grid / self.allowed[0], LOW * self.matrices / self.allowed[1])
        return float(np.ceil(10.0 * self.spacing * max(1.0, excess) ** (1.0 / 3.0)) / 10.0)


def forecast(
    images: Images,
    prescription: Prescription,
    fields: Sequence[FieldRequest],
    radiation: Radiation,
    model: str,
    options: PlanOptions,
    calibration: CtCalibration,
) -> Forecast | None:
    """What a plan will need; None where the sample is too coarse for its regions, or cannot be planned on.

    radiation, model: as `radiation.with_model` gives them. options: with their layout.
    """
    spacing, errors = options.dose_spacing, options.robust
    still = replace(errors, phases=(), accumulate=False) if errors else None
    coarse = replace(options, dose_spacing=max(spacing, _SAMPLE_MM), robust=still)
    try:
        scene = build_scene(_sampled(images[0]), images[1], prescription, coarse, calibration)
        near = _around_target(scene, images[1], options)
        planned = [lay_out(near, one, near.isocentre, radiation, coarse) for one in fields]
        effects = radiation.effects(model, scene.grid.shape, scene.drawn, options.tissues)
    except BadInput:
        return None  # the whole image is looked at next, and tells what is wrong if anything is
    flat = standard(scene, prescription)[0]
    sums = _sums(effects, options)
    finer = scene.grid.voxel_cm3 / (spacing**3 / 1000.0)
    reached = sum(_reached(scene, one, radiation, effects, flat) for one in planned)
    body = dose_grid(scene.patient.grid, scene.patient.body, spacing)
    return Forecast(
        spots=sum(len(one.layout) for one in planned),
        grid=float(grid_bytes(body, len(scene.drawn), len(fields))),
        matrices=(_INDEX + _VALUE * len(sums)) * reached * finer * number_of(errors),
        allowed=(float(memory.allowance()), float(allowed_bytes(options.memory))),
        spacing=spacing,
    )


def refuse_too_large(found: Forecast) -> None:
    """Raise BadInput, which says what would fit, for a plan that needs more memory than there is."""
    if found.grid > found.allowed[0]:
        raise BadInput(
            _(
                "not enough memory: dose voxels of {mm} mm need {need} GB, {have} GB can be had; {help}"
            ).format(
                mm=f"{found.spacing:g}",
                need=_gigabytes(found.grid),
                have=_gigabytes(found.allowed[0]),
                help=_help(found.fitting),
            )
        )
    if found.matrices > SURE * found.allowed[1]:
        raise BadInput(
            _(
                "not enough memory: the dose matrices of about {spots} spots need about {need} GB, {have} GB "
                "can be had; {help}"
            ).format(
                spots=found.spots,
                need=_gigabytes(found.matrices),
                have=_gigabytes(found.allowed[1]),
                help=_help(found.fitting),
            )
        )


def _help(voxels: float) -> str:
    if voxels > _COARSEST_MM:
        return _("take fewer fields or scenarios, or wider spot spacing")
    return _(
        "dose voxels of {mm} mm would fit; fewer fields or scenarios and wider spot spacing help too"
    ).format(mm=f"{voxels:.1f}")


def _sums(effects: Effects, options: PlanOptions) -> frozenset[str]:
    """Sums over spots that what is asked for is made of."""
    asked = [parse(text).quantity for text in (*options.objectives, *options.constraints)]
    known = [name for name in asked if name in effects.known()]
    return frozenset({DOSE, *(part for name in (PLAN_DOSE, *known) for part in effects.sums(name))})


def _around_target(scene: Scene, structures: StructureSet, options: PlanOptions) -> Scene:
    """The target alone on finer voxels, at most as fine as the dose grid: how many spots it takes."""
    outline = structures.roi(scene.target_name).contours
    corners = np.concatenate(list(outline))
    low, high = corners.min(axis=0), corners.max(axis=0)
    around = options.margin + 2.0 * options.dose_spacing
    mm = max(options.dose_spacing, float(np.prod(high - low + 2.0 * around) / _POINTS) ** (1.0 / 3.0))
    nx, ny, nz = (int(number) for number in np.ceil((high - low + 2.0 * around) / mm) + 1)
    origin = low - around
    grid = Grid((float(origin[0]), float(origin[1]), float(origin[2])), (mm, mm, mm), (nz, ny, nx))
    part = contours.fractions(outline, grid)
    body = resample_nearest(scene.patient.body, scene.patient.grid, grid)
    alone = Scene(
        scene.patient, grid, scene.target_name, body, (part >= contours.HALF) & body, body, {},
        {scene.target_name: np.where(body, part, np.float32(0.0))},
    )  # fmt: skip
    reached = masks.expand(alone.target, grid, options.margin) & body
    return replace(alone, planning_target=reached | alone.covered)


def _reached(
    scene: Scene, one: PlannedField, radiation: Radiation, effects: Effects, flat: NDArray[np.int64]
) -> float:
    """About how many voxels (flat indices) all spots of a field give dose to, one after the other."""
    count = len(one.layout)
    chosen = np.unique(np.linspace(0, count - 1, min(_SPOTS, count)).astype(np.int64))
    spots = one.spots
    some = Spots(
        spots.energy[chosen], spots.x[chosen], spots.y[chosen], spots.sigma_x[chosen], spots.sigma_y[chosen]
    )
    place = Place(scene.patient.rsp, scene.patient.grid, one.frame, scene.grid.points(flat))
    matrix = radiation.matrices(place, some, frozenset({DOSE}), effects, 2**40)[DOSE]
    return float(matrix.indptr[-1]) / len(chosen) * count


def _sampled(ct: CtVolume) -> CtVolume:
    """All slices, in which regions are drawn, with every so many voxels that a few mm lie between two."""
    x, y = (max(1, round(_SAMPLE_MM / spacing)) for spacing in ct.spacing[:2])
    wide = (x * ct.spacing[0], y * ct.spacing[1], ct.spacing[2])
    return replace(ct, hu=np.ascontiguousarray(ct.hu[:, ::y, ::x]), spacing=wide)


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.3g}"
