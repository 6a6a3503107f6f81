"""Ion pencil beams: matrices against the forward sum and against the formula in plain numpy."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse

from common.errors import BadInput
from tps_engine.beamdata import ion_files
from tps_engine.beamdata.ion_machine import IonMachine
from tps_engine.dose.engine import Influence
from tps_engine.dose.field import FieldVoxels
from tps_engine.dose.ions import engine, spots
from tps_engine.dose.ions.tables import cut_radius2
from tps_engine.dose.spots import Spots
from tps_engine.optimise.paired import IonDose
from tps_engine.patient.grid import Grid
from tps_engine.plan.geometry import beam_frame

GRID = Grid((-48.0, -120.0, -48.0), (3.0, 3.0, 3.0), (33, 81, 33))


def field_of(machine: IonMachine, gantry: float = 0.0, grid: Grid = GRID) -> FieldVoxels:
    """Water that fills the grid; beams from above reach its surface 120 mm before the isocentre."""
    frame = beam_frame(gantry, 0.0, (0.0, 0.0, 0.0), machine.sad)
    water = np.ones(grid.shape, dtype=np.float32)
    return spots.field_of(machine, water, grid, frame, grid.points(np.arange(grid.size)))


def some_spots(machine: IonMachine, count: int = 12, seed: int = 1) -> Spots:
    rng = np.random.default_rng(seed)
    energy = rng.choice(machine.energies[10:60], count)
    return spots.nominal(machine, energy, rng.uniform(-12, 12, count), rng.uniform(-12, 12, count))


def sparse(matrix: Influence) -> scipy.sparse.csc_matrix:
    return scipy.sparse.csc_matrix(
        (matrix.data.astype(np.float64), matrix.indices, matrix.indptr), shape=(matrix.voxels, matrix.spots)
    )


@pytest.fixture(scope="module")
def carbon() -> IonMachine:
    return ion_files.load("carbon-generic")


@pytest.fixture(scope="module")
def helium() -> IonMachine:
    return ion_files.load("helium-generic")


def plain(machine: IonMachine, voxels: FieldVoxels, some: Spots, k: int, tissue: int | None) -> np.ndarray:
    """(4, n) dose, LET, alpha, sqrt(beta) x dose per MU of a spot, by the formula and its round cut-off."""
    row = machine.index_of(float(some.energy[k]))
    curve = machine.curves[row]
    u, v, z, depth = voxels.voxels.T.astype(np.float64)
    x = (u - some.x[k]) * (1.0 - z / machine.sad[0])
    y = (v - some.y[k]) * (1.0 - z / machine.sad[1])
    at = depth - machine.offset[row]
    own = some.sigma_x[k] ** 2
    lateral = np.zeros(len(u))
    nodes = curve.sigma**2 + own
    for g in range(nodes.shape[1]):
        variance = np.interp(at, curve.depth, curve.sigma[:, g] ** 2) + own
        weight = np.interp(at, curve.depth, curve.weight[:, g])
        lateral += weight * np.exp(-0.5 * (x**2 + y**2) / variance) / (2.0 * np.pi * variance)
    limit = np.interp(at, curve.depth, cut_radius2(nodes, curve.weight, 0.995))
    inside = (x**2 + y**2 <= limit) & (at <= curve.depth[-1])
    dose = np.interp(at, curve.depth, curve.dose) * 1.602176634e-8 * machine.particles_per_mu[row] / 0.995
    dose = np.where(inside, dose * lateral, 0.0)
    nothing = np.zeros_like(dose)
    let = nothing if curve.let is None else dose * np.interp(at, curve.depth, curve.let)
    if tissue is None or curve.alpha is None or curve.beta is None:
        return np.stack([dose, let, nothing, nothing])
    alpha = np.interp(at, curve.depth, curve.alpha[:, tissue])
    root = np.interp(at, curve.depth, np.sqrt(curve.beta[:, tissue]))
    return np.stack([dose, let, dose * alpha, dose * root])


@pytest.mark.requirement("TPS-DOSE")
@pytest.mark.parametrize("name", ["carbon", "helium"])
def test_a_spot_is_the_formula(name: str, request: pytest.FixtureRequest) -> None:
    machine = request.getfixturevalue(name)
    voxels = field_of(machine, 20.0)
    some = some_spots(machine, 3)
    tissue = np.ones(voxels.count, dtype=np.int8) if machine.tissues else None
    found = engine.influence(voxels, machine, some, tissue, let=machine.has_let)
    for k in range(len(some)):
        expected = plain(machine, voxels, some, k, 1 if machine.tissues else None)
        parts = (found.dose, found.let, found.alpha, found.root_beta)
        for matrix, values in zip(parts, expected, strict=True):
            if matrix is not None:
                column = sparse(matrix)[:, [k]].toarray().ravel()[voxels.order]
                # tables on steps of 0.1 mm, single precision; the last voxels before the cut-off may differ
                edge = (column > 0.0) != (values > 0.0)
                assert edge.sum() < 0.002 * (values > 0.0).sum() + 3
                np.testing.assert_allclose(column[~edge], values[~edge], atol=1e-2 * values.max())
                assert column.sum() == pytest.approx(values.sum(), rel=1e-3)


@pytest.mark.requirement("TPS-DOSE")
@pytest.mark.parametrize("name", ["carbon", "helium"])
def test_matrix_and_forward_dose_agree(name: str, request: pytest.FixtureRequest) -> None:
    machine = request.getfixturevalue(name)
    voxels, some = field_of(machine), some_spots(machine, 40)
    mu = np.random.default_rng(2).uniform(0.0, 2.0, len(some))
    tissue = (np.arange(voxels.count) % 2).astype(np.int8) if machine.tissues else None
    found = engine.influence(voxels, machine, some, tissue, let=machine.has_let)
    total = engine.forward(voxels, machine, some, mu, tissue, let=machine.has_let)
    dose = sparse(found.dose) @ mu
    np.testing.assert_allclose(total.dose, dose, atol=1e-5 * dose.max())
    lit = dose > 0.01 * dose.max()
    if found.let is not None:
        assert total.let is not None
        np.testing.assert_allclose(total.let[lit], (sparse(found.let) @ mu)[lit] / dose[lit], rtol=1e-4)
    if found.alpha is not None and found.root_beta is not None:
        assert total.alpha is not None
        assert total.beta is not None
        assert found.alpha.indices is found.dose.indices
        np.testing.assert_allclose(total.alpha[lit], (sparse(found.alpha) @ mu)[lit] / dose[lit], rtol=1e-4)
        root = (sparse(found.root_beta) @ mu)[lit] / dose[lit]
        np.testing.assert_allclose(total.beta[lit], root**2, rtol=1e-4)


@pytest.mark.requirement("TPS-DOSE")
def test_planes_hold_the_integral_depth_dose(carbon: IonMachine) -> None:
    """What is cut off is put back: the sum over a plane is the depth dose of the tables within 0.3 %."""
    fine = Grid((-30.0, -120.0, -30.0), (1.5, 3.0, 1.5), (41, 61, 41))
    one = spots.nominal(carbon, carbon.energies[[50]], np.zeros(1), np.zeros(1))
    voxels = field_of(carbon, 0.0, fine)
    dose = engine.forward(voxels, carbon, one, np.ones(1)).dose.reshape(fine.shape).astype(np.float64)
    planes = dose.sum(axis=(0, 2)) * 1.5 * 1.5
    depth = np.zeros(fine.size)
    depth[voxels.order] = voxels.voxels[:, 3]
    curve = carbon.curves[50]
    at = depth.reshape(fine.shape)[20, :, 20]
    expected = np.interp(at, curve.depth, curve.dose) * 1.602176634e-2
    assert np.abs(planes[:40] / expected[:40] - 1.0).max() < 3e-3


@pytest.mark.requirement("TPS-DOSE")
def test_peak_stands_at_the_tables_depth_less_the_air(carbon: IonMachine) -> None:
    """From 2 m of nozzle distance 1880 mm are air: 2.07 mm of water before the surface."""
    deep = Grid((-6.0, -120.0, -6.0), (3.0, 0.5, 3.0), (5, 520, 5))
    row = carbon.index_of(carbon.energy_for_depth(150.0))
    one = spots.nominal(carbon, carbon.energies[[row]], np.zeros(1), np.zeros(1))
    voxels = field_of(carbon, 0.0, deep)
    along = engine.forward(voxels, carbon, one, np.ones(1)).dose.reshape(deep.shape)[2, :, 2]
    surface = -120.25
    found = deep.axis(1)[int(np.argmax(along))] - surface
    assert found == pytest.approx(carbon.peak[row] - 0.0011 * (2000.0 + surface), abs=0.6)


@pytest.mark.requirement("TPS-DOSE")
def test_results_do_not_depend_on_grouping_or_cores(
    carbon: IonMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    voxels, some = field_of(carbon), some_spots(carbon, 30)
    tissue = np.zeros(voxels.count, dtype=np.int8)
    first = engine.influence(voxels, carbon, some, tissue)
    monkeypatch.setattr("tps_engine.dose.ions.groups._LARGEST", 2)
    second = engine.influence(voxels, carbon, some, tissue)
    np.testing.assert_array_equal(first.dose.indptr, second.dose.indptr)
    np.testing.assert_array_equal(first.dose.indices, second.dose.indices)
    np.testing.assert_array_equal(first.dose.data, second.dose.data)


@pytest.mark.requirement("TPS-DOSE")
@pytest.mark.parametrize("name", ["carbon", "helium"])
def test_points_that_no_spot_reaches_are_left_out(name: str, request: pytest.FixtureRequest) -> None:
    machine = request.getfixturevalue(name)
    some = some_spots(machine, 4)
    some = replace(some, x=some.x - 25.0)
    frame = beam_frame(0.0, 0.0, (0.0, 0.0, 0.0), machine.sad)
    water = np.ones(GRID.shape, dtype=np.float32)
    few = spots.field_of(machine, water, GRID, frame, GRID.points(np.arange(GRID.size)), some)
    whole = field_of(machine)
    one = engine.forward(few, machine, some, np.ones(4)).dose
    other = engine.forward(whole, machine, some, np.ones(4)).dose
    assert len(few.voxels) <= len(whole.voxels)
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7 * other.max())


@pytest.mark.requirement("TPS-DOSE")
def test_spots_may_have_sizes_of_their_own(carbon: IonMachine) -> None:
    """An elliptical, measured spot has the second moments that it was given."""
    fine = Grid((-48.0, -120.0, -48.0), (2.0, 10.0, 2.0), (49, 4, 49))
    nominal = spots.nominal(carbon, carbon.energies[[60]], np.zeros(1), np.zeros(1))
    one = replace(nominal, sigma_x=np.array([8.0]), sigma_y=np.array([4.0]))
    voxels = field_of(carbon, 0.0, fine)
    plane = engine.forward(voxels, carbon, one, np.ones(1), cutoff=0.99999).dose.reshape(fine.shape)[:, 0, :]
    x, y = fine.axis(0), fine.axis(2)
    found_x = np.sqrt((plane.sum(axis=0) * x**2).sum() / plane.sum())
    found_y = np.sqrt((plane.sum(axis=1) * y**2).sum() / plane.sum())
    assert (found_x, found_y) == (pytest.approx(8.0, rel=0.01), pytest.approx(4.0, rel=0.01))


@pytest.mark.requirement("TPS-OPTIMISE")
def test_the_matrices_feed_an_rbe_weighted_objective(carbon: IonMachine) -> None:
    """The optimiser's quantity has the derivative that finite differences show."""
    voxels, some = field_of(carbon), some_spots(carbon, 8)
    found = engine.influence(voxels, carbon, some, np.zeros(voxels.count, dtype=np.int8))
    assert found.alpha is not None
    assert found.root_beta is not None
    quantity = IonDose(found.alpha, found.root_beta, 0.1, 0.05)
    weights = np.random.default_rng(3).uniform(5.0, 20.0, len(some))
    value, back = quantity.evaluate(weights)
    slope = back(value)
    for k in (0, 5):
        step = np.zeros(len(some))
        step[k] = 0.1
        high, low = quantity.evaluate(weights + step)[0], quantity.evaluate(weights - step)[0]
        rise = 0.5 * ((high**2).sum() - (low**2).sum()) / 0.2
        assert slope[k] == pytest.approx(rise, rel=1e-3)


