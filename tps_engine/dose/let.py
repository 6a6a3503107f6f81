"""Dose-averaged LET of proton beams in water, as tables beside the depth dose.

Of protons that did not react: the mean of stopping power over dose, with the residual ranges at a depth
spread by straggling (Wilkens and Oelfke, Med Phys 30 (2003) 806). The blurring is that of the depth dose, so
that both share their peak. Nuclear reactions add two parts with a LET of their own, set by the Monte Carlo
engine's LET in water at 80 to 200 MeV: secondary protons that travel, with the stopping power at a part of
the primaries' energy, and short ones that stop where they are made.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tps_engine.beamdata import bragg
from tps_engine.beamdata.model import TABLE_STEP_MM, BeamModel, kernel_tables
from tps_engine.beamdata.water import Floats, WaterTable

SECONDARY_OF_FIRST, SECONDARY_OF_LEFT, SECONDARY_LEAST_MEV = 0.09, 0.25, 4.0
"""Secondary protons have the LET at the smaller of these parts of the energy that the beam began with and
of what it has left, and at the least, MeV."""

LOCAL_LET = 6.0
"""LET in keV/um of what reactions leave on the spot."""


def let_of_parts(
    water: WaterTable, energy: float, spread: float, parameters: bragg.DepthDoseParameters, depth: Floats
) -> tuple[Floats, Floats, Floats]:
    """Dose-averaged LET in keV/um at depths (n,) mm: of all protons, those that did not react, secondaries.

    energy and spread (one sigma) MeV. 0 where no dose is. Raises BadInput for an energy outside the table.
    """
    parts = bragg.depth_dose_parts(water, energy, spread, parameters)
    left = np.minimum(SECONDARY_OF_FIRST * energy, SECONDARY_OF_LEFT * water.energy_of(parts.residual))
    left = np.maximum(left, SECONDARY_LEAST_MEV)
    of_secondaries = 0.1 * water.stopping_of(left)
    first = parts.at(depth, parts.primary), parts.at(depth, parts.primary_let)
    second = parts.at(depth, parts.secondary), parts.at(depth, parts.secondary * of_secondaries)
    local = parts.at(depth, parts.local)
    return (
        _ratio(first[1] + second[1] + LOCAL_LET * local, first[0] + second[0] + local),
        _ratio(first[1], first[0]),
        _ratio(second[1], second[0]),
    )


def _ratio(above: Floats, below: Floats) -> Floats:
    """The quotient where there is any dose worth the name."""
    some = below > 1e-6 * below.max(initial=0.0)
    return np.divide(above, below, out=np.zeros_like(below), where=some)


@lru_cache(maxsize=16)
def let_tables(
    model: BeamModel, energies: tuple[float, ...], before: float = 0.0, part: str = "all", gap: float = 0.0
) -> NDArray[np.float32]:
    """(e, k) depth dose times LET, Gy mm2 keV/um per proton, on the depths of `kernel_tables` of the same.

    The halo has the LET of secondaries; the core what is left of all dose times LET.
    """
    table = kernel_tables(model, energies, before, part, gap)
    axis = np.asarray(energies, dtype=np.float64)
    depth = before + TABLE_STEP_MM * np.arange(table.idd.shape[1], dtype=np.float64)
    out = np.zeros_like(table.idd)
    for row, (mean, spread) in enumerate(
        zip(model.at(axis, model.mean_energy), model.at(axis, model.spread), strict=True)
    ):
        every, _core, second = let_of_parts(model.water, float(mean), float(spread), model.depth_dose, depth)
        if part == "halo":
            out[row] = table.idd[row] * second
        elif part == "all":
            out[row] = table.idd[row] * every
        else:
            whole = kernel_tables(model, energies, before, "all", gap).idd[row].astype(np.float64)
            out[row] = np.maximum(whole * every - (whole - table.idd[row]) * second, 0.0)
    return out
