"""The patient as the dose engine sees it: stopping power, body, regions, warnings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common import memory
from common.dicom.ct import CtVolume
from common.dicom.structures import Roi, StructureSet
from common.errors import BadInput
from common.text import _
from tps_engine.patient import contours, findings, masks
from tps_engine.patient.body import find
from tps_engine.patient.grid import Grid
from tps_engine.patient.overrides import Couch, Override, apply, insert_couch
from tps_engine.patient.stopping_power import AIR, CtCalibration, refuse_not_finite

Mask = NDArray[np.bool_]

COUCH = "Couch"
"""Name of the region that an inserted couch becomes."""
_BYTES = 24
"""Memory for a voxel while the model is built, beside one byte a region."""


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


@dataclass(frozen=True)
class ModelOptions:
    """Choices of the planner about the patient model.

    overrides: regions taken as uniform. couch: one laid into the image, or None. metal: what to do with CT
    values above the calibration's limit in the body: "keep" the table's, "refuse", or the name of a material.
    outside: CT values beyond the table in the body: "clamp" or "refuse". find_body: look for the body when
    no External is drawn, instead of refusing. memory: bytes allowed; None: what the machine has.
    """

    overrides: tuple[Override, ...] = ()
    couch: Couch | None = None
    metal: str = "keep"
    outside: str = "clamp"
    find_body: bool = True
    memory: int | None = None


def build(
    ct: CtVolume,
    structures: StructureSet,
    names: Sequence[str],
    target: str,
    calibration: CtCalibration,
    options: ModelOptions | None = None,
) -> Patient:
    """Stopping power and the masks of the External and of the named regions.

    Everything outside the External counts as air: a couch in view is left out, with a warning, unless one is
    inserted or drawn and overridden. What was done to the images is told in the warnings. Raises
    BadInput: no such region, no External where it may not be looked for, a target that the image edge cuts or
    that leaves the body, an organ outside the image, CT values that are no numbers or refused, images of
    different frames of reference, too little memory.
    """
    chosen = options or ModelOptions()
    if structures.frame_of_reference_uid != ct.frame_of_reference_uid:
        raise BadInput(
            _("structure set and CT have different frames of reference; choose the CT it was drawn on")
        )
    nz, ny, nx = ct.hu.shape
    grid = Grid(ct.origin, ct.spacing, (nz, ny, nx))
    wanted = dict.fromkeys([target, *names, *(override.region for override in chosen.overrides)])
    drawn = {name: _roi(structures, name) for name in wanted}
    memory.require((_BYTES + len(wanted)) * grid.size, _("the patient model"), chosen.memory)
    refuse_not_finite(ct.hu)
    warnings = [*ct.warnings, *_outside_image(drawn, target, grid)]
    refuse_cut_target(drawn[target], grid)
    body, told = _body(ct.hu, structures, grid, chosen.find_body)
    regions = {name: contours.rasterise(roi.contours, grid) for name, roi in drawn.items()}
    _refuse_lost_target(target, regions[target], body)
    rsp = calibration.relative_stopping_power(ct.hu)
    rsp[~body] = AIR
    scan = findings.Scan(ct.hu, body, grid, structures, calibration)
    warnings += told + findings.outside_table(scan, chosen.outside)
    warnings += findings.metal(scan, rsp, chosen.metal)
    if chosen.couch is not None:
        regions[COUCH], text = insert_couch(rsp, body, grid, chosen.couch, ct.patient_position)
        warnings.append(text)
    warnings += apply(rsp, regions, chosen.overrides, calibration)
    warnings += findings.matter_outside(scan, rsp)
    return Patient(grid, rsp, body, regions, ct.patient_position, tuple(warnings))


def fractions_on(structures: StructureSet, names: Sequence[str], grid: Grid) -> dict[str, contours.Window]:
    """Fractions of the voxels of any grid inside regions, by name, for volumes and histograms.

    Raises BadInput for a region that is not there, has no contour or holds nothing of the grid.
    """
    found = {}
    for name in names:
        part = contours.window_of(_roi(structures, name).contours, grid)
        if not part.values.any():
            raise _outside(name)
        found[name] = part
    return found


def _body(
    hu: NDArray[np.float32], structures: StructureSet, grid: Grid, search: bool
) -> tuple[Mask, list[str]]:
    """The External as drawn; without one as found in the image, with a warning."""
    roi = external_of(structures)
    if roi is not None:
        drawn = contours.rasterise(roi.contours, grid)
        if not drawn.any():
            raise _outside(roi.name)
        return drawn, []
    if not search:
        raise BadInput(_("the structure set has no body outline (External); draw it first"))
    return find(hu, grid), [
        _("no body outline (External) is drawn: it was found in the image; check it before use")
    ]


def _outside_image(drawn: Mapping[str, Roi], target: str, grid: Grid) -> list[str]:
    """Texts for regions that the image cuts. Raises BadInput for one wholly outside."""
    texts = []
    for name, roi in drawn.items():
        points = np.concatenate(list(roi.contours))
        index = grid.index_of(points)
        last = np.asarray(grid.shape[::-1]) - 0.5
        if (index.max(axis=0) < -0.5).any() or (index.min(axis=0) > last).any():
            raise _outside(name)
        if name != target and ((index < -0.5).any() or (index > last).any()):
            texts.append(
                _("region {name} reaches beyond the image: only the part inside counts").format(name=name)
            )
    return texts


def _outside(name: str) -> BadInput:
    return BadInput(
        _("region {name} lies outside the image; choose the image that it was drawn on").format(name=name)
    )


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


def external_of(structures: StructureSet) -> Roi | None:
    """The body outline: the ROI of type EXTERNAL, or one named External, Body or Skin; None without one."""
    for roi in structures.of_kind("EXTERNAL"):
        if roi.contours:
            return roi
    for name, roi in structures.rois.items():
        if name.lower() in findings.BODY_NAMES and roi.contours:
            return roi
    return None


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
