"""Energies that batches of histories leave in voxels, and what they give: dose, uncertainty, LET."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.dose.montecarlo import transport
from tps_engine.dose.montecarlo.media import Medium
from tps_engine.dose.parallel import spread
from tps_engine.patient.grid import Floats, Grid

JOULE_PER_MEV = 1.602176634e-13
_FIRST_ROUND = 400_000  # histories after which noise is looked at for the first time
_GROWTH = 6.0  # a round takes the histories to no more than this many times what they were


class Batches(Protocol):
    """Whatever simulates histories: protons (`work.Work`) or ions."""

    def batch(self, seed: int, first: int, count: int, edges: Floats) -> tuple[Floats, Floats]:
        """Tally (voxels, TALLIES) and energy balance of histories first .. first + count of all spots."""
        ...


@runtime_checkable
class Rounds(Protocol):
    """Whatever simulates batches in its own memory and adds them up there (`tps_engine.device`)."""

    def round(
        self, seed: int, first: int, per_batch: int, batches: int, edges: Floats,
        after: Callable[[int], object],
    ) -> tuple[Floats, Floats, Floats]:  # fmt: skip
        """Sum of batches (voxels, TALLIES), of their squared energies in water (voxels,), and energy balance.

        after: called with the number of batches that are done.
        """
        ...


def silent(_done: float) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True)
class Histories:
    """How much to simulate. count: protons in all. seed: the same seed gives the same dose on any machine.

    batches: groups of equal size whose scatter tells the uncertainty. threads: 0 for all cores; the result
    does not depend on it. noise: rounds of batches are added until the mean uncertainty above half of the
    largest dose is this fraction or less, or `count` is reached; None: `count` protons, whatever the noise.
    device: cpu, cuda or auto (`tps_engine.device.choice`).
    """

    count: int
    seed: int = 1
    batches: int = 20
    threads: int = 0
    noise: float | None = None
    device: str = "cpu"

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
    unrestricted LET in water of all particles that are followed, keV/um (0 where none came). histories: as
    asked for, with the count that was simulated. star: of ions, dose-averaged z* of a cell, Gy.
    """

    grid: Grid
    dose_to_water: NDArray[np.float32] = field(repr=False)
    dose_to_medium: NDArray[np.float32] = field(repr=False)
    sigma: NDArray[np.float32] = field(repr=False)
    let: NDArray[np.float32] = field(repr=False)
    balance: EnergyBalance
    histories: Histories
    star: NDArray[np.float32] | None = field(default=None, repr=False)

    def mean_uncertainty(self, level: float = 0.5) -> float:
        """Mean of sigma over dose where the dose is above `level` of its maximum, as a fraction."""
        high = self.dose_to_water > level * self.dose_to_water.max()
        return float(np.mean(self.sigma[high] / self.dose_to_water[high]))


class Tallies:
    """Energies of all batches so far, in the order of batches: the same sums on any number of threads."""

    def __init__(
        self,
        medium: Medium,
        histories: Histories,
        threads: int,
        counted: NDArray[np.bool_] | None,
        progress: Callable[[float], object],
        columns: int = transport.TALLIES,
    ) -> None:
        self._medium, self._asked, self._threads = medium, histories, threads
        self._counted, self._progress = counted, progress
        self._mass = medium.mass.ravel()
        self._total = np.zeros((medium.grid.size, columns))
        self._variance = np.zeros(medium.grid.size)
        self._balance = np.zeros(transport.BALANCE)
        self._done = 0

    def run(self, ready: Batches | Rounds, edges: Floats) -> None:
        """Rounds of batches until what was asked for is reached."""
        asked = self._asked
        if asked.device == "cuda" and not isinstance(ready, Rounds):
            raise BadInput(_("device cuda: these particles are followed on the cores only; take cpu or auto"))
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

    def _round(self, ready: Batches | Rounds, edges: Floats, per_batch: int, expected: float) -> None:
        """Add the batches of one round; their scatter gives the variance of their sum."""
        n, start = self._asked.batches, self._done

        def after(batches: int) -> None:
            self._done = start + batches * per_batch
            self._progress(min(self._done / expected, 1.0))

        if isinstance(ready, Rounds):
            total, squares, gone = ready.round(self._asked.seed, start, per_batch, n, edges, after)
        else:
            total, squares, gone = self._on_cores(ready, start, per_batch, edges, after)
        self._balance += gone
        self._total += total
        self._variance += np.maximum(squares - total[:, transport.WATER] ** 2 / n, 0.0) * n / (n - 1)

    def _on_cores(
        self, ready: Batches, start: int, per_batch: int, edges: Floats, after: Callable[[int], object]
    ) -> tuple[Floats, Floats, Floats]:
        """As `Rounds.round`, on so many threads."""
        n = self._asked.batches
        total, squares = np.zeros_like(self._total), np.zeros_like(self._variance)
        balance = np.zeros_like(self._balance)
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
                balance += gone
            after(min(begin + self._threads, n))
        return total, squares, balance

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
        scale = protons / self._done * JOULE_PER_MEV
        mass, total = self._mass, self._total
        gray = np.divide(scale, mass, out=np.zeros(len(mass)), where=mass > 0.0)
        proton = total[:, transport.PROTON]
        let = np.divide(total[:, transport.LET], proton, out=np.zeros(len(mass)), where=proton > 0.0)
        star = None
        if total.shape[1] > transport.TALLIES:  # what ions score beside
            own = total[:, transport.TALLIES]
            star = np.divide(own, proton, out=np.zeros(len(mass)), where=proton > 0.0)
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
            star=None if star is None else star.reshape(shape).astype(np.float32),
        )
