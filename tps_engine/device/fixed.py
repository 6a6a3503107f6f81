"""Sums of many threads in whole numbers.

Floating-point additions in an order that changes from run to run give sums that change from run to run.
Values are therefore rounded to a unit and added as 64-bit integers, whose sum does not depend on the order:
the same input gives the same result, bit for bit, on any device.
"""

import math

from numba import cuda, int64

UNITS_PER_MEV = 2.0**30
"""Units of an energy; 2^33 MeV fit, and no voxel takes 2^11 MeV of one history."""


@cuda.jit(device=True)
def score(tally, voxel, column, value):  # type: ignore[no-untyped-def]
    """Add an energy in MeV to a tally (voxels, columns) i8 that all threads share."""
    cuda.atomic.add(tally, (voxel, column), int64(math.floor(value * UNITS_PER_MEV + 0.5)))
