"""What a planner must know of an image: metal, values outside the table, matter outside the body."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.dicom.structures import Roi, StructureSet
from common.errors import BadInput
from common.text import _
from tps_engine.patient import contours
from tps_engine.patient.composition import library
from tps_engine.patient.grid import Grid
from tps_engine.patient.stopping_power import AIR, CtCalibration

Mask = NDArray[np.bool_]

BODY_NAMES = ("external", "body", "skin")
_COUCH_HU = -500.0
_COUCH_CM3 = 10.0


@dataclass(frozen=True)
class Scan:
    """An image with what is needed to judge it. hu, body: (nz, ny, nx). structures: None: not drawn."""

    hu: NDArray[np.float32] = field(repr=False)
    body: Mask = field(repr=False)
    grid: Grid
    structures: StructureSet | None = field(repr=False)
    calibration: CtCalibration

    def names_of(self, voxels: Mask) -> str:
        """Regions other than the External that hold any of the voxels, as text; "-" for none."""
        names = []
        rois = {} if self.structures is None else self.structures.rois
        for name, roi in rois.items():
            if not roi.contours or roi.kind == "EXTERNAL" or name.lower() in BODY_NAMES:
                continue
            part = self._box(roi)
            if not voxels[part].any():
                continue
            window = contours.window_of(roi.contours, self.grid)
            if (voxels[window.box] & (window.values >= contours.HALF)).any():
                names.append(name)
        return ", ".join(names) or "-"

    def _box(self, roi: Roi) -> tuple[slice, slice, slice]:
        """Bounding box of a region: spares rasterising most regions."""
        index = np.rint(self.grid.index_of(np.concatenate(list(roi.contours)))).astype(np.int64)
        low, high = np.maximum(index.min(axis=0), 0), np.maximum(index.max(axis=0) + 1, 0)
        return slice(low[2], high[2]), slice(low[1], high[1]), slice(low[0], high[0])


def outside_table(scan: Scan, wish: str) -> list[str]:
    """A text when the body holds CT values beyond the table, with their number and regions.

    wish: "clamp" or "refuse". Raises BadInput when they are refused, and for another word.
    """
    if wish not in ("clamp", "refuse"):
        raise BadInput(
            _("{word}: allowed for CT values outside the table are clamp and refuse").format(word=wish)
        )
    table = scan.calibration
    beyond = ((scan.hu < table.hu[0]) | (scan.hu > table.hu[-1])) & scan.body
    count = int(beyond.sum())
    if not count:
        return []
    values = {
        "count": count,
        "name": table.name,
        "low": f"{table.hu[0]:.0f}",
        "high": f"{table.hu[-1]:.0f}",
        "regions": scan.names_of(beyond),
    }
    if wish == "refuse":
        raise BadInput(
            _(
                "{count} CT values in the body lie outside table {name} ({low} to {high} HU), in {regions}; "
                "give them an override, take a longer table, or allow clamping"
            ).format(**values)
        )
    return [
        _(
            "{count} CT values in the body lie outside table {name} ({low} to {high} HU), in {regions}; "
            "its end values are taken"
        ).format(**values)
    ]


def metal(scan: Scan, rsp: NDArray[np.float32], wish: str) -> list[str]:
    """A text when there is metal in the body. wish: "keep", "refuse", or a material, which `rsp` then gets.

    Raises BadInput when metal is refused, or for a material that is not known.
    """
    known = None if wish in ("keep", "refuse") else library().any(wish)
    found = (scan.hu > scan.calibration.metal_hu) & scan.body
    volume = float(found.sum()) * scan.grid.voxel_cm3
    if volume == 0.0:
        return []
    values = {
        "hu": f"{scan.calibration.metal_hu:.0f}",
        "volume": f"{volume:.1f}",
        "names": scan.names_of(found),
    }
    if wish == "refuse":
        raise BadInput(
            _(
                "metal in the body (CT above {hu} HU): {volume} cm3, in {names}; "
                "name its material or give an override"
            ).format(**values)
        )
    if known is not None:
        power = known.relative_stopping_power()
        rsp[found] = power
        return [
            _(
                "metal in the body (CT above {hu} HU): {volume} cm3, in {names}; taken as {material}, "
                "stopping power {power}"
            ).format(**values, material=wish, power=f"{power:.2f}")
        ]
    return [
        _(
            "metal in the body (CT above {hu} HU): {volume} cm3, in {names}; "
            "stopping power there is not known"
        ).format(**values)
    ]


def matter_outside(scan: Scan, rsp: NDArray[np.float32]) -> list[str]:
    """A text when there is much matter outside the body that counts as air."""
    left = (scan.hu > _COUCH_HU) & ~scan.body & (rsp <= AIR)
    volume = float(left.sum()) * scan.grid.voxel_cm3
    if volume < _COUCH_CM3:
        return []
    return [
        _("{volume} cm3 of matter outside the External (couch, fixation) count as air in the dose").format(
            volume=f"{volume:.0f}"
        )
    ]
