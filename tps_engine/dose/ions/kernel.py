"""The ion pencil beam: dose, LET x dose, alpha x dose and sqrt(beta) x dose of spots in voxels.

A voxel's dose is the depth dose at its own water-equivalent depth, times the weighted sum of Gaussians of its
distance from the spot's axis (Hong et al., Phys Med Biol 41 (1996) 1305, with more than one Gaussian). Spots
of one energy and width form a group: `evaluate` reads the tables once for all of its spots, at every voxel
that they can reach. Nothing is compiled with reordered arithmetic, so that counting and filling agree to the
last voxel.
"""

import numpy as np
from numba import njit

CUT, LET, ALPHA, ROOT = 0, 1, 2, 3
"""Columns of what `evaluate` writes a voxel; then amplitude, x and y coefficient of each Gaussian."""

HEAD = 4


@njit(nogil=True, cache=True)
def _span(low, high, corner, size, count):  # type: ignore[no-untyped-def]
    """First and last of `count` bins between two coordinates."""
    return max(int(np.floor((low - corner) / size)), 0), min(int(np.floor((high - corner) / size)), count - 1)


@njit(nogil=True, cache=True)
def _strip(x, y, across, bin_u, place, bins, start):  # type: ignore[no-untyped-def]
    """First voxel and the one behind the last that a circle about x, y may hold in a strip of bins."""
    edge = place[0] + bin_u * place[2]
    off = max(edge - x, x - edge - place[2], 0.0)
    half = np.sqrt(max(across * across - off * off, 0.0))
    first, last = _span(y - half, y + half, place[1], place[2], bins[1])
    if last < first:
        return 0, 0
    return start[bin_u * bins[1] + first], start[bin_u * bins[1] + last + 1]


@njit(nogil=True, cache=True)
def evaluate(  # type: ignore[no-untyped-def]
    box, variance, own, reach, step, columns, place, bins, start, depth, tissue, out
):
    """Read the table `own` (k, c) of an energy at the depths of voxels between the corners of `box`.

    box: low u, high u, low v, high v mm. variance: x, y mm2 in air. columns: number of Gaussians, column of
    LET, first of biology (-1: none). out: (v, HEAD + 3 g) f4; cut-off -1 where the table has ended.
    """
    gaussians, let, biology = columns[0], columns[1], columns[2]
    first_u, last_u = _span(box[0], box[1], place[0], place[2], bins[0])
    first_v, last_v = _span(box[2], box[3], place[1], place[2], bins[1])
    if last_v < first_v:
        return
    for bin_u in range(first_u, last_u + 1):
        for i in range(start[bin_u * bins[1] + first_v], start[bin_u * bins[1] + last_v + 1]):
            if depth[i] > reach:
                out[i, CUT] = -1.0
                continue
            at = max(depth[i], 0.0) / step
            row = int(at)
            part = np.float32(at - row)
            here, after = own[row], own[row + 1]
            out[i, CUT] = here[1] + part * (after[1] - here[1])
            if let >= 0:
                out[i, LET] = here[let] + part * (after[let] - here[let])
            if biology >= 0:
                c = biology + 2 * tissue[i]
                out[i, ALPHA] = here[c] + part * (after[c] - here[c])
                out[i, ROOT] = here[c + 1] + part * (after[c + 1] - here[c + 1])
            dose = (here[0] + part * (after[0] - here[0])) / (2.0 * np.pi)
            for g in range(gaussians):
                spread = here[2 + g] + part * (after[2 + g] - here[2 + g])
                w = 2 + gaussians + g
                weight = here[w] + part * (after[w] - here[w])
                var_x, var_y = variance[0] + spread, variance[1] + spread
                out[i, HEAD + 3 * g] = dose * weight / np.sqrt(var_x * var_y)
                out[i, HEAD + 3 * g + 1] = -0.5 / var_x
                out[i, HEAD + 3 * g + 2] = -0.5 / var_y


