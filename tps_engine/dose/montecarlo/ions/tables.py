"""Losses, scattering and cross-sections of every nucleus over the square root of its residual range in water.

As for protons (`montecarlo.tables`) a particle's state is its residual CSDA range, so that the mean loss of a
step is exact whatever its length. Stopping powers: `beamdata.ion_water` (protons of the same velocity, scaled
by the squared effective charge). Straggling: Bohr's Gaussian of all collisions; electrons stop where they are
made. Scattering: Kanematsu, Nucl Instr Meth B 266 (2008) 5056.
"""

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tps_engine.beamdata import ion_water
from tps_engine.beamdata.water import ELECTRON_MEV, Floats
from tps_engine.biology.mkm import MkmParameters, z_star
from tps_engine.dose.montecarlo.ions import cross_sections
from tps_engine.dose.montecarlo.ions.species import NUCLEI, PROTON, Nucleus
from tps_engine.dose.montecarlo.materials import MaterialTable
from tps_engine.dose.montecarlo.tables import nuclear_cross_sections

STEP = 0.02
"""Spacing of the tables in sqrt(mm)."""

ENERGY, STOPPING, STRAGGLING, HYDROGEN, ELASTIC, INELASTIC, SCATTER, HINGE, LET_SUM, STAR_SUM = range(10)
COLUMNS = 10
"""ENERGY MeV; STOPPING MeV/mm; STRAGGLING MeV2/mm; HYDROGEN, ELASTIC, INELASTIC reactions per mm on hydrogen,
and elastic (protons only) and inelastic on oxygen; SCATTER rad2/mm without the dependence on depth; HINGE
deflections per mm; LET_SUM integral of stopping over energy, MeV keV/um; STAR_SUM
of z* over energy, MeV Gy (0 without a cell). All in water of 1 g/cm3."""

RADIATION_MM = 360.8
"""Radiation length of water."""

HIGHEST_MEV_U = 580.0

_KAPPA = 0.1535354 * 0.55508 * 0.1  # 2 pi N_A r_e^2 m c^2 Z/A of water, MeV/mm
_PER_MB_MM = 0.1 * 0.99997 / 18.0153 * 6.02214076e23 * 1e-27  # molecules of water per mm and mb
_LONGEST_HINGE_MM, _SHORTEST_HINGE_MM, _HINGES = 5.0, 0.2, 8.0
_LOWEST_MEV_U = 0.1


@dataclass(frozen=True)
class IonTables:
    """water: (nuclei, rows, COLUMNS). ratio: (materials, nuclei, rows) f4 mass stopping relative to water.

    relative: (materials, 4) electrons, scattering, hydrogen, other nuclei per mass, relative to water.
    """

    water: NDArray[np.float64] = field(repr=False)
    ratio: NDArray[np.float32] = field(repr=False)
    relative: NDArray[np.float64] = field(repr=False)

    @property
    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """In the order in which the kernels take them."""
        return (self.water, self.ratio, self.relative)


@cache
def _water() -> NDArray[np.float64]:
    ends = [float(ion_water.range_of(n.charge, n.mass, HIGHEST_MEV_U)) for n in NUCLEI]
    table = np.zeros((len(NUCLEI), int(np.sqrt(max(ends)) / STEP) + 1, COLUMNS))
    for number, nucleus in enumerate(NUCLEI):
        table[number] = _columns(nucleus, number, STEP * np.arange(table.shape[1], dtype=np.float64))
    return table


def water_of(number: int) -> NDArray[np.float64]:
    """The table (rows, COLUMNS) of one nucleus."""
    return np.asarray(_water()[number])


@cache
def _water_for(cell: MkmParameters | None) -> NDArray[np.float64]:
    if cell is None:
        return _water()
    table = _water().copy()
    for number, nucleus in enumerate(NUCLEI):
        energy = table[number, :, ENERGY]
        star = z_star(nucleus.charge, energy / nucleus.mass, cell)
        table[number, 1:, STAR_SUM] = np.cumsum(0.5 * (star[1:] + star[:-1]) * np.diff(energy))
    return table


