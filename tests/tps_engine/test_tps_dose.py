"""Pencil-beam dose in water: normalisation, place of the peak, width, and the two ways of calculating it."""

from dataclasses import replace

import numpy as np
import pytest

from common.errors import BadInput
from tps_engine.beamdata import bragg, model, scattering
from tps_engine.dose import engine, field, raytrace, spots
from tps_engine.optimise import products
from tps_engine.patient.grid import Grid
from tps_engine.plan.geometry import beam_frame

GRID = Grid((-60.0, -100.0, -60.0), (2.0, 1.0, 2.0), (61, 201, 61))
WATER = np.ones(GRID.shape, dtype=np.float32)


@pytest.fixture(scope="module")
def beam():
    """The generic machine without its halo: one Gaussian a spot."""
    return replace(model.load("proton-generic"), halo=None)


@pytest.fixture(scope="module")
def voxels(beam):
    frame = beam_frame(0.0, 0.0, (0.0, 0.0, 0.0), beam.virtual_sad)
    return field.prepare(WATER, GRID, frame, GRID.points(np.arange(GRID.size)))


def central(beam, voxels, row):
    one = spots.nominal(beam, beam.energies[[row]], np.zeros(1), np.zeros(1))
    return engine.forward(voxels, beam, one, np.ones(1)).reshape(GRID.shape)


@pytest.mark.requirement("TPS-DOSE")
@pytest.mark.parametrize("row", [10, 40, 60])
def test_integral_and_peak_in_water(beam, voxels, row):
    """Summed across the beam, the dose is protons per MU x the depth dose; the peak is where it should be."""
    dose = central(beam, voxels, row)
    across = dose.sum(axis=(0, 2), dtype=np.float64) * GRID.spacing[0] * GRID.spacing[2]
    depth = GRID.axis(1) - (GRID.origin[1] - 0.5)
    expected = beam.protons_per_mu[row] * bragg.integral_depth_dose(
        beam.water, float(beam.energies[row]), float(beam.spread[row]), beam.depth_dose, depth
    )
    peak = bragg.peak_depth(depth, expected)
    assert bragg.peak_depth(depth, across) == pytest.approx(peak, abs=0.2)
    assert peak == pytest.approx(beam.peaks()[0][row], abs=1.0)
    plateau = depth < peak
    assert across[plateau] == pytest.approx(expected[plateau], rel=5e-3)
    assert across.sum() == pytest.approx(expected.sum(), rel=2e-3)


