"""The compiled search of the gamma index: trilinear samples, sorted candidates, one point after the other."""

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_MOVES = 4
"""Moves towards the minimum after the search; each starts where the last one improved."""


def _cell(position: float, size: int) -> tuple[int, float]:
    """Lower index and fraction of a position in voxels; index -1 outside the grid."""
    if position < 0.0 or position > size - 1:
        return -1, 0.0
    index = min(int(position), max(size - 2, 0))
    return index, position - index


_cell_jit: Callable[[float, int], tuple[int, float]] = njit(cache=True, inline="always")(_cell)


def _sample(dose: Floats, z: float, y: float, x: float, slope: Floats) -> float:
    """Trilinear dose at a position in voxels, NaN outside; `slope` (3,) receives its gradient per voxel."""
    nz, ny, nx = dose.shape
    k, c = _cell_jit(z, nz)
    j, b = _cell_jit(y, ny)
    i, a = _cell_jit(x, nx)
    if k < 0 or j < 0 or i < 0:
        return np.nan
    k1, j1, i1 = min(k + 1, nz - 1), min(j + 1, ny - 1), min(i + 1, nx - 1)
    d00, d01 = dose[k, j, i], dose[k, j, i1]
    d10, d11 = dose[k, j1, i], dose[k, j1, i1]
    u00, u01 = dose[k1, j, i], dose[k1, j, i1]
    u10, u11 = dose[k1, j1, i], dose[k1, j1, i1]
    low0, low1 = d00 + a * (d01 - d00), d10 + a * (d11 - d10)
    up0, up1 = u00 + a * (u01 - u00), u10 + a * (u11 - u10)
    low, up = low0 + b * (low1 - low0), up0 + b * (up1 - up0)
    slope[0] = up - low
    slope[1] = (1 - c) * (low1 - low0) + c * (up1 - up0)
    slope[2] = (1 - c) * ((1 - b) * (d01 - d00) + b * (d11 - d10)) + c * (
        (1 - b) * (u01 - u00) + b * (u11 - u10)
    )
    value: float = low + c * (up - low)
    return value


_sample_jit: Callable[[Floats, float, float, float, Floats], float] = njit(cache=True)(_sample)


def _refined(dose: Floats, start: Floats, offset: Floats, step: Floats, asked: Floats) -> float:
    """Squared gamma after up to `_MOVES` moves from the best sample, each to the linearised minimum.

    start: (3,) the reference point in voxels; offset: the best row of the candidates; step: half widths and
    units; asked: (3,) wanted dose, dose tolerance, squared gamma of the best sample.

    With displacement u and gradient G (both in units of the criteria) and dose difference q, the minimum
    of |u + v|^2 + (q + G.v)^2 is at v = -w + G (G.w) / (1 + G.G), w = u + q G; v is held to one step.
    """
    slope = np.zeros(3)
    unit, place = offset[4:7].copy(), start + offset[1:4]
    limit = step[0] * step[1]
    best = float(asked[2])
    here = _sample_jit(dose, place[0], place[1], place[2], slope)
    for _ in range(_MOVES):
        gradient = slope / asked[1] / step[1]
        toward = unit + (here - asked[0]) / asked[1] * gradient
        along = (gradient * toward).sum() / (1.0 + (gradient * gradient).sum())
        move = np.minimum(np.maximum(gradient * along - toward, -limit), limit)
        unit = unit + move
        place = place + move / step[1]
        here = _sample_jit(dose, place[0], place[1], place[2], slope)
        value = (unit * unit).sum() + ((here - asked[0]) / asked[1]) ** 2
        if not value < best:  # no better, or NaN: outside the grid
            break
        best = value
    return best


_refined_jit: Callable[[Floats, Floats, Floats, Floats, Floats], float] = njit(cache=True)(_refined)


def _search(
    dose: Floats, points: Floats, asked: Floats, offsets: Floats, step: Floats
) -> NDArray[np.float32]:
    result = np.empty(len(points), np.float32)
    slope = np.zeros(3)
    for n in range(len(points)):
        aim = asked[n].copy()
        where = -1
        for m in range(len(offsets)):
            if offsets[m, 0] >= aim[2]:
                break
            here = _sample_jit(
                dose,
                points[n, 0] + offsets[m, 1],
                points[n, 1] + offsets[m, 2],
                points[n, 2] + offsets[m, 3],
                slope,
            )
            value = offsets[m, 0] + ((here - aim[0]) / aim[1]) ** 2
            if value < aim[2]:
                aim[2], where = value, m
        if where >= 0:
            aim[2] = _refined_jit(dose, points[n], offsets[where], step, aim)
        result[n] = np.sqrt(aim[2])
    return result


search: Callable[[Floats, Floats, Floats, Floats, Floats], NDArray[np.float32]] = njit(
    cache=True, nogil=True
)(_search)
"""Gamma of each point, (n,).

dose: (nz, ny, nx) evaluated distribution. points: (n, 3) in voxels. asked: (n, 3) wanted dose, dose
tolerance and squared largest gamma. offsets: (m, 7) sorted candidates: squared distance, displacement in
voxels, displacement in units of the distance criterion. step: (2, 3) sampling step and voxel edge in
voxels and in units of the criterion.
"""
