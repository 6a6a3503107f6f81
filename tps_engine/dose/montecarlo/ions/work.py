"""Histories of ions in batches: the compiled loop, and all that it reads."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tps_engine.beamdata.ion_machine import IonMachine
from tps_engine.biology.mkm import MkmParameters
from tps_engine.dose.montecarlo import rng
from tps_engine.dose.montecarlo.fresh import discard_stale
from tps_engine.dose.montecarlo.ions import fragments, source, species, transport
from tps_engine.dose.montecarlo.ions.tables import IonTables, ion_tables
from tps_engine.dose.montecarlo.ions.transport import TALLIES
from tps_engine.dose.montecarlo.media import Medium
from tps_engine.dose.montecarlo.transport import BALANCE, ESCAPED, UPSTREAM
from tps_engine.dose.spots import Spots
from tps_engine.patient.grid import Floats
from tps_engine.plan.geometry import BeamFrame

_EMITTED = 8  # protons that one reaction of a proton gives off at most
_OFFSETS = np.uint64(1 << 63)  # the streams of batches lie apart from those of histories


@njit(nogil=True, cache=True)
def _run(seed, first, count, edges, beam, physics, geometry, tally, balance):  # type: ignore[no-untyped-def]
    """Histories first .. first + count of a batch; spots in proportion, in order, from a random start."""
    spots, kind, rotation, place = beam
    own = physics[0][0][kind]
    state = np.empty(2, dtype=np.uint64)
    p = np.zeros(transport.PLACES)
    stack = np.zeros((transport.STACK, transport.PLACES))
    kinds, out = np.zeros(fragments.MOST, np.int64), np.zeros((fragments.MOST, fragments.PARTICLE))
    scratch = (state, p, np.zeros(3, dtype=np.int64), stack, np.zeros((_EMITTED, 2)), kinds, out)
    rng.start(state, seed, np.uint64(first) + _OFFSETS)
    offset = rng.uniform(state)
    spot = 0
    for k in range(count):
        while spot < len(edges) - 1 and edges[spot] * count <= k + offset:
            spot += 1
        rng.start(state, seed, np.uint64(first + k))
        meets = source.emit(state, spots[spot], kind, place, rotation, own, stack[0], balance)
        energy = transport.at(own, 0, stack[0, 6])
        balance[UPSTREAM] += transport.at(own, 0, stack[0, 7]) - energy
        if meets:
            transport.history(physics, geometry, scratch, tally, balance)
        else:
            balance[ESCAPED] += energy


discard_stale(Path(__file__).parent, Path(_run.stats.cache_path))


@dataclass(frozen=True)
class IonWork:
    """All that a batch reads."""

    medium: Medium
    ions: source.Source
    tables: IonTables
    chances: species.Chances

    def batch(self, seed: int, first: int, count: int, edges: Floats) -> tuple[Floats, Floats]:
        """Tally (voxels, TALLIES) and energy balance of histories first .. first + count of all spots."""
        tally, balance = np.zeros((self.medium.grid.size, TALLIES)), np.zeros(BALANCE)
        self._run(seed, first, count, edges, self.ions.spots, tally, balance)
        return tally, balance

    def one(self, seed: int, spot: int, count: int, tally: Floats) -> None:
        """Add the histories of one spot to a tally."""
        here = self.ions.spots[spot : spot + 1]
        self._run(seed, spot * count, count, np.ones(1), here, tally, np.zeros(BALANCE))

    def _run(
        self,
        seed: int,
        first: int,
        count: int,
        edges: Floats,
        spots: NDArray[np.float64],
        tally: Floats,
        balance: Floats,
    ) -> None:
        grid, ions = self.medium.grid, self.ions
        geometry = (
            self.medium.material.ravel(), self.medium.density.ravel(), np.asarray(grid.shape),
            np.asarray(grid.spacing, dtype=np.float64),
        )  # fmt: skip
        beam = (spots, ions.kind, ions.rotation, ions.place)
        physics = (self.tables.arrays, self.chances.arrays)
        _run(np.uint64(seed), first, count, edges, beam, physics, geometry, tally, balance)


def prepare(
    medium: Medium, frame: BeamFrame, machine: IonMachine, spots: Spots, cell: MkmParameters | None = None
) -> IonWork:
    """Everything for the ions of some spots. Raises BadInput for energies or an ion that are not known."""
    ready = ion_tables(medium.table, cell)
    found = source.of_spots(machine, spots, frame, medium.grid)
    return IonWork(medium, found, ready, species.chances())
