"""The voxels of one field, laid out for the kernel: binned on the isocentric plane, by depth within a bin."""

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tps_engine.beamdata.water import WaterTable
from tps_engine.dose import paths
from tps_engine.dose.parallel import spread, workers
from tps_engine.dose.paths import Lattice
from tps_engine.dose.raytrace import project, water_depth
from tps_engine.dose.upstream import Upstream
from tps_engine.patient.grid import Floats, Grid
from tps_engine.patient.stopping_power import AIR
from tps_engine.plan.geometry import BeamFrame

BIN_MM = 5.0

EVEN_MM = 0.3
"""Rays around a voxel whose depths differ by less than this count as one."""


Factor = tuple[WaterTable, NDArray[np.float32], float]


@dataclass(frozen=True)
class FieldVoxels:
    """Points of a patient as a field sees them.

    count: number of the caller's points. order: (n,) the caller's index of each kept point.
    voxels: (n, 4) f4 u, v (isocentric plane), z towards the source, water-equivalent depth, mm.
    low: (u, v) corner of the bins. bins: (2,) their numbers. start: (bins + 1,) first voxel of each bin.
    upstream: what the beam passes before the patient, None: nothing.
    lattice: all rays of the field, None for no points. uneven: (n,) u1, whether rays around a voxel differ in
    depth. slack: (bins,) mm by which rays around a bin's voxels are at most shallower than the voxels' own.
    around: (2, n) f4 depths at a voxel's height of the shallowest and the deepest ray about it, mm; beside:
    (2, n) i4 which rays of the lattice these are. factors: see `scattering`.
    """

    frame: BeamFrame
    count: int
    order: NDArray[np.int64] = field(repr=False)
    voxels: NDArray[np.float32] = field(repr=False)
    low: tuple[float, float]
    bins: NDArray[np.int64]
    start: NDArray[np.int64] = field(repr=False)
    upstream: Upstream | None = None
    lattice: Lattice | None = field(default=None, repr=False)
    uneven: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8), repr=False)
    slack: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32), repr=False)
    around: NDArray[np.float32] = field(default_factory=lambda: np.zeros((2, 0), np.float32), repr=False)
    beside: NDArray[np.int32] = field(default_factory=lambda: np.zeros((2, 0), np.int32), repr=False)
    factors: dict[tuple[int, int], Factor] = field(default_factory=dict, repr=False)

    def scattering(self, water: WaterTable, node: int) -> tuple[NDArray[np.float32], float]:
        """`paths.scattering_factor` of these voxels, kept for the next component or dose that asks for it."""
        if self.lattice is None:
            return np.ones((3, len(self.voxels)), dtype=np.float32), 1.0
        key = (id(water), node)  # the table is kept with what was made of it: its id stays its own
        if key not in self.factors:
            found = paths.scattering_factor(self.lattice, water, node, self.voxels, self.beside)
            self.factors[key] = (water, *found)
        return self.factors[key][1:]


def prepare(
    rsp: NDArray[np.float32],
    grid: Grid,
    frame: BeamFrame,
    points: Floats,
    window: tuple[Floats, float] | None = None,
    upstream: Upstream | None = None,
    around: bool = True,
    projected: Floats | None = None,
) -> FieldVoxels:
    """Trace the rays to points (n, 3) in patient mm and sort them into bins.

    window: spot positions (m, 2) and a reach in mm across the beam; points farther from all of them
    than that in u or v are left out, because no spot reaches them. upstream: its air adds to the depth
    of every voxel; its range shifter is in the kernel's tables. around: also trace the lattice of
    rays around the voxels, for kernels that look at it. projected: the points by `raytrace.project`, where
    the caller has them.
    """
    projected = project(frame, points) if projected is None else projected
    kept = np.arange(len(points))
    if window is not None:
        spots, reach = window
        low, high = spots.min(axis=0) - reach, spots.max(axis=0) + reach
        kept = np.flatnonzero(((projected[:, :2] >= low) & (projected[:, :2] <= high)).all(axis=1))
        projected = projected[kept]
    depth = _depth(rsp, grid, frame, points[kept], upstream, projected)
    corner = projected[:, :2].min(axis=0) if len(kept) else np.zeros(2)
    cell = np.floor((projected[:, :2] - corner) / BIN_MM).astype(np.int64)
    bins = cell.max(axis=0) + 1 if len(kept) else np.ones(2, dtype=np.int64)
    order, start = _sorted(cell[:, 0] * bins[1] + cell[:, 1], depth, int(bins[0] * bins[1]))
    voxels = np.ascontiguousarray(np.column_stack([projected, depth])[order].astype(np.float32))
    lattice = paths.lattice_of(rsp, grid, frame, projected, upstream) if around and len(kept) else None
    uneven, slack, depths, beside = _unevenness(lattice, voxels, start)
    return FieldVoxels(
        frame,
        len(points),
        kept[order],
        voxels,
        (float(corner[0]), float(corner[1])),
        bins,
        start,
        upstream,
        lattice,
        uneven,
        slack,
        depths,
        beside,
    )


