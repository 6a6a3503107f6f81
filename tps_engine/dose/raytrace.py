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


@njit(nogil=True, cache=True, error_model="numpy")
def _project(points, isocentre, rotation, sad, out):  # type: ignore[no-untyped-def]
    """u, v where the ray through each point crosses the isocentric plane, and its height; see BeamFrame."""
    for n in range(len(points)):
        x, y, z = points[n, 0] - isocentre[0], points[n, 1] - isocentre[1], points[n, 2] - isocentre[2]
        height = rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z
        for k in range(2):
            across = rotation[k, 0] * x + rotation[k, 1] * y + rotation[k, 2] * z
            out[n, k] = across * sad[k] / (sad[k] - height)
        out[n, 2] = height


def project(frame: BeamFrame, points: Floats) -> Floats:
    """(n, 3) u, v on the isocentric plane and height of patient points (n, 3); as `BeamFrame.project`."""
    out = np.empty((len(points), 3))
    sad = np.asarray(frame.sad, dtype=np.float64)
    _project(np.ascontiguousarray(points, dtype=np.float64), frame.isocentre, frame.rotation, sad, out)
    return out


@njit(nogil=True, cache=True, error_model="numpy")
def _axis(start, step, count):  # type: ignore[no-untyped-def]
    """Along one axis: where a ray is inside, and how it goes on from voxel to voxel.

    Distances at which it enters and leaves `count` voxels (never: leave < enter), between faces, and the
    direction. start, step: in voxels and voxels per mm.
    """
    low, high = -0.5 - start, count - 0.5 - start
    if abs(step) < 1e-12:
        return -1e30, (1e30 if low <= 0.0 <= high else -1e31), 1e30, 1
    a, b = low / step, high / step
    return min(a, b), max(a, b), 1.0 / abs(step), (1 if step > 0.0 else -1)


@njit(nogil=True, cache=True, error_model="numpy")
def _voxel(start, step, at, count):  # type: ignore[no-untyped-def]
    """The voxel of one axis in which a ray is at a distance."""
    return min(max(int(np.floor(start + step * at + 0.5)), 0), count - 1)


@njit(nogil=True, cache=True, error_model="numpy")
def _trace(rsp, points, projected, grid, frame, depth, surface, first, behind):  # type: ignore[no-untyped-def]
    """Depth and the stopping power of the last voxel for rays first..behind.

    grid: origin, spacing. frame: rotation, source distances. projected: u, v, height of the points.
    """
    nz, ny, nx = rsp.shape
    values = rsp.ravel()
    origin, spacing = grid
    rotation, sad = frame
    for ray in range(first, behind):
        p, q = -projected[ray, 0] / sad[0], -projected[ray, 1] / sad[1]
        norm = 1.0 / np.sqrt(p * p + q * q + 1.0)
        x = (points[ray, 0] - origin[0]) / spacing[0]
        y = (points[ray, 1] - origin[1]) / spacing[1]
        z = (points[ray, 2] - origin[2]) / spacing[2]
        step_x = (p * rotation[0, 0] + q * rotation[1, 0] + rotation[2, 0]) * norm / spacing[0]
        step_y = (p * rotation[0, 1] + q * rotation[1, 1] + rotation[2, 1]) * norm / spacing[1]
        step_z = (p * rotation[0, 2] + q * rotation[1, 2] + rotation[2, 2]) * norm / spacing[2]
        in_x, out_x, width_x, way_x = _axis(x, step_x, nx)
        in_y, out_y, width_y, way_y = _axis(y, step_y, ny)
        in_z, out_z, width_z, way_z = _axis(z, step_z, nz)
        here = max(0.0, in_x, in_y, in_z)
        if min(out_x, out_y, out_z) <= here:
            continue
        ix, iy, iz = _voxel(x, step_x, here, nx), _voxel(y, step_y, here, ny), _voxel(z, step_z, here, nz)
        next_x, next_y, next_z = _face(ix, x, step_x), _face(iy, y, step_y), _face(iz, z, step_z)
        left_x = nx - ix if way_x > 0 else ix + 1
        left_y = ny - iy if way_y > 0 else iy + 1
        left_z = nz - iz if way_z > 0 else iz + 1
        at, total, value = (iz * ny + iy) * nx + ix, 0.0, 0.0
        while left_x > 0 and left_y > 0 and left_z > 0:
            value = values[at]
            nearest = max(min(next_x, next_y, next_z), here)
            total += (nearest - here) * value
            here = nearest
            if next_x <= next_y and next_x <= next_z:
                next_x, left_x, at = next_x + width_x, left_x - 1, at + way_x
            elif next_y <= next_z:
                next_y, left_y, at = next_y + width_y, left_y - 1, at + way_y * nx
            else:
                next_z, left_z, at = next_z + width_z, left_z - 1, at + way_z * nx * ny
        depth[ray] = total
        surface[ray] = value


