"""Packed matrices and the voxels that matter: the same values, gradients and plans as by the whole matrix."""

import numpy as np
import pytest
from test_optimise_terms import ALL, OBJECTIVES, SPOTS, VOXELS, matrix_of, pair

from common.errors import BadInput
from tps_engine.dose.engine import Influence
from tps_engine.optimise import (
    augmented,
    constraints,
    objectives,
    paired,
    products,
    quantities,
    robust,
    volume,
)
from tps_engine.optimise.functions import Sum, Term, near, on_dose
from tps_engine.optimise.lbfgs import descend
from tps_engine.optimise.packed import narrowed, pack
from tps_engine.optimise.solver import minimise, solve


def ragged(seed=1, voxels=900, spots=70):
    """Columns with runs and gaps, some empty, some negative, in no order."""
    rng = np.random.default_rng(seed)
    dense = np.where(rng.uniform(size=(voxels, spots)) < 0.2, rng.normal(0.3, 1.0, (voxels, spots)), 0.0)
    for column in range(spots):
        begin = rng.integers(0, voxels - 60)
        dense[begin : begin + 50, column] = rng.uniform(0.1, 2.0, 50)
    dense[:, [3, 40]] = 0.0
    dense[-1, 5] = 1.5
    columns = [rng.permutation(np.flatnonzero(dense[:, k])) for k in range(spots)]
    indptr = np.r_[0, np.cumsum([len(column) for column in columns])].astype(np.int64)
    data = np.concatenate([dense[rows, k] for k, rows in enumerate(columns)]).astype(np.float32)
    return dense, Influence(voxels, indptr, np.concatenate(columns).astype(np.int32), data)


def unpacked(packed):
    return np.array([packed.dose(unit) for unit in np.eye(packed.spots)]).T


@pytest.mark.requirement("TPS-OPTIMISE")
def test_codes_keep_each_entry_within_their_bound():
    dense, matrix = ragged()
    packed = pack(matrix)
    bound = np.abs(dense).max(axis=0) / 65534.0
    assert (np.abs(unpacked(packed) - dense) <= 1.01 * bound + 1e-7).all()
    slope = np.random.default_rng(2).normal(size=900)
    np.testing.assert_allclose(packed.back(slope), dense.T @ slope, atol=5e-3)
    keep = np.random.default_rng(3).uniform(size=900) < 0.3
    np.testing.assert_array_equal(unpacked(narrowed(packed, keep)), unpacked(packed)[keep])
    assert narrowed(packed, np.zeros(900, dtype=bool)).nbytes == 0


@pytest.mark.requirement("TPS-OPTIMISE")
def test_runs_of_entries_take_a_third_of_the_memory():
    dense = np.zeros((4000, 30))
    for column in range(30):
        dense[100 * column : 100 * column + 800, column] = 1.0
    matrix = matrix_of(dense)
    assert pack(matrix).nbytes <= 0.32 * (matrix.indices.nbytes + matrix.data.nbytes)


@pytest.mark.requirement("TPS-OPTIMISE")
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_matrix_with_something_that_is_no_number_is_refused(wrong):
    _dense, matrix = ragged()
    matrix.data[500] = wrong
    wanted = (objectives.SquaredDeviation(np.arange(900), 1.0, 1.0),)
    with pytest.raises(BadInput, match="the objective is no number"):
        minimise(matrix, wanted, np.full(70, 0.1), (np.zeros(70), np.ones(70)))


def functions():
    dose, let = pair()
    linear = quantities.LinearDose(dose, 1.1)
    several = (
        *OBJECTIVES,
        objectives.Overdose(ALL[5:25], 1.4, 3.0),
        volume.DvhMax(ALL[3:30], 1.6, 0.2, 2.0),
    )
    tissue = np.linspace(0.05, 0.2, VOXELS)
    terms = [Term(linear, (one,)) for one in several]
    moved = quantities.Corrected(linear, np.linspace(-0.1, 0.1, VOXELS))
    terms += [
        Term(quantity, several)
        for quantity in (
            linear,
            moved,
            paired.LetWeighted(dose, let),
            paired.AverageLet(dose, let),
            paired.IonDose(dose, let, alpha_x=tissue),
            quantities.Accumulated((linear, moved), (0.3, 0.7)),
        )
    ]
    other = Term(quantities.LinearDose(pair(5)[0]), several)
    cold, hot = (objectives.Underdose(ALL[:15], 2.0, 3.0),), (objectives.Overdose(ALL, 1.5, 3.0),)
    return [
        *terms,
        Sum((terms[-1], other), (0.5, 2.0)),
        robust.WorstCase((terms[-6], other), 0.3),
        robust.VoxelWorst((linear, moved), cold, hot),
    ]


