"""Energy from range, and the machine's energy against the nominal one."""

from dataclasses import dataclass

import numpy as np

from ptcs.commissioning.bench import Floats
from ptcs.commissioning.fits.line import Line, fit_line


@dataclass(frozen=True)
class EnergyScale:
    """error, sigma: relative, of the beam's energy. found, found_error (n,): MeV by the ranges."""

    error: float
    sigma: float
    found: Floats
    found_error: Floats
    trend: Line | None


def energy_scale(
    nominal: Floats, range_mm: Floats, range_error: Floats, table: tuple[Floats, Floats]
) -> EnergyScale:
    """Energies (n,) MeV from ranges (n,) mm by a table (MeV, mm), and their mean relative error.

    The table is the planning system's: what the beam should reach at each nominal energy. Weights are those
    of the ranges' errors; the sigma is scaled up where the energies scatter more than that.
    """
    energies, ranges = table
    found = np.interp(range_mm, ranges, energies)
    slope = np.interp(found, 0.5 * (energies[1:] + energies[:-1]), np.diff(energies) / np.diff(ranges))
    sigma = np.maximum(slope * range_error, 1e-6)
    relative, weight = found / nominal - 1.0, (nominal / sigma) ** 2
    error = float(np.sum(weight * relative) / weight.sum())
    free = len(nominal) - 1
    chi2 = float(np.sum(weight * (relative - error) ** 2) / free) if free else 1.0
    trend = fit_line(nominal, relative, sigma / nominal) if len(nominal) > 2 else None
    return EnergyScale(error, float(np.sqrt(max(chi2, 1.0) / weight.sum())), found, sigma, trend)
