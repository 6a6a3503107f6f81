"""The Monte Carlo engine as a whole: energy balance, seeds, uncertainty, beamlets, and a plan in water."""

import os

import numpy as np
import pytest

from common.dicom.plan import IonBeam, IonLayer
from common.errors import BadInput
from tests.tps_engine.montecarlo_beams import GENERIC, pencil, run, slabs
from tests.tps_engine.tps_phantoms import box, regions, water_ct
from tps_engine.beamdata.bragg import distal_depth
from tps_engine.beamdata.optics import RangeShifter
from tps_engine.dose import beam as pencil_beam
from tps_engine.dose import spots
from tps_engine.dose.montecarlo import engine, media
from tps_engine.dose.montecarlo.fresh import discard_stale
from tps_engine.dose.upstream import Upstream
from tps_engine.evaluate.gamma import GammaCriteria, gamma
from tps_engine.patient import model as patient_model
from tps_engine.patient import stopping_power
from tps_engine.patient.grid import Grid
from tps_engine.patient.stopping_power import AIR
from tps_engine.plan.geometry import beam_frame

pytestmark = pytest.mark.requirement("TPS-DOSE")
BOX = Grid((-28.0, 2.0, -28.0), (4.0, 4.0, 4.0), (15, 40, 15))


@pytest.fixture(scope="module")
def patient():
    ct = water_ct()
    structures = regions(
        External=("EXTERNAL", box((-68, 68), (-84, 84), ct.z[2:-2])),
        cube=("PTV", box((-15, 15), (-15, 15), ct.z[np.abs(ct.z) < 15.0])),
    )
    return patient_model.build(ct, structures, ["cube"], "cube", stopping_power.load())


@pytest.fixture(scope="module")
def field():
    """A spread-out field of ten layers."""
    x, y = (a.ravel() for a in np.meshgrid(np.arange(-24.0, 25.0, 6.0), np.arange(-24.0, 25.0, 6.0)))
    x, y = x.astype(np.float32), y.astype(np.float32)
    layers = tuple(
        IonLayer(float(GENERIC.energies[row]), x, y, np.full(len(x), 0.01 * mu, np.float32), 12.0, 12.0)
        for row, mu in zip(range(27, 17, -1), (30, 12, 8, 6, 5, 4, 4, 3, 3, 3), strict=True)
    )
    return IonBeam(1, "A", 0.0, 0.0, (0.0, 0.0, 0.0), layers)


@pytest.mark.parametrize("energy", [80.0, 150.0, 220.0])
def test_energy_goes_somewhere_and_all_of_it_is_known(energy):
    """Deposited + escaped + neutral + separation = started; the dose holds what was deposited."""
    found = run(BOX, energy, 4000)
    balance = found.balance
    assert balance.started == pytest.approx(energy, abs=1e-9)
    total = balance.deposited + balance.escaped + balance.neutral + balance.separation
    assert total == pytest.approx(balance.started, rel=1e-6)
    protons = float(GENERIC.at(np.array([energy]), GENERIC.protons_per_mu)[0])
    joule = found.dose_to_medium.sum(dtype=np.float64) * BOX.voxel_cm3 * 1e-3
    assert joule / (1.602176634e-13 * protons) == pytest.approx(balance.deposited, rel=1e-5)
    assert (found.dose_to_water >= -0.02 * found.dose_to_water.max()).all()


def test_a_seed_gives_the_same_dose_on_any_number_of_threads():
    one, two = (run(BOX, 120.0, 3000, seed=5, threads=n) for n in (1, 2))
    np.testing.assert_array_equal(one.dose_to_water, two.dose_to_water)
    np.testing.assert_array_equal(one.let, two.let)
    np.testing.assert_array_equal(one.sigma, two.sigma)
    other = run(BOX, 120.0, 3000, seed=6)
    assert not np.array_equal(one.dose_to_water, other.dose_to_water)


