"""The gamma index on a CUDA device: a thread a point, with the search of the cores."""

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from tps_engine.device.link import Linker
from tps_engine.evaluate import gamma_search
from tps_engine.evaluate.gamma_search import Floats

THREADS = 128
"""Threads of a block."""

_AT = Linker().of(gamma_search.gamma_at)


@cuda.jit
def _search(dose, points, asked, offsets, step, out):  # type: ignore[no-untyped-def]
    n = cuda.grid(1)
    if n < len(points):
        out[n] = _AT(dose, points[n], asked[n], offsets, step)


def search(dose: Floats, points: Floats, asked: Floats, offsets: Floats, step: Floats) -> NDArray[np.float32]:
    """Gamma of each point, (n,); arguments as those of `evaluate.gamma_search.search`."""
    out = cuda.to_device(np.zeros(len(points), dtype=np.float32))
    read = [cuda.to_device(np.ascontiguousarray(one)) for one in (dose, points, asked, offsets, step)]
    _search[(len(points) + THREADS - 1) // THREADS, THREADS](*read, out)
    return np.asarray(out.copy_to_host())
