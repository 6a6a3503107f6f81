"""Products of the influence matrix with vectors, on all cores."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tps_engine.dose.engine import Influence
from tps_engine.dose.parallel import spread
from tps_engine.optimise.packed import Packed

_ENTRIES_A_PART = 1_000_000
_MOST_PARTS = 16


@njit(nogil=True, cache=True, fastmath=True)
def _dose(indptr, indices, data, weights, first, behind, out):  # type: ignore[no-untyped-def]
    for column in range(first, behind):
        weight = weights[column]
        if weight != 0.0:
            for k in range(indptr[column], indptr[column + 1]):
                out[np.uint32(indices[k])] += weight * data[k]


@njit(nogil=True, cache=True)
def _back(indptr, indices, data, slope, first, behind, out):  # type: ignore[no-untyped-def]
    # four sums in turn hide the latency of additions; vector gathers (fastmath) are slower than this
    for column in range(first, behind):
        start, end = indptr[column], indptr[column + 1]
        quads = start + (end - start) // 4 * 4
        a, b, c, d = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for k in range(start, quads, 4):
            a += slope[np.uint32(indices[k])] * data[k]
            b += slope[np.uint32(indices[k + 1])] * data[k + 1]
            c += slope[np.uint32(indices[k + 2])] * data[k + 2]
            d += slope[np.uint32(indices[k + 3])] * data[k + 3]
        for k in range(quads, end):
            a += slope[np.uint32(indices[k])] * data[k]
        out[column] = (a + b) + (c + d)


def dose(matrix: Influence | Packed, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrix times weights (spots,): dose (voxels,), summed in float32."""
    if isinstance(matrix, Packed):
        return matrix.dose(weights)
    narrow = weights.astype(np.float32)
    spans = _balanced(matrix)

    def work(part: int, _behind: int) -> NDArray[np.float32]:
        out = np.zeros(matrix.voxels, dtype=np.float32)
        _dose(matrix.indptr, matrix.indices, matrix.data, narrow, spans[part], spans[part + 1], out)
        return out

    parts = spread(work, len(spans) - 1, parts=len(spans) - 1)
    return np.asarray(np.sum(parts, axis=0, dtype=np.float64))


def back(matrix: Influence | Packed, slope: NDArray[np.float64]) -> NDArray[np.float64]:
    """Transposed matrix times slope (voxels,): derivative by each weight (spots,), summed in float32."""
    if isinstance(matrix, Packed):
        return matrix.back(slope)
    narrow = slope.astype(np.float32)
    out = np.zeros(matrix.spots, dtype=np.float32)
    spans = _balanced(matrix)

    def work(part: int, _behind: int) -> None:
        _back(matrix.indptr, matrix.indices, matrix.data, narrow, spans[part], spans[part + 1], out)

    spread(work, len(spans) - 1, parts=len(spans) - 1)
    return out.astype(np.float64)


def _balanced(matrix: Influence) -> list[int]:
    """Column numbers that cut the matrix into parts with as many entries each.

    Their number depends on the matrix alone, so that sums are the same on any number of cores; a small
    matrix is one part, for which no thread is woken.
    """
    parts = min(max(len(matrix.data) // _ENTRIES_A_PART, 1), _MOST_PARTS)
    wanted = [matrix.indptr[-1] * k // parts for k in range(1, parts)]
    return [0, *(int(np.searchsorted(matrix.indptr, entry)) for entry in wanted), matrix.spots]
