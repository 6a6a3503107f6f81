"""A stack of parallel images in the patient's coordinates: direction, order, distances.

Axial, sagittal and coronal stacks differ, like head-first and feet-first, supine, prone and decubitus
ones, only in the order in which their pixels are stored: turning the array round is exact. Only distances
that differ along the stack need interpolation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.dicom.geometry import AXIAL_TOLERANCE
from common.errors import BadDicom

SPACING_TOLERANCE = 0.02
"""Largest relative deviation of one slice distance from the usual one that counts as even."""
_GAP = 1.5
_SHIFT_MM = 0.01
_SAME_PLACE_MM = 1e-3
_NAMES = "xyz"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Directions:
    """Patient axis (0 x, 1 y, 2 z) and sign along which columns, rows and the stack run."""

    axes: tuple[int, int, int]
    signs: tuple[int, int]

    @property
    def stack(self) -> int:
        """Patient axis across the slices."""
        return self.axes[2]


def directions_of(orientation: Sequence[float]) -> Directions:
    """Read Image Orientation (Patient): six cosines. Raises BadDicom unless they lie along patient axes."""
    cosines = np.asarray(orientation, dtype=float).reshape(2, 3)
    nearest = np.rint(cosines)
    straight = np.isfinite(cosines).all() and np.abs(cosines - nearest).max() <= AXIAL_TOLERANCE
    if not straight or (np.abs(nearest).sum(axis=1) != 1).any() or nearest[0] @ nearest[1] != 0:
        shown = ", ".join(f"{value:.4f}" for value in cosines.ravel())
        raise BadDicom(
            f"orientation ({shown}) is oblique: allowed are axial, sagittal and coronal slices; "
            "resample the series at the scanner or its workstation"
        )
    column, row = (int(np.abs(direction).argmax()) for direction in nearest)
    return Directions((column, row, 3 - column - row), (int(nearest[0, column]), int(nearest[1, row])))


def order_of(positions: Floats, directions: Directions) -> NDArray[np.int64]:
    """Numbers of the slices by rising position along the stack. Raises BadDicom for a sheared stack.

    positions: (n, 3) of Image Position (Patient), mm.
    """
    across = [axis for axis in range(3) if axis != directions.stack]
    drift = float(np.abs(positions[:, across] - positions[0, across]).max())
    if drift > _SHIFT_MM:
        raise BadDicom(
            f"CT slices shift by {drift:.3f} mm in the plane: allowed is an untilted, straight stack"
        )
    return np.argsort(positions[:, directions.stack], kind="stable")


def to_patient(
    stored: NDArray[Any], directions: Directions, first: Sequence[float], pixel_spacing: Sequence[float]
) -> tuple[NDArray[Any], Floats, Floats]:
    """Turn stored [slice, row, column], slices by rising position, so that arrays run along +z, +y, +x.

    first: position of the first stored pixel of the first slice, mm; pixel_spacing: between rows, between
    columns. Returns the array (nz, ny, nx), origin (x, y, z), spacing (x, y, z) with 0 along the stack.
    """
    _slices, rows, columns = stored.shape
    origin, spacing = np.asarray(first, dtype=np.float64).copy(), np.zeros(3)
    column_axis, row_axis, stack_axis = directions.axes
    spacing[column_axis], spacing[row_axis] = float(pixel_spacing[1]), float(pixel_spacing[0])
    turned = stored
    if directions.signs[0] < 0:
        turned = turned[:, :, ::-1]
        origin[column_axis] -= (columns - 1) * spacing[column_axis]
    if directions.signs[1] < 0:
        turned = turned[:, ::-1, :]
        origin[row_axis] -= (rows - 1) * spacing[row_axis]
    place = {stack_axis: 0, row_axis: 1, column_axis: 2}
    return turned.transpose(place[2], place[1], place[0]), origin, spacing


def uneven(heights: Floats, thickness: Floats, axis: int) -> bool:
    """Whether slice distances differ by more than the tolerance; positions (n,) rise, mm.

    thickness: (n,) Slice Thickness, NaN where unknown. Raises BadDicom, naming the places, for two slices at
    one place and for a gap: a distance that differs from the usual one and exceeds one and a half times
    both neighbouring distances, or the thickness of the slices beside it.
    """
    name, steps = _NAMES[axis], np.diff(heights)
    if steps.min() < _SAME_PLACE_MM:
        at = int(steps.argmin())
        raise BadDicom(
            f"two CT slices lie at {name} = {heights[at]:.2f} mm: allowed is one a position; remove the copy"
        )
    usual = float(np.median(steps))
    wrong = np.flatnonzero(np.abs(steps - usual) > SPACING_TOLERANCE * usual)
    gaps = [int(i) for i in wrong if _is_gap(int(i), steps, thickness)]
    if gaps:
        shown = "; ".join(_gap(heights[i], heights[i + 1], _beside(i, steps), name) for i in gaps[:5])
        more = f" and {len(gaps) - 5} more places" if len(gaps) > 5 else ""
        raise BadDicom(
            f"CT slices are not {usual:.2f} mm apart everywhere: {shown}{more}; "
            "send the complete series again"
        )
    return bool(wrong.size)


def _beside(index: int, steps: Floats) -> float:
    """The larger of the distances before and behind a distance."""
    beside = [steps[k] for k in (index - 1, index + 1) if 0 <= k < len(steps)]
    return float(max(beside, default=steps[index]))


def _is_gap(index: int, steps: Floats, thickness: Floats) -> bool:
    step = float(steps[index])
    if step > _GAP * _beside(index, steps):
        return True
    thick = thickness[index : index + 2]
    return bool(np.isfinite(thick).all() and thick.min() > 0.0 and step > _GAP * thick.max())


def _gap(low: float, high: float, usual: float, name: str) -> str:
    count = (high - low) / usual
    if round(count) >= 2 and abs(count - round(count)) <= SPACING_TOLERANCE * round(count):
        missing = ", ".join(f"{low + usual * k:.2f}" for k in range(1, min(round(count), 6)))
        return f"slice missing at {name} = {missing} mm (between {low:.2f} and {high:.2f} mm)"
    return f"{high - low:.2f} mm between {name} = {low:.2f} and {high:.2f} mm"


def evenly(stored: NDArray[np.float32], heights: Floats) -> tuple[NDArray[np.float32], Floats]:
    """The stack at even distances, the least that occurs or a little less, by linear interpolation.

    stored: (n, rows, columns) at rising positions heights (n,), mm. First and last slice stay where they are.
    """
    steps = np.diff(heights)
    count = int(np.ceil((heights[-1] - heights[0]) / steps.min() - SPACING_TOLERANCE)) + 1
    wanted = np.linspace(heights[0], heights[-1], count)
    below = np.clip(np.searchsorted(heights, wanted, side="right") - 1, 0, len(steps) - 1)
    share = ((wanted - heights[below]) / steps[below]).astype(np.float32)
    out = np.empty((count, *stored.shape[1:]), dtype=np.float32)
    for k, (low, part) in enumerate(zip(below, share, strict=True)):
        out[k] = stored[low] if part == 0.0 else (1.0 - part) * stored[low] + part * stored[low + 1]
    return out, wanted
