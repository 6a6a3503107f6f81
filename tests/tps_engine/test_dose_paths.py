"""The pencil beam in uneven matter: the rays of a field, what the kernel does, scattering in media."""

from dataclasses import replace

import numpy as np
import pytest

from tps_engine.beamdata import model
from tps_engine.beamdata.model import TABLE_STEP_MM, kernel_tables
from tps_engine.dose import columns, components, engine, field, groups, paths, rays, raytrace, spots
from tps_engine.dose.upstream import Upstream
from tps_engine.patient.grid import Grid
from tps_engine.plan.geometry import beam_frame

GRID = Grid((-60.0, -60.0, -60.0), (4.0, 4.0, 4.0), (31, 31, 31))


@pytest.fixture(scope="module")
def beam():
    """The generic machine without its halo: one Gaussian a spot."""
    return replace(model.load("proton-generic"), halo=None)


def prepared(beam, stuff, gantry=0.0, couch=0.0, isocentre=(0.0, 0.0, 0.0), upstream=None):
    frame = beam_frame(gantry, couch, isocentre, beam.virtual_sad)
    points = GRID.points(np.arange(GRID.size))
    return field.prepare(stuff, GRID, frame, points, None, upstream)


def step_of_stuff():
    stuff = np.ones(GRID.shape, dtype=np.float32)
    stuff[:, :15, :15] = 0.3
    return stuff


@pytest.mark.requirement("TPS-DOSE")
def test_the_lattice_holds_the_depths_of_its_rays(beam):
    """Against rays traced one by one, oblique; and what upstream air adds."""
    stuff = np.random.default_rng(2).uniform(0.1, 1.8, GRID.shape).astype(np.float32)
    for upstream in (None, Upstream(300.0, 60.0)):
        voxels = prepared(beam, stuff, 25.0, 10.0, (3.0, -5.0, 2.0), upstream)
        lattice = voxels.lattice
        rng = np.random.default_rng(4)
        shape = lattice.depth.shape
        index = np.column_stack([rng.integers(8, n - 8, 60) for n in shape])
        place = lattice.place
        uvz = place[:3] + index * place[[3, 3, 4]]
        scale = 1.0 - uvz[:, 2:] / np.asarray(beam.virtual_sad)
        points = voxels.frame.to_patient(np.column_stack([uvz[:, :2] * scale, uvz[:, 2]]))
        expected = field._depth(stuff, GRID, voxels.frame, points, upstream)
        if upstream is None:
            np.testing.assert_array_equal(
                expected, raytrace.water_depth(stuff, GRID, voxels.frame, points)[0]
            )
        got = lattice.depth[tuple(index.T)]
        # behind the image the lattice's rays go on, and so do the single ones
        np.testing.assert_allclose(got, expected, atol=0.02)


def depths_of_rays(voxels, some, k, air, scatter, places):
    """Depths (places, n) of the rays that spot k's protons took to voxels; places in standard deviations."""
    u, v, z = voxels.voxels.T[:3].astype(np.float64)
    lattice, place = voxels.lattice.depth, voxels.lattice.place
    level = np.floor((z - place[2]) / place[4] + 0.5).astype(int)
    to_plane = [1.0 - z / voxels.frame.sad[i] for i in (0, 1)]
    share = [scatter / (air[i] + scatter) for i in (0, 1)]
    mean_u, mean_v = u - (u - some.x[k]) * share[0], v - (v - some.y[k]) * share[1]
    sigma = [np.sqrt(air[i] * share[i]) / to_plane[i] for i in (0, 1)]
    found = []
    for x, y in places.astype(np.float64):
        pu, pv = (mean_u + x * sigma[0] - place[0]) / place[3], (mean_v + y * sigma[1] - place[1]) / place[3]
        pu, pv = np.clip(pu, 0.0, lattice.shape[0] - 1.001), np.clip(pv, 0.0, lattice.shape[1] - 1.001)
        i, j = pu.astype(int), pv.astype(int)
        fu, fv = np.clip(2.0 * (pu - i) - 0.5, 0.0, 1.0), np.clip(2.0 * (pv - j) - 0.5, 0.0, 1.0)
        there = (
            (1 - fu) * ((1 - fv) * lattice[i, j, level] + fv * lattice[i, j + 1, level])
            + fu * ((1 - fv) * lattice[i + 1, j, level] + fv * lattice[i + 1, j + 1, level])
        )  # fmt: skip
        found.append(there + place[2] + place[4] * level - z)
    return np.array(found)


