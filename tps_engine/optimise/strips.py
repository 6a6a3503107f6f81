"""Compiled loops over strips: eight neighbouring rows of one column, in 16-bit whole numbers.

numba leaves loops of eight unvectorised, so the two inner loops are written in LLVM's own language: one
instruction each loads, widens and multiplies eight codes on any processor that has such vectors.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

WIDTH = 8
LARGEST = 32767
"""Largest code: a column's largest entry."""

_SINGLES = ir.VectorType(ir.FloatType(), WIDTH)
_LONG = ir.IntType(64)
_FUSED = ("contract",)


def _pointer(builder: Any, base: Any, index: Any, lane: Any) -> Any:
    """Eight lanes from base[index] on, as a vector in memory."""
    return builder.bitcast(builder.gep(base, [index]), ir.VectorType(lane, WIDTH).as_pointer())


def _each(context: Any, builder: Any, kinds: Any, values: Any, body: Callable[[Any, Any], None]) -> None:
    """Call body(codes as eight singles, pointer to the strip's eight rows of the vector) for each strip.

    values: first (strips,) i4, codes (8 x strips,) i2, start and end of the strips, vector (rows,) f4.
    """
    first, codes, vector = (context.make_array(kinds[k])(context, builder, values[k]).data for k in (0, 1, 4))
    one = ir.Constant(_LONG, 1)
    with cgutils.for_range_slice(builder, values[2], values[3], one, _LONG) as (strip, _count):
        at = builder.mul(strip, ir.Constant(_LONG, WIDTH))
        narrow = builder.load(_pointer(builder, codes, at, ir.IntType(16)), align=2)
        wide = builder.sitofp(builder.sext(narrow, ir.VectorType(ir.IntType(32), WIDTH)), _SINGLES)
        row = builder.zext(builder.load(builder.gep(first, [strip])), _LONG)
        body(wide, _pointer(builder, vector, row, ir.FloatType()))


