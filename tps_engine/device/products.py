"""Dose of spot weights and the way back, by a matrix held on a CUDA device: a block of threads a spot."""

import math

import numpy as np
from numba import cuda, float64, int64

from tps_engine.device.choice import refuse_too_large
from tps_engine.dose.engine import Influence
from tps_engine.optimise.objectives import Floats
from tps_engine.optimise.quantities import Pull

THREADS = 128
"""Threads of a block, a power of two. It sets the order of sums."""


@cuda.jit
def _dose(indptr, indices, data, weights, units, out):  # type: ignore[no-untyped-def]
    """Add units x column x weight to out (voxels,) i8."""
    column = cuda.blockIdx.x
    weight = weights[column] * units
    if weight == 0.0:
        return
    for k in range(indptr[column] + cuda.threadIdx.x, indptr[column + 1], cuda.blockDim.x):
        cuda.atomic.add(out, indices[k], int64(math.floor(weight * data[k] + 0.5)))


@cuda.jit
def _back(indptr, indices, data, slope, out):  # type: ignore[no-untyped-def]
    """out[column] = column . slope: each thread has a sum, and pairs of sums are added until one is left."""
    column, thread = cuda.blockIdx.x, cuda.threadIdx.x
    sums = cuda.shared.array(THREADS, float64)
    own = 0.0
    for k in range(indptr[column] + thread, indptr[column + 1], cuda.blockDim.x):
        own += slope[indices[k]] * data[k]
    sums[thread] = own
    cuda.syncthreads()
    half = cuda.blockDim.x // 2
    while half > 0:
        if thread < half:
            sums[thread] += sums[thread + half]
        cuda.syncthreads()
        half //= 2
    if thread == 0:
        out[column] = sums[0]


class DoseOnDevice:
    """factor x matrix @ weights: the quantity `optimise.quantities.LinearDose` with its matrix on the device.

    A function of objectives on it (`optimise.functions.Term`) is minimised like any other. Products are of
    float64 and float32, sums of doses in whole numbers of 2^-60 of the largest that there can be: the same on
    every run. Raises BadInput when the device's memory is too small.
    """

    linear = True

    def __init__(self, matrix: Influence, factor: float = 1.0) -> None:
        self.factor, self.voxels, self.spots = factor, matrix.voxels, matrix.spots
        self._largest = float(np.abs(matrix.data).max(initial=0.0))
        refuse_too_large(matrix.data.nbytes + matrix.indices.nbytes + 24.0 * (matrix.voxels + matrix.spots))
        self._matrix = [cuda.to_device(one) for one in (matrix.indptr, matrix.indices, matrix.data)]

    def evaluate(self, weights: Floats) -> tuple[Floats, Pull]:
        """Values (voxels,) in Gy (or what matrix x factor has) at weights (spots,), and the way back."""
        bound = self._largest * float(np.abs(weights).sum())
        if bound == 0.0:
            return np.zeros(self.voxels), self._pull
        units = 2.0 ** math.floor(60.0 - math.log2(bound))
        out = cuda.to_device(np.zeros(self.voxels, dtype=np.int64))
        sent = cuda.to_device(np.ascontiguousarray(weights, dtype=np.float64))
        _dose[self.spots, THREADS](*self._matrix, sent, units, out)
        return out.copy_to_host() * (self.factor / units), self._pull

    def _pull(self, slope: Floats) -> Floats:
        out = cuda.to_device(np.zeros(self.spots))
        sent = cuda.to_device(np.ascontiguousarray(slope, dtype=np.float64))
        _back[self.spots, THREADS](*self._matrix, sent, out)
        return np.asarray(self.factor * out.copy_to_host())
