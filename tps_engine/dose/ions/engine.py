"""Dose of ion pencil beams: influence matrices that share one index, and the forward sum of many spots."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.ion_machine import IonMachine
from tps_engine.beamdata.water import Floats
from tps_engine.dose.engine import MEMORY_LIMIT, Influence
from tps_engine.dose.field import FieldVoxels
from tps_engine.dose.ions import kernel
from tps_engine.dose.ions.groups import Job, Room, Tissues, prepare_job
from tps_engine.dose.ions.tables import CUTOFF
from tps_engine.dose.parallel import Spare, spread, workers
from tps_engine.dose.spots import Spots

_PARTS = 8
"""Pieces of a forward sum: a fixed number, so that the dose does not depend on the number of cores."""

_SHARES = 4  # pieces of work a core: short ones, so that a stop of the process does not wait


@dataclass(frozen=True)
class IonInfluence:
    """Matrices of every spot (column) in voxels (rows), by MU; all have the indices of `dose`.

    dose: Gy. let: LET x dose, keV/um Gy. alpha: alpha x dose, pure number. root_beta: sqrt(beta) x dose, pure
    number. None: not asked for.
    """

    dose: Influence
    let: Influence | None = None
    alpha: Influence | None = None
    root_beta: Influence | None = None


@dataclass(frozen=True)
class IonDose:
    """Sums over spots, (n,) float32 at the points of the field.

    dose: Gy. let: dose-averaged LET, keV/um. alpha 1/Gy, beta 1/Gy2: of the mixed field, dose-averaged after
    Zaider and Rossi, Radiat Res 83 (1980) 732 (beta as the square of averaged roots). 0 where no dose is.
    """

    dose: NDArray[np.float32] = field(repr=False)
    let: NDArray[np.float32] | None = field(default=None, repr=False)
    alpha: NDArray[np.float32] | None = field(default=None, repr=False)
    beta: NDArray[np.float32] | None = field(default=None, repr=False)


def influence(
    voxels: FieldVoxels,
    machine: IonMachine,
    spots: Spots,
    tissue: Tissues | None = None,
    let: bool = False,
    cutoff: float = CUTOFF,
    memory_limit: int = MEMORY_LIMIT,
) -> IonInfluence:
    """Influence matrices on the points that `voxels` was prepared from, by MU.

    tissue: (count,) number of the machine's tissue at each point; with it alpha and beta are made.
    cutoff: part of each plane's dose that is kept within a circle, the rest is put back inside.
    Entries are counted first, so that memory holds the matrices once and no copy. Raises BadInput for no
    spot, energies that the machine lacks, LET or biology that it lacks, and, before they are filled, for
    matrices that need more than `memory_limit` bytes.
    """
    if len(spots) == 0:
        raise BadInput(_("a dose matrix needs one spot or more"))
    job = prepare_job(voxels, machine, spots, tissue, let, cutoff)
    biology = tissue is not None
    rooms = Spare(job.room)
    indptr = np.r_[0, np.cumsum(_counts(job, rooms))].astype(np.int64)
    _refuse_too_large(len(spots), int(indptr[-1]) * (8 + 4 * int(let) + 8 * int(biology)), memory_limit)
    wanted = (True, let, biology, biology)
    indices, values = _filled(job, indptr, voxels.order.astype(np.int32), wanted, rooms)
    dose, *others = (Influence(voxels.count, indptr, indices, data) for data in values)
    return IonInfluence(
        dose, *(one if asked else None for one, asked in zip(others, wanted[1:], strict=True))
    )


def forward(
    voxels: FieldVoxels,
    machine: IonMachine,
    spots: Spots,
    mu: Floats,
    tissue: Tissues | None = None,
    let: bool = False,
    cutoff: float = CUTOFF,
) -> IonDose:
    """Dose of spots with metersets mu (n,), without a matrix; arguments and errors as `influence`.

    Raises BadInput for metersets that are negative, no numbers, or not one a spot.
    """
    if len(mu) != len(spots) or not np.isfinite(mu).all() or (len(mu) and float(np.min(mu)) < 0.0):
        raise BadInput("metersets must be one a spot, numbers, and not negative")
    total = np.zeros((4, len(voxels.voxels)))
    if len(spots):
        job = prepare_job(voxels, machine, spots, tissue, let, cutoff)
        total = _sum(job, np.asarray(mu, dtype=np.float64)[job.turn])
    dose, lets, alphas, roots = total
    return IonDose(
        _placed(voxels, dose),
        _placed(voxels, _mean(lets, dose)) if let else None,
        None if tissue is None else _placed(voxels, _mean(alphas, dose)),
        None if tissue is None else _placed(voxels, _mean(roots, dose) ** 2),
    )


def _counts(job: Job, rooms: Spare[Room]) -> NDArray[np.int64]:
    """(n,) entries of each spot, in the caller's order."""
    counts = np.zeros(len(job.turn), dtype=np.int64)

    def work(first: int, behind: int) -> None:
        with rooms.lent() as room:
            for group in job.groups[first:behind]:
                kernel.count_columns(*job.read(group, room, counted=True)[1], counts)

    spread(work, len(job.groups), parts=_SHARES * workers())
    out = np.empty_like(counts)
    out[job.turn] = counts
    return out


def _filled(
    job: Job,
    indptr: NDArray[np.int64],
    order: NDArray[np.int32],
    wanted: tuple[bool, ...],
    rooms: Spare[Room],
) -> tuple[NDArray[np.int32], list[NDArray[np.float32]]]:
    entries = int(indptr[-1])
    indices = np.empty(entries, dtype=np.int32)
    values = [np.empty(entries if asked else 0, dtype=np.float32) for asked in wanted]
    begins = indptr[:-1][job.turn]

    def work(first: int, behind: int) -> None:
        with rooms.lent() as room:
            for group in job.groups[first:behind]:
                kernel.fill_columns(
                    *job.read(group, room)[1], room.kept, room.scratch,
                    job.scale, job.columns, order, begins, indices, *values,
                )  # fmt: skip

    spread(work, len(job.groups), parts=_SHARES * workers())
    return indices, values


def _sum(job: Job, mu: Floats) -> NDArray[np.float64]:
    """(4, v) dose, LET, alpha and sqrt(beta) x dose, in the order of the voxels."""
    scale = job.scale * mu

    rooms = Spare(lambda: job.room(summed=True))

    def work(first: int, behind: int) -> NDArray[np.float64]:
        part = np.zeros((4, job.rays.shape[1]))
        with rooms.lent() as room:
            for group in job.groups[first:behind]:
                count, shared = job.read(group, room)
                kernel.add_dose(*shared, room.kept, room.scratch, scale, job.columns, count, part)
        return part

    return np.asarray(np.sum(spread(work, len(job.groups), parts=_PARTS), axis=0))


def _placed(voxels: FieldVoxels, values: Floats) -> NDArray[np.float32]:
    out = np.zeros(voxels.count, dtype=np.float32)
    out[voxels.order] = values
    return out


def _mean(weighed: Floats, dose: Floats) -> Floats:
    return np.divide(weighed, dose, out=np.zeros_like(dose), where=dose > 0.0)


def _refuse_too_large(spots: int, needed: int, limit: int) -> None:
    if needed > limit:
        raise BadInput(
            _(
                "{spots} spots need a dose matrix of about {needed} GiB: allowed are {limit} GiB; "
                "take a coarser dose grid or wider spot spacing"
            ).format(spots=spots, needed=f"{needed / 2**30:.1f}", limit=f"{limit / 2**30:.1f}")
        )
