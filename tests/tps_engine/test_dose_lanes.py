"""Loops that the pencil beams share, and matrices that they fill."""

import numpy as np
import pytest

from tps_engine.beamdata import model
from tps_engine.dose import engine, field, lanes, spots
from tps_engine.patient.grid import Grid
from tps_engine.plan.geometry import beam_frame

pytestmark = pytest.mark.requirement("TPS-DOSE")


def test_exponential_is_that_of_numpy():
    some = np.linspace(-80.0, 80.0, 4001).astype(np.float32)
    got = np.array([lanes.exponential(one) for one in some])
    np.testing.assert_allclose(got, np.exp(some.astype(np.float64)), rtol=4e-7)
    assert lanes.exponential(np.float32(-1e9)) == lanes.exponential(np.float32(-80.0))


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9, 1.0])
def test_packing_keeps_what_is_marked_in_order(part):
    rng = np.random.default_rng(3)
    for size in (0, 1, 7, 8, 61, 200):
        keep, values = lanes.lanes(size + 8), rng.random(size + 8).astype(np.float32)
        keep[:] = 1  # what lies behind the end must not come along
        keep[:size] = rng.random(size) < part
        wanted = np.flatnonzero(keep[:size])
        number, found = np.full(size + 12, -1, np.int32), np.zeros(size + 12, np.float32)
        count = lanes.pack(keep, size, values, 100, number, found, 3)
        assert count == 3 + len(wanted)
        np.testing.assert_array_equal(number[3:count], 100 + wanted)
        np.testing.assert_array_equal(found[3:count], values[wanted])
        assert (number[:3] == -1).all()


def test_columns_do_not_depend_on_the_company_of_a_spot():
    """A spot's column is the same alone and among many: how spots are grouped does not matter."""
    beam = model.load("proton-generic")
    grid = Grid((-48.0, -60.0, -48.0), (4.0, 4.0, 4.0), (25, 31, 25))
    frame = beam_frame(30.0, 0.0, (0.0, 0.0, 0.0), beam.virtual_sad)
    water = np.ones(grid.shape, dtype=np.float32)
    voxels = field.prepare(water, grid, frame, grid.points(np.arange(grid.size)))
    rng = np.random.default_rng(5)
    energy, x, y = rng.choice(beam.energies[5:25], 600), rng.uniform(-45, 45, 600), rng.uniform(-45, 45, 600)
    many = engine.influence(voxels, beam, spots.nominal(beam, energy, x, y))
    assert np.diff(many.indptr).min() > 0
    for k in (0, 299, 599):
        alone = engine.influence(voxels, beam, spots.nominal(beam, energy[[k]], x[[k]], y[[k]]))
        here = slice(many.indptr[k], many.indptr[k + 1])
        mine, its = np.argsort(many.indices[here]), np.argsort(alone.indices)
        np.testing.assert_array_equal(many.indices[here][mine], alone.indices[its])
        np.testing.assert_allclose(many.data[here][mine], alone.data[its], rtol=1e-6)
        assert len(np.unique(alone.indices)) == len(alone.indices)
