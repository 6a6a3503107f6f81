"""What the pencil-beam kernels share: a spot's bins, and loops that fill a processor's vector lanes.

Loops over neighbouring voxels hold neither branches nor double precision, so that the compiler takes sixteen
voxels at a time; what lies outside is packed away afterwards. A division that tested for zero would be a
branch (error_model). Nothing here is compiled with reordered
arithmetic: counting and filling agree to the last voxel.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

_PER_LN2 = np.float32(1.44269504)
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_ROUND = np.float32(12582912.0)  # 1.5 * 2^23: adding it leaves no binary places behind the point
_LEAST = np.float32(-80.0)
_SIXTH, _FIFTH, _FOURTH = np.float32(1 / 720), np.float32(1 / 120), np.float32(1 / 24)
_THIRD, _HALF, _ONE = np.float32(1 / 6), np.float32(0.5), np.float32(1.0)
_BIAS, _PLACES = np.int32(127), np.int32(23)
_NONE, _EVERY = np.uint64(0), np.uint64(0x0101010101010101)


@njit(nogil=True, cache=True, error_model="numpy")
def exponential(t):  # type: ignore[no-untyped-def]
    """exp(t) of a float32 of at most 80, relative error 3e-7; below -80 as of -80.

    Cody and Waite's reduction to half of ln 2, then the Taylor series to the sixth power.
    """
    t = max(t, _LEAST)
    n = (t * _PER_LN2 + _ROUND) - _ROUND
    f = (t - n * _LN2_HIGH) - n * _LN2_LOW
    series = (((_SIXTH * f + _FIFTH) * f + _FOURTH) * f + _THIRD) * f + _HALF
    return ((series * f + _ONE) * f + _ONE) * np.int32((np.int32(n) + _BIAS) << _PLACES).view(np.float32)


@njit(nogil=True, cache=True, error_model="numpy")
def span(low, high, corner, size, count):  # type: ignore[no-untyped-def]
    """First and last of `count` bins between two coordinates."""
    return max(int(np.floor((low - corner) / size)), 0), min(int(np.floor((high - corner) / size)), count - 1)


@njit(nogil=True, cache=True, error_model="numpy")
def strip(x, y, across, bin_u, place, bins, begin):  # type: ignore[no-untyped-def]
    """First voxel and the one behind the last that a circle about x, y may hold in a strip of bins.

    place: low u, low v, bin size in mm. begin: (bins u, bins v + 1) first voxel of each bin of a strip.
    """
    edge = place[0] + bin_u * place[2]
    off = max(edge - x, x - edge - place[2], 0.0)
    half = np.sqrt(max(across * across - off * off, 0.0))
    first, last = span(y - half, y + half, place[1], place[2], bins[1])
    if last < first:
        return 0, 0
    return begin[bin_u, first], begin[bin_u, last + 1]


@njit(nogil=True, cache=True, error_model="numpy")
def pack(keep, size, values, first, number, found, at):  # type: ignore[no-untyped-def]
    """Append the numbers first.. and values of the first `size` voxels, of which `keep` (u1) is 1, not 0.

    number, found: (n,) i4, f4 with room for all of them and one more; keep: with room for seven more. at: how
    many are there; returns how many. Most of a spot's voxels come in runs: eight are looked at at once.
    """
    for j in range(size, (size + 7) // 8 * 8):
        keep[j] = 0
    eights = keep.view(np.uint64)
    for k in range((size + 7) // 8):
        if eights[k] == _NONE:
            continue
        j = 8 * k
        if eights[k] == _EVERY:
            for m in range(8):
                number[at + m] = first + j + m
                found[at + m] = values[j + m]
            at += 8
        else:
            for m in range(8):
                number[at] = first + j + m
                found[at] = values[j + m]
                at += keep[j + m]
    return at


def lanes(count: int) -> NDArray[np.uint8]:
    """Room for the `keep` of so many voxels."""
    return np.zeros((count + 8) // 8 * 8, dtype=np.uint8)
