"""Dose to water of pencil beams: the influence of each spot on voxels, and the direct sum of many spots."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.model import BeamModel
from tps_engine.device import choice
from tps_engine.dose import kernel
from tps_engine.dose.columns import columns_of
from tps_engine.dose.components import Component, all_of, single
from tps_engine.dose.field import FieldVoxels
from tps_engine.dose.groups import Group, Job, Room, job_of
from tps_engine.dose.parallel import Spare, spread, workers
from tps_engine.dose.spots import Spots, protons
from tps_engine.dose.upstream import Upstream
from tps_engine.patient.grid import Floats

MEMORY_LIMIT = 6 * 2**30
"""Bytes that an influence matrix may take unless the caller says otherwise."""

_SAMPLE = 48
_WIDER = 2.0  # times that media and gaps may widen the scattering variance of water at a field's border
_SHARES = 4  # pieces of work a core: short ones, so that a stop of the process does not wait
_PARTS = 8  # of a sum: a fixed number, so that the dose does not depend on the number of cores


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
        float(columns_of(model, part, sad, height, upstream).across(_WIDER).max())
        for part in parts
        if len(part)
    )


def influence(
    voxels: FieldVoxels,
    model: BeamModel,
    spots: Spots,
    memory_limit: int = MEMORY_LIMIT,
    factor: float = 1.0,
    rays: bool = False,
) -> Influence:
    """The dose influence matrix of spots on the points that `voxels` was prepared from, Gy per MU.

    Physical dose to water times `factor` (an RBE, for instance). rays: look at the rays around each voxel and
    scatter in the media crossed, as `forward` does, at several times the cost; without, each voxel has
    its own ray's depth and the scattering of water, which an optimiser can do with. Raises BadInput for no
    spot, for energies outside the machine, and, before time is spent, when the matrix would not fit into
    `memory_limit` bytes.
    """
    return _influence(voxels, model, spots, memory_limit, factor, let=False, rays=rays)[0]


def influence_with_let(
    voxels: FieldVoxels,
    model: BeamModel,
    spots: Spots,
    memory_limit: int = MEMORY_LIMIT,
    rays: bool = False,
) -> tuple[Influence, Influence]:
    """The dose matrix, Gy per MU, and that of dose times LET in Gy keV/um per MU, with the same indices.

    LETd of a plan is the second times its metersets over the first times them. LET: dose-averaged, of
    protons, unrestricted, in water. Raises as `influence`.
    """
    dose, weighed = _influence(voxels, model, spots, memory_limit, 1.0, let=True, rays=rays)
    assert weighed is not None
    return dose, weighed


def _influence(
    voxels: FieldVoxels,
    model: BeamModel,
    spots: Spots,
    memory_limit: int,
    factor: float,
    let: bool,
    rays: bool,
) -> tuple[Influence, Influence | None]:
    if len(spots) == 0:
        raise BadInput(_("a dose matrix needs one spot or more"))
    scale = factor * protons(model, spots, np.ones(len(spots)))
    one = single(model, spots, scale)
    columns = columns_of(model, one, voxels.frame.sad, _height(voxels), voxels.upstream, let)
    job = job_of(voxels, model, columns, scale, rays)
    each = 12 if let else 8
    _refuse_too_large(len(spots), each * _expected(job), memory_limit)
    rooms = Spare(job.room)
    indptr = np.r_[0, np.cumsum(_counts(job, rooms))].astype(np.int64)
    _refuse_too_large(len(spots), each * float(indptr[-1]), memory_limit)
    indices, data, weighed = _filled(job, indptr, let, rooms)
    dose = Influence(voxels.count, indptr, indices, data)
    return dose, (Influence(voxels.count, indptr, indices, weighed) if let else None)


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


def forward(
    voxels: FieldVoxels, model: BeamModel, spots: Spots, mu: Floats, device: str = "cpu"
) -> NDArray[np.float32]:
    """Physical dose to water in Gy, (n,) float32, at the points that `voxels` was prepared from.

    mu: (spots,) metersets. The same kernel as `influence`, without a matrix: positions, sizes and
    energies may be anything within the machine. What the beam model says of halos is in this dose, and in
    the matrix is part of each spot's one Gaussian. device: cpu, cuda or auto. Raises BadInput for energies
    outside it, and for cuda where there is none.
    """
    return _forward(voxels, model, spots, mu, False, device)[0]


def forward_with_let(
    voxels: FieldVoxels, model: BeamModel, spots: Spots, mu: Floats, device: str = "cpu"
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Dose as `forward`, and dose-averaged LET of protons in water, keV/um, (n,) each; 0 without dose."""
    dose, weighed = _forward(voxels, model, spots, mu, True, device)
    return dose, np.divide(weighed, dose, out=np.zeros_like(dose), where=dose > 0.0)


