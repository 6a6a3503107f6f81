"""Grids of pixels in the patient's coordinates (DICOM PS3.3 C.7.6.2.1.1), brought to one orientation.

A grid here has its first voxel's centre at `origin` and its axes along +x (left), +y (posterior) and
+z (head) of the patient; arrays are indexed [z, y, x], tuples are (x, y, z), all lengths in mm.
Coordinates belong to the patient, so a head-first, feet-first, supine or prone scan differs only in the
order in which its pixels are stored: turning the array round is exact, nothing is interpolated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import BadDicom

AXIAL_TOLERANCE = 1e-4
"""Largest deviation of a direction cosine from 0 or 1 (0.006 deg)."""


@dataclass(frozen=True)
class Axes:
    """How stored columns and rows run: patient axis (0 x, 1 y) and sign of each."""

    column_axis: int
    column_sign: int
    row_axis: int
    row_sign: int

    @property
    def normal(self) -> int:
        """+1 when rows x columns points to the head, -1 when to the feet."""
        turn = 1 if self.column_axis == 0 else -1
        return turn * self.column_sign * self.row_sign


def axes_of(orientation: Sequence[float]) -> Axes:
    """Read Image Orientation (Patient): six direction cosines. Raises BadDicom unless it is axial."""
    cosines = np.asarray(orientation, dtype=float).reshape(2, 3)
    nearest = np.rint(cosines)
    straight = np.abs(cosines - nearest).max() <= AXIAL_TOLERANCE and np.abs(nearest).sum() == 2
    if not straight or nearest[:, 2].any() or nearest[0] @ nearest[1] != 0:
        shown = ", ".join(f"{value:.4f}" for value in cosines.ravel())
        raise BadDicom(f"orientation ({shown}) is not axial: allowed are untilted axial slices; resample it")
    column, row = (int(np.abs(direction).argmax()) for direction in nearest)
    return Axes(column, int(nearest[0, column]), row, int(nearest[1, row]))


def to_patient_axes(
    stored: NDArray[Any],
    axes: Axes,
    first: Sequence[float],
    pixel_spacing: Sequence[float],
) -> tuple[NDArray[Any], tuple[float, float], tuple[float, float]]:
    """Turn stored slices [z, row, column] so that they run along +y and +x.

    first: position (x, y, ...) of the first stored pixel; pixel_spacing: between rows, between columns.
    Returns (array [z, y, x], origin (x, y), spacing (x, y)).
    """
    between_rows, between_columns = float(pixel_spacing[0]), float(pixel_spacing[1])
    _, rows, columns = stored.shape
    origin = [float(first[0]), float(first[1])]
    spacing = [0.0, 0.0]
    spacing[axes.column_axis], spacing[axes.row_axis] = between_columns, between_rows
    turned = stored
    if axes.column_sign < 0:
        turned = turned[:, :, ::-1]
        origin[axes.column_axis] -= (columns - 1) * between_columns
    if axes.row_sign < 0:
        turned = turned[:, ::-1, :]
        origin[axes.row_axis] -= (rows - 1) * between_rows
    if axes.column_axis == 1:
        turned = turned.transpose(0, 2, 1)
    return turned, (origin[0], origin[1]), (spacing[0], spacing[1])
