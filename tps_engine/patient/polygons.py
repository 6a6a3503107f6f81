"""Closed polygons of one plane: exact coverage of pixels, and signed distance."""

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SUB_ROWS = 16


def coverage(
    polygons: Sequence[Floats],
    origin: tuple[float, float],
    spacing: tuple[float, float],
    shape: tuple[int, int],
) -> NDArray[np.float32]:
    """Part (0..1) of each pixel (ny, nx) that polygons (n, 2) in mm enclose, overlaps by even-odd.

    origin: (x, y) of the first pixel's centre; spacing: (x, y). Along x the area is exact; along y it is that
    of sixteen lines a pixel. A channel that a keyhole contour runs twice encloses nothing.
    """
    ny, nx = shape
    rows, places = [], []
    for polygon in polygons:
        x = (polygon[:, 0] - origin[0]) / spacing[0] + 0.5
        y = ((polygon[:, 1] - origin[1]) / spacing[1] + 0.5) * _SUB_ROWS - 0.5
        row, place = _crossings(x, y, ny * _SUB_ROWS)
        rows.append(row)
        places.append(place)
    row, place = np.concatenate(rows), np.clip(np.concatenate(places), 0.0, nx)
    order = np.lexsort((place, row))
    row, place = row[order] // _SUB_ROWS, place[order]
    # a row is crossed an even number of times: by turns an interval begins and ends
    sign = np.where(np.arange(len(place)) % 2 == 0, 1.0, -1.0) / _SUB_ROWS
    column = np.minimum(place.astype(np.int64), nx - 1)
    share = place - column
    rise = np.zeros((ny, nx + 1))
    np.add.at(rise, (row, column), sign * (1.0 - share))
    np.add.at(rise, (row, column + 1), sign * share)
    filled = np.clip(np.cumsum(rise[:, :nx], axis=1), 0.0, 1.0)
    filled[filled < 1e-9] = 0.0
    filled[filled > 1.0 - 1e-9] = 1.0
    return np.asarray(filled, dtype=np.float32)


def _crossings(x: Floats, y: Floats, count: int) -> tuple[NDArray[np.int64], Floats]:
    """Numbers of the rows (at y = 0, 1, ..) and the x at which the edges of a closed polygon cross them."""
    x2, y2 = np.roll(x, -1), np.roll(y, -1)
    first = np.clip(np.ceil(np.minimum(y, y2)), 0, count).astype(np.int64)
    behind = np.clip(np.ceil(np.maximum(y, y2)), 0, count).astype(np.int64)
    counts = np.maximum(behind - first, 0)
    edge = np.repeat(np.arange(len(x)), counts)
    rows = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    slope = (x2[edge] - x[edge]) / (y2[edge] - y[edge])
    return rows, x[edge] + slope * (rows - y[edge])


def signed_distance(polygons: Sequence[Floats], points: Floats) -> Floats:
    """Distance in mm of points (m, 2) to the nearest outline of polygons (n, 2); positive inside."""
    start = np.concatenate(list(polygons))
    end = np.concatenate([np.roll(polygon, -1, axis=0) for polygon in polygons])
    out = np.empty(len(points))
    _distances(np.ascontiguousarray(points), start, end, out)
    return out


@njit(nogil=True, cache=True)
def _distances(points, start, end, out):  # type: ignore[no-untyped-def]
    """Fill out (m,) with the signed distances of points (m, 2) to edges start (n, 2) -> end (n, 2)."""
    for i in range(points.shape[0]):
        px, py = points[i, 0], points[i, 1]
        least, inside = np.inf, False
        for k in range(start.shape[0]):
            ax, ay = start[k, 0] - px, start[k, 1] - py
            bx, by = end[k, 0] - px, end[k, 1] - py
            ex, ey = bx - ax, by - ay
            length = ex * ex + ey * ey
            along = 0.0
            if length > 0.0:
                along = min(max(-(ax * ex + ay * ey) / length, 0.0), 1.0)
            nx, ny = ax + along * ex, ay + along * ey
            least = min(least, nx * nx + ny * ny)
            if (ay > 0.0) != (by > 0.0) and ax + ex * (-ay) / ey > 0.0:
                inside = not inside
        out[i] = np.sqrt(least) if inside else -np.sqrt(least)
