"""Ions in water: stopping power and range, scaled from protons of the same velocity.

S_ion(E/u) = S_p(E/u) * (z_ion / z_p)^2, with Barkas' effective charge z = Z (1 - exp(-125 beta Z^(-2/3))), as
is common for ions; below a few MeV per nucleon it is off by some percent.
Above the last energy of the proton table its stopping power goes on as Bethe's formula.
"""

from functools import cache

import numpy as np
from scipy.integrate import cumulative_simpson

from common.errors import BadInput
from tps_engine.beamdata.water import ELECTRON_MEV, TABLE_EXCITATION_EV, Floats, WaterTable, water_of

NUCLEON_MEV = 931.494
_LOWEST_MEV, _HIGHEST_MEV = 0.1, 600.0
_POINTS = 3000


def beta2_of(energy: Floats | float) -> Floats:
    """Squared velocity, in units of light's, of energies in MeV per nucleon."""
    gamma = 1.0 + np.asarray(energy, dtype=np.float64) / NUCLEON_MEV
    return np.asarray(1.0 - 1.0 / gamma**2)


def effective_charge(charge: int, energy: Floats | float) -> Floats:
    """Charge number after capture of electrons, of ions of energies in MeV per nucleon (Barkas)."""
    beta = np.sqrt(beta2_of(energy))
    return np.asarray(charge * -np.expm1(-125.0 * beta * charge ** (-2.0 / 3.0)))


def _bethe(energy: Floats | float, excitation_ev: float) -> Floats:
    """Bethe's stopping power of protons but for a constant factor, without corrections."""
    beta2 = beta2_of(energy)
    return np.asarray((np.log(2e6 * ELECTRON_MEV * beta2 / (1.0 - beta2) / excitation_ev) - beta2) / beta2)


def _proton(table: WaterTable, energy: Floats | float, excitation_ev: float) -> Floats:
    """Mass stopping power of protons, MeV cm2/g."""
    top = float(table.energy[-1])
    beyond = _bethe(np.maximum(energy, top), excitation_ev) / _bethe(top, excitation_ev)
    return np.asarray(table.stopping_of(np.minimum(energy, top)) * beyond)


def let_of(charge: int, energy: Floats | float, excitation_ev: float = TABLE_EXCITATION_EV) -> Floats:
    """Unrestricted LET in water, keV/um, of energies in MeV per nucleon."""
    table = water_of(excitation_ev)
    ratio = effective_charge(charge, energy) / effective_charge(1, energy)
    return np.asarray(0.1 * _proton(table, energy, excitation_ev) * ratio**2)


@cache
def _ranges(charge: int, mass_number: int, excitation_ev: float) -> tuple[Floats, Floats]:
    """Energies MeV per nucleon and CSDA ranges in mm, both rising."""
    energy = np.geomspace(_LOWEST_MEV, _HIGHEST_MEV, _POINTS)
    per_mm = let_of(charge, energy, excitation_ev)  # keV/um is MeV/mm
    grown = cumulative_simpson(mass_number * energy / per_mm, x=np.log(energy), initial=0.0)
    return energy, np.asarray(grown + 0.5 * mass_number * energy[0] / per_mm[0])


def range_of(
    charge: int, mass_number: int, energy: Floats | float, excitation_ev: float = TABLE_EXCITATION_EV
) -> Floats:
    """CSDA range in mm of water of energies in MeV per nucleon. Raises BadInput outside 0.1 .. 600."""
    axis, ranges = _ranges(charge, mass_number, excitation_ev)
    if not (axis[0] <= np.min(energy) and np.max(energy) <= axis[-1]):
        raise BadInput(f"ion energies: allowed are {axis[0]:g} .. {axis[-1]:g} MeV/u")
    return np.asarray(np.interp(energy, axis, ranges))


def energy_of(
    charge: int, mass_number: int, residual: Floats | float, excitation_ev: float = TABLE_EXCITATION_EV
) -> Floats:
    """Energy in MeV per nucleon of residual ranges in mm; below the table's lowest that of the lowest."""
    axis, ranges = _ranges(charge, mass_number, excitation_ev)
    return np.asarray(np.interp(residual, ranges, axis))
