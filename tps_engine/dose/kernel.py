"""The pencil beam: dose of one spot in the voxels around it. Influence and forward dose both run this code.

A spot is a Gaussian of protons at the patient, and scattering spreads each of them by another Gaussian. So
the dose in a voxel is the integral over the rays through the spot of the depth dose at that ray's own
water-equivalent depth (Soukup, Fippel, Alber, Phys Med Biol 50 (2005) 5089, with sub-spots that become
points). The product of both Gaussians is the lateral profile of the whole spot times a Gaussian of the rays
that protons in this voxel came along: its middle lies between the voxel and the spot's axis. That one is
summed over four rays, exact up to the third moment. Where all rays around a voxel are equally deep,
its own depth is taken. Distances are measured on the isocentric plane, where diverging rays are points, and
scaled back to the voxel's height. The Gaussian is cut at CUT sigma and the rest put back inside.
"""

import numpy as np
from numba import njit

CUT = 3.5
"""Lateral cut-off in standard deviations."""

_CUT2 = CUT * CUT
_NORM = 1.0 / (2.0 * np.pi * (1.0 - np.exp(-0.5 * _CUT2)))

FAR_RAY = np.sqrt(2.0) * np.cos(np.pi / 8.0)
NEAR_RAY = np.sqrt(2.0) * np.sin(np.pi / 8.0)
"""Places of the four rays in standard deviations: (far, near) and its quarter turns. In either direction four
different places of variance one, so that a straight edge is seen in four steps."""


@njit(nogil=True, cache=True, fastmath=True)
def _inside(value, count):  # type: ignore[no-untyped-def]
    """A place in a lattice, kept within its cells."""
    return min(max(value, 0.0), count - 1.001)


@njit(nogil=True, cache=True, fastmath=True)
def depth_at(lattice, place, u, v, height, shift):  # type: ignore[no-untyped-def]
    """Depth in mm of the ray at u, v; height: the index of a height; shift: mm of water below it."""
    pu = _inside((u - place[0]) / place[3], lattice.shape[0])
    pv = _inside((v - place[1]) / place[3], lattice.shape[1])
    i, j = int(pu), int(pv)
    a, b = pu - i, pv - j
    before = lattice[i, j, height] + b * (lattice[i, j + 1, height] - lattice[i, j, height])
    behind = lattice[i + 1, j, height] + b * (lattice[i + 1, j + 1, height] - lattice[i + 1, j, height])
    return max(before + a * (behind - before) + shift, 0.0)


@njit(nogil=True, cache=True, fastmath=True)
def _look_up(table, row, where):  # type: ignore[no-untyped-def]
    """A table at a fractional column; zero behind its end."""
    column = int(where)
    if column > table.shape[1] - 2:
        return 0.0
    return table[row, column] + (where - column) * (table[row, column + 1] - table[row, column])


@njit(nogil=True, cache=True, fastmath=True)
def _along_rays(rays, voxel, beam, wide, tables, row, with_let):  # type: ignore[no-untyped-def]
    """Mean depth dose, and the same times LET, over the rays that a spot's protons took to a voxel.

    beam: (4,) u, v distance from the axis, 1 / stretch in u, v of the voxel's height. wide: (4,) variance in
    x, y, part of it by scattering.
    """
    lattice, place = rays
    idd, let, step = tables[0], tables[1], tables[3]
    share_x, share_y = wide[2] / wide[0], wide[2] / wide[1]
    u, v = voxel[0] - beam[0] * share_x, voxel[1] - beam[1] * share_y
    sigma_u = np.sqrt(max(wide[0] - wide[2], 0.0) * share_x) * beam[2]
    sigma_v = np.sqrt(max(wide[1] - wide[2], 0.0) * share_y) * beam[3]
    height = int(_inside((voxel[2] - place[2]) / place[4] + 0.5, lattice.shape[2]))
    shift = place[2] + place[4] * height - voxel[2]  # less than half a step: as if of water
    dose, weighed = 0.0, 0.0
    x, y = FAR_RAY, NEAR_RAY
    for _ray in range(4):
        where = depth_at(lattice, place, u + x * sigma_u, v + y * sigma_v, height, shift) / step
        dose += 0.25 * _look_up(idd, row, where)
        if with_let:
            weighed += 0.25 * _look_up(let, row, where)
        x, y = -y, x
    return dose, weighed