def _sorted(
    box: NDArray[np.int64], depth: NDArray[np.float32], boxes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order (n,) of voxels by bin and by depth within it, and the first of each bin (boxes + 1,)."""
    order, start = _by_bin(box, boxes)
    spread(lambda a, b: _by_depth(order, start, depth, a, b), boxes, parts=4 * workers())
    return order, start


@njit(nogil=True, cache=True)
def _by_bin(box, boxes):  # type: ignore[no-untyped-def]
    """Counting sort: order of the values of box (n,), and where each of them begins."""
    start = np.zeros(boxes + 1, dtype=np.int64)
    for n in range(len(box)):
        start[box[n] + 1] += 1
    for k in range(boxes):
        start[k + 1] += start[k]
    order, at = np.empty(len(box), dtype=np.int64), start.copy()
    for n in range(len(box)):
        order[at[box[n]]] = n
        at[box[n]] += 1
    return order, start


@njit(nogil=True, cache=True)
def _by_depth(order, start, depth, first, behind):  # type: ignore[no-untyped-def]
    """Sort the voxels of each of the bins first..behind by depth; equals stay as they are."""
    for k in range(first, behind):
        here = order[start[k] : start[k + 1]].copy()
        order[start[k] : start[k + 1]] = here[np.argsort(depth[here], kind="mergesort")]


def _unevenness(
    lattice: Lattice | None, voxels: NDArray[np.float32], start: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    """Which voxels have uneven rays, the slack of each bin, and the shallowest and the deepest ray.

    As `FieldVoxels` has them: the last two (2, n), by depth and by number.
    """
    count = 0 if lattice is None else len(voxels)
    around, beside = np.empty((2, count), np.float32), np.empty((2, count), np.int32)
    slack = np.zeros(len(start) - 1, dtype=np.float32)
    if lattice is None:
        return np.zeros(0, dtype=np.uint8), slack, around, beside
    depth, place = lattice.depth, lattice.place
    spread(
        lambda a, b: paths.unevenness(depth, place, voxels[a:b], around[:, a:b], beside[:, a:b]),
        len(voxels),
        parts=4 * workers(),
    )
    filled = np.flatnonzero(np.diff(start))
    slack[filled] = np.maximum.reduceat(voxels[:, 3] - around[0], start[filled])
    return (around[1] - around[0] > EVEN_MM).astype(np.uint8), slack, around, beside


def _depth(
    rsp: NDArray[np.float32],
    grid: Grid,
    frame: BeamFrame,
    points: Floats,
    upstream: Upstream | None,
    projected: Floats | None = None,
) -> NDArray[np.float32]:
    """Water-equivalent depth of points, with the air before the image where the beam model counts it."""
    projected = project(frame, points) if projected is None else projected
    if upstream is None or upstream.air_from is None:
        return water_depth(rsp, grid, frame, points, projected)[0]
    # what the image holds more than air, along the ray, and air all the way from the reference plane
    more = water_depth(rsp - AIR, grid, frame, points, projected)[0]
    return np.asarray(more + AIR * np.maximum(upstream.air_from - projected[:, 2], 0.0), dtype=np.float32)
