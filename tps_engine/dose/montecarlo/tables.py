"""Cross-sections, losses and scattering of protons in water over the square root of residual range.

A proton's state is its residual CSDA range R in water: then the mean loss of any step is exact, whatever its
length. The square root makes every column smooth down to rest. Class II: collisions that give an electron
more than DELTA_CUT_MEV are single events; softer ones are a mean loss and Bohr's Gaussian straggling.

Nuclear cross-sections: Fippel and Soukup, Med Phys 31 (2004) 2263, equations for water.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tps_engine.beamdata.scattering import (
    PROTON_MEV,
    SCATTERING_LENGTH_MM,
    momentum_velocity,
    scattering_power,
)
from tps_engine.beamdata.water import Floats, WaterTable
from tps_engine.dose.montecarlo.materials import ELECTRON_MEV, MaterialTable

DELTA_CUT_MEV = 0.25
"""Electrons above this energy are made one by one; their own range (0.6 mm at the cut) is neglected."""

STEP = 0.01
"""Spacing of the tables in sqrt(mm)."""

(
    ENERGY, STOPPING, SOFT, STRAGGLING, DELTA, HYDROGEN, ELASTIC, INELASTIC, SCATTER, SCATTER_LOG, PV2, HINGE,
    LET_SUM,
) = range(13)  # fmt: skip
COLUMNS = 13
"""ENERGY MeV; STOPPING MeV/mm; SOFT the part of it below the cut; STRAGGLING MeV2/mm of that part; DELTA,
HYDROGEN, ELASTIC, INELASTIC events per mm; SCATTER + SCATTER_LOG log10(1 - PV2 / pv0^2) is T in rad2/mm; PV2
(pv)^2 in MeV2; HINGE deflections per mm; LET_SUM integral of stopping over energy, MeV keV/um.
All in water of 1 g/cm3."""

_KAPPA = 0.1535354 * 0.55508 * 0.1  # 2 pi N_A r_e^2 m c^2 Z/A of water, MeV/mm
_LONGEST_HINGE_MM, _SHORTEST_HINGE_MM, _HINGES = 5.0, 0.2, 5.0


@dataclass(frozen=True)
class TransportTables:
    """water: (rows, COLUMNS). ratio: (materials, rows) mass stopping power relative to water.

    relative: (materials, 4) electrons, scattering, hydrogen, other nuclei per mass, relative to water.
    """

    water: NDArray[np.float64] = field(repr=False)
    ratio: NDArray[np.float64] = field(repr=False)
    relative: NDArray[np.float64] = field(repr=False)


def transport_tables(water: WaterTable, materials: MaterialTable) -> TransportTables:
    """The tables up to the highest energy of the stopping power table."""
    root = STEP * np.arange(int(np.sqrt(water.csda[-1]) / STEP) + 1, dtype=np.float64)
    energy = water.energy_of(root**2)
    some = np.maximum(energy, 0.05)
    columns = np.zeros((len(root), COLUMNS))
    stopping = 0.1 * np.where(
        energy < water.energy[0], 0.0, water.stopping_of(np.maximum(some, water.energy[0]))
    )
    # below the table the range is linear in energy, so is the energy lost in a step
    stopping[stopping == 0.0] = water.energy[0] / water.csda[0]
    beta2, largest = _kinematics(some)
    columns[:, ENERGY], columns[:, STOPPING] = energy, stopping
    columns[:, DELTA], hard = _hard(beta2, largest)
    columns[:, SOFT] = 1.0 - _detour(water, root**2) - hard / stopping
    soft = np.minimum(DELTA_CUT_MEV, largest)
    columns[:, STRAGGLING] = _KAPPA / beta2 * soft * (1.0 - 0.5 * beta2 * soft / largest)
    columns[:, HYDROGEN], columns[:, ELASTIC], columns[:, INELASTIC] = nuclear_cross_sections(energy)
    columns[:, SCATTER], columns[:, SCATTER_LOG], columns[:, PV2] = _scattering(np.maximum(energy, 0.3))
    columns[:, HINGE] = 1.0 / np.clip(root**2 / _HINGES, _SHORTEST_HINGE_MM, _LONGEST_HINGE_MM)
    steps = 0.5 * (stopping[1:] + stopping[:-1]) * np.diff(energy)
    columns[1:, LET_SUM] = np.cumsum(steps)  # MeV/mm is keV/um
    ratio = np.stack([material.stopping_ratio(energy) for material in materials.materials])
    relative = np.array([[m.electrons, m.scattering, m.hydrogen, m.nuclei] for m in materials.materials])
    return TransportTables(columns, np.ascontiguousarray(ratio), relative)


def nuclear_cross_sections(energy: Floats) -> tuple[Floats, Floats, Floats]:
    """Macroscopic cross-sections in water, 1/mm, at kinetic energies (n,) MeV.

    Elastic on hydrogen (above 10 MeV), elastic on oxygen (above 7 MeV; the published fit holds above 50 MeV
    and is capped at 0.037 1/cm below), inelastic on oxygen (above 7.9 MeV).
    """
    high = np.maximum(energy, 5.0)
    hydrogen = np.where(energy > 10.0, 0.315 * high**-1.126 + 3.78e-6 * high, 0.0)
    elastic = np.clip(1.88 / high + 4.0e-5 * high - 0.01475, 0.0, 0.037)
    inelastic = 1e-3 * (1.64 * (high - 7.9) * np.exp(-0.064 * high + 7.85 / high) + 9.86)
    return (
        0.1 * hydrogen,
        0.1 * np.where(energy > 7.0, elastic, 0.0),
        0.1 * np.where(energy > 7.9, inelastic, 0.0),
    )


def _detour(water: WaterTable, csda: Floats) -> Floats:
    """Part by which a path in water is longer than the way along the beam, at residual CSDA ranges (n,) mm.

    Scattering of variance A per plane makes the mean cosine exp(-A), so that a beam of range R comes
    integral exp(-A) ds deep; the derivative of what is missing, by R. ICRU Report 49 has 0.13 % at 100 MeV.
    A table's range is understood as the depth that the mean proton reaches, R80 of a depth dose, as machines
    are commissioned: a step takes off its length along the beam.
    """
    ranges = np.geomspace(1.0, float(water.csda[-1]), 24)
    missing = []
    for depth in ranges:
        edges = depth * np.linspace(0.0, 1.0, 401)
        energy = np.maximum(water.energy_of(depth - 0.5 * (edges[1:] + edges[:-1])), 0.3)
        power = scattering_power(energy, float(water.energy_of(depth))) * np.diff(edges)
        variance = np.cumsum(power) - 0.5 * power
        missing.append(float(((1.0 - np.exp(-variance)) * np.diff(edges)).sum()))
    slope = np.gradient(np.asarray(missing), ranges)
    return np.asarray(np.interp(csda, ranges, slope))


def _kinematics(energy: Floats) -> tuple[Floats, Floats]:
    """Squared velocity, and the largest energy in MeV that a proton gives to a free electron."""
    gamma = 1.0 + energy / PROTON_MEV
    beta2 = 1.0 - 1.0 / gamma**2
    mass = ELECTRON_MEV / PROTON_MEV
    return beta2, 2.0 * ELECTRON_MEV * beta2 * gamma**2 / (1.0 + 2.0 * gamma * mass + mass**2)


def _hard(beta2: Floats, largest: Floats) -> tuple[Floats, Floats]:
    """Collisions per mm above the cut, their MeV/mm; dN/dT = K/beta2 (1 - beta2 T/Tmax)/T^2."""
    cut = np.minimum(DELTA_CUT_MEV, largest)
    log = np.log(largest / cut)
    count = 1.0 / cut - 1.0 / largest - beta2 / largest * log
    taken = log - beta2 * (1.0 - cut / largest)
    return _KAPPA / beta2 * np.maximum(count, 0.0), _KAPPA / beta2 * np.maximum(taken, 0.0)


def _scattering(energy: Floats) -> tuple[Floats, Floats, Floats]:
    """Gottschalk's differential Moliere power: its part without the initial momentum, the factor with it."""
    pv = momentum_velocity(energy)
    log = np.log10(pv)
    scale = (15.0 / pv) ** 2 / SCATTERING_LENGTH_MM
    return (0.5244 + 0.2320 * log) * scale, (0.1975 - 0.0098 * log) * scale, pv**2