@intrinsic
def _add_strips(_typing, first, codes, _start, _end, out, _factor):  # type: ignore[no-untyped-def]
    """Add factor x codes to out at the rows of each strip."""

    def make(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        factors = ir.Constant(_SINGLES, ir.Undefined)
        for lane in range(WIDTH):
            factors = builder.insert_element(factors, values[5], ir.Constant(ir.IntType(32), lane))

        def body(wide: Any, rows: Any) -> None:
            added = builder.fmul(factors, wide, flags=_FUSED)
            builder.store(builder.fadd(builder.load(rows, align=4), added, flags=_FUSED), rows, align=4)

        _each(context, builder, signature.args, values, body)
        return context.get_dummy_value()

    return types.void(first, codes, types.int64, types.int64, out, types.float32), make


@intrinsic
def _dot_strips(_typing, first, codes, _start, _end, slope):  # type: ignore[no-untyped-def]
    """Sum over strips of codes x slope[rows of the strip]; eight sums, added in pairs at the end."""

    def make(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        sums = cgutils.alloca_once_value(builder, ir.Constant(_SINGLES, [0.0] * WIDTH))

        def body(wide: Any, rows: Any) -> None:
            product = builder.fmul(wide, builder.load(rows, align=4), flags=_FUSED)
            builder.store(builder.fadd(builder.load(sums), product, flags=_FUSED), sums)

        _each(context, builder, signature.args, values, body)
        eight = builder.load(sums)
        parts = [builder.extract_element(eight, ir.Constant(ir.IntType(32), k)) for k in range(WIDTH)]
        while len(parts) > 1:
            parts = [builder.fadd(parts[k], parts[k + 1]) for k in range(0, len(parts), 2)]
        return parts[0]

    return types.float32(first, codes, types.int64, types.int64, slope), make


@njit(nogil=True, cache=True)
def add(place, ends, first, codes, steps, weights, begin, behind, out):  # type: ignore[no-untyped-def]
    """Add to out (rows + 8,) f4 the columns begin .. behind - 1 times their weights."""
    for column in range(begin, behind):
        factor = weights[column] * steps[column]
        if factor != 0.0:
            _add_strips(first, codes, place[column], ends[column], out, factor)


@njit(nogil=True, cache=True)
def dot(place, ends, first, codes, steps, slope, begin, behind, out):  # type: ignore[no-untyped-def]
    """out[column] = column . slope (rows + 8,) f4 for columns begin .. behind - 1."""
    for column in range(begin, behind):
        out[column] = steps[column] * _dot_strips(first, codes, place[column], ends[column], slope)


@njit(nogil=True, cache=True)
def _sorted_rows(indices, start, end, marks, rows):  # type: ignore[no-untyped-def]
    """The rows of a column in ascending order into `rows`; marks: a bit a row, all 0 before and after."""
    rising = True
    for k in range(start + 1, end):
        if indices[k] <= indices[k - 1]:
            rising = False
            break
    if rising:
        for k in range(start, end):
            rows[k - start] = indices[k]
        return
    lowest = highest = np.int64(indices[start]) >> 6
    for k in range(start, end):
        here = np.int64(indices[k]) >> 6
        marks[here] |= np.uint64(1) << np.uint64(indices[k] & 63)
        lowest, highest = min(lowest, here), max(highest, here)
    count = 0
    for word in range(lowest, highest + 1):
        bits = marks[word]
        if bits != 0:
            for bit in range(64):
                if (bits >> np.uint64(bit)) & np.uint64(1):
                    rows[count] = word * 64 + bit
                    count += 1
            marks[word] = 0


@njit(nogil=True, cache=True)
def count_strips(indptr, indices, begin, behind, marks, rows, counts):  # type: ignore[no-untyped-def]
    """counts[column]: strips that cover a column's rows, each begun at the first row not yet covered."""
    for column in range(begin, behind):
        start, end = indptr[column], indptr[column + 1]
        _sorted_rows(indices, start, end, marks, rows)
        edge = -1
        for k in range(end - start):
            if rows[k] >= edge:
                counts[column] += 1
                edge = rows[k] + WIDTH


@njit(nogil=True, cache=True)
def fill_strips(indptr, indices, data, begin, behind, work, place, first, codes, steps):  # type: ignore[no-untyped-def]
    """First rows, codes and the step of a code for columns begin .. behind - 1.

    work: marks and rows as in `count_strips`, and slots (rows,) i8, where the code of a row goes.
    """
    marks, rows, slots = work
    for column in range(begin, behind):
        start, end = indptr[column], indptr[column + 1]
        _sorted_rows(indices, start, end, marks, rows)
        edge, strip = -1, place[column] - 1
        for k in range(end - start):
            if rows[k] >= edge:
                strip += 1
                first[strip] = rows[k]
                edge = rows[k] + WIDTH
            slots[rows[k]] = strip * WIDTH + rows[k] - first[strip]
        top, spoiled = np.float32(0.0), np.float32(0.0)
        for k in range(start, end):
            top = max(top, abs(data[k]))
            spoiled += np.float32(0.0) * data[k]
        # what is no number must not become a code: the whole column is none then
        steps[column] = top / np.float32(LARGEST) + spoiled
        scale = np.float32(LARGEST) / top if top > 0.0 else np.float32(0.0)
        for k in range(start, end):
            codes[slots[indices[k]]] = np.int16(np.rint(data[k] * scale))


@njit(nogil=True, cache=True)
def count_kept(place, ends, first, near, begin, behind, counts):  # type: ignore[no-untyped-def]
    """counts[column]: strips with a kept row. near: (rows + 8,) kept rows among this and the next 7."""
    for column in range(begin, behind):
        for strip in range(place[column], ends[column]):
            counts[column] += near[first[strip]] > 0


@njit(nogil=True, cache=True)
def take(matrix, near, numbers, begin, behind, new):  # type: ignore[no-untyped-def]
    """Strips of the kept rows alone; they need no more strips than had a kept row.

    matrix: place, ends, first, codes. numbers: (rows + 8,) i4 new number of a row, -1 where it is dropped.
    new: place (where a column begins), and ends, first, codes to fill, codes with 0.
    """
    place, ends, first, codes = matrix
    new_place, new_ends, new_first, new_codes = new
    for column in range(begin, behind):
        strip, edge = new_place[column] - 1, -1
        for old in range(place[column], ends[column]):
            row = first[old]
            if near[row] > 0:
                for lane in range(WIDTH):
                    number, code = numbers[row + lane], codes[old * WIDTH + lane]
                    if number >= 0 and code != 0:
                        if number >= edge:
                            strip += 1
                            new_first[strip] = number
                            edge = number + WIDTH
                        new_codes[strip * WIDTH + number - new_first[strip]] = code
        new_ends[column] = strip + 1
