"""The pictures of a reconstructed fraction, in every language: who reads a report need not be who asked."""

from contextvars import copy_context

from common.text import LANGUAGES, _, set_language
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
    """dose_planes, dvh, spot_map and gamma of one job: NAME-LANGUAGE.png, and NAME.png as who asked reads."""

    def drawn(language: str) -> dict[str, bytes]:
        set_language(language)
        return _pictures(fraction, regions, dose, compared, tolerances)

    for language in LANGUAGES:
        for name, content in copy_context().run(drawn, language).items():
            order.keep(f"{name}-{language}.png", content)
            if language == order.language:
                order.keep(f"{name}.png", content)


def _pictures(
    fraction: Fraction, regions: Masks, dose: Dose, compared: GammaResult, tolerances: Tolerances
) -> dict[str, bytes]:
    """In the language in force."""
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
    before = output.histograms(fraction.planned, regions, fraction.grid)
    after = output.histograms(dose, regions, fraction.grid)
    places = centroids.compare(fraction.beams)
    texts = {
        "dose_planes": _("Dose"),
        "dvh": _("Dose-volume histograms"),
        "spot_map": _("Spot positions"),
        "gamma": _("Gamma, delivered against planned"),
    }
    said = {name: f"{text}, {title}" for name, text in texts.items()}
    far = tolerances.position_absolute_mm
    return {
        "dose_planes": figures.dose_planes(scene, pair, said["dose_planes"]),
        "dvh": figures.dvh_chart(before, after, plan.prescription, said["dvh"]),
        "spot_map": spot_map(fraction.beams, places, far, said["spot_map"]),
        "gamma": figures.gamma_map(scene, planned, compared, said["gamma"]),
    }
