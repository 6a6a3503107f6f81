"""The pencil beam: dose of one spot in the voxels around it. Influence and forward dose both run this code.

Where all rays around a voxel are equally deep, its own depth is taken, and the profile of a spot is one
Gaussian; where they are not, `rays` looks at those that the spot's protons took. Distances are measured on
the isocentric plane, where diverging rays are points, and scaled back to the voxel's height. The Gaussian is
cut at CUT sigma and the rest put back inside.

Spots of one energy that lie together form a group: `reading.evaluate` reads what does not depend on the spot
at every voxel that the group can reach, side by side, in single precision, and the loops over them have no
branches.
"""

import numpy as np
from numba import njit

from tps_engine.dose.lanes import exponential, pack, span, strip
from tps_engine.dose.rays import CUT, NORM, along_rays
from tps_engine.dose.reading import HEIGHT, IDD, LET, SCALE_X, SCALE_Y, SPREAD, U, V

_CUT2 = np.float32(CUT * CUT)
_ZERO, _ONE, _HALF = np.float32(0.0), np.float32(1.0), np.float32(0.5)


@njit(nogil=True, cache=True, error_model="numpy")
def _within(spot, read, a, b):  # type: ignore[no-untyped-def]
    """How many of the voxels a..b of `read` lie within the cut of a spot."""
    u, v, z, spread = read[U, a:b], read[V, a:b], read[HEIGHT, a:b], read[SPREAD, a:b]
    scale_x, scale_y = read[SCALE_X, a:b], read[SCALE_Y, a:b]
    x0, y0, wide, tall, open_x, open_y, turn_x, turn_y = spot
    count = np.int64(0)
    for j in range(u.size):
        var_x = wide + (open_x * z[j] - turn_x) * z[j] + spread[j]
        var_y = tall + (open_y * z[j] - turn_y) * z[j] + spread[j]
        x, y = (u[j] - x0) * scale_x[j], (v[j] - y0) * scale_y[j]
        count += np.int64(x * x / var_x + y * y / var_y <= _CUT2)
    return count


@njit(nogil=True, cache=True, error_model="numpy")
def _profile(spot, read, a, b, values, keep):  # type: ignore[no-untyped-def]
    """Protons per mm2 and proton of a spot in voxels a..b of `read`, and whether the cut holds them (u1)."""
    u, v, z, spread = read[U, a:b], read[V, a:b], read[HEIGHT, a:b], read[SPREAD, a:b]
    scale_x, scale_y = read[SCALE_X, a:b], read[SCALE_Y, a:b]
    x0, y0, wide, tall, open_x, open_y, turn_x, turn_y = spot
    for j in range(u.size):
        var_x = wide + (open_x * z[j] - turn_x) * z[j] + spread[j]
        var_y = tall + (open_y * z[j] - turn_y) * z[j] + spread[j]
        x, y = (u[j] - x0) * scale_x[j], (v[j] - y0) * scale_y[j]
        far = x * x / var_x + y * y / var_y
        keep[j] = far <= _CUT2
        values[j] = NORM * exponential(-_HALF * far) / np.sqrt(var_x * var_y)


@njit(nogil=True, cache=True, error_model="numpy")
def _numbers_of(spots, k):  # type: ignore[no-untyped-def]
    """What `_profile` takes of a spot: the covariances twice, as they come."""
    s = spots[k]
    two = np.float32(2.0)
    return s[0], s[1], s[2], s[3], s[4], s[5], two * s[6], two * s[7]


@njit(nogil=True, cache=True, error_model="numpy")
def _reached(spot, across, place, bins, begin, read, room):  # type: ignore[no-untyped-def]
    """Pack the voxels within the cut of a spot, and their profile, into room; return how many."""
    values, keep, number, profile = room[0], room[1], room[2], room[3]
    first_u, last_u = span(spot[0] - across, spot[0] + across, place[0], place[2], bins[0])
    count = 0
    for bin_u in range(first_u, last_u + 1):
        a, b = strip(spot[0], spot[1], across, bin_u, place, bins, begin)
        _profile(spot, read, a, b, values, keep)
        count = pack(keep, b - a, values, a, number, profile, count)
    return count


