"""Spots gathered by energy and width, so that the tables are read once for many spots."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.ion_machine import IonMachine
from tps_engine.beamdata.water import Floats
from tps_engine.dose.field import BIN_MM, FieldVoxels
from tps_engine.dose.ions import kernel
from tps_engine.dose.ions.spots import energy_rows, variances
from tps_engine.dose.ions.tables import STEP_MM, KernelTables, build
from tps_engine.dose.lanes import lanes
from tps_engine.dose.spots import Spots

Tissues = NDArray[np.int8]

_LARGEST = 256
_CUT_OFF = np.array([0, -1, -1])  # columns that `kernel.evaluate` reads for counting: none


@dataclass(frozen=True)
class Group:
    """Spots first..behind (in turn) of one table row and width in air (variance x, y mm2)."""

    first: int
    behind: int
    row: int
    variance: Floats
    across: float


class Room:
    """What one thread writes while it works on one group after the other; see the kernels.

    place: (3,) low u, low v, bin size mm.
    begin, kept, read: by `kernel.evaluate`. scratch: for the kernels.
    """

    def __init__(self, voxels: FieldVoxels, gaussians: int, summed: bool) -> None:
        count = len(voxels.voxels)
        self.place = np.array([voxels.low[0], voxels.low[1], BIN_MM])
        self.begin = np.zeros((voxels.bins[0], voxels.bins[1] + 1), dtype=np.int64)
        self.kept = np.empty(count, dtype=np.int32)
        self.read = np.empty((kernel.HEAD + 3 * gaussians, count), dtype=np.float32)
        self.scratch = (
            np.empty(count + 8, dtype=np.float32), lanes(count + 8), np.empty(count + 8, dtype=np.int32),
            np.empty(count + 8, dtype=np.float32), np.empty(count if summed else 0),
        )  # fmt: skip


@dataclass(frozen=True)
class Job:
    """What the kernels need for a set of spots. turn: (n,) the caller's index of each spot, by groups.

    spots: (n, 2) f4 x, y mm in turn. scale: (n,) particles a MU in turn. rays: as `kernel.evaluate` has them.
    """

    turn: NDArray[np.int64] = field(repr=False)
    spots: NDArray[np.float32] = field(repr=False)
    scale: Floats = field(repr=False)
    groups: tuple[Group, ...] = field(repr=False)
    tables: KernelTables
    columns: NDArray[np.int64]
    voxels: FieldVoxels = field(repr=False)
    rays: NDArray[np.float32] = field(repr=False)
    tissue: Tissues = field(repr=False)

    def room(self, summed: bool = False) -> Room:
        """Room for what one thread writes. summed: also for sums over a group's spots."""
        return Room(self.voxels, self.tables.gaussians, summed)

    def read(self, group: Group, room: Room, counted: bool = False) -> tuple[int, tuple[object, ...]]:
        """Read the tables of a group; how many voxels it has, and the arguments that the kernels share.

        counted: only what counting needs.
        """
        columns = _CUT_OFF if counted else self.columns
        here = self.spots[group.first : group.behind].astype(np.float64)
        low, high = here.min(axis=0) - group.across, here.max(axis=0) + group.across
        box, variance = np.array([low[0], high[0], low[1], high[1]]), group.variance.astype(np.float32)
        count = kernel.evaluate(
            box, variance, self.tables.table[group.row],
            self.tables.reach[group.row], np.float32(STEP_MM), columns, room.place, self.voxels.bins,
            self.voxels.start, self.rays, self.tissue, room.begin, room.kept, room.scratch, room.read,
        )  # fmt: skip
        shared = (self.spots, group.across, room.place, self.voxels.bins, room.begin, room.read)
        return count, (*shared, group.first, group.behind)


def prepare_job(
    voxels: FieldVoxels,
    machine: IonMachine,
    spots: Spots,
    tissue: Tissues | None,
    let: bool,
    cutoff: float,
) -> Job:
    """Tables and groups of spots. Raises BadInput as `engine.influence` says."""
    if not np.isfinite(voxels.voxels).all():
        raise BadInput(_("depths in the patient are no numbers; check the stopping powers of the image"))
    used, which = energy_rows(machine, spots.energy)
    variance = variances(machine, voxels, spots)
    widest = np.zeros(len(used))
    np.maximum.at(widest, which, variance.max(axis=1))
    tables = build(machine, used, widest, let, tissue is not None, cutoff)
    sad = np.asarray(voxels.frame.sad, dtype=np.float32)
    u, v, height, depth = voxels.voxels.T
    rays = np.stack([u, v, 1.0 - height / sad[0], 1.0 - height / sad[1], depth]).astype(np.float32)
    nearest = float(rays[2:4].min()) if len(depth) else 1.0
    across = np.sqrt(tables.table[:, :, 1].max(axis=1)).astype(np.float64) / nearest
    turn, groups = _grouped(which, variance, across)
    return Job(
        turn,
        np.column_stack([spots.x, spots.y])[turn].astype(np.float32),
        machine.particles_per_mu[used][which][turn],
        groups,
        tables,
        np.array([tables.gaussians, tables.let, tables.biology], dtype=np.int64),
        voxels,
        rays,
        _ordered(voxels, machine, tissue),
    )


def _grouped(
    which: NDArray[np.int64], variance: Floats, across: Floats
) -> tuple[NDArray[np.int64], tuple[Group, ...]]:
    """Spots in the order of their groups, and the groups, of at most _LARGEST spots."""
    turn = np.lexsort((variance[:, 1], variance[:, 0], which))
    keys = np.column_stack([which, variance])[turn]
    new = np.flatnonzero((keys[1:] != keys[:-1]).any(axis=1)) + 1
    edges = np.concatenate([[0], new, [len(turn)]])
    groups = []
    for begin, end in pairwise(edges.tolist()):
        row = int(keys[begin, 0])
        for first in range(begin, end, _LARGEST):
            behind = min(first + _LARGEST, end)
            groups.append(Group(first, behind, row, keys[begin, 1:], float(across[row])))
    return turn, tuple(groups)


def _ordered(voxels: FieldVoxels, machine: IonMachine, tissue: Tissues | None) -> Tissues:
    """Tissue numbers in the order of the voxels. Raises BadInput for numbers that the machine lacks."""
    if tissue is None:
        return np.zeros(0, dtype=np.int8)
    if len(tissue) != voxels.count:
        raise BadInput(f"{len(tissue)} tissue numbers for {voxels.count} points: give one each")
    if len(tissue) and not 0 <= tissue.min() <= tissue.max() < max(len(machine.tissues), 1):
        raise BadInput(f"tissue numbers {tissue.min()} .. {tissue.max()}: there are {len(machine.tissues)}")
    return np.ascontiguousarray(tissue[voxels.order], dtype=np.int8)
