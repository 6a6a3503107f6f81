"""Margins and checks on voxel masks."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from tps_engine.patient.grid import Grid

Mask = NDArray[np.bool_]


def expand(mask: Mask, grid: Grid, margin: float) -> Mask:
    """The mask with all voxels whose centre lies within `margin` mm of it; spacing may differ per axis."""
    if margin <= 0.0 or not mask.any():
        return mask.copy()
    box = _window(mask, grid, margin)
    out = mask.copy()
    out[box] = distance_transform_edt(~mask[box], sampling=grid.spacing[::-1]) <= margin + 1e-6
    return out


def distance_outside(mask: Mask, grid: Grid, reach: float) -> NDArray[np.float64]:
    """Distance in mm to the mask of voxels up to `reach` mm away; infinite beyond, 0 inside."""
    out = np.full(mask.shape, np.inf)
    if mask.any():
        box = _window(mask, grid, reach)
        out[box] = distance_transform_edt(~mask[box], sampling=grid.spacing[::-1])
        out[out > reach] = np.inf
    return out


def _window(mask: Mask, grid: Grid, margin: float) -> tuple[slice, ...]:
    """The part of the array that a margin around the mask can reach."""
    parts = []
    for axis in range(3):
        used = np.flatnonzero(mask.any(axis=tuple(d for d in range(3) if d != axis)))
        reach = int(np.ceil(margin / grid.spacing[2 - axis])) + 1
        parts.append(slice(max(int(used[0]) - reach, 0), int(used[-1]) + reach + 1))
    return tuple(parts)


def touches_edge(mask: Mask) -> bool:
    """Whether a mask reaches the outermost voxels of its array on any side."""
    sides = (mask[0], mask[-1], mask[:, 0], mask[:, -1], mask[:, :, 0], mask[:, :, -1])
    return any(bool(side.any()) for side in sides)
