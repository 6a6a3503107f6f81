"""Monte Carlo dose of proton beams: whole fields with uncertainty and LET, and beamlets one by one."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonBeam
from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.model import BeamModel
from tps_engine.dose import spots as spot_module
from tps_engine.dose.engine import Influence
from tps_engine.dose.hardware import parts, ripple
from tps_engine.dose.montecarlo import region, transport, work
from tps_engine.dose.montecarlo.media import Medium, on_grid
from tps_engine.dose.montecarlo.source import cumulative
from tps_engine.dose.parallel import spread, workers
from tps_engine.dose.spots import Spots
from tps_engine.dose.upstream import Upstream, upstream_of
from tps_engine.patient.grid import Floats, Grid, resample_nearest
from tps_engine.patient.model import Patient
from tps_engine.plan.geometry import BeamFrame, beam_frame

MEMORY_LIMIT = 6 * 2**30
"""Bytes that tallies may take unless the caller says otherwise."""

_JOULE_PER_MEV = 1.602176634e-13
_FIRST_ROUND = 400_000  # histories after which noise is looked at for the first time
_GROWTH = 6.0  # a round takes the histories to no more than this many times what they were
_ASIDE_MM, _SIGMAS = 60.0, 5.0  # how far from spots protons are followed: halo, and standard deviations


def _silent(_done: float) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True)
class Histories:
    """How much to simulate. count: protons in all. seed: the same seed gives the same dose on any machine.

    batches: groups of equal size whose scatter tells the uncertainty. threads: 0 for all cores; the result
    does not depend on it. noise: rounds of batches are added until the mean uncertainty above half of the
    largest dose is this fraction or less, or `count` is reached; None: `count` protons, whatever the noise.
    """

    count: int
    seed: int = 1
    batches: int = 20
    threads: int = 0
    noise: float | None = None

    def __post_init__(self) -> None:
        if self.noise is not None and not 1e-4 <= self.noise <= 0.5:
            raise BadInput(
                _("noise of {percent} %: allowed are 0.01 to 50 %").format(percent=f"{100 * self.noise:g}")
            )
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
    taking nuclei apart. upstream: stayed in air and range shifter before the grid.
    """

    started: float
    deposited: float
    escaped: float
    neutral: float
    separation: float
    upstream: float


