"""Protons in water: stopping power, range and energy, from a table in `config/physics`."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import cumulative_simpson
from scipy.interpolate import CubicSpline

from common.errors import BadInput
from common.site import CONFIG, load_checked

WATER = CONFIG / "physics" / "water-proton.yaml"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WaterTable:
    """Range-energy relation on a fine logarithmic grid.

    energy: (n,) MeV, increasing. stopping: (n,) MeV cm2/g. csda: (n,) range in mm of water (1 g/cm3).
    """

    energy: Floats
    stopping: Floats
    csda: Floats

    def range_of(self, energy: float | Floats) -> Floats:
        """CSDA range in mm of an energy in MeV. Raises BadInput outside the table."""
        self._within(energy, self.energy, "energy", "MeV")
        return np.asarray(np.interp(energy, self.energy, self.csda))

    def energy_of(self, csda: float | Floats) -> Floats:
        """Energy in MeV of a CSDA range in mm; below the table's lowest range linear to zero."""
        return np.asarray(np.interp(csda, np.r_[0.0, self.csda], np.r_[0.0, self.energy]))

    def stopping_of(self, energy: float | Floats) -> Floats:
        """Mass stopping power in MeV cm2/g of an energy in MeV."""
        return np.asarray(np.interp(energy, self.energy, self.stopping))

    def stopping_integral(self, energy: Floats) -> Floats:
        """Integral (n,) of the stopping power over energies from 0 up, MeV keV/um, at energies (n,) MeV.

        Below the table the range is linear in energy, so is the energy lost.
        """
        rest = self.energy[0] / self.csda[0]  # MeV/mm in water of 1 g/cm3 is keV/um
        above = rest * self.energy[0] + cumulative_simpson(0.1 * self.stopping, x=self.energy, initial=0.0)
        return np.asarray(np.interp(energy, np.r_[0.0, self.energy], np.r_[0.0, above]))

    def range_slope(self, energy: float) -> float:
        """dR/dE in mm/MeV at an energy in MeV."""
        return float(10.0 / self.stopping_of(energy))

    @staticmethod
    def _within(value: float | Floats, axis: Floats, name: str, unit: str) -> None:
        low, high = float(np.min(value)), float(np.max(value))
        if not (axis[0] <= low and high <= axis[-1]):
            raise BadInput(
                f"{name} {low:.6g} .. {high:.6g} {unit}: allowed are {axis[0]:.6g} .. {axis[-1]:.6g} {unit}"
            )


ELECTRON_MEV = 0.51099895
PROTON_MEV = 938.2720813
TABLE_EXCITATION_EV = 75.0
"""Mean excitation energy of the water in the table file."""


@cache
def water_of(mean_excitation_ev: float) -> WaterTable:
    """The range-energy relation of water with another mean excitation energy, eV.

    The stopping power goes as Bethe's ln(2 m c2 beta2 gamma2 / I) - beta2 (ICRU 49, without corrections,
    which cancel in the ratio); below 0.5 MeV the ratio is that at 0.5 MeV.
    """
    table = water()
    if mean_excitation_ev == TABLE_EXCITATION_EV:
        return table
    gamma = 1.0 + np.maximum(table.energy, 0.5) / PROTON_MEV
    beta2 = 1.0 - 1.0 / gamma**2
    number = np.log(2e6 * ELECTRON_MEV * beta2 * gamma**2 / TABLE_EXCITATION_EV) - beta2
    stopping = table.stopping * (1.0 + np.log(TABLE_EXCITATION_EV / mean_excitation_ev) / number)
    csda = cumulative_simpson(table.energy / stopping, x=np.log(table.energy), initial=0.0)
    return WaterTable(table.energy, stopping, table.csda[0] + 10.0 * csda)


@cache
def water(path: Path = WATER) -> WaterTable:
    """The range-energy relation of a table file: R(E) = R0 + integral of dE/S, log-log cubic spline of S.

    Raises BadConfig when the file does not satisfy its schema.
    """
    content = load_checked(path, "stopping_power")
    points = np.asarray(content["table"], dtype=np.float64)
    start_energy, start_range = content["start"]
    spline = CubicSpline(np.log(points[:, 0]), np.log(points[:, 1]))
    energy = np.geomspace(start_energy, points[-1, 0], 4001)
    stopping = np.exp(spline(np.log(energy)))
    csda = start_range + cumulative_simpson(energy / stopping, x=np.log(energy), initial=0.0)
    return WaterTable(energy, stopping, 10.0 * csda)
