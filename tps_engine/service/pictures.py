"""The pictures of a reconstructed fraction."""

from common.text import _
from tps_engine import output
from tps_engine.evaluate import centroids, figures
from tps_engine.evaluate.drawing import Volume
from tps_engine.evaluate.figure_spots import spot_map
from tps_engine.evaluate.gamma import GammaResult
from tps_engine.evaluate.verdict import Tolerances
from tps_engine.service.fraction import Dose, Fraction, Masks
from tps_engine.service.worker import Order


def draw(
    order: Order,
    fraction: Fraction,
    regions: Masks,
    dose: Dose,
    compared: GammaResult,
    tolerances: Tolerances,
) -> None:
    """dose_planes.png, dvh.png, spot_map.png and gamma.png of one job."""
    patient, plan = fraction.patient, fraction.plan
    scene = figures.Backdrop(
        Volume(fraction.case.ct.hu, patient.grid),
        Volume(patient.region(plan.target), patient.grid),
        plan.target,
        plan.prescription,
    )
    planned, given = Volume(fraction.planned, fraction.grid), Volume(dose, fraction.grid)
    title = _("fraction {number}").format(number=fraction.number)
    pair = [(_("planned"), planned), (_("delivered"), given)]
    order.keep("dose_planes.png", figures.dose_planes(scene, pair, _("Dose") + f", {title}"))
    before = output.histograms(fraction.planned, regions, fraction.grid)
    after = output.histograms(dose, regions, fraction.grid)
    text = _("Dose-volume histograms") + f", {title}"
    order.keep("dvh.png", figures.dvh_chart(before, after, plan.prescription, text))
    places = centroids.compare(fraction.beams)
    text = _("Spot positions") + f", {title}"
    order.keep("spot_map.png", spot_map(fraction.beams, places, tolerances.position_absolute_mm, text))
    text = _("Gamma, delivered against planned") + f", {title}"
    order.keep("gamma.png", figures.gamma_map(scene, planned, compared, text))