def plain_numpy(beam, voxels, some, mu):
    """The kernel's formula over all voxels at once, one spot after the other."""
    part = components.single(beam, some, np.ones(len(some)))
    height = float(np.abs(voxels.voxels[:, 2]).max())
    found = columns.columns_of(beam, part, voxels.frame.sad, height, None)
    taken = groups.job_of(voxels, beam, found, np.ones(len(some)))
    factors, nodes = taken.factors, np.empty(len(some), dtype=int)
    for group in taken.groups:
        nodes[taken.turn[group.first : group.behind]] = group.node
    tables = kernel_tables(beam, tuple(np.unique(some.energy).tolist()))
    axis = TABLE_STEP_MM * np.arange(tables.idd.shape[1])
    scale = spots.protons(beam, some, mu)
    u, v, z, depth = voxels.voxels.T.astype(np.float64)
    low, high = voxels.around.astype(np.float64)
    to_plane = [1.0 - z / voxels.frame.sad[i] for i in (0, 1)]
    total, few = np.zeros(len(u)), 0
    for k in range(len(some)):
        row = int(np.searchsorted(tables.energies, some.energy[k]))
        own, least, most = (np.interp(at, axis, tables.scatter[row]) for at in (depth, low, high))
        own, shallow, deep = (one * f for one, f in zip((own, least, most), factors[nodes[k]], strict=True))
        uneven = voxels.uneven > 0
        two = uneven & (np.abs(shallow - deep) > 0.1 * np.maximum(shallow, deep))
        two &= most - least > 0.1 * least
        widest = np.where(two, np.maximum(shallow, deep), own)
        wide = [getattr(some, f"sigma_{n}")[k] ** 2 for n in "xy"]
        air = [
            wide[i] + (np.interp(some.energy[k], beam.energies, beam.divergence[:, i]) * z) ** 2
            for i in (0, 1)
        ]
        away = [((u - some.x[k]) * to_plane[0]) ** 2, ((v - some.y[k]) * to_plane[1]) ** 2]

        def profile(spread, air=air, away=away):
            both = [part + spread for part in air]
            far = away[0] / both[0] + away[1] / both[1]
            return far, np.exp(-0.5 * far) / np.sqrt(both[0] * both[1])

        far, widely = profile(widest)
        near = widely**2 * (wide[0] + widest) * (wide[1] + widest) > np.exp(-4.0)
        inside = far <= rays.CUT**2
        few += int((inside & uneven & ~near).sum())
        at_own = np.where(depth <= tables.reach[row], np.interp(depth, axis, tables.idd[row]), 0.0)
        dose = np.where(uneven, 0.0, at_own * widely)
        with np.errstate(divide="ignore", invalid="ignore"):
            steep = np.where(two, 1.0 / (most - least), 0.0)
        for side, spread in ((0, np.where(two, shallow, own)), (1, deep)):
            for places, here in ((rays.RAYS, near), (rays.FEW_RAYS, ~near)):
                there = np.maximum(depths_of_rays(voxels, some, k, air, spread, places), 0.0)
                like = np.clip((np.interp(there, axis, tables.scatter[row]) - least) * steep, 0.0, 1.0)
                counts = like if side else 1.0 - like
                mean = (counts * np.interp(there, axis, tables.idd[row], right=0.0)).mean(axis=0)
                dose += np.where((two if side else uneven) & here, mean * profile(spread)[1], 0.0)
        total += np.where(inside, dose, 0.0) * scale[k] / (2 * np.pi * (1 - np.exp(-0.5 * rays.CUT**2)))
    assert few > 100
    out = np.zeros(voxels.count)
    out[voxels.order] = total
    return out


@pytest.mark.requirement("TPS-DOSE")
def test_the_kernel_is_its_formula(beam):
    """Against the same formula in plain numpy, oblique and with a range step in the way."""
    voxels = prepared(beam, step_of_stuff(), 25.0, 10.0, (3.0, -5.0, 2.0))
    assert voxels.uneven.any()
    rng = np.random.default_rng(11)
    some = spots.nominal(beam, beam.energies[[5, 30, 45]], rng.uniform(-9, 9, 3), rng.uniform(-9, 9, 3))
    mu = np.array([0.5, 1.0, 0.1])
    direct = engine.forward(voxels, beam, some, mu)
    plain = plain_numpy(beam, voxels, some, mu)
    assert np.abs(direct - plain).max() < 1e-5 * plain.max()


@pytest.mark.requirement("TPS-DOSE")
def test_matrix_and_forward_dose_agree_in_uneven_matter(beam):
    """One code path; LET shares the matrix's indices; a threshold of depth loses no voxel."""
    voxels = prepared(beam, step_of_stuff(), 25.0, 10.0)
    rng = np.random.default_rng(5)
    some = spots.nominal(
        beam, rng.choice(beam.energies[5:40], 30), rng.uniform(-20, 20, 30), rng.uniform(-20, 20, 30)
    )
    mu = rng.uniform(0.1, 1.0, 30)
    dose, weighed = engine.influence_with_let(voxels, beam, some, rays=True)
    plain = engine.influence(voxels, beam, some, rays=True)
    np.testing.assert_array_equal(plain.indices, dose.indices)
    np.testing.assert_allclose(plain.data, dose.data, rtol=1e-5)
    assert weighed.indices is dose.indices
    columns_of = np.repeat(np.arange(30), np.diff(dose.indptr))
    sums = [np.bincount(m.indices, m.data * mu[columns_of], voxels.count) for m in (dose, weighed)]
    direct, let = engine.forward_with_let(voxels, beam, some, mu)
    assert np.abs(sums[0] - direct).max() < 1e-4 * direct.max()
    lit = direct > 0.01 * direct.max()
    np.testing.assert_allclose((sums[1] / np.maximum(sums[0], 1e-30))[lit], let[lit], rtol=1e-3)
    assert let[lit].min() > 0.4
    assert let[lit].max() < 25.0


