"""Two beam models over the energies that both have."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import BadInput
from common.text import _
from tps_engine.beamdata import model
from tps_engine.beamdata.model import BeamModel
from tps_engine.beamdata.water import Floats


@dataclass(frozen=True)
class Difference:
    """The second less the first. worst: largest in size, at `energy` MeV. unit: % is of the first."""

    name: str
    unit: str
    mean: float
    worst: float
    energy: float


def over_energies(first: Path, second: Path) -> list[Difference]:
    """Differences of every parameter over the common span of energies. Raises BadInput without one."""
    one, two = model.load(first), model.load(second)
    low, high = max(one.energies[0], two.energies[0]), min(one.energies[-1], two.energies[-1])
    if low > high:
        raise BadInput(_("the beam models have no energy in common"))
    both = np.r_[one.energies, two.energies, low, high]
    at = np.unique(both[(both >= low) & (both <= high)])
    left, right = _columns(one, at), _columns(two, at)
    found = []
    for name, (unit, values) in left.items():
        off = right[name][1] - values
        if unit == "%":
            off = 100.0 * off / values
        worst = int(np.argmax(np.abs(off)))
        found.append(Difference(name, unit, float(off.mean()), float(off[worst]), float(at[worst])))
    return found


def _columns(one: BeamModel, at: Floats) -> dict[str, tuple[str, Floats]]:
    found = {
        "range": ("mm", one.water.range_of(one.at(at, one.mean_energy))),
        "energy spread": ("MeV", one.at(at, one.spread)),
    }
    for axis, name in enumerate("xy"):
        found[f"sigma {name}"] = ("mm", one.at(at, one.sigma[:, axis]))
        found[f"divergence {name}"] = ("mrad", 1000.0 * one.at(at, one.divergence[:, axis]))
        found[f"covariance {name}"] = ("mm mrad", 1000.0 * one.at(at, one.covariance[:, axis]))
    found["protons per MU"] = ("%", one.at(at, one.protons_per_mu))
    return found
