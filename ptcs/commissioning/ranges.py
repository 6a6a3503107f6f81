"""Range and energy by a multi-layer chamber: one delivery an energy, a Bragg curve each, one energy scale."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from common.text import _
from ptcs.commissioning.beam import Spot
from ptcs.commissioning.bench import Floats
from ptcs.commissioning.fits.bragg import BraggPeak, fit_peak
from ptcs.commissioning.fits.energy import EnergyScale, energy_scale
from ptcs.commissioning.instruments import Deliverer, Station, delivered
from ptcs.commissioning.measure import Session
from ptcs.commissioning.plan import Plan, Point
from ptcs.commissioning.result import Quantity, Result, Table, now
from ptcs.commissioning.results import keep
from tps_engine.beamdata.bragg import distal_depth, integral_depth_dose
from tps_engine.beamdata.model import BeamModel

RANGE_MM = 1.0
"""Tolerance of a range (machine.md: daily and monthly +-1 mm)."""
UNIFORMITY = 0.003
"""Relative error of a layer against the others, one sigma, of a chamber calibrated as its maker does."""
SPOT_MU = 2.0


@dataclass(frozen=True)
class Ranges:
    """A range measurement. energies: nominal, MeV. mu: delivered at each. chamber: a LayerChamber."""

    chamber: str
    energies: tuple[float, ...]
    mu: float = 10.0
    uniformity: float = UNIFORMITY


def expected_r80(model: BeamModel, energies: Floats) -> Floats:
    """R80 (n,) in mm of water of the planning library's depth dose at nominal energies (n,) MeV."""
    depth = np.arange(0.0, 400.0, 0.25)
    found = []
    for energy in energies:
        row = model.index_of(float(energy))
        dose = integral_depth_dose(
            model.water, float(model.mean_energy[row]), float(model.spread[row]), model.depth_dose, depth
        )
        found.append(distal_depth(depth, dose, 0.8))
    return np.array(found)


def measure_ranges(
    session: Session, station: Station, beam: Deliverer, ranges: Ranges, model: BeamModel
) -> Result:
    """Measure, fit and judge. Raises Refused, LinkLost, BadInput for a curve without a peak."""
    plan = Plan(_("Range by {name}").format(name=ranges.chamber), ("energy",),
                tuple((energy,) for energy in ranges.energies), ("R80", "R90"), kind="range")  # fmt: skip
    measured = session.store.begin(plan, (0.0,), station.user, session.machine())
    peaks = []
    for index, energy in enumerate(ranges.energies):
        peak = _one(station, beam, ranges, energy)
        peaks.append(peak)
        values, errors = (peak.r80, peak.r90), (peak.r80_error, peak.r90_error)
        point = Point(index, (energy,), values, errors, (1, 1), station.now())
        measured = session.store.append(measured, point)
        for watch in session.watch:
            watch(measured)
    return keep(session.store, _judged(session, measured.id, ranges, peaks, model))


def _one(station: Station, beam: Deliverer, ranges: Ranges, energy: float) -> BraggPeak:
    spots = [Spot(0, 0.0, 0.0, SPOT_MU)] * max(round(ranges.mu / SPOT_MU), 1)
    layers = partial(station.spectrum, f"{ranges.chamber}/Layers")
    _seen, charge = delivered(station, beam, ranges.chamber, energy, spots, layers)
    depth = station.spectrum(f"{ranges.chamber}/Depth")
    return fit_peak(depth, charge, ranges.uniformity * np.maximum(charge, 0.02 * charge.max()))


def table_of(model: BeamModel, energies: Sequence[float]) -> tuple[Floats, Floats]:
    """Energies and their R80 around nominal ones: each with its neighbours in the model, rising."""
    rows = sorted(
        {
            int(np.clip(model.index_of(e) + step, 0, len(model.energies) - 1))
            for e in energies
            for step in (-1, 0, 1)
        }
    )
    nominal = model.energies[rows]
    return nominal, expected_r80(model, nominal)


def _judged(
    session: Session, number: str, ranges: Ranges, peaks: Sequence[BraggPeak], model: BeamModel
) -> Result:
    nominal = np.array(ranges.energies)
    r80 = np.array([peak.r80 for peak in peaks])
    error = np.array([peak.r80_error for peak in peaks])
    table = table_of(model, ranges.energies)
    wanted = np.interp(nominal, *table)
    scale: EnergyScale = energy_scale(nominal, r80, error, table)
    gap = r80 - wanted
    worst = int(np.argmax(np.abs(gap)))
    quantities = (
        Quantity("largest range error", float(gap[worst]), float(error[worst]), "mm", -RANGE_MM, RANGE_MM),
        Quantity("energy scale", scale.error, scale.sigma, "1", -0.005, 0.005),
    )
    rows = zip(nominal, wanted, r80, error, gap, scale.found, strict=True)
    columns = ("nominal MeV", "expected R80 mm", "R80 mm", "error mm", "difference mm", "energy MeV")
    proposal = {
        "energy_scale": 1.0 / (1.0 + scale.error),
        "reason": _("energies by range: {error:+.3%} +- {sigma:.3%}").format(
            error=scale.error, sigma=scale.sigma
        ),
    }
    return Result(
        number, "range", _("Range and energy"), session.bench.user, now(), quantities,
        {"chamber": ranges.chamber, "mu": ranges.mu, "model": f"{model.name} {model.version}"},
        session.store.head(number)["machine"],
        (Table("ranges", columns, tuple(tuple(map(float, row)) for row in rows)),), (), proposal,
    )  # fmt: skip