@pytest.mark.requirement("TPS-DOSE")
def test_behind_an_edge_dose_is_spread_by_scattering(beam):
    """Half of a field behind 28 mm of bone: at the depth where only the other half has its peak, a voxel
    beside the edge has a part of it, and one before it lacks some; without scattering neither."""
    stuff = np.ones(GRID.shape, dtype=np.float32)
    stuff[:, 2:9, 15:] = 1.7
    voxels = prepared(beam, stuff)
    g = np.arange(-24.0, 25.0, 4.0)
    x, y = (part.ravel() for part in np.meshgrid(g, g))
    some = spots.nominal(beam, np.full(len(x), 104.0), x, y)
    dose = engine.forward(voxels, beam, some, np.ones(len(x))).reshape(GRID.shape)[15]
    peak = int(np.argmax(dose[:, 10]))
    line = dose[peak] / dose[peak, 10]
    # without scattering, all voxels behind the bone (x >= 0, index 15) lie past the end of range
    assert 0.01 < line[15] < 0.5
    assert line[16] < line[15] < line[14] < 0.97
    assert line[22] < 1e-3


@pytest.mark.requirement("TPS-DOSE")
def test_behind_bone_beside_lung_no_proton_is_lost_or_made(beam):
    """A field on the edge of bone and lung: dose across the beam is half that of either depth, at any depth,
    though what passed the bone has been spread more and much of it ended; nothing leaks into its shadow."""
    stuff = np.ones(GRID.shape, dtype=np.float32)
    stuff[:, 5:10, :15], stuff[:, 5:10, 15:] = 1.6, 0.3
    voxels = prepared(beam, stuff, isocentre=(-2.0, 0.0, 0.0))
    g = np.arange(-22.5, 25.0, 5.0)
    x, y = (part.ravel() for part in np.meshgrid(g, g))
    energy = float(beam.energies[np.argmin(np.abs(beam.energies - 105.0))])
    some, mu = spots.nominal(beam, np.full(len(x), energy), x, y), np.ones(len(x))
    dose = engine.forward(voxels, beam, some, mu).reshape(GRID.shape).astype(float)
    tables = kernel_tables(beam, (energy,))
    axis, protons = TABLE_STEP_MM * np.arange(tables.idd.shape[1]), spots.protons(beam, some, mu).sum()
    range_mm = float(beam.water.range_of(energy))
    for row in (14, 17, 19, 21):
        passed = 4.0 * (row + 0.5) + 20.0 * np.array([0.6, -0.7])
        halves = np.interp(passed, axis, tables.idd[0]) * (passed < range_mm + 10.0)
        assert 16.0 * dose[:, row].sum() == pytest.approx(0.5 * halves.sum() * protons, rel=0.04)
    behind = int((range_mm - 12.0) / 4.0) + 6
    shadow = dose[15, behind] / dose[15, behind, 20]
    assert shadow[12] < 0.06
    assert shadow[10] < 0.01


@pytest.mark.requirement("TPS-DOSE")
def test_scattering_in_media(beam):
    """1 in water; drift in a gap widens by Fermi-Eyges; bone spreads less than the same depth of water."""
    water = prepared(beam, np.ones(GRID.shape, dtype=np.float32))
    node = int(paths.node_of(np.array([157.0]))[0])
    one = paths.scattering_factor(water.lattice, beam.water, node, water.voxels, water.beside)[0][0]
    deep = (water.voxels[:, 3] > 20.0) & (np.abs(water.voxels[:, :2]) < 48.0).all(axis=1)
    np.testing.assert_allclose(one[deep], 1.0, atol=0.03)
    stuff = np.ones(GRID.shape, dtype=np.float32)
    stuff[:, 10:20] = 0.0011  # 40 mm of air behind 40 mm of water
    gap = prepared(beam, stuff)
    wide = paths.scattering_factor(gap.lattice, beam.water, node, gap.voxels, gap.beside)[0][0]
    height = gap.voxels[:, 2]
    just_behind = (np.abs(height + 20.0) < 2.1) & (np.abs(gap.voxels[:, :2]) < 5.0).all(axis=1)
    depth = float(gap.voxels[just_behind, 3].mean())
    # variance of a slab of thickness d and scattering power T behind a gap g: T (d^3/3 + d^2 g + d g^2)
    d, g = 40.0, 40.0
    seen = float(wide[just_behind].mean()) * depth**3 / 3.0
    assert seen == pytest.approx(d**3 / 3 + d * d * g + d * g * g, rel=0.2)
    bone = prepared(beam, np.full(GRID.shape, 1.695, dtype=np.float32))
    less = paths.scattering_factor(bone.lattice, beam.water, node, bone.voxels, bone.beside)[0][0]
    some = (bone.voxels[:, 3] > 40.0) & (bone.voxels[:, 3] < 120.0)
    assert 0.4 < float(np.median(less[some])) < 0.75