def ion_tables(materials: MaterialTable, cell: MkmParameters | None = None) -> IonTables:
    """The tables up to 580 MeV per nucleon. cell: for the specific energies z* of `biology.mkm`."""
    water = _water_for(cell)
    ratio = np.zeros((len(materials.materials), *water.shape[:2]), dtype=np.float32)
    for row, material in enumerate(materials.materials):
        for number, nucleus in enumerate(NUCLEI):
            ratio[row, number] = material.stopping_ratio(water[number, :, ENERGY] / nucleus.mass)
    relative = np.array([[m.electrons, m.scattering, m.hydrogen, m.nuclei] for m in materials.materials])
    return IonTables(water, ratio, relative)


def _columns(nucleus: Nucleus, number: int, root: Floats) -> Floats:
    """(rows, COLUMNS) of one nucleus at square roots of residual ranges (rows,)."""
    out = np.zeros((len(root), COLUMNS))
    highest_mm = float(ion_water.range_of(nucleus.charge, nucleus.mass, HIGHEST_MEV_U))
    per_nucleon = ion_water.energy_of(nucleus.charge, nucleus.mass, np.minimum(root**2, highest_mm))
    lowest = float(ion_water.range_of(nucleus.charge, nucleus.mass, _LOWEST_MEV_U))
    # below the table the range is linear in energy
    per_nucleon = np.where(root**2 < lowest, _LOWEST_MEV_U * root**2 / lowest, per_nucleon)
    some = np.maximum(per_nucleon, _LOWEST_MEV_U)
    stopping = ion_water.let_of(nucleus.charge, some)  # keV/um is MeV/mm
    charge = ion_water.effective_charge(nucleus.charge, some)
    beta2 = ion_water.beta2_of(some)
    gamma2 = 1.0 / (1.0 - beta2)
    out[:, ENERGY] = nucleus.mass * per_nucleon
    # rows beyond the highest energy, which other nuclei need, go on straight
    out[:, ENERGY] += np.where(root**2 > highest_mm, (root**2 - highest_mm) * stopping[-1], 0.0)
    out[:, STOPPING] = np.where(root**2 < lowest, nucleus.mass * _LOWEST_MEV_U / lowest, stopping)
    largest = 2.0 * ELECTRON_MEV * beta2 * gamma2
    out[:, STRAGGLING] = charge**2 * _KAPPA / beta2 * largest * (1.0 - 0.5 * beta2)
    out[:, HYDROGEN : INELASTIC + 1] = _reactions(nucleus, number, per_nucleon)
    slow = np.maximum(per_nucleon, 0.3)
    momentum_velocity = nucleus.mass * slow * (slow / ion_water.NUCLEON_MEV + 2.0)
    momentum_velocity /= slow / ion_water.NUCLEON_MEV + 1.0
    out[:, SCATTER] = (15.0 * nucleus.charge / momentum_velocity) ** 2 / RADIATION_MM
    out[:, HINGE] = 1.0 / np.clip(root**2 / _HINGES, _SHORTEST_HINGE_MM, _LONGEST_HINGE_MM)
    steps = 0.5 * (out[1:, STOPPING] + out[:-1, STOPPING]) * np.diff(out[:, ENERGY])
    out[1:, LET_SUM] = np.cumsum(steps)
    return out


def _reactions(nucleus: Nucleus, number: int, per_nucleon: Floats) -> Floats:
    """(rows, 3) reactions per mm of water: on hydrogen, elastic on oxygen, inelastic on oxygen."""
    if number == PROTON:
        return np.column_stack(nuclear_cross_sections(per_nucleon))
    hydrogen = 2.0 * cross_sections.reaction(nucleus, cross_sections.HYDROGEN, per_nucleon)
    oxygen = cross_sections.reaction(nucleus, cross_sections.OXYGEN, per_nucleon)
    return _PER_MB_MM * np.column_stack([hydrogen, np.zeros_like(oxygen), oxygen])
