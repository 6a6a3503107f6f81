"""Closed axial contours to the fraction of each voxel that they enclose, and to masks."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.patient.grid import Floats, Grid
from tps_engine.patient.polygons import coverage, signed_distance

Mask = NDArray[np.bool_]
Fractions = NDArray[np.float32]

_SAME_PLANE_MM = 0.05
_LARGEST_GAP = 2.5
"""Contour planes up to this many usual distances apart are interpolated; wider is a gap between parts."""
HALF = 0.5 - 1e-4
"""A voxel of this fraction belongs to a mask: an outline through voxel centres keeps both sides alike."""
_FINE_MM = 0.75
_FINEST = 6
_HEIGHTS = 4


@dataclass(frozen=True)
class Window:
    """Fractions of a part of a grid: all voxels outside it are 0. first: (z, y, x) of values[0, 0, 0]."""

    first: tuple[int, int, int]
    values: Fractions = field(repr=False)

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """The window as slices of an array on the whole grid."""
        (z, y, x), (nz, ny, nx) = self.first, self.values.shape
        return slice(z, z + nz), slice(y, y + ny), slice(x, x + nx)

    def whole(self, grid: Grid) -> Fractions:
        """Fractions (nz, ny, nx) on the whole grid."""
        out = np.zeros(grid.shape, dtype=np.float32)
        out[self.box] = self.values
        return out

    def mask(self, grid: Grid) -> Mask:
        """Voxels of the whole grid that lie inside by half or more."""
        out = np.zeros(grid.shape, dtype=bool)
        out[self.box] = self.values >= HALF
        return out

    def cm3(self, grid: Grid) -> float:
        """Volume of the region within the grid."""
        return float(self.values.sum(dtype=np.float64)) * grid.voxel_cm3


def rasterise(contours: Sequence[Floats], grid: Grid) -> Mask:
    """Mask (nz, ny, nx) of the voxels that closed axial contours fill by half or more; see `window_of`."""
    return window_of(contours, grid).mask(grid)


def fractions(contours: Sequence[Floats], grid: Grid) -> Fractions:
    """Fraction (0..1) of each voxel (nz, ny, nx) inside closed axial contours; see `window_of`."""
    return window_of(contours, grid).whole(grid)


def window_of(contours: Sequence[Floats], grid: Grid, thickness: float | None = None) -> Window:
    """Fraction of each voxel that closed axial contours, each (n, 3) in mm, enclose.

    Contours of one plane combine by even-odd, so that holes and keyhole contours stay holes. A plane on a
    slice of the grid, with neighbours one slice away, is that slice. Elsewhere the shape between two planes
    follows the linear mean of the signed distances to their outlines (Raya and Udupa, IEEE TMI 9 (1990) 32),
    integrated over the voxel; an end plane reaches half the usual plane distance further (a single plane:
    half of `thickness`, mm, by default the grid's slice distance). Parts outside the grid are cut off
    (`reaches_outside` tells). Raises BadInput when there is no contour.
    """
    if not contours:
        raise BadInput(_("a region has no closed contour; draw it first"))
    points = np.concatenate(list(contours))
    index = grid.index_of(points[[points[:, 0].argmin(), points[:, 1].argmin()]])
    upper = grid.index_of(points[[points[:, 0].argmax(), points[:, 1].argmax()]])
    low = [max(int(np.floor(index[a, a])), 0) for a in (0, 1)]
    high = [min(int(np.ceil(upper[a, a])) + 1, grid.shape[2 - a]) for a in (0, 1)]
    stack = _Stack(contours, grid, thickness or grid.spacing[2])
    first, behind = stack.rows()
    if low[0] >= high[0] or low[1] >= high[1] or first >= behind:
        return Window((0, 0, 0), np.zeros((1, 1, 1), dtype=np.float32))
    part = Grid(
        (
            grid.origin[0] + low[0] * grid.spacing[0],
            grid.origin[1] + low[1] * grid.spacing[1],
            grid.origin[2] + first * grid.spacing[2],
        ),
        grid.spacing,
        (behind - first, high[1] - low[1], high[0] - low[0]),
    )
    return Window((first, low[1], low[0]), stack.fill(part))


def reaches_outside(contours: Sequence[Floats], grid: Grid) -> bool:
    """Whether a contour has a point outside the outer faces of the grid's voxels, or on its end slices."""
    points = np.concatenate(list(contours))
    index = grid.index_of(points)
    last = np.asarray([grid.shape[2], grid.shape[1], grid.shape[0]]) - 1.0
    beyond = (index < -0.5).any() or (index > last + 0.5).any()
    on_end = (index[:, 2] < 0.5).any() or (index[:, 2] > last[2] - 0.5).any()
    return bool(beyond or on_end)


class _Stack:
    """The contour planes of a region by height."""

    def __init__(self, contours: Sequence[Floats], grid: Grid, thickness: float) -> None:
        self._planes = _by_plane(contours)
        self._heights = np.asarray(sorted(self._planes))
        steps = np.diff(self._heights)
        self._pitch = float(np.median(steps)) if len(steps) else thickness
        self._joined = steps <= _LARGEST_GAP * self._pitch
        self._grid = grid

    def rows(self) -> tuple[int, int]:
        """First slice of the grid that the region can reach, and the one behind the last."""
        reach = 0.5 * self._pitch
        low = (self._heights[0] - reach - self._grid.origin[2]) / self._grid.spacing[2]
        high = (self._heights[-1] + reach - self._grid.origin[2]) / self._grid.spacing[2]
        count = self._grid.shape[0]
        return max(round(float(low)), 0), min(round(float(high)) + 1, count)

    def fill(self, grid: Grid) -> Fractions:
        """Fractions on a grid."""
        out = np.zeros(grid.shape, dtype=np.float64)
        done = np.zeros(grid.shape[0], dtype=bool)
        for k in range(len(self._heights)):
            own = self._aligned(k, grid)
            if own is not None:
                out[own], done[own] = self._flat(k, grid), True
        faces = grid.axis(2)[:, None] + 0.5 * grid.spacing[2] * np.asarray([-1.0, 1.0])
        for k, z in enumerate(self._heights):
            for side, joined in ((-1, k > 0 and self._joined[k - 1]),
                                 (1, k < len(self._joined) and self._joined[k])):  # fmt: skip
                if not joined:
                    ends = sorted((z, z + side * 0.5 * self._pitch))
                    self._cap(k, ends, faces, done, out, grid)
        for pair in np.flatnonzero(self._joined):
            self._between(int(pair), faces, done, out, grid)
        return np.clip(out, 0.0, 1.0).astype(np.float32)

    def _aligned(self, k: int, grid: Grid) -> int | None:
        """The slice that plane k stands for alone: on its centre, its neighbours one slice away."""
        step = grid.spacing[2]
        row = round(float(self._heights[k] - grid.origin[2]) / step)
        if not 0 <= row < grid.shape[0] or abs(self._heights[k] - grid.axis(2)[row]) > _SAME_PLANE_MM:
            return None
        for side, other in ((k - 1, k - 1), (k, k + 1)):
            if 0 <= side < len(self._joined) and self._joined[side]:
                if abs(abs(self._heights[other] - self._heights[k]) - step) > 2.0 * _SAME_PLANE_MM:
                    return None
            elif abs(self._pitch - step) > 2.0 * _SAME_PLANE_MM:
                return None
        return row

    def _flat(self, k: int, grid: Grid) -> Fractions:
        polygons = self._planes[float(self._heights[k])]
        return coverage(polygons, grid.origin[:2], grid.spacing[:2], (grid.shape[1], grid.shape[2]))

    def _cap(self, k: int, ends: Sequence[float], faces: Floats, done: Mask, out: Floats, grid: Grid) -> None:
        """Add the flat end of plane k, between two heights, to the slices that are not done."""
        shared = np.minimum(faces[:, 1], ends[1]) - np.maximum(faces[:, 0], ends[0])
        rows = np.flatnonzero((shared > 1e-9) & ~done)
        if rows.size:
            flat = self._flat(k, grid)
            for at in rows:
                out[at] += shared[at] / grid.spacing[2] * flat

    def _between(self, k: int, faces: Floats, done: Mask, out: Floats, grid: Grid) -> None:
        """Add the shape between planes k and k + 1 to the slices that are not done."""
        low, high = float(self._heights[k]), float(self._heights[k + 1])
        start, end = np.maximum(faces[:, 0], low), np.minimum(faces[:, 1], high)
        rows = np.flatnonzero((end - start > 1e-9) & ~done)
        if not rows.size:
            return
        shape = _Morph(self._planes[low], self._planes[high], grid)
        for at in rows:
            share = (end[at] - start[at]) / grid.spacing[2]
            t = ((start[at] - low) / (high - low), (end[at] - low) / (high - low))
            out[at] += share * shape.mean(*t)


class _Morph:
    """The shape between two outlines, on pixels finer than the grid's."""

    def __init__(self, low: Sequence[Floats], high: Sequence[Floats], grid: Grid) -> None:
        fine = [int(np.clip(np.ceil(grid.spacing[a] / _FINE_MM), 1, _FINEST)) for a in (0, 1)]
        step = (grid.spacing[0] / fine[0], grid.spacing[1] / fine[1])
        origin = [grid.origin[a] - 0.5 * grid.spacing[a] + 0.5 * step[a] for a in (0, 1)]
        shape = (grid.shape[1] * fine[1], grid.shape[2] * fine[0])
        first, second = (coverage(side, (origin[0], origin[1]), step, shape) for side in (low, high))
        self._base = first
        # only where the outlines run, or one side is in and the other out, does height matter
        self._band = np.nonzero((first != second) | ((first > 0.0) & (first < 1.0)))
        y, x = self._band
        places = np.column_stack([origin[0] + step[0] * x, origin[1] + step[1] * y])
        self._low, self._high = signed_distance(low, places), signed_distance(high, places)
        self._edge = float(np.sqrt(step[0] * step[1]))
        self._folded = (grid.shape[1], fine[1], grid.shape[2], fine[0])

    def mean(self, start: float, end: float) -> Floats:
        """Mean fraction (ny, nx) between two relative heights (0 low plane .. 1 high plane)."""
        total = np.zeros(len(self._low))
        for k in range(_HEIGHTS):
            t = start + (end - start) * (k + 0.5) / _HEIGHTS
            total += np.clip(0.5 + ((1.0 - t) * self._low + t * self._high) / self._edge, 0.0, 1.0)
        fine = self._base.astype(np.float64)
        fine[self._band] = total / _HEIGHTS
        return np.asarray(fine.reshape(self._folded).mean(axis=(1, 3)))


def _by_plane(contours: Sequence[Floats]) -> dict[float, list[Floats]]:
    planes: dict[float, list[Floats]] = {}
    for contour in contours:
        z = float(contour[0, 2])
        near = next((height for height in planes if abs(height - z) < _SAME_PLANE_MM), z)
        planes.setdefault(near, []).append(np.asarray(contour[:, :2], dtype=np.float64))
    return planes
