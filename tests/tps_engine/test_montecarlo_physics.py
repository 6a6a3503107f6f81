"""The Monte Carlo engine's physics against tables, theory and an independent Monte Carlo."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import curve_fit

from common.errors import BadConfig, BadInput
from common.site import CONFIG
from tests.tps_engine.montecarlo_beams import GENERIC, NARROW, run, slabs, water_from
from tps_engine.beamdata import bragg, scattering
from tps_engine.beamdata.water import water
from tps_engine.dose.montecarlo import materials, media, nuclear, rng, tables
from tps_engine.patient.grid import Grid

pytestmark = [pytest.mark.requirement("TPS-DOSE"), pytest.mark.requirement("TPS-VALIDATE")]


def test_normal_deviates_have_the_moments_of_a_normal_distribution():
    state = np.empty(2, dtype=np.uint64)
    rng.start(state, np.uint64(7), np.uint64(3))
    sample = np.array([rng.normal(state) for _ in range(100_000)])
    assert [sample.mean(), sample.std(), (sample**4).mean()] == pytest.approx([0.0, 1.0, 3.0], abs=0.05)
    assert np.mean(np.abs(sample) > 3.6541528853610088) == pytest.approx(2.58e-4, abs=1.6e-4)
    flat = np.array([rng.uniform(state) for _ in range(20_000)])
    assert flat.min() > 0.0 and flat.max() < 1.0
    assert np.histogram(flat, 10, (0.0, 1.0))[0] == pytest.approx(2000, abs=200)


def test_neighbouring_histories_have_unrelated_numbers():
    first = np.empty(2, dtype=np.uint64)
    numbers = []
    for history in range(4000):
        rng.start(first, np.uint64(1), np.uint64(history))
        numbers.append((rng.uniform(first), rng.uniform(first)))
    one, two = np.array(numbers).T
    assert abs(np.corrcoef(one[:-1], one[1:])[0, 1]) < 0.06
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.06
    assert one.mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("name", "folder"), [("pmma", "PMMA"), ("lung", "Lung")])
def test_stopping_power_ratios_are_near_those_of_elements(shared_data, name, folder):
    """Those add up elements by Bragg's rule, 1 to 1.5 % above compounds; PMMA measures 1.158 to 1.165."""
    found = materials.load()
    rows = np.loadtxt(shared_data / "mcsquare_bdl" / "Materials" / folder / "PSTAR_Stop_Pow.dat")
    rows = rows[(rows[:, 0] >= 10.0) & (rows[:, 0] <= 230.0)]
    ours = found.materials[found.index_of(name)].stopping_ratio(rows[:, 0])
    assert ours == pytest.approx(rows[:, 1] / water().stopping_of(rows[:, 0]), rel=0.018)
    pmma = found.materials[found.index_of("pmma")]
    assert 1.155 < 1.19 * float(pmma.stopping_ratio(150.0)) < 1.168


def test_scattering_length_of_water_and_materials():
    """X_S in g/cm2: 46.88 in water, 46.76 in air, 55.05 in Lexan (Gottschalk 2010)."""
    found = materials.load()
    assert 1.0 / materials.scattering_strength({"H": 0.111894, "O": 0.888106}) == pytest.approx(
        46.88, rel=2e-3
    )
    air = found.materials[found.index_of("air")]
    assert 46.88 / air.scattering == pytest.approx(46.76, rel=5e-3)
    lexan = materials.scattering_strength({"H": 0.055491, "C": 0.755751, "O": 0.188758})
    assert 1.0 / lexan == pytest.approx(55.05, rel=5e-3)


def test_tissues_keep_the_stopping_power_they_were_made_from():
    rsp = np.array([0.0011, 0.25, 0.96, 1.04, 1.2, 1.7], dtype=np.float32).reshape(1, 1, 6)
    medium = media.from_rsp(rsp, Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (1, 1, 6)))
    names = [medium.table.materials[k].name for k in medium.material.ravel()]
    assert names == ["air", "lung", "adipose", "muscle", "spongiosa", "cortical-bone"]
    ratio = [float(medium.table.materials[k].stopping_ratio(100.0)) for k in medium.material.ravel()]
    assert medium.density.ravel() * ratio == pytest.approx(rsp.ravel(), rel=1e-5)
    nominal = [medium.table.materials[k].density for k in medium.material.ravel()]
    assert medium.density.ravel() == pytest.approx(nominal, rel=0.15)


