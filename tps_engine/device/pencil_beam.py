"""The pencil beam's forward dose on a CUDA device: a thread a voxel, which adds up a group's spots in order.

Groups, and what does not depend on the spot, come from the cores (`dose.groups`); profile and rays are the
functions of `dose.kernel`, called for one voxel at a time. No two threads write to one voxel.
"""

import math
from typing import Any, cast

import numpy as np
from numba import cuda, float32, int32, uint8
from numpy.typing import NDArray

from tps_engine.device.link import Linker
from tps_engine.dose import kernel, lanes, rays
from tps_engine.dose.groups import Job
from tps_engine.dose.rays import WORK
from tps_engine.dose.reading import IDD
from tps_engine.patient.grid import Floats

THREADS = 128
"""Threads of a block."""


@cuda.jit(device=True)
def _exponential(t):  # type: ignore[no-untyped-def]
    """exp(t) in single precision; the cores have a series of their own, for their vectors."""
    return float32(math.exp(t))


_LINKED = Linker({lanes.exponential: _exponential})
_NUMBERS, _PROFILE, _RAYS, _SPAN, _STRIP = (
    _LINKED.of(one) for one in (kernel._numbers_of, kernel._profile, rays.along_rays, lanes.span, lanes.strip)
)


@cuda.jit
def _add(group, job, bins, lattice, per_step, voxels, total):  # type: ignore[no-untyped-def]
    """Add a group's dose to total (2, v), and that times LET when `let` has rows. See `kernel.add_dose`.

    job: spots, across, scale, depth dose, that times LET, scattering. bins: place and numbers of bins, the
    strip (v,) of each voxel. voxels: begin, read, kept, ragged of the group.
    """
    spots, across, scale, idd, let, scatter = job
    place, numbers, strips = bins
    begin, read, kept, ragged = voxels
    first, behind, row, fine = group
    j = cuda.grid(1)
    if j >= kept.size:
        return
    values, keep, mean = (
        cuda.local.array(1, float32),
        cuda.local.array(1, uint8),
        cuda.local.array(1, float32),
    )
    number, room = (
        cuda.local.array(1, int32),
        (
            cuda.local.array((WORK, 1), float32),
            cuda.local.array(1, int32),
            cuda.local.array(1, int32),
            cuda.local.array(2, int32),
        ),
    )
    number[0], strip = j, strips[kept[j]]
    for c in range(2 if let.shape[0] > 0 else 1):
        tables = (idd[row] if c == 0 else let[row]), scatter[row]
        own = 0.0
        for k in range(first, behind):
            spot, far = _NUMBERS(spots, k), across[k]
            first_u, last_u = _SPAN(spot[0] - far, spot[0] + far, place[0], place[2], numbers[0])
            a, b = _STRIP(spot[0], spot[1], far, strip, place, numbers, begin)
            if not (first_u <= strip <= last_u and a <= j < b):
                continue
            _PROFILE(spot, read, j, j + 1, values, keep)
            if keep[0]:
                if fine:
                    _RAYS(spot, lattice, number, values, read, ragged, tables, IDD + c, per_step, room, mean)
                    own += scale[k] * mean[0]
                else:
                    own += scale[k] * values[0]
        total[c, kept[j]] += own if fine else own * read[IDD + c, j]


def total(job: Job) -> Floats:
    """Dose in Gy of all Gaussians of a job, and that times LET if it is wanted, (2, voxels of the field).

    Sums of a voxel are in float64, in the order of the cores.
    """
    field, room = job.voxels, job.room()
    out = cuda.to_device(np.zeros((2, len(field.voxels))))
    idd, let, scatter, step = cast("tuple[Any, ...]", job.tables)
    geometry = cast("tuple[Any, ...]", job.geometry)
    strips = np.repeat(np.arange(len(field.start) - 1) // field.bins[1], np.diff(field.start))
    held = _sent(
        job.spots, job.across, job.scale, idd, let if len(let) else np.zeros((0, 1), np.float32), scatter
    )
    bins, rays = _sent(geometry[0], field.bins, strips), _sent(*geometry[7])
    for group in job.groups:
        found, _shared = job.read(group, room)
        if found == 0:
            continue
        ragged = room.ragged[:found] if job.fine else np.zeros(1, np.uint8)
        read = _sent(room.begin, room.read[:, :found], room.kept[:found], ragged)
        numbers = (np.int64(group.first), np.int64(group.behind), np.int64(group.row), job.fine)
        _add[(found + THREADS - 1) // THREADS, THREADS](
            numbers, held, bins, rays, np.float32(1.0) / step, read, out
        )
    return np.asarray(out.copy_to_host())


def _sent(*arrays: NDArray[Any]) -> tuple[object, ...]:
    """Arrays on the device."""
    return tuple(cuda.to_device(np.ascontiguousarray(one)) for one in arrays)
