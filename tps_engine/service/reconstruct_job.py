"""Job `reconstruct`: what a fraction gave, recomputed from its records alone, against what was planned."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.dicom import modules, rt_dose
from common.dicom.plan import IonBeam
from common.errors import LinkLost, Refused
from common.site import Site
from common.state import StateDir
from common.text import _
from tps_engine import output
from tps_engine.beamdata.model import BeamModel
from tps_engine.biology import parameters, rbe
from tps_engine.dose.beam import spot_dose, spot_dose_and_let
from tps_engine.dose.spots import Spots
from tps_engine.evaluate import centroids, meterset, verdict
from tps_engine.evaluate.delivered import DeliveredBeam
from tps_engine.evaluate.gamma import GammaResult, gamma
from tps_engine.evaluate.verdict import Tolerances
from tps_engine.service import pictures
from tps_engine.service.archive import Ois
from tps_engine.service.fraction import Dose, Fraction, Masks, read, regions
from tps_engine.service.requests import ReconstructRequest
from tps_engine.service.worker import Order


@dataclass(frozen=True)
class ReconstructJob:
    """Recomputes fractions for one site."""

    state: StateDir
    site: Site
    beam_model: Callable[[], BeamModel]

    def __call__(self, request: ReconstructRequest, order: Order) -> dict[str, Any]:
        """Run one job. Raises what it refuses; nothing is stored before everything is computed."""
        with Ois(self.state, order.token) as ois:
            order.report(0.0, _("reads plan, records and images"))
            fraction = read(ois, request)
            order.report(0.2, _("recomputes the delivered dose"))
            dose = delivered_dose(fraction, self.beam_model(), order)
            order.report(0.7, _("compares it with the plan"))
            tolerances = Tolerances.of_site(self.site.monitor)
            compared = gamma(fraction.planned, dose, fraction.grid.spacing)
            masks = regions(fraction)
            answer = self._judge(fraction, masks, dose, compared, tolerances)
            order.report(0.8, _("draws the pictures"))
            pictures.draw(order, fraction, masks, dose, compared, tolerances)
            order.report(0.95, _("sends the delivered dose to the OIS"))
            return {"dose_uid": _store(ois, fraction, dose), **answer}

    def _judge(
        self, fraction: Fraction, masks: Masks, dose: Dose, compared: GammaResult, tolerances: Tolerances
    ) -> dict[str, Any]:
        quantum = 1.0 / float(self.site.monitor["counts_per_mu"])
        places = centroids.compare(fraction.beams)
        sums = meterset.compare(fraction.beams, tolerances.spot_mu_relative, quantum)
        found = verdict.judge(compared, places, sums, tolerances)
        numbers = output.histograms(dose, masks, fraction.grid)
        return {
            **verdict.summary(compared, places, sums),
            "passed": found.passed,
            "failures": list(found.failures),
            "metrics": output.metrics(numbers, fraction.plan.target, fraction.plan.prescription),
        }


def delivered_dose(fraction: Fraction, model: BeamModel, order: Order) -> Dose:
    """RBE-weighted Gy on the planned grid: the forward sum over every measured spot of every part.

    By the model that the plan was weighed by. Where that looks at LET, doses and LET of all beams come first.
    """
    known, grid = fraction.biology, fraction.grid
    doses, lets = [], []
    pairs = list(zip(fraction.plan.beams, fraction.beams, strict=True))
    for count, (planned, given) in enumerate(pairs, 1):
        spots, mu = _measured(given)
        beam: IonBeam = replace(planned, gantry=given.gantry, couch=given.couch, layers=())
        if known.model.constant is None:
            dose, let = spot_dose_and_let(fraction.patient, grid, beam, spots, mu, model)
            lets.append(let)
        else:
            dose = spot_dose(fraction.patient, grid, beam, spots, mu, model)
        doses.append(dose)
        order.report(0.2 + 0.5 * count / len(pairs), _("recomputes the delivered dose"))
    if known.model.constant is not None:
        return np.asarray(np.float32(known.model.constant) * np.sum(doses, axis=0, dtype=np.float32))
    masks = regions(fraction, tuple(known.regions)) if known.regions else {}
    ratio = rbe.alpha_beta_map(parameters.load(), grid.shape, masks, known.regions)
    return rbe.weighted_dose(known.model, *rbe.combine(doses, lets), ratio)


def _measured(beam: DeliveredBeam) -> tuple[Spots, NDArray[np.float64]]:
    hit = beam.hit
    energy = beam.energies[beam.layer][hit]
    return Spots(energy, beam.x[hit], beam.y[hit], beam.size_x[hit], beam.size_y[hit]), beam.mu[hit]


def _store(ois: Ois, fraction: Fraction, dose: Dose) -> str:
    uid = modules.new_uid()
    grid = output.dose_grid(
        fraction.plan,
        dose,
        fraction.grid,
        uid,
        summation="FRACTION_SESSION",
        comment=f"fraction {fraction.number}, recomputed from its records",
    )
    try:
        ois.store([rt_dose.to_dataset(grid)])
    except (Refused, LinkLost) as why:
        text = _("the delivered dose is not in the OIS, post the job again: {why}")
        raise type(why)(text.format(why=why)) from why
    return uid
