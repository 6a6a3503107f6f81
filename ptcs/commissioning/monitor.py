"""Counts per MU by a reference chamber: deliveries of different size, and the dose that they should give."""

from dataclasses import dataclass

import numpy as np

from common.text import _
from ptcs.commissioning.beam import Spot
from ptcs.commissioning.bench import Floats
from ptcs.commissioning.fits.dose import counts_per_mu
from ptcs.commissioning.instruments import Deliverer, Station, delivered
from ptcs.commissioning.measure import Session
from ptcs.commissioning.plan import Plan, Point
from ptcs.commissioning.result import Quantity, Result, Table, now
from ptcs.commissioning.results import keep
from tps_engine.beamdata.bragg import integral_depth_dose
from tps_engine.beamdata.model import BeamModel

OUTPUT = 0.02
"""Tolerance of the output against the declared one (machine.md: monthly and annual +-2 %)."""
LINEARITY, REPEATABILITY = 0.01, 0.02
SPOT_MU = 2.0
CERTIFICATE = 0.005
"""Relative uncertainty of the chamber's coefficient, one sigma."""


@dataclass(frozen=True)
class MonitorCalibration:
    """chamber: a ReferenceChamber. physics: the PhysicsBeam that tells the declared counts per MU.

    sizes: MU of each delivery. energy: MeV, nominal. certificate: relative, one sigma.
    """

    chamber: str
    physics: str
    energy: float
    sizes: tuple[float, ...] = (4.0, 8.0, 16.0, 4.0, 8.0)
    certificate: float = CERTIFICATE


def expected_product(model: BeamModel, energy: float, depth_mm: float) -> float:
    """Dose-area product in Gy mm2 of one MU at a depth, by the planning library's beam model."""
    row = model.index_of(energy)
    per_proton = integral_depth_dose(
        model.water, float(model.mean_energy[row]), float(model.spread[row]), model.depth_dose,
        np.array([depth_mm]),
    )  # fmt: skip
    return float(per_proton[0] * model.protons_per_mu[row])


def calibrate_monitor(
    session: Session, station: Station, beam: Deliverer, wanted: MonitorCalibration, model: BeamModel
) -> Result:
    """Deliver, read the chamber, and tell the counts per MU. Raises Refused, LinkLost, BadInput."""
    names = [f"{wanted.chamber}/Depth", f"{wanted.chamber}/Coefficient", f"{wanted.physics}/CountsPerMU"]
    depth, coefficient, declared = (float(value) for value in station.read(names).values)
    plan = Plan(_("Monitor calibration by {name}").format(name=wanted.chamber), ("MU",),
                tuple((size,) for size in wanted.sizes), ("charge", "counts"), kind="monitor")  # fmt: skip
    measured = session.store.begin(plan, (0.0,), station.user, session.machine())
    rows, k_tp = [], 1.0

    def chamber() -> Floats:
        return station.read([f"{wanted.chamber}/Charge"]).values

    for index, size in enumerate(wanted.sizes):
        spots = [Spot(0, 0.0, 0.0, SPOT_MU)] * max(round(size / SPOT_MU), 1)
        seen, shown = delivered(station, beam, wanted.chamber, wanted.energy, spots, chamber)
        charge, counts = float(shown[0]), float(seen.primary.sum())
        k_tp = seen.k_tp
        rows.append((counts, charge))
        nan = float("nan")
        measured = session.store.append(
            measured, Point(index, (size,), (charge, counts), (nan, nan), (1, 1), station.now())
        )
        for watch in session.watch:
            watch(measured)
    expected = expected_product(model, wanted.energy, depth)
    counts_, charges = (np.array([row[i] for row in rows]) for i in (0, 1))
    fit = counts_per_mu(counts_, charges, k_tp, coefficient, expected, declared)
    error = float(np.hypot(fit.error, wanted.certificate * fit.counts_per_mu))
    ratio = fit.measured / fit.expected
    quantities = (
        Quantity("output", ratio, ratio * error / fit.counts_per_mu, "1", 1.0 - OUTPUT, 1.0 + OUTPUT),
        Quantity("counts per MU", fit.counts_per_mu, error, "1/MU"),
        Quantity("linearity", fit.linearity, fit.repeatability, "1", None, LINEARITY),
        Quantity("repeatability", fit.repeatability, 0.0, "1", None, REPEATABILITY),
    )
    inputs = {"chamber": wanted.chamber, "energy": wanted.energy, "depth_mm": depth, "k_tp": k_tp,
              "coefficient": coefficient, "declared": declared,
              "model": f"{model.name} {model.version}"}  # fmt: skip
    why = _("reference chamber: output {ratio:.4f}").format(ratio=ratio)
    table = Table("deliveries", ("MU", "counts", "charge nC"),
                  tuple((size, *row) for size, row in zip(wanted.sizes, rows, strict=True)))  # fmt: skip
    return keep(session.store, Result(
        measured.id, "monitor", _("Counts per MU"), station.user, now(), quantities, inputs,
        session.store.head(measured.id)["machine"], (table,), (),
        {"monitor": {"counts_per_mu": fit.counts_per_mu}, "reason": why},
    ))  # fmt: skip
