"""Dose to water of pencil beams: the influence of each spot on voxels, and the direct sum of many spots."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.model import TABLE_STEP_MM, BeamModel, KernelTables, kernel_tables
from tps_engine.dose import kernel
from tps_engine.dose.components import Component, all_of, single
from tps_engine.dose.field import BIN_MM, FieldVoxels
from tps_engine.dose.parallel import spread, workers
from tps_engine.dose.spots import Spots, protons
from tps_engine.dose.upstream import Upstream, moments
from tps_engine.patient.grid import Floats

MEMORY_LIMIT = 6 * 2**30
"""Bytes that an influence matrix may take unless the caller says otherwise."""

_ROOM = 2_000_000
_SAMPLE = 48
_SHARES = 4  # pieces of work a core: short ones, so that a stop of the process does not wait


@dataclass(frozen=True)
class Influence:
    """Dose in Gy per MU of every spot (column) in voxels (rows), compressed by column.

    indptr: (spots + 1,) i8. indices: (nnz,) i4 voxel, unordered within a column. data: (nnz,) f4.
    """

    voxels: int
    indptr: NDArray[np.int64] = field(repr=False)
    indices: NDArray[np.int32] = field(repr=False)
    data: NDArray[np.float32] = field(repr=False)

    @property
    def spots(self) -> int:
        """Number of columns."""
        return len(self.indptr) - 1


@dataclass(frozen=True)
class _Columns:
    """Arrays that the kernel takes for a set of spots, in its order."""

    spots: NDArray[np.float64]
    rows: NDArray[np.int64]
    reaches: NDArray[np.float64]
    across: NDArray[np.float64]
    tables: KernelTables


def reach_across(
    model: BeamModel,
    spots: Spots,
    sad: tuple[float, float],
    height: float,
    upstream: Upstream | None = None,
) -> float:
    """The largest distance in mm on the isocentric plane at which a spot still gives dose.

    height: the greatest |z| in mm of any voxel from the isocentre.
    """
    if len(spots) == 0:
        return 0.0
    parts = all_of(model, spots, np.ones(len(spots)), upstream)
    return max(
        float(_columns(model, part, sad, height, upstream).across.max()) for part in parts if len(part)
    )


def influence(
    voxels: FieldVoxels,
    model: BeamModel,
    spots: Spots,
    memory_limit: int = MEMORY_LIMIT,
    factor: float = 1.0,
) -> Influence:
    """The dose influence matrix of spots on the points that `voxels` was prepared from, Gy per MU.

    Physical dose to water times `factor` (an RBE, for instance). Raises BadInput for no
    spot, for energies outside the machine, and, before time is spent, when the matrix would not fit into
    `memory_limit` bytes.
    """
    if len(spots) == 0:
        raise BadInput(_("a dose matrix needs one spot or more"))
    scale = factor * protons(model, spots, np.ones(len(spots)))
    columns = _columns(model, single(model, spots, scale), voxels.frame.sad, _height(voxels), voxels.upstream)
    _refuse_too_large(voxels, columns, scale, memory_limit)
    pieces = spread(lambda a, b: _fill(voxels, columns, scale, a, b), len(spots), parts=_SHARES * workers())
    counts = np.concatenate([piece[0] for piece in pieces])
    indptr = np.r_[0, np.cumsum(counts)].astype(np.int64)
    indices = np.concatenate([piece[1] for piece in pieces])
    data = np.concatenate([piece[2] for piece in pieces])
    return Influence(voxels.count, indptr, indices, data)


def side_by_side(parts: Sequence[Influence]) -> Influence:
    """One matrix whose columns are those of several, in order; all have the same voxels."""
    offsets = np.cumsum([0, *(part.indptr[-1] for part in parts)])
    tails = [part.indptr[1:] + offset for part, offset in zip(parts, offsets[:-1], strict=True)]
    return Influence(
        parts[0].voxels,
        np.concatenate([np.zeros(1, dtype=np.int64), *tails]),
        np.concatenate([part.indices for part in parts]),
        np.concatenate([part.data for part in parts]),
    )


def forward(voxels: FieldVoxels, model: BeamModel, spots: Spots, mu: Floats) -> NDArray[np.float32]:
    """Physical dose to water in Gy, (n,) float32, at the points that `voxels` was prepared from.

    mu: (spots,) metersets. The same kernel as `influence`, without a matrix: positions, sizes and
    energies may be anything within the machine. What the beam model says of halos is in this dose, and in
    the matrix is part of each spot's one Gaussian. Raises BadInput for energies outside it.
    """
    if len(mu) != len(spots) or not np.isfinite(mu).all() or (len(mu) and float(np.min(mu)) < 0.0):
        raise BadInput("metersets must be one a spot, numbers, and not negative")
    total = np.zeros(voxels.count, dtype=np.float32)
    if len(spots) == 0:
        return total
    dose = np.zeros(len(voxels.voxels), dtype=np.float64)
    count = protons(model, spots, np.asarray(mu, dtype=np.float64))
    for component in all_of(model, spots, count, voxels.upstream):
        if len(component):
            dose += _sum(voxels, model, component)
    total[voxels.order] = dose
    return total


def _sum(voxels: FieldVoxels, model: BeamModel, component: Component) -> NDArray[np.float64]:
    """Dose in Gy of all Gaussians of a component, (n,) in the order of the voxels."""
    columns = _columns(model, component, voxels.frame.sad, _height(voxels), voxels.upstream)
    scale, count = component.protons, len(component)
    parts = spread(lambda a, b: _add(voxels, columns, scale, a, b), count, parts=_SHARES * workers())
    return np.asarray(np.sum(parts, axis=0))


def _height(voxels: FieldVoxels) -> float:
    return float(np.abs(voxels.voxels[:, 2]).max()) if len(voxels.voxels) else 0.0


def _columns(
    model: BeamModel,
    component: Component,
    sad: tuple[float, float],
    height: float,
    upstream: Upstream | None,
) -> _Columns:
    energies, rows = np.unique(component.energy, return_inverse=True)
    before, gap = (0.0, 0.0) if upstream is None else (upstream.water, upstream.gap)
    tables = kernel_tables(model, tuple(energies.tolist()), before, component.part, gap)
    table = component.optics.copy()
    if upstream is not None and len(component):
        added = moments(model, upstream, energies)[rows]
        table[:, 2:4] += added[:, :1]
        table[:, 4:6] += added[:, 2:]
        table[:, 6:8] += added[:, 1:2]
    scattered = tables.scatter.max(axis=1).astype(np.float64)[rows]
    ends = [table[:, 2:4] + (table[:, 4:6] * z - 2.0 * table[:, 6:8]) * z for z in (-height, height)]
    widest = np.max(np.hstack(ends), axis=1) + scattered if len(component) else scattered
    across = kernel.CUT * np.sqrt(widest) / (1.0 - height / min(sad))
    reaches = tables.reach.astype(np.float64)[rows]
    return _Columns(np.ascontiguousarray(table), rows.astype(np.int64), reaches, across, tables)


def _arguments(voxels: FieldVoxels, columns: _Columns, scale: Floats) -> tuple[object, ...]:
    """Arguments that the kernels share; the scratch `place` is this call's own."""
    place = np.array([voxels.low[0], voxels.low[1], BIN_MM, 0.0])
    sad = np.asarray(voxels.frame.sad, dtype=np.float64)
    return (
        columns.spots, columns.rows, columns.reaches, columns.across, scale, columns.tables.idd,
        columns.tables.scatter, TABLE_STEP_MM, place, voxels.bins, voxels.start, sad, voxels.voxels,
    )  # fmt: skip


