"""The rays that a spot's protons took to a voxel, and the dose that they bring along.

A spot is a Gaussian of protons at the patient, and scattering spreads each of them by another Gaussian. So
the dose in a voxel is the integral over the rays through the spot of the depth dose at that ray's own
water-equivalent depth (Soukup, Fippel, Alber, Phys Med Biol 50 (2005) 5089, with sub-spots that become
points). The product of both Gaussians is the lateral profile of the whole spot times a Gaussian of the rays
that protons in this voxel came along: its middle lies between the voxel and the spot's axis. That one is
summed over RAYS, exact up to the third moment.

Behind bone beside lung rays differ in scattering too. Then the shallowest and the deepest ray about a voxel
each stand for those that are like it: the integral is taken once with the width of either, and a ray between
them counts in both by its own scattering, so that the variances of all rays are right and no proton is lost.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tps_engine.dose.lanes import exponential
from tps_engine.dose.reading import HEIGHT, LEAST, SCALE_X, SCALE_Y, SHALLOW, SPREAD, STEEP, U, V

CUT = 3.5
"""Lateral cut-off in standard deviations."""

NORM = np.float32(1.0 / (2.0 * np.pi * (1.0 - np.exp(-0.5 * CUT * CUT))))
"""Of a Gaussian of which what lies behind the cut is put back inside."""


def _ring(radius: float, turned: float) -> NDArray[np.float64]:
    angle = turned + 0.5 * np.pi * np.arange(4)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])


_INNER = 0.7

RAYS = np.vstack([_ring(_INNER, 5.0 * np.pi / 16.0), _ring(np.sqrt(4.0 - _INNER**2), np.pi / 16.0)])
RAYS = RAYS.astype(np.float32)
"""Places (8, 2) of the rays in standard deviations: two squares. In every direction they have a variance of
one, and along the axes eight different places, so that a straight edge is seen in eight steps."""

FEW_RAYS = _ring(np.sqrt(2.0), np.pi / 8.0).astype(np.float32)
"""Places (4, 2) of the rays to voxels far from the spot's axis, where little of its dose is."""

_NEAR = np.square(NORM * np.float32(np.exp(-2.0)))  # of a profile at two standard deviations, squared

PLACE_U, PLACE_V, WIDE_U, WIDE_V, SHIFT, PEAK, SUM, LOW, SLOPE, PART_U, PART_V, DEPTH, WORK = range(13)
"""Rows of what a thread works in: the middle of the rays and their standard deviations in cells of the
lattice; mm of water between the voxel and the lattice's height; protons per mm2; the sum over rays; LEAST and
STEEP of the voxel; and of one ray its place between cells (then between rows of the tables, and whether
they go as deep) and its depth. And how many rows there are."""

_ZERO, _ONE, _HALF = np.float32(0.0), np.float32(1.0), np.float32(0.5)
_TWICE = np.float32(2.0)
_EDGE, _NEXT = np.float32(1.001), np.uint32(1)


@njit(nogil=True, cache=True, error_model="numpy")
def _gathered(source, number, bent, out):  # type: ignore[no-untyped-def]
    """Fill out with a row of `read` at voxels number[bent]."""
    for j in range(bent.size):
        out[j] = source[number[bent[j]]]


@njit(nogil=True, cache=True, error_model="numpy")
def _across(middle, optics, low, per_cell, z, spread, place, wide, far, variance):  # type: ignore[no-untyped-def]
    """Along one axis, the middle and the width of the rays to voxels, in cells of the lattice.

    middle, optics: place of the spot in mm, and its variance, squared divergence and twice its covariance.
    z: (n,) mm. spread: (n,) mm2. place, wide: (n,) come as the voxel's place in mm and its scale. far:
    (n,) is added to by the squared distance from the spot's axis in variances, variance (n,) multiplied.
    """
    own, opened, turned = optics
    for j in range(z.size):
        air = max(own + (opened * z[j] - turned) * z[j], _ZERO)
        both = air + spread[j]
        share, off = spread[j] / both, place[j] - middle
        far[j] += off * wide[j] * (off * wide[j]) / both
        variance[j] *= both
        place[j] = (place[j] - off * share - low) * per_cell
        wide[j] = np.sqrt(air * share) / wide[j] * per_cell


@njit(nogil=True, cache=True, error_model="numpy")
def _peaks(far, variance, peak):  # type: ignore[no-untyped-def]
    """Protons per mm2 and proton of Gaussians."""
    for j in range(peak.size):
        peak[j] = NORM * exponential(-_HALF * far[j]) / np.sqrt(variance[j])


