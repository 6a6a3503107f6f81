"""Margins and checks on voxel masks. Distances are exact and Euclidean, between voxel centres."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from common.errors import BadInput
from common.text import _
from tps_engine.patient.grid import Grid

Mask = NDArray[np.bool_]

_MOST_MM = 100.0
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Margin:
    """A margin in mm in six directions of the patient; positive: outwards, negative: inwards.

    left +x, right -x, posterior +y, anterior -y, superior +z, inferior -z. Raises BadInput beyond 100 mm.
    """

    right: float
    left: float
    anterior: float
    posterior: float
    inferior: float
    superior: float

    def __post_init__(self) -> None:
        if not all(abs(value) <= _MOST_MM for value in self.pairs.ravel()):
            raise BadInput(
                _("margin of {values} mm: allowed are -{most} to {most} mm").format(
                    values=", ".join(f"{value:g}" for value in self.pairs.ravel()), most=f"{_MOST_MM:g}"
                )
            )

    @property
    def pairs(self) -> NDArray[np.float64]:
        """(3, 2): along x, y, z, towards lower and higher coordinates."""
        return np.asarray(
            [[self.right, self.left], [self.anterior, self.posterior], [self.inferior, self.superior]]
        )


def even(millimetres: float) -> Margin:
    """The same margin in all directions."""
    return Margin(*(millimetres,) * 6)


def with_margin(mask: Mask, grid: Grid, margin: Margin) -> Mask:
    """The mask grown where a margin is positive, then shrunk where it is negative.

    Growing by unequal margins adds every voxel whose offset (dx, dy, dz) from some voxel of the mask meets
    (dx/mx)^2 + (dy/my)^2 + (dz/mz)^2 <= 1, m being the margin of the offset's own direction: eight octants of
    ellipsoids (a sphere when all are equal); shrinking does so to what lies outside. Beyond the array
    there is nothing of the region and it is not shrunk from there.
    """
    wanted = margin.pairs
    grown = _reach(mask, grid, np.maximum(wanted, 0.0))
    inwards = np.maximum(-wanted, 0.0)
    # what lies outside moves in against the direction in which the outline looks
    return grown if not inwards.any() else ~_reach(~grown, grid, inwards[:, ::-1])


def expand(mask: Mask, grid: Grid, margin: float) -> Mask:
    """The mask with all voxels whose centre lies within `margin` mm of it; spacing may differ per axis."""
    if margin <= 0.0 or not mask.any():
        return mask.copy()
    box = _window(mask, grid, margin)
    out = mask.copy()
    out[box] = distance_transform_edt(~mask[box], sampling=grid.spacing[::-1]) <= margin + _ROUNDING
    return out


def contract(mask: Mask, grid: Grid, margin: float) -> Mask:
    """The mask without the voxels whose centre lies within `margin` mm of one outside it."""
    return with_margin(mask, grid, even(-abs(margin)))


def crop_to(mask: Mask, body: Mask, grid: Grid, gap: float = 0.0) -> Mask:
    """The part of a mask inside a body, at least `gap` mm from what lies outside the body."""
    return mask & (contract(body, grid, gap) if gap > 0.0 else body)


def crop_from(mask: Mask, other: Mask, grid: Grid, gap: float = 0.0) -> Mask:
    """The part of a mask outside another region and more than `gap` mm away from it."""
    return mask & ~expand(other, grid, gap)


def _reach(mask: Mask, grid: Grid, margins: NDArray[np.float64]) -> Mask:
    """The mask grown by margins (3, 2) >= 0 mm along x, y, z towards lower and higher coordinates."""
    if not margins.any() or not mask.any() or mask.all():
        return mask.copy()
    box = _window(mask, grid, float(margins.max()))
    part = mask[box]
    if np.ptp(margins) == 0.0:
        near = distance_transform_edt(~part, sampling=grid.spacing[::-1]) <= margins[0, 0] + _ROUNDING
    else:
        near = _relative_distance(part, grid, margins) <= 1.0 + _ROUNDING
    out = mask.copy()
    out[box] = near
    return out


def _relative_distance(mask: Mask, grid: Grid, margins: NDArray[np.float64]) -> NDArray[np.float32]:
    """Least sum of (offset / margin)^2 to a voxel of the mask; infinite where it exceeds 1.

    The sum separates into its axes: one pass along each (Felzenszwalb and Huttenlocher, Theory of Computing 8
    (2012) 415, with a kernel that has two sides and ends at 1).
    """
    found = np.where(mask, np.float32(0.0), np.float32(np.inf))
    for axis in range(3):
        step, place = grid.spacing[axis], 2 - axis
        source = found
        found = source.copy()
        for side, margin in zip((-1, 1), margins[axis], strict=True):
            for offset in range(1, int(margin / step + _ROUNDING) + 1):
                if offset >= mask.shape[place]:
                    break
                cost = np.float32((offset * step / margin) ** 2)
                ahead: list[slice] = [slice(None)] * 3
                behind: list[slice] = [slice(None)] * 3
                ahead[place], behind[place] = slice(offset, None), slice(None, -offset)
                to, start = (ahead, behind) if side > 0 else (behind, ahead)
                np.minimum(found[tuple(to)], source[tuple(start)] + cost, out=found[tuple(to)])
    return found


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
