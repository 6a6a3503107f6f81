"""The ion pencil beam: dose, LET x dose, alpha x dose and sqrt(beta) x dose of spots in voxels.

A voxel's dose is the depth dose at its own water-equivalent depth, times the weighted sum of Gaussians of its
distance from the spot's axis (Hong et al., Phys Med Biol 41 (1996) 1305, with more than one Gaussian). Spots
of one energy and width form a group: `evaluate` reads the tables once for all of its spots, at every voxel
that they can reach and that is not deeper than the table, and lays what it read side by side.
"""

import numpy as np
from numba import njit

from tps_engine.dose.lanes import exponential, pack, span, strip

U, V, SCALE_X, SCALE_Y, CUT, LET, ALPHA, ROOT = range(8)
"""Rows of what `evaluate` writes; then amplitude, x and y coefficient of each Gaussian."""

HEAD = 8

_HALF, _ONE = np.float32(0.5), np.float32(1.0)
_PER_CIRCLE = np.float32(0.5 / np.pi)


@njit(nogil=True, cache=True, error_model="numpy")
def _kept(box, reach, place, bins, start, rays, begin, kept):  # type: ignore[no-untyped-def]
    """Fill begin and kept with the voxels between the corners of `box` down to a depth; return how many."""
    depth = rays[4]
    first_u, last_u = span(box[0], box[1], place[0], place[2], bins[0])
    first_v, last_v = span(box[2], box[3], place[1], place[2], bins[1])
    count = 0
    for bin_u in range(first_u, last_u + 1):
        for bin_v in range(first_v, last_v + 1):
            begin[bin_u, bin_v] = count
            for i in range(start[bin_u * bins[1] + bin_v], start[bin_u * bins[1] + bin_v + 1]):
                if depth[i] > reach:
                    break
                kept[count] = i
                count += 1
        if last_v >= first_v:
            begin[bin_u, last_v + 1] = count
    return count


@njit(nogil=True, cache=True, error_model="numpy")
def _column(own, c, rows, parts, out):  # type: ignore[no-untyped-def]
    """Column c of a table between rows."""
    low, high = own[:-1, c], own[1:, c]
    for j in range(rows.size):
        here = low[rows[j]]
        out[j] = here + parts[j] * (high[rows[j]] - here)


@njit(nogil=True, cache=True, error_model="numpy")
def evaluate(  # type: ignore[no-untyped-def]
    box, variance, own, reach, step, columns, place, bins, start, rays, tissue, begin, kept, room, read
):
    """Read the table `own` (k, c) of an energy at the depths of voxels between the corners of `box`.

    box: low u, high u, low v, high v mm. variance: (2,) f4 x, y mm2 in air. columns: number of Gaussians (0:
    none is read, only the cut-off), column of LET, first of biology (-1: none). rays: (5, v) f4 u, v mm, the
    scale from the isocentric plane to the voxel in x, y, and depth, which rises within a bin. begin: see
    `strip`. kept: (v,) i4 number of each voxel that is read. room: see `fill_columns`. read: (HEAD + 3 g, v)
    f4. Returns how many voxels are read.
    """
    count = _kept(box, reach, place, bins, start, rays, begin, kept)
    parts, rows = room[0][:count], room[2][:count]
    depth = rays[4]
    for j in range(count):
        at = max(depth[kept[j]], np.float32(0.0)) * (_ONE / step)
        row = np.int32(at)
        rows[j] = row
        parts[j] = at - np.float32(row)
    for c in range(4):
        source = rays[c]
        for j in range(count):
            read[c, j] = source[kept[j]]
    _column(own, 1, rows, parts, read[CUT, :count])
    if columns[1] >= 0:
        _column(own, columns[1], rows, parts, read[LET, :count])
    if columns[2] >= 0:
        for j in range(count):
            c = columns[2] + 2 * tissue[kept[j]]
            here, after = own[rows[j]], own[rows[j] + 1]
            read[ALPHA, j] = here[c] + parts[j] * (after[c] - here[c])
            read[ROOT, j] = here[c + 1] + parts[j] * (after[c + 1] - here[c + 1])
    for g in range(columns[0]):
        at = HEAD + 3 * g
        high, wide, tall = read[at, :count], read[at + 1, :count], read[at + 2, :count]
        _column(own, 2 + g, rows, parts, wide)
        _column(own, 2 + columns[0] + g, rows, parts, tall)
        _column(own, 0, rows, parts, high)
        for j in range(count):
            var_x, var_y = variance[0] + wide[j], variance[1] + wide[j]
            high[j] = high[j] * _PER_CIRCLE * tall[j] / np.sqrt(var_x * var_y)
            wide[j], tall[j] = -_HALF / var_x, -_HALF / var_y
    return count


@njit(nogil=True, cache=True, error_model="numpy")
def _within(x0, y0, read, a, b):  # type: ignore[no-untyped-def]
    """How many of the voxels a..b of `read` a spot at x0, y0 reaches."""
    u, v, cut = read[U, a:b], read[V, a:b], read[CUT, a:b]
    scale_x, scale_y = read[SCALE_X, a:b], read[SCALE_Y, a:b]
    count = np.int64(0)
    for j in range(u.size):
        x, y = (u[j] - x0) * scale_x[j], (v[j] - y0) * scale_y[j]
        count += np.int64(x * x + y * y <= cut[j])
    return count