@dataclass(frozen=True)
class MonteCarloDose:
    """Arrays (nz, ny, nx) float32 on the medium's grid.

    dose_to_water, dose_to_medium: Gy. sigma: Gy, one standard deviation of dose_to_water. let: dose-averaged
    unrestricted LET in water of protons, primary and secondary, keV/um (0 where none came). histories: as
    asked for, with the count that was simulated.
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


def beam_dose(
    patient: Patient,
    grid: Grid,
    beam: IonBeam,
    model: BeamModel,
    histories: Histories,
    progress: Callable[[float], object] = _silent,
) -> MonteCarloDose:
    """Dose of one fraction of a planned beam on `grid`; given inside the body only, like the pencil beam's.

    Protons are followed from the plane of the beam model through air and range shifter, and through all of
    the body, also where `grid` does not reach. progress: called with the part (0..1) that is done. Raises
    BadInput for an energy that the machine lacks, spots outside its scan limits, a beam without spots, and
    for a range shifter of which thickness or place is not known.
    """
    if parts.has_plates(beam):
        raise BadInput(
            _(
                "beam {number} has an aperture or a compensator, which the Monte Carlo engine does not "
                "follow protons through; take the pencil beam"
            ).format(number=beam.number)
        )
    model = ripple.for_beam(model, beam)
    placed, mu = spot_module.of_beam(beam, model)
    frame = beam_frame(beam.gantry, beam.couch, beam.isocentre, beam.virtual_sad, patient.position)
    upstream = upstream_of(beam, model, _surface(patient, frame))
    where = region.region(patient, grid, frame, _window(placed, upstream))
    medium = on_grid(patient.rsp, patient.grid, where)
    inside = resample_nearest(patient.body, patient.grid, where) & (
        region.moved(np.ones(grid.shape, dtype=np.float32), grid, where) > 0.0
    )
    found = spot_dose(
        medium, frame, model, placed, mu, histories, upstream=upstream, counted=inside, progress=progress
    )

    def on_dose_grid(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return region.moved(np.where(inside, values, np.float32(0.0)), where, grid)

    return replace(
        found,
        grid=grid,
        dose_to_water=on_dose_grid(found.dose_to_water),
        dose_to_medium=on_dose_grid(found.dose_to_medium),
        sigma=on_dose_grid(found.sigma),
        let=on_dose_grid(found.let),
    )


def _surface(patient: Patient, frame: BeamFrame) -> float:
    """Height in mm above the isocentre at which the body begins, along the beam."""
    points, _step = region.sampled(patient.body, patient.grid)
    if not len(points):
        return 0.0
    return float(frame.to_gantry(points)[:, 2].max())


def _window(placed: Spots, upstream: Upstream | None) -> tuple[Floats, Floats]:
    """Low and high (u, v) in the isocentric plane within which protons matter, mm."""
    places = np.column_stack([placed.x, placed.y])
    if not len(places):
        return np.zeros(2), np.zeros(2)
    wide = _SIGMAS * float(max(placed.sigma_x.max(), placed.sigma_y.max()))
    aside = _ASIDE_MM + wide + (0.1 * upstream.gap if upstream is not None else 0.0)
    return places.min(axis=0) - aside, places.max(axis=0) + aside


def spot_dose(
    medium: Medium,
    frame: BeamFrame,
    model: BeamModel,
    spots: Spots,
    mu: Floats,
    histories: Histories,
    memory_limit: int = MEMORY_LIMIT,
    upstream: Upstream | None = None,
    counted: NDArray[np.bool_] | None = None,
    progress: Callable[[float], object] = _silent,
) -> MonteCarloDose:
    """Dose of any spots with metersets (n,) MU; protons are drawn in proportion to those that a spot holds.

    upstream: what the beam passes before the grid. counted: (nz, ny, nx) voxels whose noise counts, None:
    all. Raises BadInput for no protons, energies outside the machine, or tallies beyond `memory_limit` bytes.
    """
    protons = (
        spot_module.protons(model, spots, np.asarray(mu, dtype=np.float64)) if len(spots) else np.zeros(0)
    )
    if not np.isfinite(protons).all() or (protons < 0.0).any() or protons.sum() <= 0.0:
        raise BadInput(_("metersets must be numbers, not negative, and not all zero"))
    threads = min(histories.threads or workers(), histories.batches)
    work.refuse_too_large(medium.grid, threads, memory_limit)
    tallies = _Tallies(medium, histories, threads, None if counted is None else counted.ravel(), progress)
    tallies.run(work.prepare(medium, frame, model, spots, upstream), cumulative(protons))
    return tallies.result(float(protons.sum()))


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
    upstream: Upstream | None = None,
) -> Influence:
    """Beamlets: dose to water in Gy per MU of every spot in the voxels given by flat indices (n,).

    per_spot: histories a spot. upstream: what the beam passes before the grid.
    cut: doses below this part of a beamlet's largest are left out. Same layout
    as the pencil beam's matrix. Raises BadInput for no spot, no voxel, no history, energies outside the
    machine.
    """
    if len(spots) == 0 or len(voxels) == 0 or per_spot < 1:
        raise BadInput(_("beamlets need one spot, one voxel and one history or more"))
    work.refuse_too_large(medium.grid, workers(), memory_limit)
    ready = work.prepare(medium, frame, model, spots, upstream)
    scale = spot_module.protons(model, spots, np.ones(len(spots))) / per_spot * _JOULE_PER_MEV
    mass = medium.mass.ravel()[voxels]

    def some(first: int, behind: int) -> list[tuple[NDArray[np.int32], NDArray[np.float32]]]:
        tally = np.zeros((medium.grid.size, transport.TALLIES))
        found = []
        for spot in range(first, behind):
            tally[:] = 0.0
            ready.one(seed, spot, per_spot, tally)
            energy = tally[voxels, transport.WATER]
            dose = np.divide(energy * scale[spot], mass, out=np.zeros(len(voxels)), where=mass > 0.0)
            kept = np.flatnonzero(dose > cut * dose.max()) if dose.any() else np.zeros(0, dtype=np.int64)
            found.append((kept.astype(np.int32), dose[kept].astype(np.float32)))
        return found

    columns = [column for part in spread(some, len(spots)) for column in part]
    indptr = np.r_[0, np.cumsum([len(rows) for rows, _ in columns])].astype(np.int64)
    rows, values = (np.concatenate([column[k] for column in columns]) for k in (0, 1))
    return Influence(len(voxels), indptr, rows.astype(np.int32), values.astype(np.float32))


class _Tallies:
    """Energies of all batches so far, in the order of batches: the same sums on any number of threads."""

    def __init__(
        self,
        medium: Medium,
        histories: Histories,
        threads: int,
        counted: NDArray[np.bool_] | None,
        progress: Callable[[float], object],
    ) -> None:
        self._medium, self._asked, self._threads = medium, histories, threads
        self._counted, self._progress = counted, progress
        self._mass = medium.mass.ravel()
        self._total = np.zeros((medium.grid.size, transport.TALLIES))
        self._variance = np.zeros(medium.grid.size)
        self._balance = np.zeros(transport.BALANCE)
        self._done = 0

    def run(self, ready: work.Work, edges: Floats) -> None:
        """Rounds of batches until what was asked for is reached."""
        asked = self._asked
        goal = asked.count if asked.noise is None else min(asked.count, _FIRST_ROUND)
        expected = float(goal if asked.noise is None else 10 * goal)
        while True:
            self._round(ready, edges, (goal - self._done) // asked.batches, expected)
            if asked.noise is None or asked.count - self._done < asked.batches:
                break
            noise = self._noise()
            if noise <= asked.noise:
                break
            expected = self._done * 1.03 * (noise / asked.noise) ** 2
            goal = int(min(asked.count, max(expected, self._done + asked.batches), self._done * _GROWTH))
        self._progress(1.0)

    def _round(self, ready: work.Work, edges: Floats, per_batch: int, expected: float) -> None:
        """Add the batches of one round; their scatter gives the variance of their sum."""
        n, start = self._asked.batches, self._done
        total, squares = np.zeros_like(self._total), np.zeros_like(self._variance)
        for begin in range(0, n, self._threads):

            def some(first: int, behind: int, begin: int = begin) -> list[tuple[Floats, Floats]]:
                numbers = range(begin + first, begin + behind)
                return [
                    ready.batch(self._asked.seed, start + k * per_batch, per_batch, edges) for k in numbers
                ]

            parts = spread(some, min(self._threads, n - begin), parts=self._threads)
            for tally, gone in (pair for part in parts for pair in part):
                total += tally
                squares += tally[:, transport.WATER] ** 2
                self._balance += gone
                self._done += per_batch
            self._progress(min(self._done / expected, 1.0))
        self._total += total
        self._variance += np.maximum(squares - total[:, transport.WATER] ** 2 / n, 0.0) * n / (n - 1)

    def _noise(self) -> float:
        """Mean of sigma over dose where dose is above half of its maximum."""
        usable = self._mass > 0.0
        if self._counted is not None:
            usable &= self._counted
        dose = np.zeros(len(usable))
        dose[usable] = self._total[usable, transport.WATER] / self._mass[usable]
        high = dose > 0.5 * dose.max()
        if not high.any():
            return np.inf
        return float(np.mean(np.sqrt(self._variance[high]) / self._total[high, transport.WATER]))

    def result(self, protons: float) -> MonteCarloDose:
        """Energies to doses, uncertainty and LET. protons: of the field."""
        scale = protons / self._done * _JOULE_PER_MEV
        mass, total = self._mass, self._total
        gray = np.divide(scale, mass, out=np.zeros(len(mass)), where=mass > 0.0)
        proton = total[:, transport.PROTON]
        let = np.divide(total[:, transport.LET], proton, out=np.zeros(len(mass)), where=proton > 0.0)
        names = ("deposited", "escaped", "neutral", "separation", "started", "upstream")
        shape = self._medium.grid.shape
        return MonteCarloDose(
            grid=self._medium.grid,
            dose_to_water=(total[:, transport.WATER] * gray).reshape(shape).astype(np.float32),
            dose_to_medium=(total[:, transport.MEDIUM] * gray).reshape(shape).astype(np.float32),
            sigma=(np.sqrt(self._variance) * gray).reshape(shape).astype(np.float32),
            let=let.reshape(shape).astype(np.float32),
            balance=EnergyBalance(**dict(zip(names, map(float, self._balance / self._done), strict=True))),
            histories=replace(self._asked, count=self._done),
        )
