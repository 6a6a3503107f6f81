"""The influence matrix packed for the optimiser: less to read, whole vectors at a time.

Products with the matrix are bound by memory. Rows are voxels in the order of the grid, so a spot's entries
come in runs: they are kept as strips of eight neighbouring rows, with a row number a strip and a 16-bit
code an entry, about 3 bytes where a compressed column takes 8. A code is rounded to 1 / 65 534 of its
column's largest entry; what is optimised with it is finished on the matrix itself (`lbfgs.descend`).
"""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tps_engine.dose.engine import Influence
from tps_engine.dose.parallel import spread
from tps_engine.optimise import strips
from tps_engine.optimise.strips import WIDTH

T = TypeVar("T")

_STRIPS_A_PART = 250_000
_MOST_PARTS = 16

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
_Strips = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32], NDArray[np.int16]]


@dataclass(frozen=True)
class Packed:
    """Columns (spots) of strips of eight rows (voxels).

    place, ends: (spots,) i8 first strip of each column and the one behind its last. first: (strips,) i4 first
    row of each strip. codes: (8 x strips,) i2. steps: (spots,) f4 value of code 1. A strip may reach up to
    seven rows beyond `voxels`.
    """

    voxels: int
    place: NDArray[np.int64] = field(repr=False)
    ends: NDArray[np.int64] = field(repr=False)
    first: NDArray[np.int32] = field(repr=False)
    codes: NDArray[np.int16] = field(repr=False)
    steps: NDArray[np.float32] = field(repr=False)

    @property
    def spots(self) -> int:
        """Number of columns."""
        return len(self.steps)

    @property
    def nbytes(self) -> int:
        """Bytes that one product reads of the matrix."""
        return int(np.sum(self.ends - self.place)) * (self.first.itemsize + WIDTH * self.codes.itemsize)

    def dose(self, weights: Floats) -> Floats:
        """Matrix times weights (spots,): dose (voxels,), summed in float32."""
        narrow = weights.astype(np.float32)

        def work(begin: int, behind: int) -> NDArray[np.float32]:
            out = np.zeros(self.voxels + WIDTH, dtype=np.float32)
            strips.add(self.place, self.ends, self.first, self.codes, self.steps, narrow, begin, behind, out)
            return out

        first, *others = _shared(self.place, work)
        total = first[: self.voxels].astype(np.float64)
        for part in others:
            total += part[: self.voxels]
        return total

    def back(self, slope: Floats) -> Floats:
        """Transposed matrix times slope (voxels,): derivative by each weight (spots,), summed in float32."""
        narrow = np.zeros(self.voxels + WIDTH, dtype=np.float32)
        narrow[: self.voxels] = slope
        out = np.zeros(self.spots, dtype=np.float32)

        def work(begin: int, behind: int) -> None:
            strips.dot(self.place, self.ends, self.first, self.codes, self.steps, narrow, begin, behind, out)

        _shared(self.place, work)
        return out.astype(np.float64)


_KNOWN: dict[int, Packed] = {}


def packed(matrix: Influence | Packed) -> Packed:
    """A matrix in strips, made once and kept as long as the matrix is."""
    if isinstance(matrix, Packed):
        return matrix
    found = _KNOWN.get(id(matrix))
    if found is None:
        found = _KNOWN[id(matrix)] = pack(matrix)
        weakref.finalize(matrix, _KNOWN.pop, id(matrix), None)
    return found


def pack(matrix: Influence) -> Packed:
    """A matrix in strips; each entry is kept to 1 / 65 534 of its column's largest."""
    largest = int(np.diff(matrix.indptr).max(initial=0))
    counts = np.zeros(matrix.spots, dtype=np.int64)

    def room() -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
        return np.zeros(matrix.voxels // 64 + 1, dtype=np.uint64), np.empty(largest, dtype=np.int32)

    def count(begin: int, behind: int) -> None:
        strips.count_strips(matrix.indptr, matrix.indices, begin, behind, *room(), counts)

    _shared(matrix.indptr[:-1], count)
    place, ends, first, codes = _empty(counts)
    steps = np.empty(matrix.spots, dtype=np.float32)

    def fill(begin: int, behind: int) -> None:
        work = (*room(), np.empty(matrix.voxels, dtype=np.int64))
        strips.fill_strips(
            matrix.indptr, matrix.indices, matrix.data, begin, behind, work, place, first, codes, steps
        )

    _shared(matrix.indptr[:-1], fill)
    return Packed(matrix.voxels, place, ends, first, codes, steps)


def narrowed(matrix: Packed, keep: Mask) -> Packed:
    """The rows to keep (voxels,) alone, numbered in their order."""
    count = int(np.count_nonzero(keep))
    sums = np.r_[0, np.cumsum(keep), np.full(2 * WIDTH, count)]
    rows = matrix.voxels + WIDTH
    near = (sums[WIDTH : WIDTH + rows] - sums[:rows]).astype(np.int8)
    numbers = np.full(rows, -1, dtype=np.int32)
    numbers[: matrix.voxels][keep] = np.arange(count, dtype=np.int32)
    counts = np.zeros(matrix.spots, dtype=np.int64)

    def tally(begin: int, behind: int) -> None:
        strips.count_kept(matrix.place, matrix.ends, matrix.first, near, begin, behind, counts)

    _shared(matrix.place, tally)
    place, ends, first, codes = _empty(counts)
    old = (matrix.place, matrix.ends, matrix.first, matrix.codes)

    def copy(begin: int, behind: int) -> None:
        strips.take(old, near, numbers, begin, behind, (place, ends, first, codes))

    _shared(matrix.place, copy)
    return Packed(count, place, ends, first, codes, matrix.steps)


def _empty(counts: NDArray[np.int64]) -> _Strips:
    """Room for so many strips in each column: place, ends, first, codes."""
    ends = np.cumsum(counts)
    return (
        ends - counts,
        ends,
        np.empty(counts.sum(), dtype=np.int32),
        np.zeros(counts.sum() * WIDTH, dtype=np.int16),
    )


def _shared(place: NDArray[np.int64], work: Callable[[int, int], T]) -> list[T]:
    """Call work(first column, behind) on parts of the columns with as many entries each, on all cores.

    The number of parts depends on the matrix alone, so that sums are the same on any number of cores; a
    small matrix is one part, for which no thread is woken.
    """
    total, parts = int(place[-1]) if len(place) else 0, 1
    while parts < _MOST_PARTS and total >= _STRIPS_A_PART * parts**2:
        parts *= 2
    edges = np.searchsorted(place, [total * k // parts for k in range(parts + 1)])
    edges[0], edges[-1] = 0, len(place)
    return spread(lambda part, _behind: work(int(edges[part]), int(edges[part + 1])), parts, parts=parts)