def _forward(
    voxels: FieldVoxels, model: BeamModel, spots: Spots, mu: Floats, let: bool, device: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if len(mu) != len(spots) or not np.isfinite(mu).all() or (len(mu) and float(np.min(mu)) < 0.0):
        raise BadInput("metersets must be one a spot, numbers, and not negative")
    if len(spots) == 0:
        return np.zeros(voxels.count, dtype=np.float32), np.zeros(voxels.count, dtype=np.float32)
    count = protons(model, spots, np.asarray(mu, dtype=np.float64))
    return sum_of(voxels, model, all_of(model, spots, count, voxels.upstream), let, device)


def sum_of(
    voxels: FieldVoxels,
    model: BeamModel,
    components: Sequence[Component],
    let: bool = False,
    device: str = "cpu",
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Dose in Gy, and dose times LET if it is wanted, (n,) each, of given Gaussians at a field's points."""
    on_device = choice.chosen(device) == "cuda"
    both = np.zeros((2, len(voxels.voxels)))
    for component in components:
        if len(component):
            both += _sum(voxels, model, component, let, on_device)
    total = np.zeros((2, voxels.count), dtype=np.float32)
    total[:, voxels.order] = both
    return total[0], total[1]


def _sum(
    voxels: FieldVoxels, model: BeamModel, component: Component, let: bool, on_device: bool
) -> NDArray[np.float64]:
    """Dose in Gy of all Gaussians of a component, and dose times LET, (2, n) in the order of the voxels."""
    columns = columns_of(model, component, voxels.frame.sad, _height(voxels), voxels.upstream, let)
    job = job_of(voxels, model, columns, component.protons)
    if on_device:
        from tps_engine.device import pencil_beam  # noqa: PLC0415 - kernels that need a device

        return pencil_beam.total(job)

    rooms = Spare(lambda: job.room(summed=True))

    def work(first: int, behind: int) -> NDArray[np.float64]:
        part = np.zeros((2, len(voxels.voxels)))
        with rooms.lent() as room:
            for group in job.groups[first:behind]:
                count, shared = job.read(group, room)
                kernel.add_dose(*shared, *job.filling(group, room), count, part)
        return part

    return np.asarray(np.sum(spread(work, len(job.groups), parts=_PARTS), axis=0))


def _height(voxels: FieldVoxels) -> float:
    return float(np.abs(voxels.voxels[:, 2]).max()) if len(voxels.voxels) else 0.0


def _counts(job: Job, rooms: Spare[Room]) -> NDArray[np.int64]:
    """(n,) entries of each column, in the caller's order."""
    counts = np.zeros(len(job.turn), dtype=np.int64)

    def work(first: int, behind: int) -> None:
        with rooms.lent() as room:
            for group in job.groups[first:behind]:
                kernel.count_columns(*job.read(group, room)[1], counts)

    spread(work, len(job.groups), parts=_SHARES * workers())
    out = np.empty_like(counts)
    out[job.turn] = counts
    return out


def _filled(
    job: Job, indptr: NDArray[np.int64], let: bool, rooms: Spare[Room]
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Voxel indices, doses, and doses times LET where they are wanted, of all columns."""
    entries = int(indptr[-1])
    indices, data = np.empty(entries, dtype=np.int32), np.empty(entries, dtype=np.float32)
    weighed = np.empty(entries if let else 0, dtype=np.float32)
    begins, order = indptr[:-1][job.turn], job.voxels.order.astype(np.int32)

    def work(first: int, behind: int) -> None:
        with rooms.lent() as room:
            for group in job.groups[first:behind]:
                shared = job.read(group, room)[1]
                filling = job.filling(group, room)
                kernel.fill_columns(*shared, *filling, order, begins, indices, data, weighed)

    spread(work, len(job.groups), parts=_SHARES * workers())
    return indices, data, weighed


def _expected(job: Job) -> float:
    """About how many entries all columns have, from a sample of them."""
    count = len(job.turn)
    counts, room, sample = np.zeros(count, dtype=np.int64), job.room(), min(_SAMPLE, count)
    chosen = np.unique(np.linspace(0, count - 1, sample).astype(np.int64)).tolist()
    behind = np.array([group.behind for group in job.groups])
    for k in chosen:
        whole = job.groups[int(np.searchsorted(behind, k, side="right"))]
        kernel.count_columns(*job.read(Group(k, k + 1, whole.row, whole.node, whole.limit), room)[1], counts)
    return float(counts.sum()) / len(chosen) * count


def _refuse_too_large(spots: int, needed: float, limit: int) -> None:
    """Raise BadInput when a matrix needs more than `limit` bytes."""
    if needed > limit:
        raise BadInput(
            _(
                "{spots} spots need a dose matrix of about {needed} GiB: allowed are {limit} GiB; "
                "take a coarser dose grid or wider spot spacing"
            ).format(spots=spots, needed=f"{needed / 2**30:.1f}", limit=f"{limit / 2**30:.1f}")
        )
