"""The generic proton beam against published ranges, Monte Carlo depth doses and scattering."""

import numpy as np
import pytest
import yaml

from common.errors import BadConfig, BadInput
from common.site import CONFIG
from tps_engine.beamdata import bragg, model, scattering
from tps_engine.beamdata.water import water
from tps_engine.dose import spots
from tps_engine.patient.grid import Grid
from tps_engine.validate import doses, phantoms

# NIST PSTAR, liquid water, CSDA range in g/cm2
PSTAR = {
    10: 0.1230, 50: 2.227, 70: 4.080, 100: 7.718, 125: 11.46, 150: 15.77, 175: 20.62, 200: 25.96,
    230: 32.95, 250: 37.94,
}  # fmt: skip


@pytest.fixture(scope="module")
def beam():
    return model.load("proton-generic")


@pytest.mark.requirement("TPS-PHYSICS")
@pytest.mark.parametrize(("energy", "published"), PSTAR.items())
def test_csda_range_is_the_published_one(energy, published):
    assert float(water().range_of(energy)) == pytest.approx(10.0 * published, rel=1e-3)
    assert float(water().energy_of(water().range_of(energy))) == pytest.approx(energy, rel=1e-4)


@pytest.mark.requirement("TPS-DOSE")
@pytest.mark.parametrize("energy", [70.0, 100.0, 150.0, 200.0, 230.0])
def test_r80_lies_at_the_csda_range(beam, energy):
    depth = np.arange(0.0, 400.0, 0.05)
    dose = bragg.integral_depth_dose(beam.water, energy, 0.0, beam.depth_dose, depth)
    assert bragg.distal_depth(depth, dose, 0.8) == pytest.approx(float(water().range_of(energy)), abs=0.2)


@pytest.mark.requirement("TPS-VALIDATE")
@pytest.mark.parametrize("energy", [100, 150, 200])
def test_depth_dose_follows_monte_carlo(beam, shared_data, energy):
    """R80 within 0.7 mm (Monte Carlo: -0.1 to +0.6 mm off the CSDA range), shape within 4 to 5 %."""
    file = shared_data / "reference" / f"ref_mcsquare_{energy}MeV_s0.csv"
    depth, monte_carlo = np.loadtxt(file, delimiter=",", skiprows=1, unpack=True)
    fine = np.arange(0.0, 400.0, 0.1) + 0.05
    curve = bragg.integral_depth_dose(beam.water, energy, 0.0, beam.depth_dose, fine)
    ours = curve.reshape(-1, 10).mean(axis=1)[: len(depth)]
    r80 = bragg.distal_depth(fine, curve, 0.8)
    assert r80 == pytest.approx(bragg.distal_depth(depth, monte_carlo, 0.8), abs=0.7)
    plateau = depth < r80 - 8.0
    scale = (ours[plateau] @ monte_carlo[plateau]) / (ours[plateau] @ ours[plateau])
    assert np.abs(scale * ours[plateau] / monte_carlo[plateau] - 1.0).max() < 0.04
    assert scale * ours.max() == pytest.approx(monte_carlo.max(), rel=0.05)


@pytest.mark.requirement("TPS-MODEL")
@pytest.mark.parametrize("wanted", [100.0, 200.0])
def test_generic_depth_dose_is_the_monte_carlo_engines(beam, wanted):
    """Gy mm2 per proton, in parts of the range before the peak, and the peak itself."""
    energy = phantoms.machine_energy(beam, wanted)
    end, step, wide = float(water().range_of(energy)), 0.5, 600.0
    grid = Grid((0.0, 0.5 * step, 0.0), (wide, step, wide), (1, round((end + 10.0) / step), 1))
    planned = phantoms.beam(beam, energy)
    found = doses.histories(phantoms.build(grid), planned, beam, 60_000).dose_to_water[0, :, 0]
    placed, mu = spots.of_beam(planned, beam)
    theirs = found.astype(np.float64) * wide**2 / float(spots.protons(beam, placed, mu).sum())
    spread = float(beam.at(np.array([energy]), beam.spread)[0])
    depth = grid.axis(1)
    ours = bragg.integral_depth_dose(beam.water, energy, spread, beam.depth_dose, depth)
    for low in (0.02, 0.2, 0.4, 0.6, 0.8):
        part = (depth > low * end) & (depth < (low + 0.15) * end)
        assert ours[part].sum() == pytest.approx(theirs[part].sum(), rel=0.012)
    assert ours.max() == pytest.approx(theirs.max(), rel=0.025)
    assert ours.sum() == pytest.approx(theirs.sum(), rel=0.006)


@pytest.mark.requirement("TPS-DOSE")
def test_scattering_in_water_is_two_percent_of_the_range(beam):
    """Published: sigma at the end of range is 2.0 to 2.3 % of the range (Gottschalk 2010)."""
    for energy in (100.0, 150.0, 200.0):
        end = float(water().range_of(energy))
        sigma = float(np.sqrt(scattering.lateral_variance(beam.water, energy, np.array([end]))[0]))
        assert 0.019 < sigma / end < 0.024


@pytest.mark.requirement("TPS-PHYSICS")
def test_the_machine_has_97_energies_and_a_monotonic_monitor(beam):
    assert len(beam.energies) == 97
    assert (beam.energies[0], beam.energies[-1]) == (71.3, 228.8)
    assert (np.diff(beam.protons_per_mu) > 0.0).all()
    # 1 MU is 3 nC of charge in 10 mm of air
    stopping_air = 0.882 * 1.2048e-3 * float(beam.water.stopping_of(100.4))
    expected = 3e-9 / 1.602176634e-19 / (stopping_air * 1e6 / 34.23)
    assert float(beam.at(np.array([100.4]), beam.protons_per_mu)[0]) == pytest.approx(expected, rel=1e-3)


@pytest.mark.requirement("TPS-PHYSICS")
def test_energies_that_the_machine_lacks_are_refused_by_name(beam):
    lowest = beam.energy_for_range(100.0)
    assert float(water().range_of(lowest)) >= 100.0
    assert beam.index_of(lowest) == int(np.searchsorted(beam.energies, lowest))
    with pytest.raises(BadInput, match=r"nearest allowed is 117\.7"):
        beam.index_of(118.0)
    with pytest.raises(BadInput, match="reaches"):
        beam.energy_for_range(400.0)
    with pytest.raises(BadInput, match=r"71.3 \.\. 228.8"):
        model.kernel_tables(beam, (60.0,))


@pytest.mark.requirement("TPS-PHYSICS")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content["energies"].reverse(), "must rise"),
        (lambda content: content["energies"][3].__setitem__(2, 0.0), "not positive"),
        (lambda content: content.pop("minimum_mu"), "minimum_mu"),
    ],
)
def test_a_damaged_beam_model_is_refused(tmp_path, change, message):
    content = yaml.safe_load((CONFIG / "beam_models" / "proton-generic.yaml").read_text())
    change(content)
    path = tmp_path / "broken.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(BadConfig, match=message):
        model.load(path)
