"""Gaussians of one energy that lie together, so that a field's voxels are read once for many of them."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tps_engine.beamdata.model import TABLE_STEP_MM, BeamModel
from tps_engine.dose import rays as rays_about
from tps_engine.dose import reading
from tps_engine.dose.columns import Columns
from tps_engine.dose.field import BIN_MM, FieldVoxels
from tps_engine.dose.lanes import lanes
from tps_engine.dose.paths import Lattice, node_of
from tps_engine.patient.grid import Floats

_LARGEST = 256
_TILE_MM = 40.0
"""Gaussians of a group lie in one strip of such tiles, so that its voxels are near one another in memory."""


@dataclass(frozen=True)
class Group:
    """Gaussians first..behind (in turn) of a row of the tables and of scattering, down to a depth in mm."""

    first: int
    behind: int
    row: int
    node: int
    limit: float


class Room:
    """What one thread writes while it works on one group after the other; see the kernels."""

    def __init__(self, voxels: FieldVoxels, fine: bool, summed: bool) -> None:
        count = len(voxels.voxels)
        some, rays = count + 8, count + 8 if fine else 0
        self.begin = np.zeros((voxels.bins[0], voxels.bins[1] + 1), dtype=np.int64)
        self.kept = np.empty(count, dtype=np.int32)
        self.ragged = np.zeros(count if fine else 0, dtype=np.uint8)
        self.read = np.empty((reading.READ if fine else reading.EVEN_READ, count), dtype=np.float32)
        self.scratch = (
            np.empty(some, dtype=np.float32), lanes(some), np.empty(some, dtype=np.int32),
            np.empty(some, dtype=np.float32),
            (
                np.empty((rays_about.WORK, rays), dtype=np.float32), np.empty(rays, dtype=np.int32),
                np.empty(rays, dtype=np.int32),
                np.empty(rays + 1, dtype=np.int32),
            ),
            np.empty((2, count if summed else 0)), np.empty(rays if summed else 0, dtype=np.float32),
        )  # fmt: skip


@dataclass(frozen=True)
class Job:
    """n Gaussians in a field. turn: (n,) the caller's index of each, by groups; the rest is in turn.

    spots: (n, 8) f4 as `kernel.count_columns`. across: (n,) mm. scale: (n,) f4 protons, or protons a MU.
    factors: (nodes, c, v) f4 scattering relative to water, of c rays about a voxel. geometry: by
    `geometry_of`. tables: for the kernel.
    """

    turn: NDArray[np.int64] = field(repr=False)
    spots: NDArray[np.float32] = field(repr=False)
    across: Floats = field(repr=False)
    scale: NDArray[np.float32] = field(repr=False)
    groups: tuple[Group, ...] = field(repr=False)
    factors: NDArray[np.float32] = field(repr=False)
    geometry: tuple[object, ...] = field(repr=False)
    tables: tuple[object, ...] = field(repr=False)
    voxels: FieldVoxels = field(repr=False)
    fine: bool

    def room(self, summed: bool = False) -> Room:
        """Room for what one thread writes. summed: also for sums over a group."""
        return Room(self.voxels, self.fine, summed)

    def read(self, group: Group, room: Room) -> tuple[int, tuple[object, ...]]:
        """Read the tables of a group; how many voxels it has, and the arguments that the kernels share."""
        here = slice(group.first, group.behind)
        places, across = self.spots[here, :2].astype(np.float64), self.across[here, None]
        low, high = (places - across).min(axis=0), (places + across).max(axis=0)
        count = reading.evaluate(
            np.array([low[0], high[0], low[1], high[1]]), group.row, np.float32(group.limit),
            self.factors[group.node], self.fine, self.tables, self.geometry, room.begin, room.kept,
            room.ragged, room.scratch, room.read,
        )  # fmt: skip
        shared = (self.spots, self.across, self.geometry, room.begin, room.read)
        return count, (*shared, group.first, group.behind)

    def filling(self, group: Group, room: Room) -> tuple[object, ...]:
        """The arguments that filling columns and adding dose share beside those of `read`."""
        return (group.row, self.fine, self.tables, room.kept, room.ragged, room.scratch, self.scale)


def job_of(voxels: FieldVoxels, model: BeamModel, columns: Columns, scale: Floats, rays: bool = True) -> Job:
    """Gaussians of a component in a field; rays: look at the rays around voxels, and at the media crossed."""
    needed, node = np.unique(node_of(columns.ranges), return_inverse=True)
    factors = np.ones((len(needed), 3 if rays else 1, len(voxels.voxels)), dtype=np.float32)
    wider = np.ones(len(needed))
    if rays:
        for place, number in enumerate(needed.tolist()):
            factors[place], wider[place] = voxels.scattering(model.water, number)
    fine = rays and voxels.lattice is not None and bool(voxels.uneven.any())
    tile = np.floor(columns.spots[:, :2] / _TILE_MM)
    turn = np.lexsort((columns.spots[:, 1], columns.spots[:, 0], tile[:, 1], tile[:, 0], columns.rows))
    tables = columns.tables
    return Job(
        turn,
        np.ascontiguousarray(columns.spots[turn], dtype=np.float32),
        columns.across(wider[node[columns.rows]])[turn],
        scale[turn].astype(np.float32),
        _groups(columns.rows[turn], node, tables.reach, (tables.idd.shape[1] - 2) * TABLE_STEP_MM),
        factors,
        geometry_of(voxels, voxels.lattice if fine else None),
        (tables.idd, columns.let, tables.scatter, np.float32(TABLE_STEP_MM)),
        voxels,
        fine,
    )


def _groups(
    rows: NDArray[np.int64], node: NDArray[np.int64], reach: NDArray[np.float32], deepest: float
) -> tuple[Group, ...]:
    """Groups of at most _LARGEST of Gaussians with ascending rows."""
    edges = np.concatenate([[0], np.flatnonzero(np.diff(rows)) + 1, [len(rows)]])
    found = []
    for begin, end in pairwise(edges.tolist()):
        row = int(rows[begin])
        for first in range(begin, end, _LARGEST):
            limit = min(float(reach[row]), deepest)
            found.append(Group(first, min(first + _LARGEST, end), row, int(node[row]), limit))
    return tuple(found)


def geometry_of(voxels: FieldVoxels, lattice: Lattice | None) -> tuple[object, ...]:
    """What the kernels read of the field; lattice: None where no rays are looked at.

    Low u, low v and bin size in mm; bins; start; depth (v,); uneven; slack; (5, v) u, v, height and scales
    from the isocentric plane in x, y; the lattice (u, v, heights), the same as one row, and its place;
    depths (2, v) of the shallowest and the deepest ray about.
    """
    u, v, height, depth = voxels.voxels.T
    scales = [np.float32(1.0) - height / np.float32(sad) for sad in voxels.frame.sad]
    if lattice is None:
        rays = np.zeros((2, 2, 2), np.float32), np.zeros(8, np.float32), np.ones(5, np.float32)
    else:
        rays = lattice.depth, lattice.depth.ravel(), lattice.place.astype(np.float32)
    place = np.array([voxels.low[0], voxels.low[1], BIN_MM])
    return (
        place, voxels.bins, voxels.start, np.ascontiguousarray(depth),
        voxels.uneven, voxels.slack, np.stack([u, v, height, *scales]), rays,
        voxels.around,
    )  # fmt: skip
