"""The beam of a machine: energies, spots in air, depth doses, monitor calibration.

Format: `config/beam_models/NAME.yaml`, checked by `config/schema/beam_model.schema.json`.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import BadConfig, BadInput
from common.site import CONFIG, load_checked
from common.text import _
from tps_engine.beamdata import bragg, identity, scattering
from tps_engine.beamdata.optics import RangeShifter, RippleFilter, SecondGaussian, at_isocentre
from tps_engine.beamdata.water import TABLE_EXCITATION_EV, Floats, WaterTable, water_of

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

    energies: nominal MeV, as plans name them. mean_energy, spread: MeV (one sigma). sigma (e, 2) mm in vacuum
    at isocentre; divergence (e, 2) rad; covariance (e, 2) mm rad of place and angle there (0: the waist).
    protons_per_mu. virtual_sad (x, y) mm; scan limits ((x low, high), (y low, high)) mm.
    continuous: any energy between the listed ones can be delivered. air_from: height in mm above the
    isocentre from which air slows and scatters the beam, None: no air.
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
    mean_energy: Floats
    covariance: Floats
    continuous: bool
    air_from: float | None
    halo: bragg.HaloParameters | None
    second: SecondGaussian | None
    range_shifters: tuple[RangeShifter, ...]
    ripple_filters: tuple[RippleFilter, ...] = ()

    def index_of(self, energy: float) -> int:
        """Row of a machine energy in MeV; the nearest one where the machine's energies are continuous.

        Raises BadInput naming the nearest that the machine has.
        """
        nearest = int(np.argmin(np.abs(self.energies - energy)))
        if self.continuous:
            self.at(np.array([energy]), self.energies)
        elif abs(self.energies[nearest] - energy) > ENERGY_TOLERANCE_MEV:
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
        ranges = self.water.range_of(self.mean_energy)
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
            for energy, spread in zip(self.mean_energy, self.spread, strict=True)
        ]
        return np.asarray(peak), np.asarray(width)


@lru_cache(maxsize=32)
def kernel_tables(
    model: BeamModel, energies: tuple[float, ...], before: float = 0.0, part: str = "all", gap: float = 0.0
) -> KernelTables:
    """Depth dose and scattering of a tuple of nominal energies in MeV, increasing.

    before: mm of water that a range shifter takes off ahead of depth 0; gap: mm of air behind it.
    part: all of the depth dose, what the beam's own Gaussian (core) or the nuclear halo (halo) has of it.
    Raises BadInput for an energy outside the machine or one that ends in the range shifter.
    """
    axis = np.asarray(energies, dtype=np.float64)
    spread, mean = model.at(axis, model.spread), model.at(axis, model.mean_energy)
    ranges = model.water.range_of(mean)
    if ranges.size and float(ranges.min()) <= before:
        raise BadInput(
            _("{energy} MeV ends in the range shifter of {wet} mm water; raise the lowest energy").format(
                energy=f"{axis[0]:.1f}", wet=f"{before:.1f}"
            )
        )
    depth = np.arange(0.0, 1.15 * float(ranges.max()) + 30.0 - before, TABLE_STEP_MM)
    idd, scatter, reach = [], [], []
    for energy, width in zip(mean, spread, strict=True):
        parameters = model.depth_dose
        dose = bragg.integral_depth_dose(model.water, float(energy), float(width), parameters, depth + before)
        scattered = scattering.lateral_variance(model.water, float(energy), depth, before)
        share, wider = _halo(model, float(energy), depth + before, part)
        if model.halo is not None and part == "halo" and before > 0.0:
            wider = wider + model.halo.drift(float(model.water.range_of(energy)), depth + before, before, gap)
        idd.append(dose * share)
        scatter.append(scattered + wider)
        reach.append(depth[np.flatnonzero(dose > 1e-4 * dose.max())[-1]])
    return KernelTables(
        axis,
        np.asarray(idd, dtype=np.float32),
        np.asarray(scatter, dtype=np.float32),
        np.asarray(reach, dtype=np.float32),
    )


def _halo(model: BeamModel, energy: float, depth: Floats, part: str) -> tuple[Floats, Floats]:
    """Share (n,) of the depth dose that a part has, and the variance in mm2 that the halo adds to it."""
    if model.halo is None or part == "all":
        return np.ones(len(depth)), np.zeros(1)
    range_mm = float(model.water.range_of(energy))
    share = model.halo.share(range_mm, depth)
    return (share, model.halo.sigma(range_mm) ** 2) if part == "halo" else (1.0 - share, np.zeros(1))


def load(name_or_path: str | Path) -> BeamModel:
    """Read and check a beam model: a name in `config/beam_models`, or a path. Raises BadConfig.

    Raises Tampered when its approval is of another content.
    """
    path = Path(name_or_path)
    if path.suffix != ".yaml":
        path = CONFIG / "beam_models" / f"{name_or_path}.yaml"
    content = load_checked(path, "beam_model")
    identity.check_approval(path, content)
    plane = float(content.get("reference_plane_mm", 0.0))
    rows = _rows(content)
    _check(path, rows, strict=content["format"] == 1)
    limits = content["scan_limits_mm"]
    sad_x, sad_y = content["virtual_sad_mm"]
    divergence = rows[:, 5:7] / 1000.0
    sigma, covariance = at_isocentre(rows[:, 3:5], divergence, rows[:, 7:9], plane)
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
        spread=rows[:, 2],
        sigma=sigma,
        divergence=divergence,
        protons_per_mu=rows[:, 9],
        water=water_of(float(content.get("mean_excitation_ev", TABLE_EXCITATION_EV))),
        mean_energy=rows[:, 1],
        covariance=covariance,
        continuous=content.get("energy_selection") == "continuous",
        air_from=plane if content.get("air") else None,
        halo=bragg.HaloParameters(**content["nuclear_halo"]) if "nuclear_halo" in content else None,
        second=_second(path, content, len(rows), plane),
        range_shifters=tuple(_shifter(row) for row in content.get("range_shifters", ())),
        ripple_filters=tuple(
            RippleFilter(row["id"], float(row["water_equivalent_mm"]), float(row["sigma_mm"]))
            for row in content.get("ripple_filters", ())
        ),
    )


def _rows(content: dict[str, Any]) -> Floats:
    """The energy table as format 2 has it: format 1 is a waist at the isocentre and nominal = mean energy."""
    rows = np.asarray(content["energies"], dtype=np.float64)
    if content["format"] == 2:
        return rows
    zero = np.zeros((len(rows), 2))
    return np.hstack([rows[:, [0, 0, 1]], rows[:, 2:6], zero, rows[:, 6:]])


def _shifter(row: dict[str, Any]) -> RangeShifter:
    wet = float(row["water_equivalent_mm"])
    factor = float(row.get("scattering", scattering.PLASTIC_SCATTERING))
    return RangeShifter(row["id"], wet, float(row.get("thickness_mm", wet)), factor)


def _second(path: Path, content: dict[str, Any], count: int, plane: float) -> SecondGaussian | None:
    rows = np.asarray(content.get("second_gaussian", ()), dtype=np.float64)
    if not rows.size:
        return None
    if len(rows) != count:
        raise BadConfig(
            f"{path.name}: {len(rows)} rows of second_gaussian for {count} energies: give one each"
        )
    if (rows[:, 0] < 0).any() or (rows[:, 0] >= 1).any() or (rows[:, 1:3] <= 0).any():
        raise BadConfig(f"{path.name}: second_gaussian: weights lie in 0..1 and sizes above 0 mm")
    divergence = rows[:, 3:5] / 1000.0
    sigma, covariance = at_isocentre(rows[:, 1:3], divergence, rows[:, 5:7], plane)
    return SecondGaussian(rows[:, 0], sigma, divergence, covariance)


def _check(path: Path, rows: Floats, strict: bool) -> None:
    """Raise BadConfig unless energies (strict: and protons per MU) rise and sizes are positive."""
    rising = [(0, "energy"), (1, "mean energy"), *([(9, "protons per MU")] if strict else [])]
    for column, what in rising:
        falls = np.flatnonzero(np.diff(rows[:, column]) <= 0.0)
        if falls.size:
            raise BadConfig(
                f"{path.name}: {what} must rise from row to row; it does not after {rows[falls[0], 0]} MeV"
            )
    if (rows[:, 3:5] <= 0.0).any():
        raise BadConfig(f"{path.name}: a spot sigma is not positive; give sizes in mm")
    if (rows[:, [0, 1, 9]] <= 0.0).any() or (rows[:, [2, 5, 6]] < 0.0).any():
        raise BadConfig(f"{path.name}: energies and protons per MU must be positive, spreads not negative")
    if (np.abs(rows[:, 7:9]) > 1.0).any():
        raise BadConfig(f"{path.name}: a correlation of place and angle lies outside -1..1")
