"""The patient as the dose engine sees it: stopping power, body, regions, warnings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.dicom.ct import CtVolume
from common.dicom.structures import Roi, StructureSet
from common.errors import BadInput
from common.text import _
from tps_engine.patient import contours, masks
from tps_engine.patient.grid import Grid
from tps_engine.patient.stopping_power import AIR, CtCalibration

Mask = NDArray[np.bool_]

_COUCH_HU = -500.0
_COUCH_CM3 = 10.0


@dataclass(frozen=True)
class Patient:
    """Arrays on the CT grid (nz, ny, nx).

    rsp: float32 stopping power relative to water, air outside the body. body: the External.
    regions: masks by ROI name. position: HFS, HFP, FFS or FFP. warnings: texts for the planner.
    """

    grid: Grid
    rsp: NDArray[np.float32] = field(repr=False)
    body: Mask = field(repr=False)
    regions: Mapping[str, Mask] = field(repr=False)
    position: str
    warnings: tuple[str, ...]

    def region(self, name: str) -> Mask:
        """The mask of a region. Raises BadInput listing the names there are."""
        if name not in self.regions:
            raise _no_region(name, self.regions)
        return self.regions[name]


def build(
    ct: CtVolume, structures: StructureSet, names: Sequence[str], target: str, calibration: CtCalibration
) -> Patient:
    """Stopping power and the masks of the External and of the named regions.

    Everything outside the External counts as air: a couch in view is left out, with a warning. Metal in
    the body is warned of. Raises BadInput: no such region, no External, a target that the image edge cuts
    or that leaves the body, CT values that are no numbers, images of different frames of reference.
    """
    if structures.frame_of_reference_uid != ct.frame_of_reference_uid:
        raise BadInput(
            _("structure set and CT have different frames of reference; choose the CT it was drawn on")
        )
    nz, ny, nx = ct.hu.shape
    grid = Grid(ct.origin, ct.spacing, (nz, ny, nx))
    wanted = dict.fromkeys([target, *names])
    drawn = {name: _roi(structures, name) for name in wanted}
    refuse_cut_target(drawn[target], grid)
    body = contours.rasterise(_external(structures).contours, grid)
    regions = {name: contours.rasterise(roi.contours, grid) for name, roi in drawn.items()}
    _refuse_lost_target(target, regions[target], body)
    rsp = calibration.relative_stopping_power(ct.hu)
    rsp[~body] = AIR
    warnings = _metal_warnings(ct.hu, body, grid, structures, calibration) + _couch_warning(ct.hu, body, grid)
    return Patient(grid, rsp, body, regions, ct.patient_position, tuple(warnings))


def refuse_cut_target(roi: Roi, grid: Grid) -> None:
    """Raise BadInput when a target lies on the first or last slice, at a side of the image, or outside it."""
    cut = contours.reaches_outside(roi.contours, grid)
    if cut or masks.touches_edge(contours.rasterise(roi.contours, grid)):
        raise BadInput(
            _(
                "target {name} is cut by the image edge: it must lie wholly inside the CT; take a longer scan"
            ).format(name=roi.name)
        )


def _roi(structures: StructureSet, name: str) -> Roi:
    roi = structures.rois.get(name)
    if roi is None:
        raise _no_region(name, structures.rois)
    if not roi.contours:
        raise BadInput(_("region {name} has no closed contour; draw it first").format(name=name))
    return roi


def _no_region(name: str, known: Mapping[str, object]) -> BadInput:
    return BadInput(
        _("no region named {name}: this structure set holds {known}").format(
            name=name, known=", ".join(sorted(known)) or "-"
        )
    )


def _external(structures: StructureSet) -> Roi:
    """The body outline: the ROI of type EXTERNAL, or one named External or Body."""
    for roi in structures.of_kind("EXTERNAL"):
        if roi.contours:
            return roi
    for name, roi in structures.rois.items():
        if name.lower() in ("external", "body", "skin") and roi.contours:
            return roi
    raise BadInput(_("the structure set has no body outline (External); draw it first"))


def _refuse_lost_target(name: str, target: Mask, body: Mask) -> None:
    if not target.any():
        raise BadInput(
            _("target {name} encloses no voxel; draw it larger or check its contours").format(name=name)
        )
    outside = int((target & ~body).sum())
    if outside > 0.02 * int(target.sum()):
        raise BadInput(
            _(
                "target {name} lies outside the body with {percent} % of its volume; "
                "correct it or the External"
            ).format(name=name, percent=f"{100.0 * outside / target.sum():.0f}")
        )


def _metal_warnings(
    hu: NDArray[np.float32], body: Mask, grid: Grid, structures: StructureSet, calibration: CtCalibration
) -> list[str]:
    metal = (hu > calibration.metal_hu) & body
    volume = float(metal.sum()) * grid.voxel_cm3
    if volume == 0.0:
        return []
    names = []
    for name, roi in structures.rois.items():
        if not roi.contours or roi.kind == "EXTERNAL" or name.lower() in ("external", "body", "skin"):
            continue
        if _box_holds(roi, grid, metal) and (contours.rasterise(roi.contours, grid) & metal).any():
            names.append(name)
    return [
        _(
            "metal in the body (CT above {hu} HU): {volume} cm3, in {names}; "
            "stopping power there is not known"
        ).format(hu=f"{calibration.metal_hu:.0f}", volume=f"{volume:.1f}", names=", ".join(names) or "-")
    ]


def _box_holds(roi: Roi, grid: Grid, metal: Mask) -> bool:
    """Whether the bounding box of a region holds any voxel of a mask: spares rasterising most regions."""
    index = np.rint(grid.index_of(np.concatenate(list(roi.contours)))).astype(np.int64)
    low, high = np.maximum(index.min(axis=0), 0), np.maximum(index.max(axis=0) + 1, 0)
    return bool(metal[low[2] : high[2], low[1] : high[1], low[0] : high[0]].any())


def _couch_warning(hu: NDArray[np.float32], body: Mask, grid: Grid) -> list[str]:
    volume = float(((hu > _COUCH_HU) & ~body).sum()) * grid.voxel_cm3
    if volume < _COUCH_CM3:
        return []
    return [
        _("{volume} cm3 of matter outside the External (couch, fixation) count as air in the dose").format(
            volume=f"{volume:.0f}"
        )
    ]