def test_a_material_table_that_does_not_add_up_is_refused(tmp_path):
    text = (CONFIG / "physics" / "materials.yaml").read_text()
    path = tmp_path / "broken.yaml"
    path.write_text(text.replace("{H: 0.111894, O: 0.888106}", "{H: 0.2, O: 0.888106}"))
    with pytest.raises(BadConfig, match="add up"):
        materials.load(path)
    path.write_text(text.replace("[0.02, air]", "[0.02, unobtainium]"))
    with pytest.raises(BadConfig, match="unobtainium"):
        materials.load(path)
    with pytest.raises(BadInput, match="has water, air"):
        materials.load().index_of("steel")


def test_nuclear_cross_sections_are_the_published_ones():
    """At 150 MeV: 25 mb on hydrogen; elastic about 110 mb and inelastic 285 to 305 mb on oxygen."""
    hydrogen, elastic, inelastic = (float(v[0]) for v in tables.nuclear_cross_sections(np.array([150.0])))
    assert 10.0 * hydrogen / 6.687e22 == pytest.approx(25e-27, rel=0.05)
    assert 10.0 * elastic / 3.343e22 == pytest.approx(113e-27, rel=0.1)
    assert 285e-27 < 10.0 * inelastic / 3.343e22 < 305e-27


def test_reactions_conserve_energy_and_give_protons_their_share():
    """ICRU Report 63: protons take 0.57 of 150 MeV that react with oxygen; charged fragments about 0.06."""
    state = np.empty(2, dtype=np.uint64)
    rng.start(state, np.uint64(1), np.uint64(1))
    emitted = np.zeros((8, 2))
    carried, left = [], []
    for _ in range(4000):
        count, local, neutral, spent = nuclear.breakup(state, 150.0, emitted)
        assert emitted[:count, 0].sum() + local + neutral + spent == pytest.approx(150.0, abs=1e-9)
        assert (np.abs(emitted[:count, 1]) <= 1.0).all()
        carried.append(emitted[:count, 0].sum())
        left.append(local)
    assert np.mean(carried) / 150.0 == pytest.approx(0.57, abs=0.03)
    assert np.mean(left) / 150.0 == pytest.approx(0.06, abs=0.02)


def test_two_body_kinematics():
    """Two protons part at 90 degrees at low energy and at less when fast; recoils of oxygen are small."""
    state = np.empty(2, dtype=np.uint64)
    rng.start(state, np.uint64(2), np.uint64(1))
    for energy, opening in ((11.0, 90.0), (230.0, 86.0)):
        angles = []
        for _ in range(300):
            first, one, second, two = nuclear.on_hydrogen(state, energy)
            assert first + second == pytest.approx(energy)
            angles.append(np.degrees(np.arccos(one) + np.arccos(two)))
        assert opening - 2.5 < np.median(angles) < opening + 2.0
    recoils = np.array([nuclear.on_oxygen(state, 150.0) for _ in range(5000)])
    assert recoils[:, 0].mean() == pytest.approx(0.485, rel=0.06)
    assert 8.0 < np.degrees(np.arccos(recoils[:, 1])).mean() < 16.0