@njit(nogil=True, cache=True, error_model="numpy")
def count_columns(spots, across, geometry, begin, read, first, behind, counts):  # type: ignore[no-untyped-def]
    """Number of voxels that each of the spots first..behind of a group reaches, to counts.

    spots: (n, 8) f4 x, y mm, variance x, y mm2, squared divergence x, y, covariance x, y mm, at isocentre.
    across: (n,) mm on the isocentric plane. begin, read: by `reading.evaluate`.
    """
    place, bins = geometry[0], geometry[1]
    for k in range(first, behind):
        spot, far = _numbers_of(spots, k), across[k]
        first_u, last_u = span(spot[0] - far, spot[0] + far, place[0], place[2], bins[0])
        count = 0
        for bin_u in range(first_u, last_u + 1):
            a, b = strip(spot[0], spot[1], far, bin_u, place, bins, begin)
            count += _within(spot, read, a, b)
        counts[k] = count


@njit(nogil=True, cache=True, error_model="numpy")
def fill_columns(  # type: ignore[no-untyped-def]
    spots, across, geometry, begin, read, first, behind, row, fine, tables, kept, ragged, room,
    scale, order, indptr, indices, dose, let,
):  # fmt: skip
    """Entries of the spots first..behind of a group, from indptr on; other arguments as `reading.evaluate`.

    scale: (n,) f4 protons a MU. order: (v,) the caller's index of each voxel.
    """
    place, bins = geometry[0], geometry[1]
    number, profile = room[2], room[3]
    per_step = _ONE / tables[3]
    for k in range(first, behind):
        spot = _numbers_of(spots, k)
        n, at = _reached(spot, across[k], place, bins, begin, read, room), indptr[k]
        for j in range(n):
            indices[at + j] = order[kept[number[j]]]
        for c in range(2 if tables[1].shape[0] > 0 else 1):
            out, own = (dose, IDD) if c == 0 else (let, LET)
            here = out[at : at + n]
            if fine:
                both = (tables[0][row] if c == 0 else tables[1][row]), tables[2][row]
                along_rays(
                    spot, geometry[7], number[:n], profile, read, ragged, both, own, per_step, room[4], here
                )
                for j in range(n):
                    here[j] *= scale[k]
            else:
                for j in range(n):
                    here[j] = read[own, number[j]] * profile[j] * scale[k]


@njit(nogil=True, cache=True, error_model="numpy")
def add_dose(  # type: ignore[no-untyped-def]
    spots, across, geometry, begin, read, first, behind, row, fine, tables, kept, ragged, room,
    scale, count, total,
):  # fmt: skip
    """Add spots first..behind of a group to total (2, v): dose in Gy, and that times LET if it is wanted.

    count: how many voxels `reading.evaluate` has read. Other arguments as `fill_columns`.
    """
    place, bins = geometry[0], geometry[1]
    values, keep, number, profile, extra, sums, mean = room
    wanted = 2 if tables[1].shape[0] > 0 else 1
    per_step = _ONE / tables[3]
    sums[:wanted, :count] = 0.0
    for k in range(first, behind):
        spot, far = _numbers_of(spots, k), across[k]
        if fine:
            n = _reached(spot, far, place, bins, begin, read, room)
            for c in range(wanted):
                both = (tables[0][row] if c == 0 else tables[1][row]), tables[2][row]
                along_rays(
                    spot, geometry[7], number[:n], profile, read, ragged, both, IDD + c, per_step, extra,
                    mean[:n],
                )  # fmt: skip
                for j in range(n):
                    sums[c, number[j]] += scale[k] * mean[j]
            continue
        first_u, last_u = span(spot[0] - far, spot[0] + far, place[0], place[2], bins[0])
        for bin_u in range(first_u, last_u + 1):
            a, b = strip(spot[0], spot[1], far, bin_u, place, bins, begin)
            _profile(spot, read, a, b, values, keep)
            here = sums[0, a:b]
            for j in range(here.size):
                here[j] += scale[k] * (values[j] * np.float32(keep[j]))
    for c in range(wanted):
        # without rays the table's value is the same for all spots: it comes in once, at the end
        for j in range(count):
            total[c, kept[j]] += sums[c, j] if fine else sums[0, j] * read[IDD + c, j]
