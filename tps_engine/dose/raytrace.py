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


@njit(nogil=True, cache=True)
def _crossing(start, step, count):  # type: ignore[no-untyped-def]
    """Where start - s * step enters and leaves a volume of `count` voxels (x, y, z); never: leave < enter."""
    enter, leave = -1e30, 1e30
    for axis in range(3):
        d = -step[axis]
        near, far = -0.5 - start[axis], count[axis] - 0.5 - start[axis]
        if abs(d) >= 1e-12:
            enter, leave = max(enter, min(near / d, far / d)), min(leave, max(near / d, far / d))
        elif near > 0.0 or far < 0.0:
            leave = -1e31
    return enter, leave


@njit(nogil=True, cache=True)
def _trace_down(first_of, second_of, start, step, stretch, low, sums, first, behind):  # type: ignore[no-untyped-def]
    """Integrals of two volumes from the source down to heights low, low + 1 .. mm, for rays first..behind.

    start: (rays, 3) voxel units at height 0; step: (rays, 3) per mm of height. sums: (2, rays, heights).
    """
    nz, ny, nx = first_of.shape
    count = (nx, ny, nz)
    heights = sums.shape[2]
    for ray in range(first, behind):
        # s runs down from height 0: position = start - s * step
        enter, leave = _crossing(start[ray], step[ray], count)
        if leave <= enter:
            continue
        one, two, here = 0.0, 0.0, enter
        plane = heights - 1
        while plane >= 0 and -(low + plane) <= enter:
            plane -= 1
        ix = min(max(int(np.floor(start[ray, 0] - step[ray, 0] * enter + 0.5)), 0), nx - 1)
        iy = min(max(int(np.floor(start[ray, 1] - step[ray, 1] * enter + 0.5)), 0), ny - 1)
        iz = min(max(int(np.floor(start[ray, 2] - step[ray, 2] * enter + 0.5)), 0), nz - 1)
        while plane >= 0:
            a, b = first_of[iz, iy, ix] * stretch[ray], second_of[iz, iy, ix] * stretch[ray]
            tx = _face(ix, start[ray, 0], -step[ray, 0])
            ty = _face(iy, start[ray, 1], -step[ray, 1])
            tz = _face(iz, start[ray, 2], -step[ray, 2])
            nearest = max(min(tx, ty, tz), here)
            while plane >= 0 and -(low + plane) <= nearest:
                part = -(low + plane) - here
                sums[0, ray, plane], sums[1, ray, plane] = one + part * a, two + part * b
                plane -= 1
            one += (nearest - here) * a
            two += (nearest - here) * b
            here = nearest
            if tx <= ty and tx <= tz:
                ix -= int(np.sign(step[ray, 0]))
            elif ty <= tz:
                iy -= int(np.sign(step[ray, 1]))
            else:
                iz -= int(np.sign(step[ray, 2]))
            if ix < 0 or iy < 0 or iz < 0 or ix >= nx or iy >= ny or iz >= nz:
                break
        for rest in range(plane + 1):
            sums[0, ray, rest], sums[1, ray, rest] = one, two


def trace_down(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    grid: Grid,
    frame: BeamFrame,
    rays: Floats,
    low: float,
    heights: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Line integrals (rays, heights), mm, of two volumes along rays (n, 2) u, v, from the source down.

    heights: how many, 1 mm apart, from `low` mm above the isocentric plane upwards.
    """
    slope = np.column_stack([-rays[:, 0] / frame.sad[0], -rays[:, 1] / frame.sad[1], np.ones(len(rays))])
    at_zero = frame.to_patient(np.column_stack([rays, np.zeros(len(rays))]))
    start = np.ascontiguousarray(grid.index_of(at_zero))
    step = np.ascontiguousarray((slope @ frame.rotation) / np.asarray(grid.spacing))
    stretch = np.linalg.norm(slope, axis=1)
    sums = np.zeros((2, len(rays), heights), dtype=np.float32)
    one, two = np.ascontiguousarray(first), np.ascontiguousarray(second)
    spread(
        lambda a, b: _trace_down(one, two, start, step, stretch, float(low), sums, a, b),
        len(rays),
        parts=-(-len(rays) // 500),
    )
    return sums[0], sums[1]
