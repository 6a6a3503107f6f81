"""Regular grids in patient coordinates (DICOM: +x left, +y posterior, +z head), mm."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """Voxel centres at origin + index * spacing.

    origin, spacing: (x, y, z) mm. shape: (nz, ny, nx), the order of every array on the grid.
    """

    origin: tuple[float, float, float]
    spacing: tuple[float, float, float]
    shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        if min(self.spacing) <= 0.0 or min(self.shape) < 1:
            raise BadInput(
                f"grid of spacing {self.spacing} mm and shape {self.shape}: allowed are positive numbers"
            )

    @property
    def size(self) -> int:
        """Number of voxels."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def voxel_cm3(self) -> float:
        """Volume of a voxel in cm3."""
        return self.spacing[0] * self.spacing[1] * self.spacing[2] / 1000.0

    def axis(self, index: int) -> Floats:
        """Voxel centres along x (0), y (1) or z (2), mm."""
        count = self.shape[2 - index]
        return self.origin[index] + self.spacing[index] * np.arange(count, dtype=np.float64)

    def points(self, flat: NDArray[np.int64]) -> Floats:
        """(n, 3) centres in mm of voxels given by flat (C order) indices (n,)."""
        z, y, x = np.unravel_index(flat, self.shape)
        index = np.stack([x, y, z], axis=1)
        return np.asarray(np.asarray(self.origin) + index * np.asarray(self.spacing))

    def index_of(self, points: Floats) -> Floats:
        """(n, 3) fractional indices along x, y, z of points (n, 3) in mm."""
        return np.asarray((points - np.asarray(self.origin)) / np.asarray(self.spacing))


def dose_grid(ct: Grid, body: NDArray[np.bool_], spacing: float) -> Grid:
    """A cubic grid of `spacing` mm around a body mask on the CT grid, two voxels wider, centred on it.

    When the CT has that spacing already, its own voxels are used, so that nothing is interpolated.

    Raises BadInput for an empty body.
    """
    if not body.any():
        raise BadInput(_("the body outline (External) is empty; draw it first"))
    low, high = _extent(ct, body)
    origin, shape = [], []
    for axis in range(3):
        if abs(ct.spacing[axis] - spacing) < 1e-6:
            first = round(float(low[axis] - ct.origin[axis]) / spacing) - 2
            origin.append(ct.origin[axis] + first * spacing)
            shape.append(round(float(high[axis] - low[axis]) / spacing) + 5)
        else:
            count = int(np.ceil((high[axis] - low[axis]) / spacing)) + 5
            origin.append(0.5 * (low[axis] + high[axis]) - 0.5 * (count - 1) * spacing)
            shape.append(count)
    return Grid(
        (origin[0], origin[1], origin[2]), (spacing, spacing, spacing), (shape[2], shape[1], shape[0])
    )


def _extent(grid: Grid, mask: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Lowest and highest voxel centre (x, y, z) of a mask, mm."""
    low, high = np.empty(3), np.empty(3)
    for axis in range(3):
        used = np.flatnonzero(mask.any(axis=tuple(d for d in range(3) if d != 2 - axis)))
        low[axis], high[axis] = grid.axis(axis)[used[[0, -1]]]
    return low, high


def resample_nearest(values: NDArray[np.bool_], source: Grid, target: Grid) -> NDArray[np.bool_]:
    """A mask on another grid by the nearest voxel; False outside the source."""
    out = values
    for axis in range(3):
        index = np.rint((target.axis(axis) - source.origin[axis]) / source.spacing[axis]).astype(np.int64)
        inside = (index >= 0) & (index < source.shape[2 - axis])
        out = np.take(out, np.clip(index, 0, source.shape[2 - axis] - 1), axis=2 - axis)
        keep = np.expand_dims(inside, tuple(d for d in range(3) if d != 2 - axis))
        out = out & keep
    return np.ascontiguousarray(out)