@njit(nogil=True, cache=True)
def count_columns(  # type: ignore[no-untyped-def]
    spots, across, place, bins, start, rays, read, first, behind, counts
):
    """Number of voxels that each of the spots first..behind of a group reaches, to counts.

    spots: (n, 2) f4 x, y mm. across: mm on the isocentric plane. place: (3,) low u, low v, bin size mm.
    rays: (v, 4) f4 u, v mm and the scale from the isocentric plane to the voxel in x, y. read: by `evaluate`.
    """
    for k in range(first, behind):
        x0, y0 = spots[k, 0], spots[k, 1]
        first_u, last_u = _span(x0 - across, x0 + across, place[0], place[2], bins[0])
        count = 0
        for bin_u in range(first_u, last_u + 1):
            begin, end = _strip(x0, y0, across, bin_u, place, bins, start)
            for i in range(begin, end):
                x, y = (rays[i, 0] - x0) * rays[i, 2], (rays[i, 1] - y0) * rays[i, 3]
                if x * x + y * y <= read[i, CUT]:
                    count += 1
        counts[k] = count


@njit(nogil=True, cache=True)
def fill_columns(  # type: ignore[no-untyped-def]
    spots, across, place, bins, start, rays, read, first, behind,
    scale, columns, order, indptr, indices, dose, let, alpha, root_beta,
):  # fmt: skip
    """Entries of the spots first..behind of a group, from indptr on; arguments as `count_columns`.

    scale: particles a MU. columns: as `evaluate`. order: (v,) the caller's index of each voxel.
    """
    gaussians = columns[0]
    with_let, with_biology = columns[1] >= 0, columns[2] >= 0
    for k in range(first, behind):
        x0, y0, particles = spots[k, 0], spots[k, 1], np.float32(scale[k])
        first_u, last_u = _span(x0 - across, x0 + across, place[0], place[2], bins[0])
        at = indptr[k]
        for bin_u in range(first_u, last_u + 1):
            begin, end = _strip(x0, y0, across, bin_u, place, bins, start)
            for i in range(begin, end):
                x, y = (rays[i, 0] - x0) * rays[i, 2], (rays[i, 1] - y0) * rays[i, 3]
                x2, y2 = x * x, y * y
                if x2 + y2 <= read[i, CUT]:
                    value = read[i, HEAD] * np.exp(x2 * read[i, HEAD + 1] + y2 * read[i, HEAD + 2])
                    for g in range(1, gaussians):
                        c = HEAD + 3 * g
                        value += read[i, c] * np.exp(x2 * read[i, c + 1] + y2 * read[i, c + 2])
                    value *= particles
                    indices[at] = order[i]
                    dose[at] = value
                    if with_let:
                        let[at] = value * read[i, LET]
                    if with_biology:
                        alpha[at] = value * read[i, ALPHA]
                        root_beta[at] = value * read[i, ROOT]
                    at += 1


@njit(nogil=True, cache=True)
def add_dose(  # type: ignore[no-untyped-def]
    spots, across, place, bins, start, rays, read, first, behind, scale, columns, total
):
    """Add spots first..behind of a group to total (4, v): dose, LET, alpha and sqrt(beta) x dose."""
    gaussians = columns[0]
    with_let, with_biology = columns[1] >= 0, columns[2] >= 0
    for k in range(first, behind):
        x0, y0, particles = spots[k, 0], spots[k, 1], np.float32(scale[k])
        first_u, last_u = _span(x0 - across, x0 + across, place[0], place[2], bins[0])
        for bin_u in range(first_u, last_u + 1):
            begin, end = _strip(x0, y0, across, bin_u, place, bins, start)
            for i in range(begin, end):
                x, y = (rays[i, 0] - x0) * rays[i, 2], (rays[i, 1] - y0) * rays[i, 3]
                x2, y2 = x * x, y * y
                if x2 + y2 <= read[i, CUT]:
                    value = read[i, HEAD] * np.exp(x2 * read[i, HEAD + 1] + y2 * read[i, HEAD + 2])
                    for g in range(1, gaussians):
                        c = HEAD + 3 * g
                        value += read[i, c] * np.exp(x2 * read[i, c + 1] + y2 * read[i, c + 2])
                    value *= particles
                    total[0, i] += value
                    if with_let:
                        total[1, i] += value * read[i, LET]
                    if with_biology:
                        total[2, i] += value * read[i, ALPHA]
                        total[3, i] += value * read[i, ROOT]
