"""Closed planar contours to voxel masks."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from common.errors import BadInput
from tps_engine.patient.grid import Floats, Grid

Mask = NDArray[np.bool_]

_SAMPLES = (-0.02, 0.02)
"""Four points about the centre of a voxel: outlines through voxel centres keep both sides alike."""
_SAME_PLANE_MM = 0.05
_LARGEST_GAP = 2.5
"""Contour planes up to this many slice distances apart are interpolated; wider is a gap between parts."""


def rasterise(contours: Sequence[Floats], grid: Grid) -> Mask:
    """Mask (nz, ny, nx) of the region that closed axial contours, each (n, 3) in mm, enclose.

    A voxel belongs to the region when its centre lies inside (by four points about it); several
    contours of one plane combine by even-odd, so that holes stay holes. Slices between contour planes
    are filled by interpolating the signed distance to the outlines. Parts outside the grid are cut off
    (`reaches_outside` tells). Raises BadInput when there is no contour.
    """
    planes = _by_plane(contours)
    if not planes:
        raise BadInput("a region has no closed contour; draw it first")
    heights = np.asarray(sorted(planes))
    flat = {height: _fill(planes[height], grid) for height in heights}
    pitch = _pitch(heights, grid)
    mask = np.zeros(grid.shape, dtype=bool)
    for index, z in enumerate(grid.axis(2)):
        mask[index] = _slice(float(z), heights, flat, pitch, grid)
    return mask


def reaches_outside(contours: Sequence[Floats], grid: Grid) -> bool:
    """Whether a contour has a point outside the outer faces of the grid's voxels, or on its end slices."""
    points = np.concatenate(list(contours))
    index = grid.index_of(points)
    last = np.asarray([grid.shape[2], grid.shape[1], grid.shape[0]]) - 1.0
    beyond = (index < -0.5).any() or (index > last + 0.5).any()
    on_end = (index[:, 2] < 0.5).any() or (index[:, 2] > last[2] - 0.5).any()
    return bool(beyond or on_end)


def _by_plane(contours: Sequence[Floats]) -> dict[float, list[Floats]]:
    planes: dict[float, list[Floats]] = {}
    for contour in contours:
        z = float(contour[0, 2])
        near = next((height for height in planes if abs(height - z) < _SAME_PLANE_MM), z)
        planes.setdefault(near, []).append(np.asarray(contour[:, :2], dtype=np.float64))
    return planes


def _pitch(heights: Floats, grid: Grid) -> float:
    """The usual distance between contour planes; a single plane stands for one slice."""
    return float(np.median(np.diff(heights))) if len(heights) > 1 else grid.spacing[2]


def _slice(z: float, heights: Floats, flat: dict[float, Mask], pitch: float, grid: Grid) -> Mask:
    """The mask of one slice from the planes below and above it."""
    nearest = heights[int(np.argmin(np.abs(heights - z)))]
    if abs(nearest - z) <= _SAME_PLANE_MM:
        return flat[nearest]
    above = int(np.searchsorted(heights, z))
    if 0 < above < len(heights):
        low, high = heights[above - 1], heights[above]
        if high - low <= _LARGEST_GAP * max(pitch, grid.spacing[2]):
            share = (z - low) / (high - low)
            return np.asarray((1.0 - share) * _signed(flat[low]) + share * _signed(flat[high]) > 0.0)
    # outside the stack, the end plane reaches half its slice thickness
    if abs(nearest - z) <= 0.5 * max(pitch, _SAME_PLANE_MM) - 1e-6:
        return flat[nearest]
    return np.zeros(grid.shape[1:], dtype=bool)


def _signed(mask: Mask) -> Floats:
    """Distance to the outline in voxels, positive inside."""
    if not mask.any():
        return np.full(mask.shape, -1e3)
    return np.asarray(distance_transform_edt(mask) - distance_transform_edt(~mask))


def _fill(polygons: Sequence[Floats], grid: Grid) -> Mask:
    """Even-odd fill of polygons (n, 2) in mm on one slice of the grid."""
    covered = np.zeros(grid.shape[1:], dtype=np.int64)
    for shift_y in _SAMPLES:
        for shift_x in _SAMPLES:
            covered += _inside(polygons, grid, shift_x, shift_y)
    return covered >= 2


def _inside(polygons: Sequence[Floats], grid: Grid, shift_x: float, shift_y: float) -> NDArray[np.int64]:
    """1 where a sample point of the voxel, shifted by a part of its size, lies inside by even-odd."""
    ny, nx = grid.shape[1:]
    toggles = np.zeros((ny, nx + 1), dtype=np.int64)
    for polygon in polygons:
        x = (polygon[:, 0] - grid.origin[0]) / grid.spacing[0] - shift_x
        y = (polygon[:, 1] - grid.origin[1]) / grid.spacing[1] - shift_y
        rows, crossings = _crossings(x, y, ny)
        columns = np.clip(np.ceil(crossings), 0, nx).astype(np.int64)
        np.add.at(toggles, (rows, columns), 1)
    return np.cumsum(toggles[:, :nx], axis=1) % 2


def _crossings(x: Floats, y: Floats, ny: int) -> tuple[NDArray[np.int64], Floats]:
    """Row numbers and x at which the closed polygon's edges cross the rows, all in voxel units."""
    x2, y2 = np.roll(x, -1), np.roll(y, -1)
    first = np.clip(np.ceil(np.minimum(y, y2)), 0, ny).astype(np.int64)
    behind = np.clip(np.ceil(np.maximum(y, y2)), 0, ny).astype(np.int64)
    counts = np.maximum(behind - first, 0)
    edge = np.repeat(np.arange(len(x)), counts)
    rows = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    slope = (x2[edge] - x[edge]) / (y2[edge] - y[edge])
    return rows, x[edge] + slope * (rows - y[edge])
