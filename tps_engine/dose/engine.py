"""Dose to water of pencil beams: the influence of each spot on voxels, and the direct sum of many spots."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.model import TABLE_STEP_MM, BeamModel, KernelTables, kernel_tables
from tps_engine.dose import kernel
from tps_engine.dose.components import Component, Part, all_of, single
from tps_engine.dose.field import BIN_MM, FieldVoxels
from tps_engine.dose.let import let_tables
from tps_engine.dose.parallel import spread, workers
from tps_engine.dose.paths import node_of, scattering_factor
from tps_engine.dose.spots import Spots, protons
from tps_engine.dose.upstream import Upstream, moments
from tps_engine.patient.grid import Floats

MEMORY_LIMIT = 6 * 2**30
"""Bytes that an influence matrix may take unless the caller says otherwise."""

_ROOM = 2_000_000
_SAMPLE = 48
_WIDER = 2.0  # times that media and gaps may widen the scattering variance of water at a field's border
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
    """What the kernel takes for a set of spots, in its order.

    in_air, scattered: (n,) the greatest lateral variance of a spot without scattering in the patient, and of
    that, mm2. magnified: what a distance grows by from the farthest voxel to the isocentric plane.
    """

    spots: NDArray[np.float64]
    rows: NDArray[np.int64]
    in_air: NDArray[np.float64]
    scattered: NDArray[np.float64]
    magnified: float
    ranges: NDArray[np.float64]
    tables: KernelTables
    let: NDArray[np.float32]
    part: Part

    def across(self, wider: float | NDArray[np.float32]) -> NDArray[np.float64]:
        """Distance (n,) in mm on the isocentric plane that spots reach when scattering is so much wider."""
        return np.asarray(kernel.CUT * np.sqrt(self.in_air + wider * self.scattered) * self.magnified)


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
        float(_columns(model, part, sad, height, upstream).across(_WIDER).max()) for part in parts if len(part)
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
    return _influence(voxels, model, spots, memory_limit, factor, let=False)[0]


def influence_with_let(
    voxels: FieldVoxels, model: BeamModel, spots: Spots, memory_limit: int = MEMORY_LIMIT
) -> tuple[Influence, Influence]:
    """The dose matrix, Gy per MU, and that of dose times LET in Gy keV/um per MU, with the same indices.

    LETd of a plan is the second times its metersets over the first times them. LET: dose-averaged, of
    protons, unrestricted, in water. Raises as `influence`.
    """
    dose, weighed = _influence(voxels, model, spots, memory_limit, 1.0, let=True)
    assert weighed is not None
    return dose, weighed


def _influence(
    voxels: FieldVoxels, model: BeamModel, spots: Spots, memory_limit: int, factor: float, let: bool
) -> tuple[Influence, Influence | None]:
    if len(spots) == 0:
        raise BadInput(_("a dose matrix needs one spot or more"))
    scale = factor * protons(model, spots, np.ones(len(spots)))
    one = single(model, spots, scale)
    columns = _columns(model, one, voxels.frame.sad, _height(voxels), voxels.upstream, let)
    beams = _beams(voxels, model, columns, scale)
    _refuse_too_large(voxels, columns, beams, memory_limit)
    pieces = spread(lambda a, b: _fill(voxels, columns, beams, a, b), len(spots), parts=_SHARES * workers())
    counts = np.concatenate([piece[0] for piece in pieces])
    indptr = np.r_[0, np.cumsum(counts)].astype(np.int64)
    indices, data = (np.concatenate([piece[k] for piece in pieces]) for k in (1, 2))
    dose = Influence(voxels.count, indptr, indices, data)
    if not let:
        return dose, None
    return dose, Influence(voxels.count, indptr, indices, np.concatenate([piece[3] for piece in pieces]))


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
    return _forward(voxels, model, spots, mu, let=False)[0]


def forward_with_let(
    voxels: FieldVoxels, model: BeamModel, spots: Spots, mu: Floats
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Dose as `forward`, and dose-averaged LET of protons in water, keV/um, (n,) each; 0 without dose."""
    dose, weighed = _forward(voxels, model, spots, mu, let=True)
    return dose, np.divide(weighed, dose, out=np.zeros_like(dose), where=dose > 0.0)


