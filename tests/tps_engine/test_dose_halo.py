"""Halo, second Gaussian and the water of other tables: what they add, and that nothing is lost."""

from dataclasses import replace

import numpy as np
import pytest

from tps_engine.beamdata import bragg, model, water
from tps_engine.beamdata.optics import SecondGaussian, at_isocentre
from tps_engine.dose import components, engine, field, spots
from tps_engine.patient.grid import Grid
from tps_engine.plan.geometry import beam_frame

HALO = bragg.HaloParameters(0.09, 0.75, 18.5, 0.45, 0.28)
GRID = Grid((-90.0, -80.0, -90.0), (3.0, 4.0, 3.0), (61, 41, 61))


@pytest.fixture(scope="module")
def beam():
    """The generic machine without its halo: one Gaussian a spot."""
    return replace(model.load("proton-generic"), halo=None)


@pytest.fixture(scope="module")
def voxels(beam):
    frame = beam_frame(0.0, 0.0, (0.0, 0.0, 0.0), beam.virtual_sad)
    stuff = np.ones(GRID.shape, dtype=np.float32)
    return field.prepare(stuff, GRID, frame, GRID.points(np.arange(GRID.size)))


@pytest.mark.requirement("TPS-DOSE")
def test_a_halo_moves_dose_sideways_and_keeps_it(beam, voxels):
    row = beam.energies[[50]]
    one = spots.nominal(beam, row, np.zeros(1), np.zeros(1))
    plain = engine.forward(voxels, beam, one, np.ones(1)).reshape(GRID.shape).astype(np.float64)
    wide = engine.forward(voxels, replace(beam, halo=HALO), one, np.ones(1)).reshape(GRID.shape)
    wide = wide.astype(np.float64)
    depth = 25  # 102 mm of water
    assert wide[:, depth].sum() == pytest.approx(plain[:, depth].sum(), rel=5e-3)
    assert wide[:, depth].max() < 0.97 * plain[:, depth].max()
    range_mm = float(beam.water.range_of(row)[0])
    share = float(HALO.share(range_mm, np.array([102.0]))[0])
    x2 = GRID.axis(0) ** 2
    second = [float(dose[:, depth].sum(axis=0) @ x2 / dose[:, depth].sum()) for dose in (plain, wide)]
    assert second[1] - second[0] == pytest.approx(share * float(HALO.sigma(range_mm)) ** 2, rel=0.08)


@pytest.mark.requirement("TPS-DOSE")
def test_laying_together_keeps_the_first_moments(beam):
    rng = np.random.default_rng(3)
    energy = rng.choice(beam.energies[[20, 50]], 300)
    many = spots.nominal(beam, energy, rng.uniform(-40, 40, 300), rng.uniform(-40, 40, 300))
    protons = rng.uniform(0.0, 2.0, 300)
    second = SecondGaussian(
        np.full(len(beam.energies), 0.03), 4.0 * beam.sigma, beam.divergence, 0.0 * beam.covariance
    )
    core, halo, nozzle = components.all_of(replace(beam, halo=HALO, second=second), many, protons)
    assert len(core) == 300
    assert len(halo) < 40
    assert (core.part, halo.part, nozzle.part) == ("core", "halo", "all")
    assert core.protons.sum() + nozzle.protons.sum() == pytest.approx(protons.sum())
    for part, whole in ((halo, core), (nozzle, None)):
        own = protons * 0.03 if whole is None else whole.protons
        for value in np.unique(energy):
            mine, theirs = part.energy == value, energy == value
            assert part.protons[mine].sum() == pytest.approx(own[theirs].sum())
            place = part.protons[mine] @ part.optics[mine, 0] / part.protons[mine].sum()
            mean = own[theirs] @ many.x[theirs] / own[theirs].sum()
            assert place == pytest.approx(mean, abs=1e-9)
            spread = part.protons[mine] @ (part.optics[mine, 2] + part.optics[mine, 0] ** 2)
            sigma = 4.0 * many.sigma_x[theirs] if whole is None else many.sigma_x[theirs]
            assert spread == pytest.approx(own[theirs] @ (sigma**2 + many.x[theirs] ** 2), rel=1e-9)


@pytest.mark.requirement("TPS-PHYSICS")
def test_water_of_another_excitation_energy():
    """Bethe: 78 eV instead of 75 eV lengthens the range of 150 MeV by 0.5 %."""
    usual, other = water.water_of(75.0), water.water_of(78.0)
    assert float(other.range_of(150.0) / usual.range_of(150.0)) == pytest.approx(1.005, abs=0.0005)
    assert usual is water.water()


@pytest.mark.requirement("TPS-PHYSICS")
def test_an_emittance_is_carried_to_the_isocentre():
    """A waist 300 mm before the isocentre, stated at 600 mm: negative correlation, converging."""
    waist, angle, plane, before = 3.0, 0.004, 600.0, 300.0
    size = np.hypot(waist, angle * before)
    correlation = -(angle**2) * before / (size * angle)
    sigma, covariance = at_isocentre(np.array([size]), np.array([angle]), np.array([correlation]), plane)
    assert sigma[0] == pytest.approx(np.hypot(waist, angle * before))
    assert covariance[0] == pytest.approx(angle**2 * before)


@pytest.mark.requirement("TPS-DOSE")
def test_no_secondary_goes_deeper_than_the_range(beam):
    depth = np.arange(0.0, 200.0, 0.5)
    curve = bragg.integral_depth_dose(beam.water, 130.0, 0.5, beam.depth_dose, depth)
    end = float(beam.water.range_of(130.0))
    assert curve[depth > end + 8.0].max() < 1e-4 * curve.max()
    # of 130 MeV, nuclear reactions take a few percent out of the water
    kept = curve.sum() * 0.5 / (10.0 * bragg.GY_MM2_PER_MEV_CM2_G) / 130.0
    assert 0.93 < kept < 0.98