@njit(nogil=True, cache=True, error_model="numpy")
def _face(index, start, step):  # type: ignore[no-untyped-def]
    """Distance along the ray to the face through which it leaves voxel `index` of one axis."""
    if step > 1e-12:
        return (index + 0.5 - start) / step
    if step < -1e-12:
        return (index - 0.5 - start) / step
    return 1e30


def water_depth(
    rsp: NDArray[np.float32], grid: Grid, frame: BeamFrame, points: Floats, projected: Floats | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Water-equivalent depth (n,) mm of patient points (n, 3) along a beam's rays.

    Also returns (n,) the relative stopping power of the outermost image voxel on each ray: a value of
    tissue means that the ray enters the body where the image ends. projected: (n, 3) by `project`, where the
    caller has it.
    """
    where = project(frame, points) if projected is None else projected
    depth = np.zeros(len(points), dtype=np.float32)
    surface = np.zeros(len(points), dtype=np.float32)
    volume, start = np.ascontiguousarray(rsp), np.ascontiguousarray(points, dtype=np.float64)
    about = np.asarray(grid.origin, dtype=np.float64), np.asarray(grid.spacing, dtype=np.float64)
    seen = np.ascontiguousarray(frame.rotation), np.asarray(frame.sad, dtype=np.float64)
    if len(points):
        spread(
            lambda first, behind: _trace(volume, start, where, about, seen, depth, surface, first, behind),
            len(points),
            parts=-(-len(points) // _PER_PART),
        )
    return depth, surface


@njit(nogil=True, cache=True, error_model="numpy")
def _trace_down(first_of, second_of, start, step, stretch, low, sums, first, behind):  # type: ignore[no-untyped-def]
    """Integrals of two volumes from the source down to heights low, low + 1 .. mm, for rays first..behind.

    start: (rays, 3) voxel units at height 0; step: (rays, 3) per mm of height. sums: (2, rays, heights).
    """
    nz, ny, nx = first_of.shape
    ones, twos = first_of.ravel(), second_of.ravel()
    heights = sums.shape[2]
    for ray in range(first, behind):
        # s runs down from height 0: position = start - s * step
        x, y, z = start[ray]
        step_x, step_y, step_z = -step[ray, 0], -step[ray, 1], -step[ray, 2]
        in_x, out_x, width_x, way_x = _axis(x, step_x, nx)
        in_y, out_y, width_y, way_y = _axis(y, step_y, ny)
        in_z, out_z, width_z, way_z = _axis(z, step_z, nz)
        here = max(in_x, in_y, in_z)
        if min(out_x, out_y, out_z) <= here:
            continue
        one, two = 0.0, 0.0
        plane = heights - 1
        while plane >= 0 and -(low + plane) <= here:
            plane -= 1
        ix, iy, iz = _voxel(x, step_x, here, nx), _voxel(y, step_y, here, ny), _voxel(z, step_z, here, nz)
        next_x, next_y, next_z = _face(ix, x, step_x), _face(iy, y, step_y), _face(iz, z, step_z)
        left_x = nx - ix if way_x > 0 else ix + 1
        left_y = ny - iy if way_y > 0 else iy + 1
        left_z = nz - iz if way_z > 0 else iz + 1
        at = (iz * ny + iy) * nx + ix
        while plane >= 0 and left_x > 0 and left_y > 0 and left_z > 0:
            a, b = ones[at] * stretch[ray], twos[at] * stretch[ray]
            nearest = max(min(next_x, next_y, next_z), here)
            while plane >= 0 and -(low + plane) <= nearest:
                part = -(low + plane) - here
                sums[0, ray, plane], sums[1, ray, plane] = one + part * a, two + part * b
                plane -= 1
            one += (nearest - here) * a
            two += (nearest - here) * b
            here = nearest
            if next_x <= next_y and next_x <= next_z:
                next_x, left_x, at = next_x + width_x, left_x - 1, at + way_x
            elif next_y <= next_z:
                next_y, left_y, at = next_y + width_y, left_y - 1, at + way_y * nx
            else:
                next_z, left_z, at = next_z + width_z, left_z - 1, at + way_z * nx * ny
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
