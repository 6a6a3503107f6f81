"""The gamma index against analytic cases and a search that tries everything."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from common.errors import BadInput
from tps_engine.evaluate.gamma import GammaCriteria, gamma

pytestmark = [pytest.mark.requirement("TPS-QA"), pytest.mark.requirement("SYS-ALGORITHM")]
SPACING = (2.0, 2.5, 3.0)  # x, y, z


def _box(shape=(24, 30, 36), level=2.0):
    dose = np.zeros(shape)
    dose[6:18, 8:22, 9:27] = level
    return gaussian_filter(dose, 1.5)


def _brute_force(reference, evaluated, spacing, criteria, points, step=0.1):
    """Minimum over a dense cube of offsets, by another interpolator, without any shortcut."""
    reach = criteria.max_gamma * criteria.distance_mm
    axis = np.arange(-reach, reach + step / 2, step)
    z, y, x = (a.ravel() for a in np.meshgrid(axis, axis, axis, indexing="ij"))
    square = (z**2 + y**2 + x**2) / criteria.distance_mm**2
    tolerance = criteria.dose_percent / 100 * reference.max()
    values = []
    for k, j, i in points:
        places = [k + z / spacing[2], j + y / spacing[1], i + x / spacing[0]]
        here = map_coordinates(evaluated, places, order=1, mode="constant", cval=np.nan)
        value = square + ((here - reference[k, j, i]) / tolerance) ** 2
        values.append(min(np.sqrt(np.nanmin(value)), criteria.max_gamma))
    return np.array(values)


def test_equal_doses_pass_with_zero():
    dose = _box()
    result = gamma(dose, dose, SPACING)
    assert result.pass_rate == 100.0
    assert np.nanmax(result.values) == 0.0
    assert result.points == int((dose >= 0.1 * dose.max()).sum())
    assert np.isnan(result.values[dose < 0.1 * dose.max()]).all()


@pytest.mark.parametrize(("factor", "expected"), [(1.02, 1.0), (0.99, 0.5), (1.03, 1.5)])
def test_a_flat_dose_gives_the_dose_difference(factor, expected):
    flat = np.full((9, 9, 9), 2.0)
    values = gamma(flat, factor * flat, SPACING).values
    assert values == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shift", [0.5, 1.3, 3.0])
def test_a_shifted_ramp_has_the_closed_form(shift):
    """A ramp of slope g per mm shifted by s: gamma = a / sqrt(1 + b^2), a = g s / dD, b = g d / dD."""
    slope, norm = 0.05, 10.0
    x = SPACING[0] * np.arange(60)
    reference = np.broadcast_to(10.0 + slope * x, (9, 9, 60))
    evaluated = np.broadcast_to(10.0 + slope * (x - shift), (9, 9, 60))
    result = gamma(reference, evaluated, SPACING, GammaCriteria(normalisation_gy=norm))
    tolerance = 0.02 * norm
    expected = (slope * shift / tolerance) / np.hypot(1.0, slope * 2.0 / tolerance)
    assert result.values[4, 4, 10:50] == pytest.approx(expected, rel=1e-4)


def test_a_step_edge_gives_the_distance():
    reference = np.zeros((5, 5, 60))
    reference[:, :, 20:] = 2.0
    evaluated = np.zeros((5, 5, 60))
    evaluated[:, :, 21:] = 2.0
    spacing = (1.0, 1.0, 1.0)
    values = gamma(reference, evaluated, spacing, GammaCriteria(dose_percent=0.01)).values
    assert values[2, 2, 20] == pytest.approx(0.5, abs=1e-3)  # 1 mm to full dose, criterion 2 mm
    assert np.nanmax(values[:, :, 22:]) == 0.0


def test_a_shift_of_3_mm_fails_and_of_1_mm_passes():
    dose = gaussian_filter(_box((40, 40, 40)), 0.5)
    near = gamma(dose, np.roll(dose, 1, axis=2), (1.0, 1.0, 1.0))
    far = gamma(dose, np.roll(dose, 3, axis=2), (1.0, 1.0, 1.0))
    assert near.pass_rate == 100.0
    assert far.pass_rate < 95.0


@pytest.mark.parametrize("mode", ["global", "local"])
def test_it_agrees_with_brute_force(mode):
    rng = np.random.default_rng(3)
    reference = _box()
    evaluated = np.roll(reference, 1, axis=1) * 1.01 + gaussian_filter(rng.normal(0, 0.2, reference.shape), 1)
    criteria = GammaCriteria(mode=mode, normalisation_gy=float(reference.max()))
    result = gamma(reference, evaluated, SPACING, criteria)
    points = np.argwhere(np.isfinite(result.values))[:: 97 if mode == "global" else 10**6]
    if mode == "local":
        level = reference[tuple(points[0])]
        criteria = GammaCriteria(dose_percent=2.0 * level / reference.max())
    wanted = _brute_force(reference, evaluated, SPACING, criteria, points)
    got = result.values[tuple(points.T)]
    assert len(points) >= 1
    # Gamma changes by no more than this between a point and the nearest of the dense search's samples.
    steepest = max(
        np.abs(np.diff(evaluated, axis=a)).max() / s for a, s in zip((0, 1, 2), SPACING[::-1], strict=True)
    )
    tolerance = criteria.dose_percent / 100 * reference.max()
    between = 0.1 * np.sqrt(3) / 2 * np.hypot(1 / criteria.distance_mm, np.sqrt(3) * steepest / tolerance)
    assert np.all(got <= wanted + 0.05)
    assert np.all(got >= wanted - between)
    assert np.median(got - wanted) <= 0.001
    assert np.array_equal(got <= 1.0, wanted <= 1.0)


def test_local_is_stricter_than_global_where_dose_is_low():
    dose = _box()
    result = {
        mode: gamma(dose, dose + 0.02, SPACING, GammaCriteria(mode=mode)) for mode in ("global", "local")
    }
    low = (dose > 0.12 * dose.max()) & (dose < 0.2 * dose.max())
    assert (result["local"].values[low] > result["global"].values[low]).mean() > 0.9


def test_bad_input_is_refused():
    dose = _box()
    with pytest.raises(BadInput, match="one grid"):
        gamma(dose, dose[:-1], SPACING)
    with pytest.raises(BadInput, match="threshold"):
        gamma(np.zeros_like(dose), dose, SPACING)
    with pytest.raises(BadInput, match="finite"):
        gamma(dose, np.where(dose > 1, np.nan, dose), SPACING)
    with pytest.raises(ValueError, match="above 0"):
        GammaCriteria(distance_mm=0.0)
