"""The pencil beam: dose of one spot in the voxels around it. Influence and forward dose both run this code.

A spot is a Gaussian of protons at the patient, and scattering spreads each of them by another Gaussian. So
the dose in a voxel is the integral over the rays through the spot of the depth dose at that ray's own
water-equivalent depth (Soukup, Fippel, Alber, Phys Med Biol 50 (2005) 5089, with sub-spots that become
points). The product of both Gaussians is the lateral profile of the whole spot times a Gaussian of the rays
that protons in this voxel came along: its middle lies between the voxel and the spot's axis. That one is
summed over four rays, exact up to the third moment. Where all rays around a voxel are equally deep,
its own depth is taken. Distances are measured on the isocentric plane, where diverging rays are points, and
scaled back to the voxel's height. The Gaussian is cut at CUT sigma and the rest put back inside.

Spots of one energy that lie together form a group: `evaluate` reads what does not depend on the spot at every
voxel that the group can reach, side by side, in single precision, and the loops over them have no branches.
"""

import numpy as np
from numba import njit

from tps_engine.dose.lanes import exponential, pack, span, strip

CUT = 3.5
"""Lateral cut-off in standard deviations."""

_CUT2 = np.float32(CUT * CUT)
_NORM = np.float32(1.0 / (2.0 * np.pi * (1.0 - np.exp(-0.5 * CUT * CUT))))

FAR_RAY = np.sqrt(2.0) * np.cos(np.pi / 8.0)
NEAR_RAY = np.sqrt(2.0) * np.sin(np.pi / 8.0)
"""Places of the four rays in standard deviations: (far, near) and its quarter turns. In either direction four
different places of variance one, so that a straight edge is seen in four steps."""

U, V, HEIGHT, SCALE_X, SCALE_Y, SPREAD, IDD, LET = range(8)
"""Rows of what `evaluate` writes: place, scale from the isocentric plane to the voxel, variance by scattering
in mm2, and depth dose and that times LET at the voxel's own depth."""

READ = 8

PLACE_U, PLACE_V, WIDE_U, WIDE_V, SHIFT, WORK = range(6)
"""Rows of what `_towards_rays` writes: the middle of the rays and their standard deviations in cells of the
lattice, mm of water between the voxel and the lattice's height; and how many rows there are."""

_ZERO, _ONE, _HALF, _QUARTER = np.float32(0.0), np.float32(1.0), np.float32(0.5), np.float32(0.25)
_EDGE = np.float32(1.001)


@njit(nogil=True, cache=True, error_model="numpy")
def _kept(box, limit, fine, geometry, begin, kept):  # type: ignore[no-untyped-def]
    """Fill begin and kept with the voxels between the corners of `box` down to a depth; return how many."""
    place, bins, start, depth, uneven, slack = geometry[:6]
    first_u, last_u = span(box[0], box[1], place[0], place[2], bins[0])
    first_v, last_v = span(box[2], box[3], place[1], place[2], bins[1])
    count = 0
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
def _column(table, rows, parts, out):  # type: ignore[no-untyped-def]
    """A table between rows."""
    low, high = table[:-1], table[1:]
    for j in range(rows.size):
        here = low[rows[j]]
        out[j] = here + parts[j] * (high[rows[j]] - here)


@njit(nogil=True, cache=True, error_model="numpy")
def evaluate(box, row, limit, factor, fine, tables, geometry, begin, kept, ragged, room, read):  # type: ignore[no-untyped-def]
    """Read the tables of an energy at voxels between the corners of `box`; return how many are read.

    box: low u, high u, low v, high v mm. row: of the tables. limit: f4 mm, greatest depth that gives dose.
    factor: (v,) f4 scattering relative to water. fine: whether rays are looked at one by one. tables: depth
    dose, that times LET (of no rows: not wanted), scattering (e, k) f4, step f4 mm. geometry: see
    `groups.geometry_of`. begin: see `lanes.strip`. kept: (v,) i4 number of each voxel that is read. ragged:
    (v,) u1 whether its rays must be looked at. room: see `groups.Room`. read: (READ, v) f4.
    """
    idd, let, scatter, step = tables
    count = _kept(box, limit, fine, geometry, begin, kept)
    depth, uneven, sources = geometry[3], geometry[4], geometry[6]
    parts, rows = room[0][:count], room[2][:count]
    deepest = np.float32(idd.shape[1] - 2)
    for j in range(count):
        at = min(max(depth[kept[j]], _ZERO) * (_ONE / step), deepest)
        whole = np.int32(at)
        rows[j] = whole
        parts[j] = at - np.float32(whole)
    for c in range(5):
        source = sources[c]
        for j in range(count):
            read[c, j] = source[kept[j]]
    _column(scatter[row], rows, parts, read[SPREAD, :count])
    for j in range(count):
        read[SPREAD, j] *= factor[kept[j]]
    _column(idd[row], rows, parts, read[IDD, :count])
    if let.shape[0] > 0:
        _column(let[row], rows, parts, read[LET, :count])
    if fine:
        for j in range(count):
            ragged[j] = uneven[kept[j]]
    return count


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
        values[j] = _NORM * exponential(-_HALF * far) / np.sqrt(var_x * var_y)


@njit(nogil=True, cache=True, error_model="numpy")
def _numbers_of(spots, k):  # type: ignore[no-untyped-def]
    """What `_profile` takes of a spot: the covariances twice, as they come."""
    s = spots[k]
    two = np.float32(2.0)
    return s[0], s[1], s[2], s[3], s[4], s[5], two * s[6], two * s[7]


