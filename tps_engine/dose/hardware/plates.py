"""What an aperture lets through and how much water a compensator stands for, on the isocentric plane."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from common.dicom.plan import Aperture, Compensator
from common.errors import BadInput
from common.text import _
from tps_engine.patient.grid import Floats

_FINE = 4
_MOST_PIXELS = 4_000_000


@njit(nogil=True, cache=True)
def _inside(x, y, outline, out):  # type: ignore[no-untyped-def]
    """Flip out (ny, nx) where a point of the raster lies in a closed outline (n, 2): even-odd rule."""
    count = len(outline)
    for row in range(len(y)):
        for k in range(count):
            ax, ay = outline[k, 0], outline[k, 1]
            bx, by = outline[(k + 1) % count, 0], outline[(k + 1) % count, 1]
            if (ay > y[row]) == (by > y[row]):
                continue
            cross = ax + (y[row] - ay) * (bx - ax) / (by - ay)
            for column in range(len(x)):
                if x[column] < cross:
                    out[row, column] = not out[row, column]


def transmission(aperture: Aperture | None, x: Floats, y: Floats) -> Floats:
    """Part (ny, nx) of each pixel of a raster that is open, 0..1; 1 everywhere without an aperture.

    x, y: evenly spaced centres in mm on the isocentric plane, to which the outlines are projected. The metal
    stops what meets it; protons scattered by its edge are neglected. Raises BadInput for a huge raster.
    """
    if aperture is None:
        return np.ones((len(y), len(x)))
    if len(x) * len(y) > _MOST_PIXELS:
        raise BadInput(_("aperture of {count} pixels: take a wider pitch").format(count=len(x) * len(y)))
    step = (x[1] - x[0]) if len(x) > 1 else 1.0
    offset = step * ((np.arange(_FINE) + 0.5) / _FINE - 0.5)
    fine_x, fine_y = (np.ascontiguousarray((line[:, None] + offset).ravel()) for line in (x, y))
    total = np.zeros((len(fine_y), len(fine_x)), dtype=np.bool_)
    for outline in aperture.openings:
        one = np.zeros_like(total)
        _inside(fine_x, fine_y, np.ascontiguousarray(outline, dtype=np.float64), one)
        total |= one
    return np.asarray(total.reshape(len(y), _FINE, len(x), _FINE).mean(axis=(1, 3)))


def water_thickness(plate: Compensator, x: Floats, y: Floats) -> Floats:
    """Water-equivalent thickness (n,) in mm at points (n,) of the isocentric plane; its edge beside it."""
    rows, columns = plate.thickness.shape
    column = np.clip((x - plate.first[0]) / plate.spacing[0], 0.0, columns - 1.0)
    row = np.clip((plate.first[1] - y) / plate.spacing[1], 0.0, rows - 1.0)
    left = np.minimum(column.astype(int), max(columns - 2, 0))
    above = np.minimum(row.astype(int), max(rows - 2, 0))
    right, below = np.minimum(left + 1, columns - 1), np.minimum(above + 1, rows - 1)
    u, v = column - left, row - above
    upper = plate.thickness[above, left] * (1.0 - u) + plate.thickness[above, right] * u
    lower = plate.thickness[below, left] * (1.0 - u) + plate.thickness[below, right] * u
    return np.asarray(plate.rsp * (upper * (1.0 - v) + lower * v))


def raster(low: float, high: float, pitch: float) -> NDArray[np.float64]:
    """Multiples of the pitch that cover low..high."""
    return np.asarray(pitch * np.arange(np.floor(low / pitch), np.ceil(high / pitch) + 1.0))
