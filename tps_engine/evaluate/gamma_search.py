"""The compiled search of the gamma index: trilinear samples, sorted candidates, one point after the other."""

from typing import Any

import numpy as np
from numba import njit

Floats = np.ndarray[Any, np.dtype[np.float64]]

_MOVES = 4
"""Moves towards the minimum after the search; each starts where the last one improved."""


@njit(cache=True, inline="always")
def _cell(position, size):  # type: ignore[no-untyped-def]
    """Lower index and fraction of a position in voxels; index -1 outside the grid."""
    if position < 0.0 or position > size - 1:
        return -1, 0.0
    index = min(int(position), max(size - 2, 0))
    return index, position - index


@njit(cache=True, nogil=True)
def _sample(dose, z, y, x):  # type: ignore[no-untyped-def]
    """Trilinear dose at a position in voxels, NaN outside, and its gradient (z, y, x) per voxel."""
    nz, ny, nx = dose.shape
    k, c = _cell(z, nz)
    j, b = _cell(y, ny)
    i, a = _cell(x, nx)
    if k < 0 or j < 0 or i < 0:
        return np.nan, 0.0, 0.0, 0.0
    k1, j1, i1 = min(k + 1, nz - 1), min(j + 1, ny - 1), min(i + 1, nx - 1)
    d00, d01 = dose[k, j, i], dose[k, j, i1]
    d10, d11 = dose[k, j1, i], dose[k, j1, i1]
    u00, u01 = dose[k1, j, i], dose[k1, j, i1]
    u10, u11 = dose[k1, j1, i], dose[k1, j1, i1]
    low0, low1 = d00 + a * (d01 - d00), d10 + a * (d11 - d10)
    up0, up1 = u00 + a * (u01 - u00), u10 + a * (u11 - u10)
    low, up = low0 + b * (low1 - low0), up0 + b * (up1 - up0)
    across = (1 - c) * (low1 - low0) + c * (up1 - up0)
    along = (1 - c) * ((1 - b) * (d01 - d00) + b * (d11 - d10)) + c * (
        (1 - b) * (u01 - u00) + b * (u11 - u10)
    )
    return low + c * (up - low), up - low, across, along


@njit(cache=True, nogil=True)
def _toward(part, step, gradient, along):  # type: ignore[no-untyped-def]
    """A move on one axis to the linearised minimum, held to one step. part: of the way there now."""
    return min(max(gradient * along - part, -step), step)


@njit(cache=True, nogil=True)
def _refined(dose, start, offset, step, wanted, tolerance, best):  # type: ignore[no-untyped-def]
    """Squared gamma after up to `_MOVES` moves from the best sample, each to the linearised minimum.

    start: (3,) the reference point in voxels; offset: (7,) the best row of the candidates; step: half widths
    and units; best: squared gamma of that sample.

    With displacement u and gradient G (both in units of the criteria) and dose difference q, the minimum
    of |u + v|^2 + (q + G.v)^2 is at v = -w + G (G.w) / (1 + G.G), w = u + q G; v is held to one step.
    """
    uz, uy, ux = offset[4], offset[5], offset[6]
    z, y, x = start[0] + offset[1], start[1] + offset[2], start[2] + offset[3]
    here, gz, gy, gx = _sample(dose, z, y, x)
    for _ in range(_MOVES):
        gz, gy, gx = gz / tolerance / step[1, 0], gy / tolerance / step[1, 1], gx / tolerance / step[1, 2]
        off = (here - wanted) / tolerance
        wz, wy, wx = uz + off * gz, uy + off * gy, ux + off * gx
        along = (gz * wz + gy * wy + gx * wx) / (1.0 + (gz * gz + gy * gy + gx * gx))
        vz = _toward(wz, step[0, 0] * step[1, 0], gz, along)
        vy = _toward(wy, step[0, 1] * step[1, 1], gy, along)
        vx = _toward(wx, step[0, 2] * step[1, 2], gx, along)
        uz, uy, ux = uz + vz, uy + vy, ux + vx
        z, y, x = z + vz / step[1, 0], y + vy / step[1, 1], x + vx / step[1, 2]
        here, gz, gy, gx = _sample(dose, z, y, x)
        value = uz * uz + uy * uy + ux * ux + ((here - wanted) / tolerance) ** 2
        if not value < best:  # no better, or NaN: outside the grid
            break
        best = value
    return best


@njit(cache=True, nogil=True)
def gamma_at(dose, point, asked, offsets, step):  # type: ignore[no-untyped-def]
    """Gamma of one point (3,); arguments as those of `search`."""
    wanted, tolerance, best = asked[0], asked[1], asked[2]
    where = -1
    for m in range(len(offsets)):
        if offsets[m, 0] >= best:
            break
        here, _z, _y, _x = _sample(
            dose, point[0] + offsets[m, 1], point[1] + offsets[m, 2], point[2] + offsets[m, 3]
        )
        value = offsets[m, 0] + ((here - wanted) / tolerance) ** 2
        if value < best:
            best, where = value, m
    if where >= 0:
        best = _refined(dose, point, offsets[where], step, wanted, tolerance, best)
    return np.sqrt(best)


@njit(cache=True, nogil=True)
def search(dose, points, asked, offsets, step):  # type: ignore[no-untyped-def]
    """Gamma of each point, (n,) f4.

    dose: (nz, ny, nx) evaluated distribution. points: (n, 3) in voxels. asked: (n, 3) wanted dose, dose
    tolerance and squared largest gamma. offsets: (m, 7) sorted candidates: squared distance, displacement in
    voxels, displacement in units of the distance criterion. step: (2, 3) sampling step and voxel edge in
    voxels and in units of the criterion.
    """
    result = np.empty(len(points), np.float32)
    for n in range(len(points)):
        result[n] = gamma_at(dose, points[n], asked[n], offsets, step)
    return result
