"""Pictures: each is a PNG that shows what it should, in both languages, without a display or global state."""

from dataclasses import replace
from io import BytesIO

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from common.text import set_language
from tps_engine.evaluate import centroids, figures
from tps_engine.evaluate.delivered import DeliveredBeam
from tps_engine.evaluate.drawing import AXIAL, View, Volume
from tps_engine.evaluate.dvh import dvh
from tps_engine.evaluate.figure_spots import shown_layer, spot_map
from tps_engine.evaluate.gamma import gamma
from tps_engine.patient.grid import Grid

pytestmark = pytest.mark.requirement("TPS-EVALUATE")
GRID = Grid((-60.0, -45.0, -30.0), (3.0, 3.0, 3.0), (21, 31, 41))


@pytest.fixture(params=["en", "zh"])
def language(request):
    set_language(request.param)
    yield request.param
    set_language("en")


def _scene():
    z, y, x = np.meshgrid(GRID.axis(2), GRID.axis(1), GRID.axis(0), indexing="ij")
    ball = x**2 + y**2 + z**2 < 15.0**2
    hu = np.where(x**2 + y**2 < 42.0**2, 20.0, -1000.0).astype(np.float32)
    dose = np.where(ball, 2.0, np.where((abs(z) < 15) & (abs(y) < 15), 0.8, 0.0))
    return figures.Backdrop(Volume(hu, GRID), Volume(ball, GRID), "PTV", 2.0), Volume(dose, GRID), ball


def _beam():
    x = np.tile(np.arange(-10.0, 11.0, 5.0), 10)
    y = np.repeat(np.arange(-10.0, 11.0, 5.0), 10) * 1.0
    layer = np.repeat([0, 1], 25)
    mu = np.linspace(0.1, 0.5, 50)
    dx = np.where(np.arange(50) == 30, 3.0, 0.1)
    size = np.full(50, 4.0)
    energies = np.array([120.0, 110.0])
    return DeliveredBeam(1, "A", energies, layer, x, y, mu, x + dx, y, mu, size, size, 5e-5, 0.0, 0.0)


def _picture(content):
    image = Image.open(BytesIO(content))
    assert image.format == "PNG"
    pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels.shape[0] > 400 and pixels.shape[1] > 700
    return pixels


def _coloured(pixels):
    """Share of the pixels that are not grey."""
    return float((np.ptp(pixels, axis=2) > 40).mean())


def test_the_pictures_of_dose(language):
    before = dict(mpl.rcParams)
    scene, dose, ball = _scene()
    rows = [("A", dose), ("B", replace(dose, values=dose.values * 0.5))]
    two, one = (_picture(figures.dose_planes(scene, some, "T")) for some in (rows, rows[:1]))
    assert two.shape[0] > 1.5 * one.shape[0]
    assert _coloured(two) > 0.02
    cold = _picture(figures.dose_planes(scene, [("A", replace(dose, values=dose.values * 0.05))], "T"))
    assert _coloured(cold) < 0.5 * _coloured(one)  # below the wash only the scale has colour
    shifted = np.roll(dose.values, 1, axis=2)
    result = gamma(dose.values, shifted, GRID.spacing)
    assert result.pass_rate < 100.0
    assert _coloured(_picture(figures.gamma_map(scene, dose, result, "T"))) > 0.02
    histograms = {"PTV": dvh(dose.values, ball, 27.0), "rest": dvh(dose.values, ~ball, 27.0)}
    _picture(figures.dvh_chart(histograms, None, 2.0, "T"))
    _picture(figures.dvh_chart(histograms, histograms, 2.0, "T"))
    assert dict(mpl.rcParams) == before


def test_the_spot_map_shows_the_layer_that_matters(language):
    beam = _beam()
    places = centroids.compare([beam])
    assert shown_layer(beam, places[0]) == 1  # where spot 30 lies 3 mm off
    lost = replace(beam, mu=np.where(beam.layer == 0, 0.0, beam.mu))
    assert shown_layer(lost, centroids.compare_beam(lost)) == 0
    _picture(spot_map([beam], places, 2.0, "T"))
    _picture(spot_map([lost, beam], centroids.compare([lost, beam]), 2.0, "T"))
    none = replace(beam, mu=np.zeros(50), x=np.full(50, np.nan), y=np.full(50, np.nan))
    _picture(spot_map([none], centroids.compare([none]), 2.0, "T"))


def test_a_view_holds_dose_and_target_and_stays_in_the_image():
    scene, dose, _ball = _scene()
    view = View.around(dose, scene.target)
    assert view.centre == pytest.approx((0.0, 0.0, 0.0), abs=1.5)
    assert view.low[0] == GRID.axis(0)[0] and view.high[0] == GRID.axis(0)[-1]
    assert AXIAL.extent(GRID) == (-61.5, 61.5, -46.5, 46.5)
    assert AXIAL.slice(scene.target, 0.0).sum() == scene.target.values[10].sum()
