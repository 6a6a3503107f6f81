"""What the pencil-beam kernels read at the voxels that a group of spots can reach, laid side by side."""

import numpy as np
from numba import njit

from tps_engine.dose.lanes import span

U, V, HEIGHT, SCALE_X, SCALE_Y, SPREAD, IDD, LET = range(8)
"""Rows of what `evaluate` writes: place, scale from the isocentric plane to the voxel, greatest variance by
scattering in mm2, and depth dose and that times LET at the voxel's own depth."""

SHALLOW, DEEP, LEAST, STEEP = range(8, 12)
"""More rows where rays are looked at: variance by scattering of the shallowest and of the deepest ray about;
the same depth of water's of the first, and 1 over how much more the other's is (0: all rays as the first)."""

EVEN_READ, READ = 8, 12
"""How many rows there are without rays, and with them."""

EVEN, ONE_WIDTH, TWO_WIDTHS = range(3)
"""What is written to `ragged`: a voxel's own ray will do; rays about differ in depth; and in scattering."""

_ALIKE = np.float32(0.1)  # variances that differ by less are one
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)


@njit(nogil=True, cache=True, error_model="numpy")
def kept_down_to(box, limit, place, bins, start, depth, uneven, slack, begin, kept):  # type: ignore[no-untyped-def]
    """Fill begin and kept with the voxels between the corners of `box` down to a depth; return how many.

    box: low u, high u, low v, high v mm. limit: f4 mm. uneven, slack: as `field.FieldVoxels`; voxels with
    uneven rays are kept as long as one of these may end above the limit (of no voxels: each has its own ray).
    begin: see `lanes.strip`. kept: (v,) i4 number of each voxel.
    """
    first_u, last_u = span(box[0], box[1], place[0], place[2], bins[0])
    first_v, last_v = span(box[2], box[3], place[1], place[2], bins[1])
    count, fine = 0, uneven.size > 0
    for bin_u in range(first_u, last_u + 1):
        for bin_v in range(first_v, last_v + 1):
            begin[bin_u, bin_v] = count
            here = bin_u * bins[1] + bin_v
            behind = limit + (slack[here] if fine else _ZERO)
            for i in range(start[here], start[here + 1]):
                if depth[i] > behind:
                    break
                if depth[i] <= limit or (fine and uneven[i]):
                    kept[count] = i
                    count += 1
        if last_v >= first_v:
            begin[bin_u, last_v + 1] = count
    return count


@njit(nogil=True, cache=True, error_model="numpy")
def between(depth, step, deepest, kept, rows, parts):  # type: ignore[no-untyped-def]
    """Fill rows (n,) i4 and parts (n,) f4 with where the depths of voxels kept (n,) lie in a table.

    step: f4 mm from row to row. deepest: f4, the last place that is looked at, in rows.
    """
    for j in range(kept.size):
        at = min(max(depth[kept[j]], _ZERO) * (_ONE / step), deepest)
        whole = np.int32(at)
        rows[j] = whole
        parts[j] = at - np.float32(whole)


@njit(nogil=True, cache=True, error_model="numpy")
def column(table, rows, parts, out):  # type: ignore[no-untyped-def]
    """Fill out (n,) with the values of a table (k,) between rows."""
    low, high = table[:-1], table[1:]
    for j in range(rows.size):
        here = low[rows[j]]
        out[j] = here + parts[j] * (high[rows[j]] - here)


@njit(nogil=True, cache=True, error_model="numpy")
def _single(table, depth, per_step):  # type: ignore[no-untyped-def]
    """A table's value at one depth, mm; behind its end as there."""
    at = min(max(depth, _ZERO) * per_step, np.float32(table.size - 2))
    row = np.int32(at)
    return table[row] + (at - np.float32(row)) * (table[row + 1] - table[row])


@njit(nogil=True, cache=True, error_model="numpy")
def _rays_about(scatter, factor, per_step, uneven, around, kept, ragged, read):  # type: ignore[no-untyped-def]
    """Fill ragged and the rows from SHALLOW on of voxels kept (n,), and SPREAD where rays scatter unlike."""
    for j in range(kept.size):
        i = kept[j]
        ragged[j] = EVEN
        if not uneven[i]:
            continue
        ragged[j] = ONE_WIDTH
        least, most = _single(scatter, around[0, i], per_step), _single(scatter, around[1, i], per_step)
        shallow, deep = factor[1, i] * least, factor[2, i] * most
        more, less = max(shallow, deep), min(shallow, deep)
        read[SHALLOW, j], read[LEAST, j], read[STEEP, j] = read[SPREAD, j], _ZERO, _ZERO
        if more - less > _ALIKE * more and most - least > _ALIKE * least:
            ragged[j] = TWO_WIDTHS
            read[SPREAD, j], read[SHALLOW, j], read[DEEP, j] = more, shallow, deep
            read[LEAST, j], read[STEEP, j] = least, _ONE / (most - least)


@njit(nogil=True, cache=True, error_model="numpy")
def evaluate(box, row, limit, factor, fine, tables, geometry, begin, kept, ragged, room, read):  # type: ignore[no-untyped-def]
    """Read the tables of an energy at voxels between the corners of `box`; return how many are read.

    box, begin, kept: as `kept_down_to`. row: of the tables. limit: f4 mm, greatest depth that gives dose.
    factor: (c, v) f4 scattering relative to water, see `paths.scattering_factor`. fine: whether rays are
    looked at one by one. tables: depth dose, that times LET (of no rows: not wanted), scattering (e, k) f4,
    step f4 mm. geometry: see `groups.geometry_of`. ragged: (v,) u1. room: see `groups.Room`. read: (READ, v)
    or (EVEN_READ, v) f4.
    """
    idd, let, scatter, step = tables
    place, bins, start, depth, uneven, slack, sources, _rays, around = geometry
    some = uneven.size if fine else 0
    count = kept_down_to(box, limit, place, bins, start, depth, uneven[:some], slack, begin, kept)
    parts, rows = room[0][:count], room[2][:count]
    between(depth, step, np.float32(idd.shape[1] - 2), kept[:count], rows, parts)
    for c in range(5):
        source = sources[c]
        for j in range(count):
            read[c, j] = source[kept[j]]
    column(scatter[row], rows, parts, read[SPREAD, :count])
    for j in range(count):
        read[SPREAD, j] *= factor[0, kept[j]]
    column(idd[row], rows, parts, read[IDD, :count])
    if let.shape[0] > 0:
        column(let[row], rows, parts, read[LET, :count])
    if fine:
        _rays_about(scatter[row], factor, _ONE / step, uneven, around, kept[:count], ragged, read)
    return count
