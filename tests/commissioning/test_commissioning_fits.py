"""Fits give back the truth within their own uncertainty, and say so where they cannot."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.errors import BadInput
from ptcs.commissioning.fits.alignment import centre, kicks
from ptcs.commissioning.fits.bragg import curve, fit_peak
from ptcs.commissioning.fits.dose import counts_per_mu
from ptcs.commissioning.fits.energy import energy_scale
from ptcs.commissioning.fits.line import fit_line
from ptcs.commissioning.fits.profile import fit_profile, gauss
from ptcs.commissioning.fits.response import Response, correct, from_steps, kept_directions, limited
from ptcs.commissioning.fits.spill import spill

SIGMAS = 5.0
pytestmark = pytest.mark.requirement("ACS-COMMISSION")
seeds = st.integers(0, 2**31)


@settings(max_examples=60, deadline=None)
@given(seeds, st.floats(-5, 5), st.floats(-3, 3), st.floats(0.001, 1.0))
def test_a_line_is_found_within_its_errors(seed: int, offset: float, slope: float, sigma: float) -> None:
    rng = np.random.default_rng(seed)
    x = np.linspace(-2.0, 3.0, 12)
    y = offset + slope * x + sigma * rng.standard_normal(12)
    line = fit_line(x, y, np.full(12, sigma))
    assert abs(line.slope - slope) < SIGMAS * line.slope_error
    assert abs(line.offset - offset) < SIGMAS * line.offset_error


def test_the_errors_of_a_line_are_those_of_many_measurements() -> None:
    rng = np.random.default_rng(1)
    x = np.array([0.0, 1.0, 2.0, 4.0])
    lines = [fit_line(x, 1.0 + 2.0 * x + 0.1 * rng.standard_normal(4), np.full(4, 0.1)) for _ in range(400)]
    zeros = np.array([line.zero[0] for line in lines])
    assert np.std([line.slope for line in lines]) == pytest.approx(0.1 / np.sqrt(8.75), rel=0.1)
    assert np.median([line.slope_error for line in lines]) == pytest.approx(0.1 / np.sqrt(8.75), rel=0.25)
    assert zeros.mean() == pytest.approx(-0.5, abs=0.02)
    assert np.std(zeros) == pytest.approx(np.median([line.zero[1] for line in lines]), rel=0.3)


def test_a_line_leaves_unknown_points_out_and_refuses_one_setting() -> None:
    line = fit_line(np.arange(4.0), np.array([0.0, 1.0, np.nan, 3.0]), np.full(4, np.nan))
    assert (line.slope, line.points) == (pytest.approx(1.0), 3)
    with pytest.raises(BadInput, match="different settings"):
        fit_line(np.ones(3), np.arange(3.0), np.ones(3))


def response_of(seed: int, n: int = 12, k: int = 5, noise: float = 0.01) -> tuple[Response, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.standard_normal((n, k))
    error = np.full((n, k), noise)
    return Response(true + noise * rng.standard_normal((n, k)), error), true


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_a_disturbance_in_reach_of_the_knobs_is_taken_away(seed: int) -> None:
    response, true = response_of(seed)
    rng = np.random.default_rng(seed + 1)
    reading = true @ rng.standard_normal(5) + 0.01 * rng.standard_normal(12)
    done = correct(response, reading, np.zeros(12), np.full(12, 0.01))
    left = reading + true @ done.change
    assert np.sqrt(np.mean(left**2)) < 0.2 * np.sqrt(np.mean(reading**2)) + 0.03
    assert done.predicted_rms <= done.before_rms + 1e-12


def test_directions_that_are_noise_are_left_alone() -> None:
    rng = np.random.default_rng(4)
    left, _, right = np.linalg.svd(rng.standard_normal((20, 6)), full_matrices=False)
    true = left @ np.diag([8.0, 5.0, 3.0, 1e-3, 1e-4, 1e-5]) @ right
    noisy = Response(true + 0.02 * rng.standard_normal((20, 6)), np.full((20, 6), 0.02))
    assert kept_directions(noisy) == 3
    done = correct(noisy, true @ np.ones(6) + 0.02 * rng.standard_normal(20), np.zeros(20), np.full(20, 0.02))
    assert done.used <= 3 and np.abs(done.change).max() < 3.0
    far = true @ np.ones(6) + 0.5 * rng.standard_normal(20)  # what the knobs cannot reach
    wild, calm = (correct(noisy, far, np.zeros(20), keep=keep) for keep in (6, None))
    assert np.abs(wild.change).max() > 5.0 * np.abs(calm.change).max()


def test_a_dead_monitor_and_a_reading_of_noise_change_nothing() -> None:
    response, true = response_of(7)
    reading = true @ np.ones(5)
    reading[3] = np.nan
    assert np.abs(correct(response, reading, np.zeros(12)).change + 1.0).max() < 0.1
    rng = np.random.default_rng(5)
    calm = correct(response, 1e-4 * rng.standard_normal(12), np.zeros(12), np.full(12, 0.01))
    assert calm.used == 0 and not calm.change.any()
    with pytest.raises(BadInput, match="no measurement"):
        correct(response, np.full(12, np.nan), np.zeros(12))


def test_the_matrix_of_steps_cancels_a_drift() -> None:
    start, matrix = np.array([1.0, -2.0]), np.array([[2.0, 0.5], [-1.0, 3.0], [0.0, 1.0]])
    steps = np.array([[0.1, 0.0], [-0.1, 0.0], [0.0, 0.2], [0.0, -0.2]])
    mean = (steps @ matrix.T) + 7.0
    found = from_steps(steps + start, start, mean, np.full((4, 3), 0.01))
    np.testing.assert_allclose(found.matrix, matrix, atol=1e-12)
    np.testing.assert_allclose(found.error[:, 0], np.sqrt(2) * 0.01 / 0.2)
    with pytest.raises(BadInput, match="knob 2"):
        from_steps(steps[:2] + start, start, mean[:2], np.zeros((2, 3)))


def test_a_change_is_scaled_to_the_knobs_limits() -> None:
    change, share = limited(np.array([1.0, -4.0]), np.array([0.5, 0.0]), np.array([[-2.0, 2.0], [-1.0, 1.0]]))
    assert share == pytest.approx(0.25)
    np.testing.assert_allclose(change, [0.25, -1.0])


@settings(max_examples=30, deadline=None)
@given(seeds, st.floats(-0.5, 0.5))
def test_the_centre_of_a_quadrupole_is_found(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    place, strength = np.array([-1.5, 0.0, 1.5]), np.array([-2.0, 2.0])
    see = np.array([0.02, -0.05, 0.0])  # the third monitor does not see it
    slopes, errors = [], []
    for x in place:
        mean = strength[:, None] * (x - shift) * see + 0.002 * rng.standard_normal((2, 3))
        slope, error = kicks(strength, mean, np.full((2, 3), 0.002))
        slopes.append(slope)
        errors.append(error)
    found = centre(place, np.array(slopes), np.array(errors))
    assert abs(found.offset - shift) < SIGMAS * found.error
    assert 0.005 < found.error < 0.1


def test_a_quadrupole_that_nobody_sees_has_no_centre() -> None:
    rng = np.random.default_rng(2)
    with pytest.raises(BadInput, match="no monitor sees"):
        centre(np.array([-1.0, 0.0, 1.0]), 0.01 * rng.standard_normal((3, 2)), np.full((3, 2), 0.01))


@settings(max_examples=12, deadline=None)
@given(seeds, st.floats(45.0, 320.0))
def test_the_range_of_a_bragg_curve_is_found(seed: int, r0: float) -> None:
    rng = np.random.default_rng(seed)
    depth = 1.5 + 1.9 * (np.arange(180) + 0.5)
    true = curve(depth, r0, 0.13 * (r0 / 10.0) ** 0.935, 2.0, 0.2)
    error = 0.003 * np.maximum(true, 0.02 * true.max())
    peak = fit_peak(depth, true + error * rng.standard_normal(180), error)
    fine = np.arange(r0 - 10.0, r0 + 20.0, 0.01)
    dose = curve(fine, r0, 0.13 * (r0 / 10.0) ** 0.935, 2.0, 0.2)
    top = int(np.argmax(dose))
    r80 = float(fine[top + int(np.argmax(dose[top:] < 0.8 * dose[top]))])
    assert abs(peak.r80 - r80) < SIGMAS * peak.r80_error


@pytest.mark.parametrize("shape", ["flat", "beyond", "empty"])
def test_a_curve_without_a_peak_inside_is_refused(shape: str) -> None:
    depth = 1.9 * np.arange(1.0, 100.0)
    charge = {"flat": np.ones(99), "beyond": np.linspace(1, 3, 99), "empty": np.zeros(99)}[shape]
    with pytest.raises(BadInput):
        fit_peak(depth, charge)


@settings(max_examples=30, deadline=None)
@given(seeds, st.floats(-0.01, 0.01))
def test_the_energy_scale_is_found(seed: int, error: float) -> None:
    rng = np.random.default_rng(seed)
    energies = np.linspace(70.0, 230.0, 321)
    table = (energies, 0.022 * energies**1.77)
    nominal = np.array([80.0, 120.0, 160.0, 200.0])
    ranges = 0.022 * (nominal * (1.0 + error)) ** 1.77 + 0.1 * rng.standard_normal(4)
    found = energy_scale(nominal, ranges, np.full(4, 0.1), table)
    assert abs(found.error - error) < SIGMAS * found.sigma
    assert found.sigma < 1e-3


@settings(max_examples=30, deadline=None)
@given(seeds, st.floats(18000.0, 22000.0), st.floats(0.95, 1.08))
def test_counts_per_mu_are_found(seed: int, true: float, k_tp: float) -> None:
    rng = np.random.default_rng(seed)
    counts = np.array([8e4, 16e4, 32e4, 8e4])
    charge = counts * k_tp / true * 8.0 / 4.2 / k_tp * (1.0 + 5e-4 * rng.standard_normal(4))
    found = counts_per_mu(counts, charge, k_tp, 4.2, 8.0, 20000.0)
    assert found.counts_per_mu == pytest.approx(true, rel=0.003)
    assert found.linearity < 0.003
    with pytest.raises(BadInput, match="two deliveries"):
        counts_per_mu(counts[:1], charge[:1], 1.0, 4.2, 8.0, 20000.0)


def test_a_spill_is_judged() -> None:
    rng = np.random.default_rng(3)
    times = np.linspace(0.0, 5.0, 250)
    even = spill(times, 0.4 * (1.0 + 0.12 * rng.standard_normal(250)))
    assert even.duty == pytest.approx(1.0 / (1.0 + 0.12**2), abs=4 * even.duty_error + 0.003)
    assert even.uniformity > 0.93 and even.length == pytest.approx(5.0, rel=0.02)
    spiky = spill(times, np.where(np.arange(250) % 5 == 0, 2.0, 0.0))
    assert spiky.duty == pytest.approx(0.2, rel=0.05)
    with pytest.raises(BadInput, match="16 readings"):
        spill(times, np.full(250, np.nan))


@settings(max_examples=30, deadline=None)
@given(seeds, st.floats(-15, 15), st.floats(1.5, 6.0), st.booleans())
@example(seed=0, middle=-0.5, sigma=1.5, dead=True)
def test_a_profile_is_measured_with_a_dead_wire(seed: int, middle: float, sigma: float, dead: bool) -> None:
    rng = np.random.default_rng(seed)
    place = np.arange(64) - 31.5
    charge = gauss(place, middle, sigma, 1.0, 0.0) + 0.003 * rng.standard_normal(64)
    if dead:
        charge[30] = 0.0
    found = fit_profile(place, charge)
    assert abs(found.middle - middle) < SIGMAS * found.middle_error + 0.01
    assert abs(found.sigma - sigma) < SIGMAS * found.sigma_error + 0.01
    with pytest.raises(BadInput, match="no peak"):
        fit_profile(place, 0.003 * np.abs(rng.standard_normal(64)))