def test_uncertainty_is_the_scatter_of_runs_and_falls_with_the_root_of_histories():
    grid = slabs(step=4.0, width=60.0, depth=140.0)
    few, many = (run(grid, 120.0, n, batches=40) for n in (4000, 16_000))
    assert few.mean_uncertainty() / many.mean_uncertainty() == pytest.approx(2.0, rel=0.25)
    runs = [run(grid, 120.0, 1000, seed=seed, batches=10) for seed in range(80)]
    scatter = np.std([r.dose_to_water for r in runs], axis=0, ddof=1)
    told = np.sqrt(np.mean([r.sigma.astype(float) ** 2 for r in runs], axis=0))
    high = runs[0].dose_to_water > 0.5 * runs[0].dose_to_water.max()
    assert np.median(told[high] / scatter[high]) == pytest.approx(1.0, abs=0.25)


def test_rotated_beams_give_the_same_dose(patient):
    """From opposite sides and from the side: the same energy, mirrored or turned."""
    grid = Grid((-38.0, -38.0, -38.0), (4.0, 4.0, 4.0), (20, 20, 20))
    medium = media.uniform(grid)
    doses = {}
    for angle in (0.0, 90.0, 180.0):
        frame = beam_frame(angle, 0.0, (0.0, 0.0, 0.0), GENERIC.virtual_sad)
        histories = engine.Histories(4000, threads=1)
        found = engine.spot_dose(medium, frame, GENERIC, pencil(80.0, 5.0), np.ones(1), histories)
        doses[angle] = found.dose_to_water.astype(float)
    profile = doses[0.0].sum(axis=(0, 2))
    assert doses[180.0].sum(axis=(0, 2))[::-1] == pytest.approx(profile, rel=0.06, abs=0.02 * profile.max())
    # at 90 degrees the source stands on the patient's left (+x)
    assert doses[90.0].sum(axis=(0, 1))[::-1] == pytest.approx(profile, rel=0.06, abs=0.02 * profile.max())


def test_the_source_is_the_beam_models_spot_in_air():
    """Width at, before and behind the isocentre, and the place of a spot off the axis."""
    thin = Grid((-60.0, -0.5, -60.0), (2.0, 1.0, 2.0), (61, 1, 61))
    frame = beam_frame(0.0, 0.0, (0.0, 0.0, 0.0), GENERIC.virtual_sad)
    for height in (-300.0, 0.0, 300.0):
        grid = Grid((-60.0, -height - 0.5, -60.0), thin.spacing, thin.shape)
        one = spots.nominal(GENERIC, np.array([150.0]), np.array([30.0]), np.array([-20.0]))
        found = engine.spot_dose(
            media.uniform(grid), frame, GENERIC, one, np.ones(1), engine.Histories(30_000, threads=1)
        )
        dose = found.dose_to_water[:, 0].astype(float)
        x, z = grid.axis(0), grid.axis(2)
        across, along = dose.sum(axis=0) / dose.sum(), dose.sum(axis=1) / dose.sum()
        shrink = 1.0 - height / GENERIC.virtual_sad[0]
        assert across @ x == pytest.approx(30.0 * shrink, abs=0.15)
        assert along @ z == pytest.approx(-20.0 * shrink, abs=0.15)
        near = np.abs(x - 30.0 * shrink) < 25.0
        sigma = np.sqrt((across[near] / across[near].sum()) @ (x[near] - across @ x) ** 2)
        divergence = float(GENERIC.at(np.array([150.0]), GENERIC.divergence[:, 0])[0])
        expected = np.hypot(one.sigma_x[0], divergence * height)
        assert sigma == pytest.approx(np.hypot(expected, 2.0 / np.sqrt(12.0)), rel=0.04)