@njit(nogil=True, cache=True, error_model="numpy")
def _profile(x0, y0, gaussians, read, a, b, values, keep):  # type: ignore[no-untyped-def]
    """Dose per particle of a spot at x0, y0 in voxels a..b of `read`, and whether it reaches them (u1)."""
    u, v, cut = read[U, a:b], read[V, a:b], read[CUT, a:b]
    scale_x, scale_y = read[SCALE_X, a:b], read[SCALE_Y, a:b]
    high, wide, tall = read[HEAD, a:b], read[HEAD + 1, a:b], read[HEAD + 2, a:b]
    for j in range(u.size):
        x, y = (u[j] - x0) * scale_x[j], (v[j] - y0) * scale_y[j]
        x2, y2 = x * x, y * y
        keep[j] = x2 + y2 <= cut[j]
        values[j] = high[j] * exponential(x2 * wide[j] + y2 * tall[j])
    for g in range(1, gaussians):
        c = HEAD + 3 * g
        high, wide, tall = read[c, a:b], read[c + 1, a:b], read[c + 2, a:b]
        for j in range(u.size):
            x, y = (u[j] - x0) * scale_x[j], (v[j] - y0) * scale_y[j]
            values[j] += high[j] * exponential(x * x * wide[j] + y * y * tall[j])


@njit(nogil=True, cache=True, error_model="numpy")
def count_columns(spots, across, place, bins, begin, read, first, behind, counts):  # type: ignore[no-untyped-def]
    """Number of voxels that each of the spots first..behind of a group reaches, to counts.

    spots: (n, 2) f4 x, y mm. across: mm on the isocentric plane. place: (3,) low u, low v, bin size mm.
    begin, read: by `evaluate`.
    """
    for k in range(first, behind):
        x0, y0 = spots[k, 0], spots[k, 1]
        first_u, last_u = span(x0 - across, x0 + across, place[0], place[2], bins[0])
        count = 0
        for bin_u in range(first_u, last_u + 1):
            a, b = strip(x0, y0, across, bin_u, place, bins, begin)
            count += _within(x0, y0, read, a, b)
        counts[k] = count


@njit(nogil=True, cache=True, error_model="numpy")
def _write(at, particles, number, found, order, kept, read, wanted, indices, dose, let, alpha, root_beta):  # type: ignore[no-untyped-def]
    """Entries of one spot from `at` on: voxels number (n,) in `read`, dose per particle found (n,)."""
    for j in range(number.size):
        indices[at + j] = order[kept[number[j]]]
        dose[at + j] = found[j] * particles
    if wanted[1] >= 0:
        for j in range(number.size):
            let[at + j] = dose[at + j] * read[LET, number[j]]
    if wanted[2] >= 0:
        for j in range(number.size):
            alpha[at + j] = dose[at + j] * read[ALPHA, number[j]]
            root_beta[at + j] = dose[at + j] * read[ROOT, number[j]]


@njit(nogil=True, cache=True, error_model="numpy")
def fill_columns(  # type: ignore[no-untyped-def]
    spots, across, place, bins, begin, read, first, behind, kept, room,
    scale, columns, order, indptr, indices, dose, let, alpha, root_beta,
):  # fmt: skip
    """Entries of the spots first..behind of a group, from indptr on; arguments as `count_columns`.

    room: scratch of (v + 8,) f4, u1, i4, f4, and f8 for sums. scale: particles a MU. columns: as `evaluate`.
    order: (v,) the caller's index of each voxel.
    """
    values, keep, number, found, _sums = room
    for k in range(first, behind):
        x0, y0 = spots[k, 0], spots[k, 1]
        first_u, last_u = span(x0 - across, x0 + across, place[0], place[2], bins[0])
        count = 0
        for bin_u in range(first_u, last_u + 1):
            a, b = strip(x0, y0, across, bin_u, place, bins, begin)
            _profile(x0, y0, columns[0], read, a, b, values, keep)
            count = pack(keep, b - a, values, a, number, found, count)
        _write(
            indptr[k], np.float32(scale[k]), number[:count], found, order, kept, read, columns,
            indices, dose, let, alpha, root_beta,
        )  # fmt: skip


@njit(nogil=True, cache=True, error_model="numpy")
def add_dose(  # type: ignore[no-untyped-def]
    spots, across, place, bins, begin, read, first, behind, kept, room, scale, columns, count, total
):
    """Add spots first..behind of a group to total (4, v): dose, LET, alpha and sqrt(beta) x dose.

    count: how many voxels `evaluate` has kept. Other arguments as `fill_columns`.
    """
    values, keep, own = room[0], room[1], room[4]
    own[:count] = 0.0
    for k in range(first, behind):
        x0, y0, particles = spots[k, 0], spots[k, 1], scale[k]
        first_u, last_u = span(x0 - across, x0 + across, place[0], place[2], bins[0])
        for bin_u in range(first_u, last_u + 1):
            a, b = strip(x0, y0, across, bin_u, place, bins, begin)
            _profile(x0, y0, columns[0], read, a, b, values, keep)
            here = own[a:b]
            for j in range(here.size):
                here[j] += particles * (values[j] * np.float32(keep[j]))
    for j in range(count):
        i, dose = kept[j], own[j]
        total[0, i] += dose
        if columns[1] >= 0:
            total[1, i] += dose * read[LET, j]
        if columns[2] >= 0:
            total[2, i] += dose * read[ALPHA, j]
            total[3, i] += dose * read[ROOT, j]
