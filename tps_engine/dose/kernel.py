"""The pencil beam: dose of one spot in the voxels around it. Influence and forward dose both run this code.

A voxel's dose is the integral depth dose at the voxel's own water-equivalent depth, times a Gaussian
of its distance from the spot's axis, in the plane across the beam. Distances are taken on the
isocentric plane, where diverging rays are points, and scaled back to the voxel's height.
Approximations: the depth of each voxel's own ray stands for the depths of the paths that lead there;
scattering is that of water at the same depth; the halo of nuclear secondaries lies in the same
Gaussian; the Gaussian is cut at CUT sigma and the rest put back inside.
"""

import numpy as np
from numba import njit

CUT = 3.5
"""Lateral cut-off in standard deviations."""

_CUT2 = CUT * CUT
_NORM = 1.0 / (2.0 * np.pi * (1.0 - np.exp(-0.5 * _CUT2)))


@njit(nogil=True, cache=True, fastmath=True)
def spot_column(  # type: ignore[no-untyped-def]
    spot, energy_row, reach, idd, scatter, step, place, bins, start, sad, voxels, out_index, out_value
):
    """Write the voxels that a spot reaches, and the dose per proton in Gy, to out_*; return how many.

    spot: (8,) x, y mm, variance x, y mm2, squared divergence x, y, covariance x, y mm, at isocentre.
    place: (4,) low u, low v, bin size mm, longest reach across mm.
    bins: (2,) counts. start: (bins + 1,). voxels: (n, 4) u, v, z, depth by bins.
    """
    low_u, low_v, size, across = place[0], place[1], place[2], place[3]
    first_u = max(int(np.floor((spot[0] - across - low_u) / size)), 0)
    last_u = min(int(np.floor((spot[0] + across - low_u) / size)), bins[0] - 1)
    first_v = max(int(np.floor((spot[1] - across - low_v) / size)), 0)
    last_v = min(int(np.floor((spot[1] + across - low_v) / size)), bins[1] - 1)
    count = 0
    deepest = (idd.shape[1] - 2) * step
    limit = min(reach, deepest)
    for bin_u in range(first_u, last_u + 1):
        for bin_v in range(first_v, last_v + 1):
            box = bin_u * bins[1] + bin_v
            for k in range(start[box], start[box + 1]):
                depth = voxels[k, 3]
                if depth > limit:  # voxels of a bin are in order of depth
                    break
                z = voxels[k, 2]
                x = (voxels[k, 0] - spot[0]) * (1.0 - z / sad[0])
                y = (voxels[k, 1] - spot[1]) * (1.0 - z / sad[1])
                place_in_table = depth / step
                row = int(place_in_table)
                part = place_in_table - row
                spread = scatter[energy_row, row] + part * (
                    scatter[energy_row, row + 1] - scatter[energy_row, row]
                )
                var_x = spot[2] + (spot[4] * z - 2.0 * spot[6]) * z + spread
                var_y = spot[3] + (spot[5] * z - 2.0 * spot[7]) * z + spread
                far = x * x / var_x + y * y / var_y
                if far > _CUT2:
                    continue
                dose = idd[energy_row, row] + part * (idd[energy_row, row + 1] - idd[energy_row, row])
                out_index[count] = k
                out_value[count] = _NORM * dose * np.exp(-0.5 * far) / np.sqrt(var_x * var_y)
                count += 1
    return count


@njit(nogil=True, cache=True, fastmath=True)
def fill_columns(  # type: ignore[no-untyped-def]
    spots, rows, reaches, across, scale, idd, scatter, step, place, bins, start, sad, voxels,
    first, behind, counts, indices, values, scratch_index, scratch_value,
):  # fmt: skip
    """Columns of spots first.. into indices, values until they are full; return the first spot not done."""
    used = 0
    room = len(indices)
    for spot in range(first, behind):
        place[3] = across[spot]
        n = spot_column(
            spots[spot], rows[spot], reaches[spot], idd, scatter, step, place, bins, start, sad, voxels,
            scratch_index, scratch_value,
        )  # fmt: skip
        if used + n > room:
            return spot
        counts[spot] = n
        for k in range(n):
            indices[used + k] = scratch_index[k]
            values[used + k] = scratch_value[k] * scale[spot]
        used += n
    return behind


@njit(nogil=True, cache=True, fastmath=True)
def add_dose(  # type: ignore[no-untyped-def]
    spots, rows, reaches, across, scale, idd, scatter, step, place, bins, start, sad, voxels,
    first, behind, dose, scratch_index, scratch_value,
):  # fmt: skip
    """Add the dose of spots first..behind to dose (n,), in Gy times scale."""
    for spot in range(first, behind):
        place[3] = across[spot]
        n = spot_column(
            spots[spot], rows[spot], reaches[spot], idd, scatter, step, place, bins, start, sad, voxels,
            scratch_index, scratch_value,
        )  # fmt: skip
        for k in range(n):
            dose[scratch_index[k]] += scratch_value[k] * scale[spot]