@pytest.mark.requirement("TPS-DOSE")
def test_bad_input_is_refused_before_time_is_spent(carbon: IonMachine, helium: IonMachine) -> None:
    voxels, some = field_of(carbon), some_spots(carbon)
    tissue = np.zeros(voxels.count, dtype=np.int8)
    with pytest.raises(BadInput, match="GiB"):
        engine.influence(voxels, carbon, some, tissue, memory_limit=1000)
    with pytest.raises(BadInput, match="no table of LET"):
        engine.influence(voxels, carbon, some, let=True)
    with pytest.raises(BadInput, match="alpha and beta"):
        engine.influence(voxels, helium, some_spots(helium), tissue)
    with pytest.raises(BadInput, match="tissue numbers"):
        engine.influence(voxels, carbon, some, tissue + 5)
    with pytest.raises(BadInput, match="MeV/u"):
        engine.influence(voxels, carbon, replace(some, energy=some.energy + 0.7))
    with pytest.raises(BadInput, match="one spot or more"):
        engine.influence(voxels, carbon, Spots(*(np.zeros(0),) * 5))
    with pytest.raises(BadInput, match="cut-off"):
        engine.influence(voxels, carbon, some, cutoff=1.0)
    with pytest.raises(BadInput, match="metersets"):
        engine.forward(voxels, carbon, some, -np.ones(len(some)))
    hole = np.full(GRID.shape, np.nan, dtype=np.float32)
    blind = spots.field_of(carbon, hole, GRID, voxels.frame, GRID.points(np.arange(100)))
    with pytest.raises(BadInput, match="no numbers"):
        engine.forward(blind, carbon, some, np.ones(len(some)))
    with pytest.raises(BadInput, match="scans"):
        spots.nominal(carbon, carbon.energies[:1], np.array([900.0]), np.zeros(1))