def test_beamlets_add_up_to_the_field():
    medium = media.uniform(BOX)
    frame = beam_frame(0.0, 0.0, (0.0, 0.0, 0.0), GENERIC.virtual_sad)
    some = spots.nominal(GENERIC, np.array([90.0, 110.0]), np.array([-8.0, 8.0]), np.zeros(2))
    mu = np.array([1.0, 0.5])
    voxels = np.arange(BOX.size)
    matrix = engine.influence(medium, frame, GENERIC, some, voxels, per_spot=6000, cut=0.0)
    assert matrix.spots == 2
    total = np.zeros(BOX.size)
    for spot in range(2):
        part = slice(matrix.indptr[spot], matrix.indptr[spot + 1])
        total[matrix.indices[part]] += mu[spot] * matrix.data[part]
    whole = engine.spot_dose(medium, frame, GENERIC, some, mu, engine.Histories(20_000, threads=1))
    wanted = whole.dose_to_water.ravel().astype(float)
    assert total.sum() == pytest.approx(wanted.sum(), rel=0.005)
    high = wanted > 0.5 * wanted.max()
    assert total[high].mean() == pytest.approx(wanted[high].mean(), rel=0.02)
    again = engine.influence(medium, frame, GENERIC, some, voxels, per_spot=6000, cut=0.01)
    assert len(again.data) < len(matrix.data)


@pytest.mark.requirement("TPS-VALIDATE")
def test_a_field_in_water_agrees_with_the_pencil_beam(patient, field):
    """Absolute, per MU, means of voxels: above half of the maximum within 3 %; gamma at 3 % noise."""
    grid = Grid((-48.0, -90.0, -48.0), (4.0, 4.0, 4.0), (25, 46, 25))
    fine = Grid((-48.0, -91.5, -48.0), (4.0, 1.0, 4.0), (25, 184, 25))
    ours = engine.beam_dose(patient, grid, field, GENERIC, engine.Histories(200_000, seed=2, threads=1))
    theirs = pencil_beam.beam_dose(patient, fine, field, GENERIC).reshape(25, 46, 4, 25).mean(axis=2)
    high = theirs > 0.5 * theirs.max()
    assert float(ours.dose_to_water[high].mean()) == pytest.approx(float(theirs[high].mean()), rel=0.03)
    assert ours.mean_uncertainty() < 0.045
    for percent, least in ((3.0, 97.5), (2.0, 92.0)):
        result = gamma(theirs, ours.dose_to_water, grid.spacing, GammaCriteria(percent, percent))
        assert result.pass_rate > least
    assert not ours.dose_to_water[:, grid.axis(1) < -85.0].any()


def test_bad_input_is_refused_before_time_is_spent(patient, field):
    frame = beam_frame(0.0, 0.0, (0.0, 0.0, 0.0), GENERIC.virtual_sad)
    medium, some = media.uniform(BOX), pencil(100.0, 5.0)
    histories = engine.Histories(100, threads=1)
    with pytest.raises(BadInput, match="batches"):
        engine.Histories(5)
    with pytest.raises(BadInput, match="not all zero"):
        engine.spot_dose(medium, frame, GENERIC, some, np.zeros(1), histories)
    with pytest.raises(BadInput, match=r"71\.3"):
        engine.spot_dose(medium, frame, GENERIC, pencil(30.0, 5.0), np.ones(1), histories)
    with pytest.raises(BadInput, match="GiB"):
        engine.spot_dose(medium, frame, GENERIC, some, np.ones(1), histories, memory_limit=1000)
    with pytest.raises(BadInput, match="one spot, one voxel"):
        engine.influence(medium, frame, GENERIC, some, np.zeros(0, dtype=np.int64), 100)
    with pytest.raises(BadInput, match="densities"):
        media.Medium(BOX, medium.material, np.full(BOX.shape, np.nan, np.float32))
    with pytest.raises(BadInput, match="allowed is one of each"):
        media.Medium(BOX, medium.material[:1], medium.density)
    shifted = IonBeam(2, "B", 0.0, 0.0, (0.0, 0.0, 0.0), field.layers, range_shifter="RS1")
    with pytest.raises(BadInput, match="range shifter"):
        engine.beam_dose(patient, BOX, shifted, GENERIC, histories)


