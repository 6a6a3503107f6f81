"""Gradients of objectives, quantities, constraints and scenario functions against finite differences."""

import numpy as np
import pytest

from common.errors import BadInput
from tps_engine.biology import parameters
from tps_engine.biology.rbe import weighted_dose
from tps_engine.dose.engine import Influence
from tps_engine.optimise import constraints, objectives, paired, quantities, robust, volume
from tps_engine.optimise.delivery_time import TimeCost
from tps_engine.optimise.functions import Sum, Term, on_dose

VOXELS, SPOTS = 40, 12


def matrix_of(dense):
    voxels, spots = dense.shape
    columns = [np.flatnonzero(dense[:, k]) for k in range(spots)]
    indptr = np.r_[0, np.cumsum([len(column) for column in columns])].astype(np.int64)
    data = np.concatenate([dense[column, k] for k, column in enumerate(columns)]).astype(np.float32)
    return Influence(voxels, indptr, np.concatenate(columns).astype(np.int32), data)


def pair(seed=3):
    """A dose matrix and one of LET x dose, LET 1 to 12 keV/um."""
    rng = np.random.default_rng(seed)
    dose = rng.uniform(0.1, 1.0, (VOXELS, SPOTS)) * (rng.uniform(size=(VOXELS, SPOTS)) < 0.6)
    return matrix_of(dose), matrix_of(dose * rng.uniform(1.0, 12.0, (VOXELS, SPOTS)))


def differences(value, at, step):
    return np.array([(value(at + step * e) - value(at - step * e)) / (2.0 * step) for e in np.eye(len(at))])


ALL = np.arange(VOXELS)
OBJECTIVES = [
    objectives.Underdose(ALL, 2.0, 3.0),
    objectives.Overdose(ALL, np.linspace(1.0, 2.5, VOXELS), 3.0),
    objectives.SquaredDeviation(ALL, 1.7, 2.0),
    objectives.MeanDose(ALL, 0.5),
    objectives.MeanOver(ALL, 1.0, 4.0),
    objectives.MeanUnder(ALL, 3.0, 4.0),
    objectives.Spread(ALL, 2.0),
    volume.DvhMax(ALL, 1.5, 0.3, 5.0),
    volume.DvhMin(ALL, 2.5, 0.7, 5.0),
    volume.EudMax(ALL, 1.0, 8.0, 2.0),
    volume.EudMin(ALL, 3.0, -10.0, 2.0),
]


@pytest.mark.requirement("TPS-OPTIMISE")
@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda one: type(one).__name__)
def test_objectives_have_exact_gradients(objective):
    dose = np.random.default_rng(7).uniform(0.4, 3.2, VOXELS)
    value, slope = objective.evaluate(dose)
    assert value > 0.0
    numeric = differences(lambda d: objective.evaluate(d)[0], dose, 1e-6)
    np.testing.assert_allclose(slope, numeric, rtol=1e-6, atol=1e-7)


CONSTRAINTS = [
    constraints.DoseAtMost("a", ALL, 1.0),
    constraints.DoseAtLeast("a", ALL, 1.0),
    constraints.VolumeAtMost("a", ALL, 1.0, 0.4),
    constraints.VolumeAtLeast("a", ALL, 1.0, 0.6),
    constraints.MeanAtMost("a", ALL, 1.0),
    constraints.MeanAtLeast("a", ALL, 1.0),
    constraints.EudAtMost("a", ALL, 1.0, 5.0),
    constraints.EudAtLeast("a", ALL, 1.0, -5.0),
]


@pytest.mark.requirement("TPS-OPTIMISE")
@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=lambda one: type(one).__name__)
def test_constraints_pull_by_the_gradient_of_their_excess(constraint):
    """Taken where an excess is above 0: an excess below costs nothing in the Lagrangian."""
    rng = np.random.default_rng(8)
    dose = rng.uniform(0.4, 3.2, VOXELS)
    multipliers = rng.uniform(0.5, 2.0, len(constraint.excess(dose))) * (constraint.excess(dose) > 0.0)
    numeric = differences(lambda d: multipliers @ constraint.excess(d), dose, 1e-6)
    np.testing.assert_allclose(constraint.pull(dose, multipliers), numeric, rtol=1e-6, atol=1e-7)


def quantity_list():
    dose, let = pair()
    models = parameters.load("proton-rbe")
    variable = [name for name, one in models.models.items() if one.constant is None]
    return [
        quantities.LinearDose(dose, 1.1),
        paired.LetWeighted(dose, let, 0.04),
        paired.AverageLet(dose, let),
        paired.IonDose(dose, let, np.linspace(0.1, 0.5, VOXELS), 0.05),
        *[paired.ProtonDose(dose, let, models.model(name), 2.5) for name in variable],
        quantities.Accumulated((quantities.LinearDose(dose), quantities.LinearDose(let)), (0.3, 0.7)),
    ]