@njit(nogil=True, cache=True, error_model="numpy")
def _towards_rays(spot, lattice, place, number, read, work, base):  # type: ignore[no-untyped-def]
    """Fill work (WORK, n) and base (n,) i4, the height: where rays to voxels `number` pass the lattice."""
    last, per_cell = np.float32(lattice.shape[2]) - _EDGE, _ONE / place[3]
    x0, y0, wide, tall, open_x, open_y, turn_x, turn_y = spot
    for j in range(number.size):
        n = number[j]
        z, spread = read[HEIGHT, n], read[SPREAD, n]
        own_x = max(wide + (open_x * z - turn_x) * z, _ZERO)
        own_y = max(tall + (open_y * z - turn_y) * z, _ZERO)
        share_x, share_y = spread / (own_x + spread), spread / (own_y + spread)
        u, v = read[U, n], read[V, n]
        work[PLACE_U, j] = (u - (u - x0) * share_x - place[0]) * per_cell
        work[PLACE_V, j] = (v - (v - y0) * share_y - place[1]) * per_cell
        work[WIDE_U, j] = np.sqrt(own_x * share_x) / read[SCALE_X, n] * per_cell
        work[WIDE_V, j] = np.sqrt(own_y * share_y) / read[SCALE_Y, n] * per_cell
        height = np.int32(min(max((z - place[2]) / place[4] + _HALF, _ZERO), last))
        work[SHIFT, j] = place[2] + place[4] * np.float32(height) - z
        base[j] = height


@njit(nogil=True, cache=True, error_model="numpy")
def _add_ray(x, y, lattice, flat, work, base, table, per_step, dose):  # type: ignore[no-untyped-def]
    """Add a quarter of a table's value at the depth of the ray x, y standard deviations off, to dose (n,).

    flat: the lattice as one row.
    """
    across = np.int32(lattice.shape[2])
    along = np.int32(lattice.shape[1]) * across
    last_u, last_v = np.float32(lattice.shape[0]) - _EDGE, np.float32(lattice.shape[1]) - _EDGE
    end = np.float32(table.size - 2)
    middle_u, middle_v, wide_u, wide_v = work[PLACE_U], work[PLACE_V], work[WIDE_U], work[WIDE_V]
    shift = work[SHIFT]
    for j in range(dose.size):
        pu = min(max(middle_u[j] + x * wide_u[j], _ZERO), last_u)
        pv = min(max(middle_v[j] + y * wide_v[j], _ZERO), last_v)
        i, k = np.int32(pu), np.int32(pv)
        a, b = pu - np.float32(i), pv - np.float32(k)
        at = i * along + k * across + base[j]
        one, two = flat[at], flat[at + across]
        three, four = flat[at + along], flat[at + along + across]
        before, behind = one + b * (two - one), three + b * (four - three)
        where = max(before + a * (behind - before) + shift[j], _ZERO) * per_step
        column = np.int32(min(where, end))
        low, high = table[column], table[column + 1]
        found = low + (where - np.float32(column)) * (high - low)
        dose[j] += _QUARTER * (found if where < end + _ONE else _ZERO)


@njit(nogil=True, cache=True, error_model="numpy")
def _along_rays(spot, rays, number, read, ragged, table, own, per_step, room, dose):  # type: ignore[no-untyped-def]
    """Fill dose (n,) with the mean of a table over the rays that a spot's protons took to voxels `number`.

    own: row of `read` that has the table's value at the voxel's own depth, right where no ray differs.
    """
    work, base = room
    some = 0
    for j in range(number.size):
        some += ragged[number[j]]
    if some:
        lattice, flat, place = rays
        _towards_rays(spot, lattice, place, number, read, work, base)
        dose[:] = _ZERO
        x, y = np.float32(FAR_RAY), np.float32(NEAR_RAY)
        for _ray in range(4):
            _add_ray(x, y, lattice, flat, work, base, table, per_step, dose)
            x, y = -y, x
    for j in range(number.size):
        if not ragged[number[j]]:
            dose[j] = read[own, number[j]]


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
    across: (n,) mm on the isocentric plane. begin, read: by `evaluate`.
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
    """Entries of the spots first..behind of a group, from indptr on; other arguments as `evaluate`.

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
                table = tables[0][row] if c == 0 else tables[1][row]
                _along_rays(spot, geometry[7], number[:n], read, ragged, table, own, per_step, room[4], here)
                for j in range(n):
                    here[j] *= profile[j] * scale[k]
            else:
                for j in range(n):
                    here[j] = read[own, number[j]] * profile[j] * scale[k]


@njit(nogil=True, cache=True, error_model="numpy")
def add_dose(  # type: ignore[no-untyped-def]
    spots, across, geometry, begin, read, first, behind, row, fine, tables, kept, ragged, room,
    scale, count, total,
):  # fmt: skip
    """Add spots first..behind of a group to total (2, v): dose in Gy, and that times LET if it is wanted.

    count: how many voxels `evaluate` has read. Other arguments as `fill_columns`.
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
                table = tables[0][row] if c == 0 else tables[1][row]
                _along_rays(
                    spot, geometry[7], number[:n], read, ragged, table, IDD + c, per_step, extra, mean[:n]
                )
                for j in range(n):
                    sums[c, number[j]] += scale[k] * (mean[j] * profile[j])
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