def test_compiled_code_older_than_any_source_is_discarded(tmp_path):
    (tmp_path / "cache").mkdir()
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text("")
        (tmp_path / "cache" / f"{name}.work-1.py311.nbi").write_text("")
    other = tmp_path / "cache" / "other.work-1.py311.nbi"
    other.write_text("")
    for place, age in (("one.py", 100.0), ("two.py", 50.0), ("cache/one.work-1.py311.nbi", 60.0)):
        os.utime(tmp_path / place, (1e9 - age, 1e9 - age))
    assert discard_stale(tmp_path, tmp_path / "cache") == 1
    assert [path.name[:5] for path in sorted((tmp_path / "cache").iterdir())] == ["other", "two.w"]


def test_noise_that_was_asked_for_is_reached_and_kept_within_the_most():
    found = run(BOX, 120.0, 10_000_000, noise=0.06, seed=4)
    assert found.mean_uncertainty() <= 0.0605
    assert found.histories.count < 10_000_000
    few = run(BOX, 120.0, 2000, noise=0.001)
    assert few.histories.count == 2000
    assert few.mean_uncertainty() > 0.001
    with pytest.raises(BadInput, match="noise of 0 %"):
        engine.Histories(100, noise=0.0)


def test_a_range_shifter_and_air_take_off_their_water_equivalent():
    """Air from 500 mm and 40 mm of plastic: the range falls by both, energy is counted, the gap widens."""
    grid = slabs(depth=160.0)
    frame = beam_frame(0.0, 0.0, (0.0, 0.0, 0.0), GENERIC.virtual_sad)
    plain = run(grid, 140.0, 8000, beam=GENERIC)
    shifter = RangeShifter("RS", 45.0, 40.0)
    ways = {
        gap: engine.spot_dose(
            media.uniform(Grid((-99.0, 1.0, -99.0), (6.0, 2.0, 6.0), (34, 80, 34))), frame, GENERIC,
            pencil(140.0, 3.0), np.ones(1), engine.Histories(16_000, threads=1),
            upstream=Upstream(500.0, 0.0, shifter, gap),
        )
        for gap in (20.0, 200.0)
    }  # fmt: skip
    depth = np.arange(80) * 2.0 + 1.0
    deep = distal_depth(grid.axis(1), plain.dose_to_water[0, :, 0].astype(float), 0.8)
    widths = []
    for found in ways.values():
        dose = found.dose_to_water.astype(float)
        r80 = distal_depth(depth, dose.sum(axis=(0, 2)), 0.8)
        assert deep - r80 == pytest.approx(45.0 + 460.0 * float(AIR), abs=0.8)
        balance = found.balance
        parts = balance.deposited + balance.escaped + balance.neutral + balance.separation
        assert parts + balance.upstream == pytest.approx(balance.started, rel=1e-6)
        assert balance.upstream > 20.0
        across = dose[:, 2:6].sum(axis=(0, 1))
        widths.append(np.sqrt(across @ found.grid.axis(0) ** 2 / across.sum()))
    assert widths[1] > 1.15 * widths[0]


def test_the_body_before_the_dose_grid_counts(patient, field):
    """A dose grid deep in the body gives what a grid over all of it gives there."""
    whole = Grid((-48.0, -90.0, -48.0), (4.0, 4.0, 4.0), (25, 46, 25))
    deep = Grid((-20.0, -22.0, -20.0), (4.0, 4.0, 4.0), (11, 12, 11))
    histories = engine.Histories(60_000, seed=3, threads=1)
    here, all_of_it = (engine.beam_dose(patient, g, field, GENERIC, histories) for g in (deep, whole))
    inner = all_of_it.dose_to_water[7:18, 17:29, 7:18]
    assert here.dose_to_water.shape == inner.shape
    assert float(here.dose_to_water.mean()) == pytest.approx(float(inner.mean()), rel=0.02)
