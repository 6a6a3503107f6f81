"""Histories in batches: the compiled loop over protons, and all that it reads."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.model import BeamModel
from tps_engine.dose.montecarlo import nozzle, rng, source, transport
from tps_engine.dose.montecarlo.fresh import discard_stale
from tps_engine.dose.montecarlo.media import Medium
from tps_engine.dose.montecarlo.tables import ENERGY, TransportTables, transport_tables
from tps_engine.dose.spots import Spots
from tps_engine.dose.upstream import Upstream
from tps_engine.patient.grid import Floats, Grid
from tps_engine.plan.geometry import BeamFrame

_OFFSETS = np.uint64(1 << 63)  # the streams of batches lie apart from those of histories


@njit(nogil=True, cache=True)
def offset_of(state, seed, first):  # type: ignore[no-untyped-def]
    """Where in (0, 1) a batch that begins with the history `first` starts to deal out histories to spots."""
    rng.start(state, seed, np.uint64(first) + _OFFSETS)
    return rng.uniform(state)


@njit(nogil=True, cache=True)
def spot_of(edges, count, place):  # type: ignore[no-untyped-def]
    """The spot of a place in (0, count): spots in order, in proportion to what they hold."""
    low, high = 0, len(edges) - 1
    while low < high:
        middle = (low + high) // 2
        if edges[middle] * count <= place:
            low = middle + 1
        else:
            high = middle
    return low


@njit(nogil=True, cache=True)
def into_grid(arrived, beam, physics, geometry, scratch, bank, tally, balance):  # type: ignore[no-untyped-def]
    """The first `arrived` protons of a bank, behind the nozzle: through air into the grid, to their ends."""
    rotation, place, air = beam
    water, stack = physics[0], scratch[3]
    for one in range(arrived):
        energy = transport.at(water, ENERGY, bank[0, one, 6])
        way = source.enter(bank[0, one], rotation, place, stack[0])
        if way < 0.0:
            balance[transport.ESCAPED] += energy
            continue
        stack[0, 6] -= min(way * air, stack[0, 6])
        balance[transport.UPSTREAM] += energy - transport.at(water, ENERGY, stack[0, 6])
        transport.history(physics, geometry, scratch, tally, balance)


@njit(nogil=True, cache=True)
def one_history(seed, number, spot, beam, slabs, physics, geometry, scratch, room, bank, tally, balance):  # type: ignore[no-untyped-def]
    """A proton from the plane of the beam model to its end, and all that it makes.

    number: of the history, which names its random stream. spot: (COLUMNS,). beam: rotation, place, air. The
    others as in `nozzle.descend` and `transport.history`.
    """
    place, water = beam[1], physics[0]
    rng.start(scratch[0], seed, np.uint64(number))
    source.emit(scratch[0], spot, place, water, bank[0, 0], balance)
    arrived = nozzle.descend(slabs, scratch, room, bank, balance)
    into_grid(arrived, beam, physics, geometry, scratch, bank, tally, balance)


@njit(nogil=True, cache=True)
def _run(seed, first, count, edges, spots, beam, slabs, physics, geometry, tally, balance):  # type: ignore[no-untyped-def]
    """Histories first .. first + count of a batch."""
    state, p, cell = np.empty(2, dtype=np.uint64), np.zeros(transport.PLACES), np.zeros(3, dtype=np.int64)
    stack, emitted = np.zeros((transport.STACK, transport.PLACES)), np.zeros((transport.EMITTED, 2))
    scratch = (state, p, cell, stack, emitted)
    room = (
        np.zeros(1, dtype=np.uint8), np.ones(3, dtype=np.int64), np.zeros(3),
        np.zeros((1, transport.TALLIES)), np.zeros(transport.BALANCE),
    )  # fmt: skip
    bank = np.zeros((2, nozzle.BANK, transport.PLACES))
    offset = offset_of(state, seed, first)
    for k in range(count):
        spot = spots[spot_of(edges, count, k + offset)]
        one_history(
            seed, first + k, spot, beam, slabs, physics, geometry, scratch, room, bank, tally, balance
        )


discard_stale(Path(__file__).parent, Path(_run.stats.cache_path))


@dataclass(frozen=True)
class Work:
    """All that a batch reads."""

    medium: Medium
    protons: source.Source
    slabs: nozzle.Nozzle
    tables: TransportTables

    def batch(self, seed: int, first: int, count: int, edges: Floats) -> tuple[Floats, Floats]:
        """Tally (voxels, TALLIES) and energy balance of histories first .. first + count of all spots."""
        tally = np.zeros((self.medium.grid.size, transport.TALLIES))
        balance = np.zeros(transport.BALANCE)
        self._run(seed, first, count, edges, self.protons.spots, tally, balance)
        return tally, balance

    def one(self, seed: int, spot: int, count: int, tally: Floats) -> None:
        """Add the histories of one spot to a tally."""
        here = self.protons.spots[spot : spot + 1]
        self._run(seed, spot * count, count, np.ones(1), here, tally, np.zeros(transport.BALANCE))

    def _run(
        self, seed: int, first: int, count: int, edges: Floats, spots: Floats, tally: Floats, balance: Floats
    ) -> None:
        beam = (self.protons.rotation, self.protons.place, self.slabs.air)
        _run(
            np.uint64(seed), first, count, edges, spots, beam, self.slabs.arrays, self.physics, self.geometry,
            tally, balance,
        )  # fmt: skip

    @property
    def physics(self) -> tuple[Floats, Floats, Floats]:
        """What `transport.history` takes as physics."""
        return self.tables.water, self.tables.ratio, self.tables.relative

    @property
    def geometry(self) -> tuple[NDArray[np.generic], ...]:
        """What `transport.history` takes as geometry."""
        grid = self.medium.grid
        return (
            self.medium.material.ravel(), self.medium.density.ravel(), np.asarray(grid.shape),
            np.asarray(grid.spacing, dtype=np.float64),
        )  # fmt: skip


def prepare(
    medium: Medium, frame: BeamFrame, model: BeamModel, spots: Spots, upstream: Upstream | None
) -> Work:
    """Everything for the protons of some spots. Raises BadInput for energies outside the machine."""
    grid = medium.grid
    low = np.asarray(grid.origin) - 0.5 * np.asarray(grid.spacing)
    size = np.asarray(grid.spacing) * np.asarray(grid.shape[::-1])
    corners = low + size * np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    tables = transport_tables(model.water, medium.table)
    highest = float(frame.to_gantry(corners)[:, 2].max())
    slabs = nozzle.slabs_of(upstream, highest, tables, medium.table)
    return Work(medium, source.of_spots(model, spots, frame, grid), slabs, tables)


def refuse_too_large(grid: Grid, threads: int, limit: int, columns: int = transport.TALLIES) -> None:
    """Raise BadInput when the tallies of so many threads take more than `limit` bytes."""
    needed = 8.0 * grid.size * columns * (threads + 2)
    if needed > limit:
        raise BadInput(
            _("a Monte Carlo tally of {voxels} voxels needs {needed} GiB: allowed are {limit} GiB").format(
                voxels=grid.size, needed=f"{needed / 2**30:.1f}", limit=f"{limit / 2**30:.1f}"
            )
        )
