"""Monte Carlo dose of proton beams: whole fields with uncertainty and LET, and beamlets one by one."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from common.dicom.plan import IonBeam
from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.model import BeamModel
from tps_engine.dose import spots as spot_module
from tps_engine.dose.engine import Influence
from tps_engine.dose.montecarlo import rng, source, transport
from tps_engine.dose.montecarlo.fresh import discard_stale
from tps_engine.dose.montecarlo.media import Medium, on_grid
from tps_engine.dose.montecarlo.tables import TransportTables, transport_tables
from tps_engine.dose.parallel import spread, workers
from tps_engine.dose.spots import Spots
from tps_engine.patient.grid import Floats, Grid, resample_nearest
from tps_engine.patient.model import Patient
from tps_engine.plan.geometry import BeamFrame, beam_frame

MEMORY_LIMIT = 6 * 2**30
"""Bytes that tallies may take unless the caller says otherwise."""

_JOULE_PER_MEV = 1.602176634e-13
_EMITTED = 8  # protons that one reaction gives off at most
_OFFSETS = np.uint64(1 << 63)  # the streams of batches lie apart from those of histories


@dataclass(frozen=True)
class Histories:
    """How much to simulate. count: protons in all. seed: the same seed gives the same dose on any machine.

    batches: groups of equal size whose scatter tells the uncertainty. threads: 0 for all cores; the result
    does not depend on it.
    """

    count: int
    seed: int = 1
    batches: int = 20
    threads: int = 0

    def __post_init__(self) -> None:
        if self.batches < 2 or self.count < self.batches or self.seed < 0 or self.threads < 0:
            raise BadInput(
                _(
                    "{count} histories in {batches} batches, seed {seed}: allowed are two batches or more, "
                    "a history or more in each, and a seed and threads that are not negative"
                ).format(count=self.count, batches=self.batches, seed=self.seed)
            )


@dataclass(frozen=True)
class EnergyBalance:
    """Mean energy in MeV of one source proton, and where it went; started is the sum of the others.

    escaped: left the grid or never met it. neutral: neutrons and photons, not followed. separation: spent on
    taking nuclei apart.
    """

    started: float
    deposited: float
    escaped: float
    neutral: float
    separation: float


@dataclass(frozen=True)
class MonteCarloDose:
    """Arrays (nz, ny, nx) float32 on the medium's grid.

    dose_to_water, dose_to_medium: Gy. sigma: Gy, one standard deviation of dose_to_water. let: dose-averaged
    unrestricted LET in water of protons, primary and secondary, keV/um (0 where none came).
    """

    grid: Grid
    dose_to_water: NDArray[np.float32] = field(repr=False)
    dose_to_medium: NDArray[np.float32] = field(repr=False)
    sigma: NDArray[np.float32] = field(repr=False)
    let: NDArray[np.float32] = field(repr=False)
    balance: EnergyBalance
    histories: Histories

    def mean_uncertainty(self, level: float = 0.5) -> float:
        """Mean of sigma over dose where the dose is above `level` of its maximum, as a fraction."""
        high = self.dose_to_water > level * self.dose_to_water.max()
        return float(np.mean(self.sigma[high] / self.dose_to_water[high]))


@njit(nogil=True, cache=True)
def _run(seed, first, count, edges, beam, physics, geometry, tally, balance):  # type: ignore[no-untyped-def]
    """Histories first .. first + count of a batch; spots in proportion, in order, from a random start."""
    spots, rotation, place = beam
    state = np.empty(2, dtype=np.uint64)
    p = np.zeros(transport.PLACES)
    stack = np.zeros((transport.STACK, transport.PLACES))
    scratch = (state, p, np.zeros(3, dtype=np.int64), stack, np.zeros((_EMITTED, 2)))
    rng.start(state, seed, np.uint64(first) + _OFFSETS)
    offset = rng.uniform(state)
    spot = 0
    for k in range(count):
        while spot < len(edges) - 1 and edges[spot] * count <= k + offset:
            spot += 1
        rng.start(state, seed, np.uint64(first + k))
        if source.emit(state, spots[spot], rotation, place, physics[0], stack[0], balance):
            transport.history(physics, geometry, scratch, tally, balance)


discard_stale(Path(__file__).parent, Path(_run.stats.cache_path))


def beam_dose(
    patient: Patient, grid: Grid, beam: IonBeam, model: BeamModel, histories: Histories
) -> MonteCarloDose:
    """Dose of one fraction of a planned beam on `grid`; given inside the body only, like the pencil beam's.

    Raises BadInput for an energy that the machine lacks, spots outside its scan limits, a beam without
    spots, and for a range shifter, which this engine does not follow protons through.
    """
    if beam.range_shifter is not None:
        raise BadInput(
            _(
                "beam {number} has a range shifter, which the Monte Carlo engine does not model; "
                "take the pencil beam"
            ).format(number=beam.number)
        )
    placed, mu = spot_module.of_beam(beam, model)
    frame = beam_frame(beam.gantry, beam.couch, beam.isocentre, beam.virtual_sad, patient.position)
    found = spot_dose(on_grid(patient.rsp, patient.grid, grid), frame, model, placed, mu, histories)
    outside = ~resample_nearest(patient.body, patient.grid, grid)
    for values in (found.dose_to_water, found.dose_to_medium, found.sigma, found.let):
        values[outside] = 0.0
    return found


def spot_dose(
    medium: Medium,
    frame: BeamFrame,
    model: BeamModel,
    spots: Spots,
    mu: Floats,
    histories: Histories,
    memory_limit: int = MEMORY_LIMIT,
) -> MonteCarloDose:
    """Dose of any spots with metersets (n,) MU; protons are drawn in proportion to those that a spot holds.

    Raises BadInput for no protons, energies outside the machine, or tallies beyond `memory_limit` bytes.
    """
    protons = (
        spot_module.protons(model, spots, np.asarray(mu, dtype=np.float64)) if len(spots) else np.zeros(0)
    )
    if not np.isfinite(protons).all() or (protons < 0.0).any() or protons.sum() <= 0.0:
        raise BadInput(_("metersets must be numbers, not negative, and not all zero"))
    threads = min(histories.threads or workers(), histories.batches)
    _refuse_too_large(medium.grid, threads, memory_limit)
    work = _Work(
        medium, source.of_spots(model, spots, frame, medium.grid), transport_tables(model.water, medium.table)
    )
    edges = source.cumulative(protons)
    per_batch = histories.count // histories.batches
    total = np.zeros((medium.grid.size, transport.TALLIES))
    squares = np.zeros(medium.grid.size)
    balance = np.zeros(transport.BALANCE)
    for begin in range(0, histories.batches, threads):
        parts = spread(
            partial(work.batches, histories.seed, per_batch, edges, begin),
            min(threads, histories.batches - begin),
            parts=threads,
        )
        for tally, gone in (pair for part in parts for pair in part):  # in order: the same sum on any threads
            total += tally
            squares += tally[:, transport.WATER] ** 2
            balance += gone
    scale = float(protons.sum()) / (per_batch * histories.batches)
    return _result(medium, total, squares, balance / (per_batch * histories.batches), scale, histories)


def influence(
    medium: Medium,
    frame: BeamFrame,
    model: BeamModel,
    spots: Spots,
    voxels: NDArray[np.int64],
    per_spot: int,
    seed: int = 1,
    cut: float = 1e-3,
    memory_limit: int = MEMORY_LIMIT,
) -> Influence:
    """Beamlets: dose to water in Gy per MU of every spot in the voxels given by flat indices (n,).

    per_spot: histories a spot. cut: doses below this part of a beamlet's largest are left out. Same layout
    as the pencil beam's matrix. Raises BadInput for no spot, no voxel, no history, energies outside the
    machine.
    """
    if len(spots) == 0 or len(voxels) == 0 or per_spot < 1:
        raise BadInput(_("beamlets need one spot, one voxel and one history or more"))
    _refuse_too_large(medium.grid, workers(), memory_limit)
    work = _Work(
        medium, source.of_spots(model, spots, frame, medium.grid), transport_tables(model.water, medium.table)
    )
    scale = spot_module.protons(model, spots, np.ones(len(spots))) / per_spot * _JOULE_PER_MEV
    mass = medium.mass.ravel()[voxels]

    def some(first: int, behind: int) -> list[tuple[NDArray[np.int32], NDArray[np.float32]]]:
        tally = np.zeros((medium.grid.size, transport.TALLIES))
        found = []
        for spot in range(first, behind):
            tally[:] = 0.0
            work.one(seed, spot, per_spot, tally)
            energy = tally[voxels, transport.WATER]
            dose = np.divide(energy * scale[spot], mass, out=np.zeros(len(voxels)), where=mass > 0.0)
            kept = np.flatnonzero(dose > cut * dose.max()) if dose.any() else np.zeros(0, dtype=np.int64)
            found.append((kept.astype(np.int32), dose[kept].astype(np.float32)))
        return found

    columns = [column for part in spread(some, len(spots)) for column in part]
    indptr = np.r_[0, np.cumsum([len(rows) for rows, _ in columns])].astype(np.int64)
    rows, values = (np.concatenate([column[k] for column in columns]) for k in (0, 1))
    return Influence(len(voxels), indptr, rows.astype(np.int32), values.astype(np.float32))


@dataclass(frozen=True)
class _Work:
    """All that a batch reads."""

    medium: Medium
    protons: source.Source
    tables: TransportTables

    def batches(
        self, seed: int, count: int, edges: Floats, begin: int, first: int, behind: int
    ) -> list[tuple[Floats, Floats]]:
        """Tally (voxels, TALLIES) and energy balance of the batches begin + first .. begin + behind."""
        found = []
        for number in range(begin + first, begin + behind):
            tally = np.zeros((self.medium.grid.size, transport.TALLIES))
            balance = np.zeros(transport.BALANCE)
            self._run(seed, number * count, count, edges, self.protons.spots, tally, balance)
            found.append((tally, balance))
        return found

    def one(self, seed: int, spot: int, count: int, tally: Floats) -> None:
        """Add the histories of one spot to a tally."""
        here = self.protons.spots[spot : spot + 1]
        self._run(seed, spot * count, count, np.ones(1), here, tally, np.zeros(transport.BALANCE))

    def _run(
        self, seed: int, first: int, count: int, edges: Floats, spots: Floats, tally: Floats, balance: Floats
    ) -> None:
        grid, protons, tables = self.medium.grid, self.protons, self.tables
        geometry = (
            self.medium.material.ravel(), self.medium.density.ravel(), np.asarray(grid.shape),
            np.asarray(grid.spacing, dtype=np.float64),
        )  # fmt: skip
        _run(
            np.uint64(seed), first, count, edges, (spots, protons.rotation, protons.place),
            (tables.water, tables.ratio, tables.relative), geometry, tally, balance,
        )  # fmt: skip


def _result(
    medium: Medium, total: Floats, squares: Floats, balance: Floats, scale: float, histories: Histories
) -> MonteCarloDose:
    """Energies of all batches to doses, uncertainty and LET. scale: protons of the field per history."""
    mass = medium.mass.ravel()
    gray = np.divide(scale * _JOULE_PER_MEV, mass, out=np.zeros(len(mass)), where=mass > 0.0)
    n = histories.batches
    energy = total[:, transport.WATER]
    variance = np.maximum(squares - energy**2 / n, 0.0) * n / (n - 1)
    protons = total[:, transport.PROTON]
    let = np.divide(total[:, transport.LET], protons, out=np.zeros(len(mass)), where=protons > 0.0)
    names = ("deposited", "escaped", "neutral", "separation", "started")
    shape = medium.grid.shape
    return MonteCarloDose(
        grid=medium.grid,
        dose_to_water=(energy * gray).reshape(shape).astype(np.float32),
        dose_to_medium=(total[:, transport.MEDIUM] * gray).reshape(shape).astype(np.float32),
        sigma=(np.sqrt(variance) * gray).reshape(shape).astype(np.float32),
        let=let.reshape(shape).astype(np.float32),
        balance=EnergyBalance(**dict(zip(names, map(float, balance), strict=True))),
        histories=histories,
    )


def _refuse_too_large(grid: Grid, threads: int, limit: int) -> None:
    needed = 8.0 * grid.size * transport.TALLIES * (threads + 2)
    if needed > limit:
        raise BadInput(
            _("a Monte Carlo tally of {voxels} voxels needs {needed} GiB: allowed are {limit} GiB").format(
                voxels=grid.size, needed=f"{needed / 2**30:.1f}", limit=f"{limit / 2**30:.1f}"
            )
        )