@pytest.mark.requirement("TPS-OPTIMISE", "TPS-BIO")
@pytest.mark.parametrize("quantity", quantity_list(), ids=lambda one: type(one).__name__)
def test_quantities_carry_gradients_back_to_weights(quantity):
    weights = np.random.default_rng(9).uniform(0.2, 0.8, SPOTS)
    values, _pull = quantity.evaluate(weights)
    term = Term(quantity, (objectives.SquaredDeviation(ALL, 0.5 * float(values.mean()), 1.0),))
    numeric = differences(lambda w: term.evaluate(w)[0], weights, 2e-3)
    np.testing.assert_allclose(term.evaluate(weights)[1], numeric, rtol=2e-3, atol=2e-3 * abs(numeric).max())


@pytest.mark.requirement("TPS-BIO")
def test_rbe_weighted_quantity_is_that_of_the_biology_room():
    dose, let = pair()
    weights = np.random.default_rng(9).uniform(0.2, 0.8, SPOTS)
    physical, _ = quantities.LinearDose(dose).evaluate(weights)
    weighed, _ = quantities.LinearDose(let).evaluate(weights)
    for name, model in parameters.load("proton-rbe").models.items():
        values, _ = paired.ProtonDose(dose, let, model, 3.0).evaluate(weights)
        np.testing.assert_allclose(
            values, weighted_dose(model, physical, weighed / physical, 3.0), rtol=1e-5, err_msg=name
        )


@pytest.mark.requirement("TPS-OPTIMISE")
def test_scenario_functions_have_exact_gradients_and_bounds():
    matrices = [pair(seed)[0] for seed in (1, 2, 3)]
    wanted = (objectives.SquaredDeviation(ALL, 1.0, 1.0),)
    scenarios = tuple(on_dose(matrix, wanted) for matrix in matrices)
    weights = np.random.default_rng(5).uniform(0.1, 0.6, SPOTS)
    each = np.array([scenario.evaluate(weights)[0] for scenario in scenarios])
    cold, hot = (objectives.Underdose(ALL, 1.0, 1.0),), (objectives.Overdose(ALL, 1.2, 1.0),)
    worst = robust.VoxelWorst(tuple(quantities.LinearDose(matrix) for matrix in matrices), cold, hot)
    smooth = robust.WorstCase(scenarios, 0.1)
    mean = robust.expected(scenarios, (0.5, 0.3, 0.2))
    cost = TimeCost(np.arange(SPOTS) // 4, 0.2)
    for function in (worst, smooth, mean, Sum((mean, cost), (2.0, 0.5))):
        numeric = differences(lambda w, f=function: f.evaluate(w)[0], weights, 1e-3)
        slope = function.evaluate(weights)[1]
        np.testing.assert_allclose(slope, numeric, rtol=5e-3, atol=5e-3 * abs(numeric).max())
    assert mean.evaluate(weights)[0] == pytest.approx(each @ [0.5, 0.3, 0.2])
    assert each.max() <= smooth.evaluate(weights)[0] <= each.max() + 0.1 * np.log(3.0)
    doses = np.array([quantities.LinearDose(matrix).evaluate(weights)[0] for matrix in matrices])
    by_hand = np.mean(np.maximum(1.0 - doses.min(axis=0), 0.0) ** 2) + np.mean(
        np.maximum(doses.max(axis=0) - 1.2, 0.0) ** 2
    )
    assert worst.evaluate(weights)[0] == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.requirement("TPS-OPTIMISE")
def test_what_cannot_be_asked_is_refused():
    dose, let = pair()
    with pytest.raises(BadInput, match="0 to 1"):
        volume.DvhMax(ALL, 1.0, 30.0, 1.0)
    with pytest.raises(BadInput, match="any number but 0"):
        volume.EudMax(ALL, 1.0, 0.0, 1.0)
    with pytest.raises(BadInput, match="differ in spots"):
        paired.AverageLet(dose, matrix_of(np.ones((VOXELS, SPOTS + 1))))
    with pytest.raises(BadInput, match="must be above 0"):
        paired.IonDose(dose, let, 0.0, 0.05)
    with pytest.raises(BadInput, match="sum to 1"):
        robust.expected((on_dose(dose, OBJECTIVES[:1]),), (0.5,))
    with pytest.raises(BadInput, match="cannot be combined"):
        Sum((on_dose(dose, OBJECTIVES[:1]), TimeCost(np.zeros(3, dtype=np.int64), 1.0)))
