"""Water-equivalent depth: exact path lengths through CT voxels along the diverging rays of a beam.

Amanatides & Woo (1987), started at the point and followed back towards the source until the ray
leaves the image; outside the image there is air, which is not counted.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tps_engine.dose.parallel import spread
from tps_engine.patient.grid import Floats, Grid
from tps_engine.plan.geometry import BeamFrame

_PER_PART = 20_000


@njit(nogil=True, cache=True)
def _trace(rsp, start, step, depth, surface, first, behind):  # type: ignore[no-untyped-def]
    """Depth and the stopping power of the last voxel for rays first..behind; start, step in voxel units."""
    nz, ny, nx = rsp.shape
    count = (nx, ny, nz)
    for ray in range(first, behind):
        enter, leave = 0.0, 1e30
        for axis in range(3):
            d = step[ray, axis]
            low, high = -0.5 - start[ray, axis], count[axis] - 0.5 - start[ray, axis]
            if abs(d) < 1e-12:
                if low > 0.0 or high < 0.0:
                    leave = -1.0
            else:
                a, b = low / d, high / d
                enter, leave = max(enter, min(a, b)), min(leave, max(a, b))
        if leave <= enter:
            continue
        total, here = 0.0, enter
        ix = min(max(int(np.floor(start[ray, 0] + step[ray, 0] * enter + 0.5)), 0), nx - 1)
        iy = min(max(int(np.floor(start[ray, 1] + step[ray, 1] * enter + 0.5)), 0), ny - 1)
        iz = min(max(int(np.floor(start[ray, 2] + step[ray, 2] * enter + 0.5)), 0), nz - 1)
        value = 0.0
        while True:
            value = rsp[iz, iy, ix]
            tx = _face(ix, start[ray, 0], step[ray, 0])
            ty = _face(iy, start[ray, 1], step[ray, 1])
            tz = _face(iz, start[ray, 2], step[ray, 2])
            nearest = min(tx, ty, tz)
            total += max(nearest - here, 0.0) * value
            here = max(nearest, here)
            if nearest == tx:
                ix += 1 if step[ray, 0] > 0.0 else -1
            elif nearest == ty:
                iy += 1 if step[ray, 1] > 0.0 else -1
            else:
                iz += 1 if step[ray, 2] > 0.0 else -1
            if ix < 0 or iy < 0 or iz < 0 or ix >= nx or iy >= ny or iz >= nz:
                break
        depth[ray] = total
        surface[ray] = value


@njit(nogil=True, cache=True)
def _face(index, start, step):  # type: ignore[no-untyped-def]
    """Distance along the ray to the face through which it leaves voxel `index` of one axis."""
    if step > 1e-12:
        return (index + 0.5 - start) / step
    if step < -1e-12:
        return (index - 0.5 - start) / step
    return 1e30


def water_depth(
    rsp: NDArray[np.float32], grid: Grid, frame: BeamFrame, points: Floats
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Water-equivalent depth (n,) mm of patient points (n, 3) along a beam's rays.

    Also returns (n,) the relative stopping power of the outermost image voxel on each ray: a value of
    tissue means that the ray enters the body where the image ends.
    """
    toward = frame.towards_source(frame.project(points))
    start = np.ascontiguousarray(grid.index_of(points))
    step = np.ascontiguousarray(toward / np.asarray(grid.spacing))
    depth = np.zeros(len(points), dtype=np.float32)
    surface = np.zeros(len(points), dtype=np.float32)
    volume = np.ascontiguousarray(rsp)
    if len(points):
        spread(
            lambda first, behind: _trace(volume, start, step, depth, surface, first, behind),
            len(points),
            parts=-(-len(points) // _PER_PART),
        )
    return depth, surface