@pytest.mark.requirement("TPS-DOSE")
def test_lateral_width_and_symmetry(beam, voxels):
    row = 60
    dose = central(beam, voxels, row)
    np.testing.assert_allclose(dose, dose[::-1], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(dose, dose[:, :, ::-1], rtol=1e-4, atol=1e-7)
    y = 60.0
    plane = dose[:, int(y - GRID.origin[1])].astype(np.float64)
    x = GRID.axis(0)
    seen = float((plane.sum(axis=0) @ x**2) / plane.sum())
    scattered = scattering.lateral_variance(
        beam.water, float(beam.energies[row]), np.array([0.0, y + 100.5])
    )[1]
    there = beam.sigma[row, 0] ** 2 + (beam.divergence[row, 0] * y) ** 2 + scattered
    # cutting a Gaussian at 3.5 sigma takes 1.5 % off its variance
    assert seen == pytest.approx(there, rel=0.025)


@pytest.mark.requirement("TPS-DOSE")
def test_forward_dose_equals_influence_times_weights(beam, voxels):
    rng = np.random.default_rng(7)
    count = 120
    energy = rng.choice(beam.energies[20:70], count)
    some = spots.nominal(beam, energy, rng.uniform(-30, 30, count), rng.uniform(-30, 30, count))
    mu = rng.uniform(0.02, 1.0, count)
    matrix = engine.influence(voxels, beam, some, rays=True)
    by_matrix = products.dose(matrix, mu)
    direct = engine.forward(voxels, beam, some, mu)
    assert np.abs(by_matrix - direct).max() < 1e-4 * direct.max()
    assert direct.max() > 0.0
    slope = rng.normal(size=GRID.size)
    assert products.back(matrix, slope) @ mu == pytest.approx(float(slope @ by_matrix), rel=1e-4)


@pytest.mark.requirement("TPS-DOSE")
@pytest.mark.parametrize(
    ("gantry", "couch", "axis", "sign", "spot_axis", "spot_sign"),
    [
        (0, 0, 1, -1, 0, 1),
        (90, 0, 0, 1, 1, 1),
        (180, 0, 1, 1, 0, -1),
        (270, 0, 0, -1, 1, -1),
        (90, 90, 2, -1, 1, 1),
    ],
)
def test_dose_lies_on_the_right_side(beam, gantry, couch, axis, sign, spot_axis, spot_sign):
    """A spot 12 mm off in x: dose lies towards the source, and beside the isocentre with the right sign."""
    grid = Grid((-90.0, -90.0, -90.0), (3.0, 3.0, 3.0), (61, 61, 61))
    frame = beam_frame(gantry, couch, (0.0, 0.0, 0.0), beam.virtual_sad)
    points = grid.points(np.arange(grid.size))
    prepared = field.prepare(np.ones(grid.shape, dtype=np.float32), grid, frame, points)
    one = spots.nominal(beam, beam.energies[[5]], np.array([12.0]), np.zeros(1))
    dose = engine.forward(prepared, beam, one, np.ones(1)).astype(np.float64)
    centre = dose @ points / dose.sum()
    assert centre[axis] * sign > 30.0
    assert centre[spot_axis] == pytest.approx(12.0 * spot_sign, abs=0.5)
    assert centre[3 - axis - spot_axis] == pytest.approx(0.0, abs=0.2)


@pytest.mark.requirement("TPS-DOSE")
def test_measured_sizes_and_a_shift_change_the_dose(beam, voxels):
    planned = spots.nominal(beam, beam.energies[[40]], np.zeros(1), np.zeros(1))
    wider = spots.Spots(planned.energy, planned.x + 4.0, planned.y, planned.sigma_x * 1.5, planned.sigma_y)
    before = engine.forward(voxels, beam, planned, np.ones(1)).reshape(GRID.shape)
    after = engine.forward(voxels, beam, wider, np.ones(1)).reshape(GRID.shape)
    weights = GRID.axis(0)
    assert (after.sum(axis=(0, 1)) @ weights) / after.sum() == pytest.approx(4.0, abs=0.2)
    assert after.max() < 0.8 * before.max()
    assert after.sum() == pytest.approx(before.sum(), rel=3e-3)


@pytest.mark.requirement("TPS-DOSE")
def test_water_depth_is_the_line_integral():
    """Against brute-force sampling, oblique, through random stuff, from a source 2 m away."""
    rng = np.random.default_rng(5)
    grid = Grid((-20.0, -30.0, -25.0), (2.0, 3.0, 2.5), (20, 21, 22))
    stuff = rng.uniform(0.0, 2.0, grid.shape).astype(np.float32)
    frame = beam_frame(35.0, 20.0, (0.0, 0.0, 0.0), (2000.0, 2200.0))
    points = np.array([[0.0, 1.0, 2.0], [10.3, -12.1, 9.0], [-15.0, 20.0, -18.0], [300.0, 0.0, 0.0]])
    depth, surface = raytrace.water_depth(stuff, grid, frame, points)
    toward = frame.towards_source(frame.project(points))
    step = 0.005
    for point, direction, got in zip(points, toward, depth, strict=True):
        along = point + np.arange(0.5 * step, 400.0, step)[:, None] * direction
        index = np.rint(grid.index_of(along)).astype(int)
        inside = ((index >= 0) & (index < [22, 21, 20])).all(axis=1)
        index = index[inside]
        assert got == pytest.approx(stuff[index[:, 2], index[:, 1], index[:, 0]].sum() * step, abs=0.03)
    assert depth[3] == 0.0 == surface[3]
    assert surface[:3].min() > 0.0


@pytest.mark.requirement("TPS-DOSE")
def test_bad_spots_are_refused_before_time_is_spent(beam, voxels):
    row = np.array([beam.energies[40]])
    with pytest.raises(BadInput, match="the machine scans -150"):
        spots.nominal(beam, row, np.array([151.0]), np.zeros(1))
    with pytest.raises(BadInput, match="machine proton-generic has"):
        spots.nominal(beam, np.array([250.0]), np.zeros(1), np.zeros(1))
    with pytest.raises(BadInput, match="no numbers"):
        spots.nominal(beam, row, np.array([np.nan]), np.zeros(1))
    one = spots.nominal(beam, row, np.zeros(1), np.zeros(1))
    with pytest.raises(BadInput, match="not negative"):
        engine.forward(voxels, beam, one, np.array([-1.0]))
    none = spots.nominal(beam, np.zeros(0), np.zeros(0), np.zeros(0))
    assert not engine.forward(voxels, beam, none, np.zeros(0)).any()
    with pytest.raises(BadInput, match="one spot or more"):
        engine.influence(voxels, beam, none)
    with pytest.raises(BadInput, match="coarser dose grid"):
        engine.influence(voxels, beam, one, memory_limit=1000)