@njit(nogil=True, cache=True, error_model="numpy")
def _heights(low, step, last, z, base, shift):  # type: ignore[no-untyped-def]
    """The nearest height of the lattice to heights z (n,) mm, and how much higher it is."""
    for j in range(base.size):
        height = np.int32(min(max((z[j] - low) / step + _HALF, _ZERO), last))
        base[j] = height
        shift[j] = low + step * np.float32(height) - z[j]


@njit(nogil=True, cache=True, error_model="numpy")
def _towards_rays(spot, lattice, place, number, bent, width, read, work, base):  # type: ignore[no-untyped-def]
    """Fill work (WORK, n) and base (n,) i4, the height: where rays to voxels number[bent] pass the lattice.

    width: row of `read` that has the variance by scattering.
    """
    n = bent.size
    x0, y0, wide, tall, open_x, open_y, turn_x, turn_y = spot
    z, spread, far, variance = work[PART_U, :n], work[PART_V, :n], work[DEPTH, :n], work[SUM, :n]
    _gathered(read[U], number, bent, work[PLACE_U, :n])
    _gathered(read[V], number, bent, work[PLACE_V, :n])
    _gathered(read[SCALE_X], number, bent, work[WIDE_U, :n])
    _gathered(read[SCALE_Y], number, bent, work[WIDE_V, :n])
    _gathered(read[HEIGHT], number, bent, z)
    _gathered(read[width], number, bent, spread)
    _gathered(read[LEAST], number, bent, work[LOW, :n])
    _gathered(read[STEEP], number, bent, work[SLOPE, :n])
    far[:], variance[:] = _ZERO, _ONE
    per_cell = _ONE / place[3]
    _across(
        x0, (wide, open_x, turn_x), place[0], per_cell, z, spread, work[PLACE_U, :n], work[WIDE_U, :n],
        far, variance,
    )  # fmt: skip
    _across(
        y0, (tall, open_y, turn_y), place[1], per_cell, z, spread, work[PLACE_V, :n], work[WIDE_V, :n],
        far, variance,
    )  # fmt: skip
    _peaks(far, variance, work[PEAK, :n])
    _heights(place[2], place[4], np.float32(lattice.shape[2]) - _EDGE, z, base[:n], work[SHIFT, :n])
    work[SUM, :n] = _ZERO


@njit(nogil=True, cache=True, error_model="numpy")
def _between_cells(x, y, lattice, base, mean_u, mean_v, wide_u, wide_v, cell, part_u, part_v):  # type: ignore[no-untyped-def]
    """The cell of the lattice, and where in it, of the rays x, y standard deviations off.

    Matter has edges: near a ray of the lattice depth is that ray's, and changes over half a cell between two.
    """
    across = np.int32(lattice.shape[2])
    along = np.int32(lattice.shape[1]) * across
    last_u, last_v = np.float32(lattice.shape[0]) - _EDGE, np.float32(lattice.shape[1]) - _EDGE
    for j in range(cell.size):
        u = min(max(mean_u[j] + x * wide_u[j], _ZERO), last_u)
        v = min(max(mean_v[j] + y * wide_v[j], _ZERO), last_v)
        i, k = np.int32(u), np.int32(v)
        part_u[j] = min(max(_TWICE * (u - np.float32(i)) - _HALF, _ZERO), _ONE)
        part_v[j] = min(max(_TWICE * (v - np.float32(k)) - _HALF, _ZERO), _ONE)
        cell[j] = i * along + k * across + base[j]


@njit(nogil=True, cache=True, error_model="numpy")
def _depths(lattice, flat, cell, part_u, part_v, shift, depth):  # type: ignore[no-untyped-def]
    """Depth of the rays between four of the lattice. flat: the lattice as one row."""
    across = np.uint32(lattice.shape[2])
    along = np.uint32(lattice.shape[1]) * across
    for j in range(depth.size):
        at = np.uint32(cell[j])
        one, two = flat[at], flat[at + across]
        three, four = flat[at + along], flat[at + along + across]
        before, behind = one + part_v[j] * (two - one), three + part_v[j] * (four - three)
        depth[j] = before + part_u[j] * (behind - before) + shift[j]


@njit(nogil=True, cache=True, error_model="numpy")
def _between_rows(depth, rows, per_step, row, part, lit):  # type: ignore[no-untyped-def]
    """The row of a table of so many rows, where behind it, and whether the table goes as deep (1, or 0)."""
    last = np.float32(rows - 2)
    for j in range(depth.size):
        at = max(depth[j], _ZERO) * per_step
        whole = np.int32(min(at, last))
        row[j], part[j] = whole, at - np.float32(whole)
        lit[j] = np.float32(at < last + _ONE)


