"""Proton Monte Carlo on a CUDA device: a thread a history, physics and random numbers of the cores.

A history draws from its own stream and is followed in double precision, so it is the history that the cores
follow, up to the rounding of logarithms and exponentials. Tallies are sums in whole numbers (`fixed`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import cuda, float64, int64, uint8, uint64

from tps_engine.device import fixed
from tps_engine.device.choice import refuse_too_large
from tps_engine.device.link import Linker
from tps_engine.dose.montecarlo import nozzle, transport, work
from tps_engine.dose.montecarlo.transport import BALANCE, EMITTED, PLACES, STACK, TALLIES, WATER
from tps_engine.patient.grid import Floats

HISTORIES_A_LAUNCH = 1 << 20
"""Their energies fit into the whole numbers of a tally, and are threads enough for any device."""

THREADS = 128
"""Threads of a block. One in the simulator's tests, where a thread costs more than its history."""

_BYTES_A_VOXEL = 110  # three tallies, squares, material and density
_BANK = nozzle.BANK
_UNIT = 1.0 / fixed.UNITS_PER_MEV
_ALONE = Linker()  # behind a slab a thread has a tally of its own
_LINKED = Linker({transport.score: fixed.score, nozzle.descend: _ALONE.of(nozzle.descend)})
_OFFSET, _SPOT, _HISTORY = (_LINKED.of(one) for one in (work.offset_of, work.spot_of, work.one_history))


@cuda.jit
def _histories(numbers, edges, spots, beam, slabs, physics, geometry, tally, balance):  # type: ignore[no-untyped-def]
    """numbers: seed u8, first history and size of the batch, first and behind of this launch in it."""
    seed, first, count, begin, behind = numbers
    k = begin + cuda.grid(1)
    if k >= behind:
        return
    state, p = cuda.local.array(2, uint64), cuda.local.array(PLACES, float64)
    cell, stack = cuda.local.array(3, int64), cuda.local.array((STACK, PLACES), float64)
    scratch = (state, p, cell, stack, cuda.local.array((EMITTED, 2), float64))
    own = cuda.local.array(BALANCE, float64)
    room = (
        cuda.local.array(1, uint8), cuda.local.array(3, int64), cuda.local.array(3, float64),
        cuda.local.array((1, TALLIES), float64), cuda.local.array(BALANCE, float64),
    )  # fmt: skip
    bank = cuda.local.array((2, _BANK, PLACES), float64)
    for row in range(BALANCE):
        own[row] = 0.0
    for column in range(TALLIES):
        room[3][0, column] = 0.0
    spot = spots[_SPOT(edges, count, k + _OFFSET(state, seed, first))]
    _HISTORY(seed, first + k, spot, beam, slabs, physics, geometry, scratch, room, bank, tally, own)
    for row in range(BALANCE):
        cuda.atomic.add(balance, (row, 0), int64(math.floor(own[row] * fixed.UNITS_PER_MEV + 0.5)))


@cuda.jit
def _collect(tally, batch):  # type: ignore[no-untyped-def]
    """Take whole numbers (n, m) as MeV into a batch (n, m) f8, and set them to zero."""
    k = cuda.grid(1)
    if k < len(tally):
        for column in range(tally.shape[1]):
            batch[k, column] += tally[k, column] * _UNIT
            tally[k, column] = 0


@cuda.jit
def _add(batch, total, squares):  # type: ignore[no-untyped-def]
    """Add a batch to a round: sums (voxels, TALLIES), squares of energy in water; then set it to zero."""
    k = cuda.grid(1)
    if k < len(batch):
        squares[k] += batch[k, WATER] * batch[k, WATER]
        for column in range(TALLIES):
            total[k, column] += batch[k, column]
            batch[k, column] = 0.0


def _blocks(count: int) -> int:
    return (count + THREADS - 1) // THREADS


@dataclass(frozen=True)
class OnDevice:
    """Rounds of batches of protons on the CUDA device. Raises BadInput when its memory is too small."""

    work: work.Work

    def __post_init__(self) -> None:
        refuse_too_large(_BYTES_A_VOXEL * self.work.medium.grid.size)

    def round(
        self, seed: int, first: int, per_batch: int, batches: int, edges: Floats,
        after: Callable[[int], object],
    ) -> tuple[Floats, Floats, Floats]:  # fmt: skip
        """Histories first .. first + batches * per_batch, in batches added in order.

        Returns the sums (voxels, TALLIES) in MeV, of squares of each batch's energy in water (voxels,), and
        the energy balance (BALANCE,). after: called with the number of batches done. The result depends on
        neither the device nor the order in which its threads run.
        """
        voxels = self.work.medium.grid.size
        tally, batch, total = (
            cuda.to_device(np.zeros((voxels, TALLIES), kind)) for kind in ("i8", "f8", "f8")
        )
        balance, gone = (cuda.to_device(np.zeros((BALANCE, 1), kind)) for kind in ("i8", "f8"))
        squares = cuda.to_device(np.zeros(voxels))
        read = self._sent(edges)
        for number in range(batches):
            start = first + number * per_batch
            for begin in range(0, per_batch, HISTORIES_A_LAUNCH):
                behind = min(begin + HISTORIES_A_LAUNCH, per_batch)
                numbers = (
                    np.uint64(seed),
                    np.int64(start),
                    np.int64(per_batch),
                    np.int64(begin),
                    np.int64(behind),
                )
                _histories[_blocks(behind - begin), THREADS](numbers, *read, tally, balance)
                _collect[_blocks(voxels), THREADS](tally, batch)
                _collect[_blocks(BALANCE), THREADS](balance, gone)
            _add[_blocks(voxels), THREADS](batch, total, squares)
            cuda.synchronize()
            after(number + 1)
        return total.copy_to_host(), squares.copy_to_host(), gone.copy_to_host()[:, 0]

    def _sent(self, edges: Floats) -> tuple[object, ...]:
        """What the kernel reads, on the device."""
        beam = self.work.protons
        place = (cuda.to_device(beam.rotation), cuda.to_device(beam.place), float(self.work.slabs.air))
        groups = (self.work.slabs.arrays, self.work.physics, self.work.geometry)
        sent = (tuple(cuda.to_device(np.ascontiguousarray(one)) for one in group) for group in groups)
        return (cuda.to_device(edges), cuda.to_device(beam.spots), place, *sent)