def _scratch(voxels: FieldVoxels) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    size = max(len(voxels.voxels), 1)
    return np.empty(size, dtype=np.int32), np.empty(size, dtype=np.float32)


def _fill(
    voxels: FieldVoxels, columns: _Columns, scale: Floats, first: int, behind: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Counts, voxel indices and doses of the columns first..behind."""
    counts = np.zeros(len(scale), dtype=np.int64)
    room = max(_ROOM, len(voxels.voxels))
    indices, values = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.float32)
    scratch = _scratch(voxels)
    arguments = _arguments(voxels, columns, scale)
    order = voxels.order.astype(np.int32)
    found: list[tuple[NDArray[np.int32], NDArray[np.float32]]] = []
    here = first
    while here < behind:
        done = kernel.fill_columns(*arguments, here, behind, counts, indices, values, *scratch)
        used = int(counts[here:done].sum())
        found.append((order[indices[:used]], values[:used].copy()))
        here = done
    return (
        counts[first:behind],
        np.concatenate([part[0] for part in found] or [np.empty(0, np.int32)]),
        np.concatenate([part[1] for part in found] or [np.empty(0, np.float32)]),
    )


def _add(
    voxels: FieldVoxels, columns: _Columns, scale: Floats, first: int, behind: int
) -> NDArray[np.float64]:
    dose = np.zeros(len(voxels.voxels), dtype=np.float64)
    kernel.add_dose(*_arguments(voxels, columns, scale), first, behind, dose, *_scratch(voxels))
    return dose


def _refuse_too_large(voxels: FieldVoxels, columns: _Columns, scale: Floats, limit: int) -> None:
    """Count a sample of columns and raise BadInput when all of them would need more than `limit` bytes."""
    count = len(scale)
    sample = np.unique(np.linspace(0, count - 1, min(_SAMPLE, count)).astype(np.int64))
    entries = sum(int(_fill(voxels, columns, scale, int(k), int(k) + 1)[0][0]) for k in sample)
    needed = 8.0 * entries / len(sample) * count
    if needed > limit:
        raise BadInput(
            _(
                "{spots} spots need a dose matrix of about {needed} GiB: allowed are {limit} GiB; "
                "take a coarser dose grid or wider spot spacing"
            ).format(spots=count, needed=f"{needed / 2**30:.1f}", limit=f"{limit / 2**30:.1f}")
        )