@njit(nogil=True, cache=True, error_model="numpy")
def _add_rows(tables, first, more, low, steep, row, part, lit, sums):  # type: ignore[no-untyped-def]
    """Add values of the first of two tables between rows.

    The second is the scattering of water. first, more: what a ray counts of which that is like the shallowest
    ray's (low), and how much more one like the deepest.
    """
    table, scatter = tables
    for j in range(sums.size):
        at, x = np.uint32(row[j]), part[j]
        low_value, spread = table[at], scatter[at]
        value = low_value + x * (table[at + _NEXT] - low_value)
        spread += x * (scatter[at + _NEXT] - spread)
        like = min(max((spread - low[j]) * steep[j], _ZERO), _ONE)
        sums[j] += lit[j] * (first + more * like) * value


@njit(nogil=True, cache=True, error_model="numpy")
def _add_rays(places, side, rays, work, base, cell, begin, end, tables, per_step):  # type: ignore[no-untyped-def]
    """Add the mean of a table at the depths of the rays at some places to SUM of work[:, begin:end].

    side: 0 for the rays that are like the shallowest, 1 for those like the deepest.
    """
    lattice, flat = rays[0], rays[1]
    mean_u, mean_v = work[PLACE_U, begin:end], work[PLACE_V, begin:end]
    wide_u, wide_v = work[WIDE_U, begin:end], work[WIDE_V, begin:end]
    shift, low, steep = work[SHIFT, begin:end], work[LOW, begin:end], work[SLOPE, begin:end]
    part, other, depth = work[PART_U, begin:end], work[PART_V, begin:end], work[DEPTH, begin:end]
    level, at, sums = base[begin:end], cell[begin:end], work[SUM, begin:end]
    each = _ONE / np.float32(places.shape[0])
    first, more = (each, -each) if side == 0 else (_ZERO, each)
    for ray in range(places.shape[0]):
        x, y = places[ray, 0], places[ray, 1]
        _between_cells(x, y, lattice, level, mean_u, mean_v, wide_u, wide_v, at, part, other)
        _depths(lattice, flat, at, part, other, shift, depth)
        _between_rows(depth, tables[0].size, per_step, at, part, other)
        _add_rows(tables, first, more, low, steep, at, part, other, sums)


@njit(nogil=True, cache=True, error_model="numpy")
def _picked(spot, spread, number, profile, ragged, side, near, bent, count):  # type: ignore[no-untyped-def]
    """Append to bent which of the voxels number (n,) need rays on a side; near the spot's axis, or far."""
    wide, tall = spot[2], spot[3]
    for j in range(number.size):
        n = number[j]
        inside = profile[j] * profile[j] * (wide + spread[n]) * (tall + spread[n]) > _NEAR
        bent[count] = j
        count += int((ragged[n] > side) and (inside == near))
    return count


@njit(nogil=True, cache=True, error_model="numpy")
def along_rays(spot, rays, number, profile, read, ragged, tables, own, per_step, room, dose):  # type: ignore[no-untyped-def]
    """Fill dose (n,), per proton, with what a spot brings to voxels number (n,) by tables.

    rays: lattice (u, v, heights) f4, the same as one row, its place. profile: (n,) f4 protons per mm2. read,
    ragged: by `reading.evaluate`. tables: (k,) f4 each, depth dose or that times LET, and scattering of
    water. own: row of `read` that has the first table's value at the voxel's own depth, right where no ray
    differs. per_step: rows a mm. room: work (WORK, n) f4, base, cell (n,) i4, bent (n + 1,) i4.
    """
    work, base, cell, bent = room
    for j in range(number.size):
        dose[j] = read[own, number[j]] * profile[j]
    for side in range(2):
        near = _picked(spot, read[SPREAD], number, profile, ragged, side, True, bent, 0)
        count = _picked(spot, read[SPREAD], number, profile, ragged, side, False, bent, near)
        if count == 0:
            return
        _towards_rays(spot, rays[0], rays[2], number, bent[:count], SHALLOW + side, read, work, base)
        _add_rays(RAYS, side, rays, work, base, cell, 0, near, tables, per_step)
        _add_rays(FEW_RAYS, side, rays, work, base, cell, near, count, tables, per_step)
        for j in range(count):
            brought = work[PEAK, j] * work[SUM, j]
            dose[bent[j]] = brought if side == 0 else dose[bent[j]] + brought
