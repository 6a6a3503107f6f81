"""The beam of a machine: energies, spots in air, depth doses, monitor calibration.

Format: `config/beam_models/NAME.yaml`, checked by `config/schema/beam_model.schema.json`.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.errors import BadConfig, BadInput
from common.site import CONFIG, load_checked
from common.text import _
from tps_engine.beamdata import bragg, scattering
from tps_engine.beamdata.water import Floats, WaterTable, water

TABLE_STEP_MM = 0.25
"""Spacing of depth tables, mm of water."""

ENERGY_TOLERANCE_MEV = 0.005
"""Two energies nearer than this are the same machine energy."""


@dataclass(frozen=True)
class KernelTables:
    """What the dose kernel reads, one row an energy, one column a depth of TABLE_STEP_MM.

    energies: (e,) MeV. idd: (e, k) f4 integral depth dose, Gy mm2 per proton. scatter: (e, k) f4
    variance in water, mm2. reach: (e,) f4 depth behind which the dose is neglected, mm.
    """

    energies: Floats
    idd: NDArray[np.float32]
    scatter: NDArray[np.float32]
    reach: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class BeamModel:
    """A checked beam model. Arrays (e,) run over the machine's energies, increasing.

    spread in MeV (one sigma); sigma (e, 2) mm in air at isocentre; divergence (e, 2) rad, waist at
    isocentre; protons_per_mu. virtual_sad (x, y) mm; scan limits ((x low, high), (y low, high)) mm.
    """

    name: str
    version: str
    ion: str
    virtual_sad: tuple[float, float]
    scan_limits: tuple[tuple[float, float], tuple[float, float]]
    minimum_mu: float
    maximum_mu: float
    depth_dose: bragg.DepthDoseParameters
    energies: Floats
    spread: Floats
    sigma: Floats
    divergence: Floats
    protons_per_mu: Floats
    water: WaterTable

    def index_of(self, energy: float) -> int:
        """Row of a machine energy in MeV. Raises BadInput naming the nearest that the machine has."""
        nearest = int(np.argmin(np.abs(self.energies - energy)))
        if abs(self.energies[nearest] - energy) > ENERGY_TOLERANCE_MEV:
            raise BadInput(
                _(
                    "energy {energy} MeV: machine {name} has no such energy; "
                    "the nearest allowed is {nearest} MeV"
                ).format(energy=f"{energy:.3f}", name=self.name, nearest=f"{self.energies[nearest]:.1f}")
            )
        return nearest

    def at(self, energy: Floats, column: Floats) -> Floats:
        """A column of the energy table interpolated at energies (n,). Raises BadInput outside the machine."""
        low, high = self.energies[0], self.energies[-1]
        slack = ENERGY_TOLERANCE_MEV
        if energy.size and not (low - slack <= energy.min() and energy.max() <= high + slack):
            raise BadInput(
                _("energies {first} .. {last} MeV: machine {name} has {low} .. {high} MeV").format(
                    first=f"{energy.min():.3f}",
                    last=f"{energy.max():.3f}",
                    name=self.name,
                    low=f"{low:.1f}",
                    high=f"{high:.1f}",
                )
            )
        return np.asarray(np.interp(energy, self.energies, column))

    def energy_for_range(self, range_mm: float) -> float:
        """The lowest machine energy whose CSDA range in water is at least `range_mm`.

        Raises BadInput beyond the machine's range.
        """
        ranges = self.water.range_of(self.energies)
        row = int(np.searchsorted(ranges, range_mm))
        if row == len(ranges):
            raise BadInput(
                _("range {range} mm: machine {name} reaches {low} to {high} mm in water").format(
                    range=f"{range_mm:.1f}", name=self.name, low=f"{ranges[0]:.1f}", high=f"{ranges[-1]:.1f}"
                )
            )
        return float(self.energies[row])

    def peaks(self) -> tuple[Floats, Floats]:
        """Bragg peak depth and its standard deviation in depth, mm, of every machine energy."""
        tables = kernel_tables(self, tuple(self.energies.tolist()))
        depth = TABLE_STEP_MM * np.arange(tables.idd.shape[1], dtype=np.float64)
        peak = [bragg.peak_depth(depth, row.astype(np.float64)) for row in tables.idd]
        width = [
            bragg.peak_sigma(self.water, float(energy), float(spread), self.depth_dose)
            for energy, spread in zip(self.energies, self.spread, strict=True)
        ]
        return np.asarray(peak), np.asarray(width)


@lru_cache(maxsize=16)
def kernel_tables(model: BeamModel, energies: tuple[float, ...]) -> KernelTables:
    """Depth dose and scattering of a tuple of energies in MeV, increasing.

    Raises BadInput for an energy outside the machine.
    """
    axis = np.asarray(energies, dtype=np.float64)
    spread = model.at(axis, model.spread)
    longest = float(model.water.range_of(axis).max())
    depth = np.arange(0.0, 1.15 * longest + 30.0, TABLE_STEP_MM)
    idd, scatter, reach = [], [], []
    for energy, width in zip(axis, spread, strict=True):
        dose = bragg.integral_depth_dose(model.water, float(energy), float(width), model.depth_dose, depth)
        idd.append(dose)
        scatter.append(scattering.lateral_variance(model.water, float(energy), depth))
        reach.append(depth[np.flatnonzero(dose > 1e-4 * dose.max())[-1]])
    return KernelTables(
        axis,
        np.asarray(idd, dtype=np.float32),
        np.asarray(scatter, dtype=np.float32),
        np.asarray(reach, dtype=np.float32),
    )


def load(name_or_path: str | Path) -> BeamModel:
    """Read and check a beam model: a name in `config/beam_models`, or a path. Raises BadConfig."""
    path = Path(name_or_path)
    if path.suffix != ".yaml":
        path = CONFIG / "beam_models" / f"{name_or_path}.yaml"
    content = load_checked(path, "beam_model")
    rows = np.asarray(content["energies"], dtype=np.float64)
    _check(path, rows)
    limits = content["scan_limits_mm"]
    sad_x, sad_y = content["virtual_sad_mm"]
    return BeamModel(
        name=content["name"],
        version=content["version"],
        ion=content["ion"],
        virtual_sad=(float(sad_x), float(sad_y)),
        scan_limits=((limits["x"][0], limits["x"][1]), (limits["y"][0], limits["y"][1])),
        minimum_mu=float(content["minimum_mu"]),
        maximum_mu=float(content["maximum_mu"]),
        depth_dose=bragg.DepthDoseParameters(**content["depth_dose"]),
        energies=rows[:, 0],
        spread=rows[:, 1],
        sigma=rows[:, 2:4],
        divergence=rows[:, 4:6] / 1000.0,
        protons_per_mu=rows[:, 6],
        water=water(),
    )


def _check(path: Path, rows: Floats) -> None:
    """Raise BadConfig unless energies and protons per MU rise and sizes are positive."""
    for column, what in ((0, "energy"), (6, "protons per MU")):
        falls = np.flatnonzero(np.diff(rows[:, column]) <= 0.0)
        if falls.size:
            raise BadConfig(
                f"{path.name}: {what} must rise from row to row; it does not after {rows[falls[0], 0]} MeV"
            )
    if (rows[:, 2:4] <= 0.0).any():
        raise BadConfig(f"{path.name}: a spot sigma is not positive; give sizes in mm")