@pytest.mark.requirement("TPS-OPTIMISE")
@pytest.mark.parametrize("number", range(len(functions())))
def test_near_some_weights_the_cheaper_function_is_the_same(number):
    function = functions()[number]
    rng = np.random.default_rng(number)
    weights = rng.uniform(0.2, 0.9, SPOTS)
    cheap = near(function, weights, 0.1)
    assert cheap is not function
    for part in (0.0, 0.02):
        there = weights + part * rng.uniform(-1.0, 1.0, SPOTS)
        value, gradient = function.evaluate(there)
        found, slope = cheap.evaluate(there)
        assert found == pytest.approx(value, rel=3e-4, abs=1e-6)
        np.testing.assert_allclose(slope, gradient, rtol=1e-3, atol=2e-4 * max(np.abs(gradient).max(), 0.1))


@pytest.mark.requirement("TPS-OPTIMISE")
def test_voxels_far_below_their_level_are_left_out():
    _dense, matrix = ragged()
    matrix = Influence(matrix.voxels, matrix.indptr, matrix.indices, np.abs(matrix.data))
    weights = np.full(70, 0.1)
    dose = products.dose(matrix, weights)
    level = float(np.quantile(dose, 0.9))
    cheap = on_dose(matrix, (objectives.Overdose(np.arange(900), level, 1.0),)).near(weights, 0.1)
    assert cheap.quantity.voxels == pytest.approx(np.count_nonzero(dose > level - 0.1 * dose.max()), abs=1)
    mean = on_dose(matrix, (objectives.MeanDose(np.arange(900), 1.0),)).near(weights, 0.1)
    assert mean.quantity.voxels == 1
    assert mean.evaluate(weights)[0] == pytest.approx(dose.mean() ** 2, rel=1e-4)


def crowded(seed):
    """A target, and a body whose voxels come and go as the weights move: level and matrix make it so."""
    rng = np.random.default_rng(seed)
    dense = rng.uniform(0.0, 1.0, (400, 60)) * (rng.uniform(size=(400, 60)) < 0.25)
    target, body = np.arange(80), np.arange(80, 400)
    return matrix_of(dense), (
        objectives.SquaredDeviation(target, 3.0, 20.0),
        objectives.Overdose(body, 2.0, 30.0),
        volume.DvhMax(body[:100], 1.5, 0.3, 4.0),
        objectives.MeanDose(body[200:], 0.5),
    )


@pytest.mark.requirement("TPS-OPTIMISE")
@pytest.mark.parametrize("seed", range(4))
def test_the_plan_is_that_of_the_whole_matrix(seed, monkeypatch):
    monkeypatch.setattr("tps_engine.optimise.solver._WIDEST", 0.002)
    monkeypatch.setattr("tps_engine.optimise.solver._NARROWEST", 0.002)
    matrix, wanted = crowded(seed)
    function = on_dose(matrix, wanted[:2] + wanted[3:])
    bounds = (np.zeros(60), np.full(60, 1.0))
    start = np.full(60, 0.05)
    found = solve(function, start, bounds, tolerance=1e-7)
    whole = descend(function.evaluate, start, bounds, tolerance=1e-7)
    assert found.converged
    assert found.value == pytest.approx(whole.value, rel=2e-5)
    value, gradient = function.evaluate(found.weights)
    assert found.value == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(found.gradient, gradient, rtol=1e-12)
    assert products.dose(matrix, found.weights) == pytest.approx(
        products.dose(matrix, whole.weights), abs=0.03
    )


@pytest.mark.requirement("TPS-OPTIMISE")
def test_a_dvh_objective_is_as_low_as_by_the_whole_matrix():
    matrix, wanted = crowded(7)
    bounds, start = (np.zeros(60), np.full(60, 1.0)), np.full(60, 0.05)
    found = minimise(matrix, wanted, start, bounds, tolerance=1e-5)
    whole = descend(on_dose(matrix, wanted).evaluate, start, bounds, tolerance=1e-5)
    assert found.converged
    assert found.values[-1] <= whole.value * 1.02


@pytest.mark.requirement("TPS-OPTIMISE")
def test_it_stops_at_a_value_that_is_enough():
    matrix, wanted = crowded(2)
    bounds, start = (np.zeros(60), np.full(60, 1.0)), np.full(60, 0.05)
    best = minimise(matrix, wanted, start, bounds, tolerance=1e-6)
    enough = 1.3 * best.values[-1]
    early = minimise(matrix, wanted, start, bounds, tolerance=1e-6, enough=enough)
    assert early.converged
    assert len(early.values) < len(best.values)
    assert on_dose(matrix, wanted).evaluate(early.weights)[0] <= enough


@pytest.mark.requirement("TPS-OPTIMISE")
def test_constraints_hold_by_the_matrix_itself():
    matrix, wanted = crowded(4)
    quantity = quantities.LinearDose(matrix)
    limited = (augmented.Limited(quantity, (constraints.DoseAtMost("body", np.arange(80, 400), 2.3),)),)
    bounds = (np.zeros(60), np.full(60, 1.0))
    found = augmented.minimise_within(Term(quantity, wanted[:2]), limited, np.full(60, 0.05), bounds)
    assert found.feasible
    assert products.dose(matrix, found.weights)[80:].max() <= 2.305 + 1e-6
