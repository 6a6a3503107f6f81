"""Matter between the plane where the beam is known and the grid: air and a range shifter, as slabs.

Slabs lie across the beam, without edges. Protons and the protons that they make are followed through them
with the same physics as in the grid; what goes back or stays there is counted, its dose is not.
"""

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tps_engine.dose.montecarlo.materials import REFERENCE_MEV, MaterialTable
from tps_engine.dose.montecarlo.tables import ENERGY, HINGE, TransportTables
from tps_engine.dose.montecarlo.transport import (
    BALANCE,
    DEPOSITED,
    ESCAPED,
    NEUTRAL,
    SPENT,
    UPSTREAM,
    at,
    follow,
    take,
)
from tps_engine.dose.upstream import Upstream
from tps_engine.patient.stopping_power import AIR

BANK = 64
"""Protons that leave a slab at most, for one that was made."""

_HINGES = 8.0
_WIDE = 2e4  # mm
_PLASTIC = "polycarbonate"


@dataclass(frozen=True)
class Nozzle:
    """n slabs in the order of the beam. top, thickness: (n,) mm, heights above the isocentre along the beam.

    density: (n,) f4 g/cm3. water: (n, rows, COLUMNS), ratio (n, rows), relative (n, 4) as in
    `TransportTables`, with eight deflections or more in each slab. air: water-equivalent mm per mm of the way
    from the last slab to the grid.
    """

    top: NDArray[np.float64]
    thickness: NDArray[np.float64]
    density: NDArray[np.float32]
    water: NDArray[np.float64] = field(repr=False)
    ratio: NDArray[np.float64] = field(repr=False)
    relative: NDArray[np.float64] = field(repr=False)
    air: float = 0.0

    @property
    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """What `descend` takes as slabs."""
        return (self.top, self.thickness, self.density, self.water, self.ratio, self.relative)


def slabs_of(
    upstream: Upstream | None, grid_top: float, tables: TransportTables, table: MaterialTable
) -> Nozzle:
    """The slabs before a grid whose highest corner is `grid_top` mm above the isocentre along the beam.

    Air goes down to the grid, or to the range shifter's face where the grid reaches higher.
    """
    found: list[
        tuple[float, float, str, float, float | None]
    ] = []  # top, bottom, material, density, scattering
    air_density = float(AIR) / float(table.materials[table.index_of("air")].stopping_ratio(REFERENCE_MEV))
    air_from = None if upstream is None else upstream.air_from
    below = air_from
    if upstream is not None and upstream.shifter is not None:
        shifter = upstream.shifter
        top = upstream.face + shifter.thickness
        if air_from is not None and air_from > top:
            found.append((air_from, top, "air", air_density, None))
        stopping = float(table.materials[table.index_of(_PLASTIC)].stopping_ratio(REFERENCE_MEV))
        density = shifter.water_equivalent / (shifter.thickness * stopping)
        found.append((top, upstream.face, _PLASTIC, density, shifter.scattering * stopping))
        below = upstream.face
    if air_from is not None and below is not None and below > grid_top:
        found.append((below, grid_top, "air", air_density, None))
    rows = tables.water.shape
    water, ratio, relative = (
        np.zeros((len(found), *rows)),
        np.zeros((len(found), rows[0])),
        np.zeros((len(found), 4)),
    )
    for k, (top, bottom, name, density, scattering) in enumerate(found):
        number = table.index_of(name)
        water[k], ratio[k], relative[k] = tables.water, tables.ratio[number], tables.relative[number]
        water[k, :, HINGE] = np.maximum(water[k, :, HINGE], _HINGES / (density * (top - bottom)))
        if scattering is not None:
            relative[k, 1] = scattering
    return Nozzle(
        np.array([slab[0] for slab in found]),
        np.array([slab[0] - slab[1] for slab in found]),
        np.array([slab[3] for slab in found], dtype=np.float32),
        water,
        ratio,
        relative,
        0.0 if air_from is None else float(AIR),
    )


@njit(nogil=True, cache=True, fastmath=True)
def through(physics, geometry, scratch, bank, count, behind, sums, balance):  # type: ignore[no-untyped-def]
    """Follow bank[:count] through one slab, in its own coordinates; returns how many are behind[:...]."""
    p, cell, stack = scratch[1], scratch[2], scratch[3]
    tally, own = sums
    for row in range(BALANCE):
        own[row] = 0.0
    left = 0
    for k in range(count):
        take(stack[0], bank[k])
        waiting = 1
        while waiting > 0:
            waiting -= 1
            take(p, stack[waiting])
            waiting = follow(physics, geometry, scratch, tally, own, waiting)
            if cell[2] == 1 and left < len(behind):
                take(behind[left], p)
                left += 1
                own[ESCAPED] -= at(physics[0], ENERGY, p[6])
    balance[UPSTREAM] += own[DEPOSITED]
    balance[NEUTRAL] += own[NEUTRAL]
    balance[SPENT] += own[SPENT]
    balance[ESCAPED] += own[ESCAPED]
    return left


@njit(nogil=True, cache=True, fastmath=True)
def descend(slabs, scratch, room, bank, balance):  # type: ignore[no-untyped-def]
    """Take the proton bank[0, 0], in the gantry's axes at the isocentre plane, through all slabs.

    slabs: `Nozzle.arrays`. room: a slab's material (1,) u1, shape (3,) i8, spacing (3,), tally (1, TALLIES),
    balance (BALANCE,). bank: (2, BANK, PLACES). Returns how many protons are now in bank[0], in the gantry's
    axes at the last slab's lower face. What was lost is counted in `balance`.
    """
    top, thickness, density, water, ratio, relative = slabs
    count = 1
    if len(top) == 0:
        return count
    p = bank[0, 0]
    away = -top[0] / p[5]
    p[0], p[1], p[2] = p[0] - away * p[3], p[1] - away * p[4], top[0]
    material, shape, spacing, tally, own = room
    material[0] = 0
    for axis in range(3):
        shape[axis], spacing[axis] = 1, 2.0 * _WIDE
    for k in range(len(top)):
        for one in range(count):  # z counts downstream in a slab
            p = bank[0, one]
            p[0], p[1], p[2], p[5] = p[0] + _WIDE, p[1] + _WIDE, 0.0, -p[5]
        spacing[2] = thickness[k]
        geometry = (material, density[k : k + 1], shape, spacing)
        physics = (water[k], ratio[k : k + 1], relative[k : k + 1])
        count = through(physics, geometry, scratch, bank[0], count, bank[1], (tally, own), balance)
        for one in range(count):
            p = bank[1, one]
            p[0], p[1], p[2], p[5] = p[0] - _WIDE, p[1] - _WIDE, top[k] - thickness[k], -p[5]
            take(bank[0, one], p)
    return count