@pytest.mark.parametrize(("energy", "shape"), [(100, 0.02), (150, 0.02), (200, 0.03)])
def test_depth_dose_is_that_of_mcsquare(shared_data, energy, shape):
    """With its stopping power (Geant4's): R80 within 0.5 mm, twelfths of the plateau, peak within 4 %."""
    depth, theirs = np.loadtxt(
        shared_data / "reference" / f"ref_mcsquare_{energy}MeV_s0.csv", delimiter=",", skiprows=1, unpack=True
    )
    stopping = np.loadtxt(shared_data / "mcsquare_bdl" / "Materials" / "Water" / "G4_Stop_Pow.dat")
    found = run(slabs(), energy, 30_000, beam=replace(NARROW, water=water_from(stopping)))
    ours = found.dose_to_water[0, :, 0].astype(float)
    r80 = bragg.distal_depth(depth, theirs, 0.8)
    assert bragg.distal_depth(depth, ours, 0.8) == pytest.approx(r80, abs=0.5)
    plateau = np.flatnonzero(depth < r80 - 8.0)
    scale = (ours[plateau] @ theirs[plateau]) / (ours[plateau] @ ours[plateau])
    for part in np.array_split(plateau, 12):
        assert scale * ours[part].mean() == pytest.approx(theirs[part].mean(), rel=shape)
    assert scale * ours.max() == pytest.approx(theirs.max(), rel=0.04)
    fall = [bragg.distal_depth(depth, d, 0.2) - bragg.distal_depth(depth, d, 0.8) for d in (ours, theirs)]
    assert fall[0] == pytest.approx(fall[1], rel=0.1)


@pytest.mark.parametrize("energy", [72.0, 110.0, 150.0, 190.0, 228.0])
def test_range_is_that_of_the_table(energy):
    """R80 within 0.3 mm of the range in the table, over all energies of the machine."""
    csda = float(GENERIC.water.range_of(energy))
    grid = slabs(step=0.5, width=400.0, depth=csda + 20.0)
    ours = run(grid, energy, 20_000).dose_to_water[0, :, 0].astype(float)
    assert bragg.distal_depth(grid.axis(1), ours, 0.8) == pytest.approx(csda, abs=0.3)


@pytest.mark.parametrize("step", [2.0, 8.0])
def test_width_follows_fermi_eyges_whatever_the_voxels(step):
    """The Gaussian core at 150 MeV within 4 % of Gottschalk's theory; the tails are nuclear."""
    grid = Grid((-40.0, 0.5 * step, 0.0), (1.0, step, 400.0), (1, round(150.0 / step), 81))
    dose = run(grid, 150.0, 15_000).dose_to_water[0].astype(float)
    x = grid.axis(0)
    for depth in (84.0, 116.0, 140.0):
        row = int(depth / step)
        theory = np.sqrt(
            scattering.lateral_variance(GENERIC.water, 150.0, grid.axis(1)[[row]])[0] + 1.0 / 12.0
        )
        core = np.abs(x) < 1.5 * theory
        (_, width), _ = curve_fit(
            lambda u, a, s: a * np.exp(-0.5 * (u / s) ** 2),
            x[core],
            dose[row][core],
            [dose[row].max(), theory],
        )
        assert abs(width) == pytest.approx(theory, rel=0.04)


def test_let_is_the_stopping_power_and_rises_to_the_end():
    """At the entrance the primary protons' stopping power (5.4 MeV cm2/g is 0.54 keV/um) plus secondaries."""
    let = run(slabs(), 150.0, 6000).let[0, :, 0]
    assert 0.55 < let[:5].mean() < 0.95
    assert let[100] > let[20]
    assert 5.0 < let[155] < 9.0
    assert let[159] > let[155]


def test_bone_and_lung_shift_the_range_by_their_stopping_power():
    grid = slabs(depth=260.0)
    table = materials.load()
    plain = run(grid, 150.0, 4000).dose_to_water[0, :, 0].astype(float)
    for name, density in (("cortical-bone", 1.92), ("lung", 0.26)):
        material, mass = np.zeros(grid.shape, np.uint8), np.ones(grid.shape, np.float32)
        number = table.index_of(name)
        material[0, 30:60], mass[0, 30:60] = number, density
        found = run(grid, 150.0, 4000, medium=media.Medium(grid, material, mass, table))
        ours = found.dose_to_water[0, :, 0].astype(float)
        expected = 30.0 * (density * float(table.materials[number].stopping_ratio(120.0)) - 1.0)
        shift = bragg.distal_depth(grid.axis(1), plain, 0.8) - bragg.distal_depth(grid.axis(1), ours, 0.8)
        assert shift == pytest.approx(expected, abs=0.6)
        ratio = found.dose_to_water[0, 40, 0] / found.dose_to_medium[0, 40, 0]
        assert ratio == pytest.approx(1.0 / float(table.materials[number].stopping_ratio(120.0)), rel=0.01)