@njit(nogil=True, cache=True, fastmath=True)
def spot_column(spot, numbers, limits, factor, tables, geometry, out_index, out_value, out_let):  # type: ignore[no-untyped-def]
    """Write the voxels that a spot reaches, and the dose per proton in Gy, to out_*; return how many.

    spot: (8,) x, y mm, variance x, y mm2, squared divergence x, y, covariance x, y mm, at isocentre.
    numbers: row of the tables, and whether rays are looked at one by one. limits: (2,) reach in depth and
    across, mm. factor: (n,) scattering relative to water at the voxels. tables: depth dose, that times LET
    (of no rows: not wanted), scattering, step. geometry: see `columns`.
    """
    voxels, uneven, slack, bins, start, sad, low, lattice, place, size = geometry
    idd, let, scatter, step = tables
    row, fine = numbers
    with_let = let.shape[0] > 0
    first_u = max(int(np.floor((spot[0] - limits[1] - low[0]) / size)), 0)
    last_u = min(int(np.floor((spot[0] + limits[1] - low[0]) / size)), bins[0] - 1)
    first_v = max(int(np.floor((spot[1] - limits[1] - low[1]) / size)), 0)
    last_v = min(int(np.floor((spot[1] + limits[1] - low[1]) / size)), bins[1] - 1)
    count = 0
    deepest = (idd.shape[1] - 2) * step
    for bin_u in range(first_u, last_u + 1):
        for bin_v in range(first_v, last_v + 1):
            box = bin_u * bins[1] + bin_v
            limit = min(limits[0], deepest) + (slack[box] if fine else 0.0)
            for k in range(start[box], start[box + 1]):
                depth = voxels[k, 3]
                if depth > limit:  # voxels of a bin are in order of depth
                    break
                z = voxels[k, 2]
                off_u, off_v = voxels[k, 0] - spot[0], voxels[k, 1] - spot[1]
                scale_x, scale_y = 1.0 - z / sad[0], 1.0 - z / sad[1]
                where = min(depth, deepest) / step
                spread = _look_up(scatter, row, where) * factor[k]
                var_x = spot[2] + (spot[4] * z - 2.0 * spot[6]) * z + spread
                var_y = spot[3] + (spot[5] * z - 2.0 * spot[7]) * z + spread
                x, y = off_u * scale_x, off_v * scale_y
                far = x * x / var_x + y * y / var_y
                if far > _CUT2:
                    continue
                if fine and uneven[k]:
                    beam = (off_u, off_v, 1.0 / scale_x, 1.0 / scale_y)
                    dose, weighed = _along_rays(
                        (lattice, place), voxels[k], beam, (var_x, var_y, spread), tables, row, with_let
                    )
                    if dose <= 0.0:
                        continue
                elif depth > limits[0]:
                    continue
                else:
                    dose = _look_up(idd, row, where)
                    weighed = _look_up(let, row, where) if with_let else 0.0
                profile = _NORM * np.exp(-0.5 * far) / np.sqrt(var_x * var_y)
                out_index[count] = k
                out_value[count] = profile * dose
                if with_let:
                    out_let[count] = profile * weighed
                count += 1
    return count


@njit(nogil=True, cache=True, fastmath=True)
def fill_columns(beams, tables, geometry, first, behind, counts, out, scratch):  # type: ignore[no-untyped-def]
    """Columns of spots first.. into out until it is full; return the first spot not done.

    beams: spots, rows, nodes, limits (n, 2), scale (n,), factors (nodes, voxels), whether rays are looked at.
    out, scratch: indices, doses, doses times LET. counts: (n,) voxels of each spot.
    """
    spots, rows, nodes, limits, scale, factors, fine = beams
    indices, values, lets = out
    used, room, with_let = 0, len(indices), tables[1].shape[0] > 0
    for spot in range(first, behind):
        n = spot_column(
            spots[spot], (rows[spot], fine), limits[spot], factors[nodes[spot]], tables, geometry,
            scratch[0], scratch[1], scratch[2],
        )  # fmt: skip
        if used + n > room:
            return spot
        counts[spot] = n
        for k in range(n):
            indices[used + k] = scratch[0][k]
            values[used + k] = scratch[1][k] * scale[spot]
        if with_let:
            for k in range(n):
                lets[used + k] = scratch[2][k] * scale[spot]
        used += n
    return behind


@njit(nogil=True, cache=True, fastmath=True)
def add_dose(beams, tables, geometry, first, behind, dose, weighed, scratch):  # type: ignore[no-untyped-def]
    """Add the dose of spots first..behind to dose (n,), Gy, and that times LET to weighed if wanted."""
    spots, rows, nodes, limits, scale, factors, fine = beams
    with_let = tables[1].shape[0] > 0
    for spot in range(first, behind):
        n = spot_column(
            spots[spot], (rows[spot], fine), limits[spot], factors[nodes[spot]], tables, geometry,
            scratch[0], scratch[1], scratch[2],
        )  # fmt: skip
        for k in range(n):
            dose[scratch[0][k]] += scratch[1][k] * scale[spot]
        if with_let:
            for k in range(n):
                weighed[scratch[0][k]] += scratch[2][k] * scale[spot]