def _forward(
    voxels: FieldVoxels, model: BeamModel, spots: Spots, mu: Floats, let: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if len(mu) != len(spots) or not np.isfinite(mu).all() or (len(mu) and float(np.min(mu)) < 0.0):
        raise BadInput("metersets must be one a spot, numbers, and not negative")
    total = np.zeros((2, voxels.count), dtype=np.float32)
    if len(spots) == 0:
        return total[0], total[1]
    both = np.zeros((2, len(voxels.voxels)))
    count = protons(model, spots, np.asarray(mu, dtype=np.float64))
    for component in all_of(model, spots, count, voxels.upstream):
        if len(component):
            both += _sum(voxels, model, component, let)
    total[:, voxels.order] = both
    return total[0], total[1]


def _sum(voxels: FieldVoxels, model: BeamModel, component: Component, let: bool) -> NDArray[np.float64]:
    """Dose in Gy of all Gaussians of a component, and dose times LET, (2, n) in the order of the voxels."""
    columns = _columns(model, component, voxels.frame.sad, _height(voxels), voxels.upstream, let)
    beams = _beams(voxels, model, columns, component.protons)
    parts = spread(lambda a, b: _add(voxels, columns, beams, a, b), len(component), parts=_SHARES * workers())
    return np.asarray(np.sum(parts, axis=0))


def _height(voxels: FieldVoxels) -> float:
    return float(np.abs(voxels.voxels[:, 2]).max()) if len(voxels.voxels) else 0.0


def _columns(
    model: BeamModel,
    component: Component,
    sad: tuple[float, float],
    height: float,
    upstream: Upstream | None,
    let: bool = False,
) -> _Columns:
    energies, rows = np.unique(component.energy, return_inverse=True)
    before, gap = (0.0, 0.0) if upstream is None else (upstream.water, upstream.gap)
    axis = tuple(energies.tolist())
    tables = kernel_tables(model, axis, before, component.part, gap)
    table = component.optics.copy()
    if upstream is not None and len(component):
        added = moments(model, upstream, energies)[rows]
        table[:, 2:4] += added[:, :1]
        table[:, 4:6] += added[:, 2:]
        table[:, 6:8] += added[:, 1:2]
    scattered = tables.scatter.max(axis=1).astype(np.float64)[rows]
    ends = [table[:, 2:4] + (table[:, 4:6] * z - 2.0 * table[:, 6:8]) * z for z in (-height, height)]
    in_air = np.max(np.hstack(ends), axis=1) if len(component) else np.zeros(0)
    weighed = let_tables(model, axis, before, component.part, gap) if let else np.zeros((0, 0), np.float32)
    ranges = model.water.range_of(model.at(energies, model.mean_energy)) - before
    magnified = 1.0 / (1.0 - height / min(sad))
    return _Columns(
        np.ascontiguousarray(table), rows.astype(np.int64), in_air, scattered, magnified, ranges, tables,
        weighed, component.part,
    )  # fmt: skip


def _beams(
    voxels: FieldVoxels, model: BeamModel, columns: _Columns, scale: Floats
) -> tuple[object, ...]:
    """What the kernels read of each spot; the scattering of its node's beam in the media of the field."""
    needed, node = np.unique(node_of(model.water, columns.ranges), return_inverse=True)
    lattice = voxels.lattice
    factors = np.ones((len(needed), len(voxels.voxels)), dtype=np.float32)
    if lattice is not None:
        for place, number in enumerate(needed.tolist()):
            factors[place] = scattering_factor(lattice, model.water, number, voxels.voxels)
    nodes = node.astype(np.int64)[columns.rows]
    widest = factors.max(axis=1, initial=1.0)[nodes]
    limits = np.column_stack([columns.tables.reach.astype(np.float64)[columns.rows], columns.across(widest)])
    return (columns.spots, columns.rows, nodes, limits, scale, factors, columns.part != "halo")


def _geometry(voxels: FieldVoxels) -> tuple[object, ...]:
    """What the kernels read of the field."""
    lattice = voxels.lattice
    depth = np.zeros((2, 2, 2), np.float32) if lattice is None else lattice.depth
    place = np.ones(5) if lattice is None else lattice.place
    sad, low = np.asarray(voxels.frame.sad, dtype=np.float64), np.asarray(voxels.low, dtype=np.float64)
    return (
        voxels.voxels, voxels.uneven, voxels.slack, voxels.bins, voxels.start, sad, low, depth, place, BIN_MM
    )  # fmt: skip


def _tables(columns: _Columns) -> tuple[object, ...]:
    return (columns.tables.idd, columns.let, columns.tables.scatter, TABLE_STEP_MM)


def _scratch(size: int, let: bool) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Room for voxel indices, doses, and doses times LET where they are wanted."""
    return np.empty(size, np.int32), np.empty(size, np.float32), np.empty(size if let else 0, np.float32)


def _fill(
    voxels: FieldVoxels, columns: _Columns, beams: tuple[object, ...], first: int, behind: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Counts, voxel indices, doses and doses times LET of the columns first..behind."""
    counts = np.zeros(len(columns.rows), dtype=np.int64)
    let, size = len(columns.let) > 0, max(len(voxels.voxels), 1)
    out, scratch = _scratch(max(_ROOM, size), let), _scratch(size, let)
    order = voxels.order.astype(np.int32)
    found: list[tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]] = []
    here = first
    while here < behind:
        done = kernel.fill_columns(
            beams, _tables(columns), _geometry(voxels), here, behind, counts, out, scratch
        )
        used = int(counts[here:done].sum())
        found.append((order[out[0][:used]], out[1][:used].copy(), out[2][:used].copy()))
        here = done
    indices, data, weighed = (np.concatenate([part[k] for part in found]) for k in range(3))
    return counts[first:behind], indices, data, weighed


def _add(
    voxels: FieldVoxels, columns: _Columns, beams: tuple[object, ...], first: int, behind: int
) -> NDArray[np.float64]:
    let, size = len(columns.let) > 0, max(len(voxels.voxels), 1)
    both = np.zeros((2, len(voxels.voxels)))
    kernel.add_dose(
        beams, _tables(columns), _geometry(voxels), first, behind, both[0], both[1], _scratch(size, let)
    )
    return both


def _refuse_too_large(
    voxels: FieldVoxels, columns: _Columns, beams: tuple[object, ...], limit: int
) -> None:
    """Count a sample of columns and raise BadInput when all of them would need more than `limit` bytes."""
    count = len(columns.rows)
    sample = np.unique(np.linspace(0, count - 1, min(_SAMPLE, count)).astype(np.int64))
    entries = sum(int(_fill(voxels, columns, beams, int(k), int(k) + 1)[0][0]) for k in sample)
    needed = (12.0 if len(columns.let) else 8.0) * entries / len(sample) * count
    if needed > limit:
        raise BadInput(
            _(
                "{spots} spots need a dose matrix of about {needed} GiB: allowed are {limit} GiB; "
                "take a coarser dose grid or wider spot spacing"
            ).format(spots=count, needed=f"{needed / 2**30:.1f}", limit=f"{limit / 2**30:.1f}")
        )
