"""Constraints, robustness, reduction, single fields, delivery time and Pareto surfaces on a water box."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from tps_phantoms import box, regions, water_ct

from common.dicom.plan import IonBeam, IonLayer
from common.errors import BadInput
from tps_engine.beamdata import model
from tps_engine.dose import engine
from tps_engine.optimise import (
    augmented,
    constraints,
    delivery_time,
    objectives,
    pareto,
    products,
    reduction,
    robust,
    scenarios,
    single_field,
)
from tps_engine.optimise.functions import Sum, on_dose
from tps_engine.optimise.quantities import LinearDose
from tps_engine.optimise.solver import minimise, solve
from tps_engine.patient import stopping_power
from tps_engine.patient.grid import Grid
from tps_engine.plan.layout import LayoutOptions
from tps_engine.plan.request import FieldRequest, OrganLimit, PlanOptions, Prescription
from tps_engine.plan.scene import build_scene, lay_out

LEVEL = 2.0


@pytest.fixture(scope="module")
def case():
    """Two opposed fields on a 24 mm cube, with an organ that touches it, and matrices of five scenarios."""
    ct = water_ct((24, 40, 40), 3.0)
    z = ct.z
    middle = z[np.abs(z) < 12.0]
    structures = regions(
        External=("EXTERNAL", box((-55, 55), (-55, 55), z[1:-1])),
        cube=("PTV", box((-12, 12), (-12, 12), middle)),
        organ=("ORGAN", box((-12, 12), (12, 24), middle)),
    )
    beam = model.load("proton-generic")
    options = PlanOptions(margin=0.0, dose_spacing=4.0, layout=LayoutOptions(lateral=7.0))
    scene = build_scene(
        ct,
        structures,
        Prescription("cube", LEVEL, 25, (OrganLimit("organ"),)),
        options,
        stopping_power.load(),
    )
    requests = (FieldRequest("A", 90.0), FieldRequest("B", 0.0))
    planned = [lay_out(scene, one, scene.isocentre, beam, options) for one in requests]
    points = scene.grid.points(np.arange(scene.grid.size))
    near = (np.abs(points[:, [0, 2]]) < 22.0).all(axis=1)
    flat = np.flatnonzero(scene.body.ravel() & near)
    chosen = [one for one in scenarios.standard(4.0, 3.5) if one.name[0] not in "xz"]
    matrices = scenarios.matrices(scene, planned, flat, beam, chosen, 1.1)
    target = np.flatnonzero(scene.target.ravel()[flat])
    organ = np.flatnonzero((scene.organs["organ"] & ~scene.target).ravel()[flat])
    other = np.setdiff1d(np.arange(len(flat)), np.r_[target, organ])
    spots = matrices[0].spots
    start = np.full(spots, LEVEL / products.dose(matrices[0], np.ones(spots))[target].mean())
    return SimpleNamespace(
        scene=scene, planned=planned, beam=beam, flat=flat, scenarios=chosen, matrices=matrices, start=start,
        target=target, organ=organ, other=other, bounds=(np.zeros(spots), np.full(spots, 1e6)),
    )  # fmt: skip


def wanted(case):
    return (
        objectives.SquaredDeviation(case.target, LEVEL, 100.0),
        objectives.Overdose(case.other, 1.2, 20.0),
        objectives.MeanDose(case.organ, 0.2),
    )


@pytest.mark.requirement("TPS-OPTIMISE")
def test_hard_constraints_are_kept_and_multipliers_tell_their_price(case):
    matrix, function = case.matrices[0], on_dose(case.matrices[0], wanted(case))
    free = solve(function, case.start, case.bounds, 1e-5)
    dose = products.dose(matrix, free.weights)
    hottest, coldest, mean = dose[case.organ].max(), dose[case.target].min(), dose[case.organ].mean()

    def within(level):
        limits = (
            constraints.DoseAtMost("organ max", case.organ, 0.97 * hottest),
            constraints.MeanAtMost("organ mean", case.organ, level),
            constraints.DoseAtLeast("target min", case.target, min(coldest, 0.9 * LEVEL) - 0.2),
        )
        limited = (augmented.Limited(LinearDose(matrix), limits),)
        return augmented.minimise_within(function, limited, free.weights, case.bounds, 1e-4, 1e-6)

    found, looser = within(0.85 * mean), within(0.92 * mean)
    assert found.feasible
    assert found.converged
    assert not found.warnings
    kept = products.dose(matrix, found.weights)
    assert kept[case.organ].max() <= 0.97 * hottest + 5e-4
    assert kept[case.organ].mean() <= 0.85 * mean + 5e-4
    assert kept[case.target].min() >= min(coldest, 0.9 * LEVEL) - 0.2 - 5e-4
    assert found.value > free.value
    price = {one.name: one.multiplier for one in found.standings}
    # a limit that does not bind has no price; the price of one that does is the slope of the objective,
    # which rises as the limit is tightened
    assert price["target min"] == pytest.approx(0.0, abs=1e-3)
    slope = (found.value - looser.value) / (0.07 * mean)
    before = {one.name: one.multiplier for one in looser.standings}
    assert 0.9 * before["organ mean"] <= slope <= 1.1 * price["organ mean"]


@pytest.mark.requirement("TPS-OPTIMISE")
def test_a_constraint_that_nothing_keeps_is_named(case):
    matrix, function = case.matrices[0], on_dose(case.matrices[0], wanted(case))
    limits = (
        constraints.DoseAtLeast("target min", case.target, LEVEL),
        constraints.DoseAtMost("target max", case.target, 0.9 * LEVEL),
        constraints.VolumeAtMost("body V1", case.other, 1.0, 0.9),
    )
    limited = (augmented.Limited(LinearDose(matrix), limits),)
    found = augmented.minimise_within(function, limited, case.start, case.bounds)
    assert not found.feasible
    told = " ".join(found.warnings)
    assert "target max cannot be kept together" in told
    assert "body V1" not in told
    with pytest.raises(BadInput, match="target max"):
        augmented.minimise_within(function, limited, case.start, case.bounds, strict=True)
    nowhere = (constraints.DoseAtMost("none", np.array([], dtype=np.int64), 1.0),)
    with pytest.raises(BadInput, match="none has no voxel"):
        augmented.minimise_within(
            function, (augmented.Limited(LinearDose(matrix), nowhere),), case.start, case.bounds
        )


@pytest.mark.requirement("TPS-OPTIMISE")
def test_standard_scenarios_move_the_dose_as_they_say(case):
    names = [one.name for one in scenarios.standard()]
    assert len(names) == len(set(names)) == 9
    assert len(scenarios.standard(0.0, 0.0)) == 1
    field, first = case.planned[1].spots, len(case.planned[0].spots)
    rank = np.hypot(field.x, field.y) - 100.0 * field.energy
    middle = first + int(np.argmin(rank))  # the middle spot of the highest energy, towards +y
    axis = replace(case.scene, grid=Grid((0.0, -54.0, 0.0), (1.0, 0.5, 1.0), (1, 200, 1)))
    fine = scenarios.matrices(axis, case.planned, np.arange(200), case.beam, case.scenarios, 1.1)
    names = [one.name for one in case.scenarios]

    def depth(name):
        """Where the depth dose falls to 80 % of its peak behind it."""
        matrix = fine[names.index(name)]
        dose = products.dose(matrix, np.eye(matrix.spots)[middle])
        top = int(np.argmax(dose))
        return 1.0 + 0.5 * (top + float(np.interp(-0.8 * dose[top], -dose[top:], np.arange(200 - top))))

    nominal = depth("nominal")
    assert depth("range -3.5 %") == pytest.approx(nominal / 0.965, abs=0.3)
    assert depth("range +3.5 %") == pytest.approx(nominal / 1.035, abs=0.3)
    points = case.scene.grid.points(case.flat)

    def centre(matrix):
        dose = products.dose(matrix, np.eye(matrix.spots)[middle])
        return dose @ points / dose.sum()

    moved = scenarios.matrices(
        case.scene, case.planned, case.flat, case.beam, [scenarios.Scenario("x", (5.0, 0.0, 0.0))], 1.1
    )[0]
    assert centre(moved) - centre(case.matrices[0]) == pytest.approx([5.0, 0.0, 0.0], abs=0.35)
    weighed = scenarios.matrices(
        axis, case.planned, np.arange(200), case.beam, case.scenarios[:1],
        make=lambda voxels, field, limit: engine.influence_with_let(voxels, case.beam, field.spots, limit)[1],
    )[0]  # fmt: skip
    assert 1.1 * weighed.data.sum() / fine[0].data.sum() > 1.0
    with pytest.raises(BadInput, match="GiB"):
        scenarios.matrices(
            case.scene, case.planned, case.flat, case.beam, case.scenarios, memory_limit=10_000
        )


@pytest.mark.requirement("TPS-OPTIMISE")
def test_robust_plans_are_better_in_what_they_promise(case):
    functions = tuple(on_dose(matrix, wanted(case)) for matrix in case.matrices)

    def values(weights):
        return np.array([function.evaluate(weights)[0] for function in functions])

    equal = (1.0 / len(functions),) * len(functions)
    nominal = solve(functions[0], case.start, case.bounds, 1e-4).weights
    mean = solve(robust.expected(functions, equal), nominal, case.bounds, 1e-4).weights
    worst = robust.minimise_worst(functions, mean, case.bounds, 1e-4).weights
    assert values(nominal)[0] <= min(values(mean)[0], values(worst)[0])
    assert values(mean).mean() <= min(values(nominal).mean(), values(worst).mean())
    assert values(worst).max() <= min(values(nominal).max(), values(mean).max())
    assert values(worst).max() < 0.9 * values(nominal).max()
    # the plan against the worst case of each voxel covers the target in every scenario better
    composite = robust.VoxelWorst(
        tuple(LinearDose(matrix) for matrix in case.matrices),
        (objectives.Underdose(case.target, LEVEL, 100.0),),
        (objectives.Overdose(case.target, 1.05 * LEVEL, 100.0), objectives.Overdose(case.other, 1.2, 20.0)),
    )
    covered = solve(composite, nominal, case.bounds, 1e-4).weights

    def coldest(weights):
        doses = [products.dose(matrix, weights)[case.target] for matrix in case.matrices]
        return min(np.percentile(dose, 2) for dose in doses)

    assert coldest(covered) > coldest(nominal) + 0.02


@pytest.mark.requirement("TPS-OPTIMISE")
def test_single_fields_are_uniform_alone(case):
    field_a = len(case.planned[0].spots)
    nominal = case.matrices[0]
    cut = nominal.indptr[field_a]
    first = engine.Influence(
        nominal.voxels, nominal.indptr[: field_a + 1], nominal.indices[:cut], nominal.data[:cut]
    )
    second = engine.Influence(
        nominal.voxels, nominal.indptr[field_a:] - cut, nominal.indices[cut:], nominal.data[cut:]
    )
    asked = (objectives.SquaredDeviation(case.target, LEVEL, 100.0),)
    starts = [2.0 * case.start[:field_a], 2.0 * case.start[field_a:]]
    tops = [np.full(len(one), 1e6) for one in starts]
    plan = single_field.single_field_uniform([first, second], asked, starts, tops, (0.4, 0.6), tolerance=1e-4)
    for matrix, weights, share in (
        (first, plan.weights[:field_a], 0.4),
        (second, plan.weights[field_a:], 0.6),
    ):
        dose = products.dose(matrix, weights)[case.target]
        assert dose.mean() == pytest.approx(share * LEVEL, rel=0.01)
        assert dose.std() < 0.05 * share * LEVEL
    np.testing.assert_allclose(plan.dose, products.dose(nominal, plan.weights), rtol=1e-4, atol=1e-5)
    with pytest.raises(BadInput, match="together 1"):
        single_field.single_field_uniform([first, second], asked, starts, tops, (0.4, 0.4))


@pytest.mark.requirement("TPS-OPTIMISE")
def test_layers_and_spots_are_dropped_within_the_loss(case):
    matrix, function = case.matrices[0], on_dose(case.matrices[0], wanted(case))
    best = solve(function, case.start, case.bounds, 1e-3)
    energy = np.concatenate([field.layout.energy for field in case.planned])
    field_of = np.repeat(np.arange(2), [len(field.layout) for field in case.planned])
    group = np.unique(np.column_stack([field_of, energy]), axis=0, return_inverse=True)[1].ravel()
    fewer = reduction.reduce_layers(function, best.weights, group, case.bounds[1], 0.25, 1e-3)
    assert fewer.dropped
    assert fewer.value <= 1.25 * fewer.reference
    assert not fewer.weights[np.isin(group, fewer.dropped)].any()
    assert function.evaluate(fewer.weights)[0] == pytest.approx(fewer.value, rel=1e-6)
    few = reduction.reduce_spots(function, best.weights, case.bounds[1], 0.1, 1e-3)
    assert (few.weights > 0.0).sum() < 0.9 * (best.weights > 0.0).sum()
    assert few.value <= 1.1 * few.reference
    # a price on time empties layers too
    cost = delivery_time.TimeCost(group, 0.02 * best.value)
    quick = solve(Sum((function, cost)), best.weights, case.bounds, 1e-3)
    assert cost.evaluate(quick.weights)[0] < cost.evaluate(best.weights)[0]
    warm = minimise(matrix, wanted(case), best.weights, case.bounds, 1e-3)
    cold = minimise(matrix, wanted(case), case.start, case.bounds, 1e-3)
    assert len(warm.values) < 0.5 * len(cold.values)


@pytest.mark.requirement("TPS-OPTIMISE")
def test_delivery_time_is_that_of_its_parts():
    first = IonLayer(
        energy=150.0, x=np.float32([0, 59, 59]), y=np.float32([0, 0, 193]), mu=np.float32([1, 2, 1.35]),
        fwhm_x=10.0, fwhm_y=10.0,
    )  # fmt: skip
    last = IonLayer(
        energy=140.0, x=np.float32([0]), y=np.float32([0]), mu=np.float32([4.35]), fwhm_x=10.0, fwhm_y=10.0
    )
    beam = IonBeam(1, "A", 0.0, 0.0, (0.0, 0.0, 0.0), (first, last), (2000.0, 2000.0))
    time = delivery_time.of_beams([beam])
    assert time.switching == pytest.approx(1.91)
    assert time.settling == pytest.approx(4 * 0.00193)
    assert time.moving == pytest.approx(0.01 + 0.01)
    assert time.beam_on == pytest.approx(1.0, rel=1e-6)
    assert time.total == pytest.approx(1.91 + 0.00772 + 0.02 + 1.0, rel=1e-6)
    with pytest.raises(BadInput, match="above 0"):
        delivery_time.Timing(mu_rate=0.0)


@pytest.mark.requirement("TPS-OPTIMISE")
def test_a_pareto_surface_is_navigated(case):
    matrix = case.matrices[0]
    criteria = (
        pareto.Criterion(
            "target", on_dose(matrix, (objectives.SquaredDeviation(case.target, LEVEL, 100.0),))
        ),
        pareto.Criterion("organ", on_dose(matrix, (objectives.MeanDose(case.organ, 10.0),))),
        pareto.Criterion("body", on_dose(matrix, (objectives.Overdose(case.other, 0.8, 50.0),))),
    )
    gaps = []
    known = pareto.surface(
        criteria, case.start, case.bounds, 12, 0.02, 1e-3, report=lambda count, gap: gaps.append((count, gap))
    )
    assert 5 <= len(known.plans) <= 12
    assert known.gap == gaps[-1][1] < 0.5 * gaps[0][1]
    # no plan of the surface is beaten in everything by another
    for values in known.values:
        assert not (known.values < values - 0.02 * known.ranges).all(axis=1).any()
    middle = known.ideal + 0.3 * known.ranges
    choice = pareto.navigate(known, middle)
    limits = np.array([np.inf, choice.values[1] - 0.05 * known.ranges[1], np.inf])
    limits[~np.isfinite(limits)] = known.values.max() * 2.0
    spared = pareto.navigate(known, middle, limits)
    assert spared.values[1] <= limits[1] + 1e-6
    assert spared.shares.sum() == pytest.approx(1.0)
    true = np.array([criterion.function.evaluate(spared.weights)[0] for criterion in criteria])
    assert (true <= spared.values + 1e-4 * known.ranges).all()
    with pytest.raises(BadInput, match="keeps organ at or below"):
        pareto.navigate(known, middle, np.array([limits[0], 0.5 * known.ideal[1] - 1.0, limits[2]]))
    with pytest.raises(BadInput, match="two criteria"):
        pareto.surface(criteria[:1], case.start, case.bounds)
