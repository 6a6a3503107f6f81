"""Dose-averaged LET of proton beams in water, as tables beside the depth dose.

Of protons that did not react: the mean of stopping power over dose, with the residual ranges at a depth spread by
straggling (Wilkens and Oelfke, Med Phys 30 (2003) 806). The blurring is that of the depth dose, so that both share
their peak. Secondary protons from nuclear reactions bring a LET of their own, the stopping power at a part of
the energy that primaries have left, and what reactions leave on the spot has dose but counts no LET, as
in the Monte Carlo engine.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tps_engine.beamdata import bragg
from tps_engine.beamdata.model import TABLE_STEP_MM, BeamModel, kernel_tables
from tps_engine.beamdata.water import Floats, WaterTable

SECONDARY_ENERGY = 0.25
SECONDARY_LEAST_MEV = 4.0
"""Part of the primaries' energy at which secondary protons have their LET, and the least, MeV."""


def let_of_parts(
    water: WaterTable, energy: float, spread: float, parameters: bragg.DepthDoseParameters, depth: Floats
) -> tuple[Floats, Floats, Floats]:
    """At depths (n,) mm: dose-averaged LET of all protons, of those that did not react, of secondaries, keV/um.

    energy and spread (one sigma) MeV. 0 where no dose is. Raises BadInput for an energy outside the table.
    """
    parts = bragg.depth_dose_parts(water, energy, spread, parameters)
    left = np.maximum(SECONDARY_ENERGY * water.energy_of(parts.residual), SECONDARY_LEAST_MEV)
    of_secondaries = 0.1 * water.stopping_of(left)
    first = parts.at(depth, parts.primary), parts.at(depth, parts.primary_let)
    second = parts.at(depth, parts.secondary), parts.at(depth, parts.secondary * of_secondaries)
    return (
        _ratio(first[1] + second[1], first[0] + second[0]),
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
    """(e, k) depth dose times LET, Gy mm2 keV/um per proton, on the depths of `kernel_tables`; same arguments.

    The halo has the LET of secondaries; the core what is left of all dose times LET.
    """
    table = kernel_tables(model, energies, before, part, gap)
    axis = np.asarray(energies, dtype=np.float64)
    depth = before + TABLE_STEP_MM * np.arange(table.idd.shape[1])
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
