"""Objectives, solver, deliverable metersets, and a whole plan on a water box."""

from itertools import pairwise

import numpy as np
import pytest
from tps_phantoms import box, regions, water_box, water_ct

from common.errors import BadInput
from tps_engine.beamdata import model
from tps_engine.dose.beam import beam_dose
from tps_engine.dose.engine import Influence
from tps_engine.optimise import deliverable, products
from tps_engine.optimise.functions import on_dose
from tps_engine.optimise.lbfgs import descend
from tps_engine.optimise.objectives import MeanDose, Overdose, Underdose, total
from tps_engine.optimise.solver import minimise
from tps_engine.patient import model as patient_model
from tps_engine.patient import stopping_power
from tps_engine.plan.layout import serpentine
from tps_engine.plan.planning import make_plan
from tps_engine.plan.request import FieldRequest, OrganLimit, Prescription


def random_matrix(rng, voxels=60, spots=25):
    dense = rng.uniform(0.0, 1.0, (voxels, spots)) * (rng.uniform(size=(voxels, spots)) < 0.4)
    columns = [np.flatnonzero(dense[:, k]) for k in range(spots)]
    indptr = np.r_[0, np.cumsum([len(column) for column in columns])].astype(np.int64)
    data = np.concatenate([dense[column, k] for k, column in enumerate(columns)]).astype(np.float32)
    return dense, Influence(voxels, indptr, np.concatenate(columns).astype(np.int32), data)


def some_objectives():
    return (
        Underdose(np.arange(20), 2.0, 10.0),
        Overdose(np.arange(20), 2.1, 10.0),
        Overdose(np.arange(20, 45), np.linspace(1.5, 0.5, 25), 3.0),
        MeanDose(np.arange(40, 60), 0.7),
    )


@pytest.mark.requirement("TPS-OPTIMISE")
def test_gradient_is_the_finite_difference():
    rng = np.random.default_rng(2)
    dense, matrix = random_matrix(rng)
    weights = rng.uniform(0.0, 0.6, 25)

    def value(w):
        return total(some_objectives(), dense @ w)[0]

    dose = products.dose(matrix, weights)
    assert dose == pytest.approx(dense @ weights, rel=1e-5)
    gradient = products.back(matrix, total(some_objectives(), dose)[1])
    step = 1e-6
    numeric = [
        (value(weights + step * unit) - value(weights - step * unit)) / (2.0 * step) for unit in np.eye(25)
    ]
    assert gradient == pytest.approx(numeric, rel=2e-4, abs=1e-5)


@pytest.mark.requirement("TPS-OPTIMISE")
def test_the_minimum_satisfies_the_conditions_of_optimality():
    rng = np.random.default_rng(4)
    _dense, matrix = random_matrix(rng)
    lower, upper = np.zeros(25), np.full(25, 0.8)
    solution = minimise(matrix, some_objectives(), np.full(25, 0.1), (lower, upper), tolerance=1e-9)
    assert solution.converged
    assert solution.values[-1] == pytest.approx(total(some_objectives(), solution.dose)[0], rel=1e-12)
    # it may only rise where voxels come back that were left out, and never without leaving any out
    pairs = zip(solution.values, solution.values[1:], strict=False)
    assert sum(after > before for before, after in pairs) <= 3
    whole = on_dose(matrix, some_objectives())
    values = descend(whole.evaluate, np.full(25, 0.1), (lower, upper), tolerance=1e-9).values
    assert all(after <= before for before, after in pairwise(values))
    gradient = products.back(matrix, total(some_objectives(), solution.dose)[1])
    free = (solution.weights > 1e-6) & (solution.weights < 0.8 - 1e-6)
    assert np.abs(gradient[free]).max() < 2e-2
    assert gradient[solution.weights <= 1e-6].min(initial=0.0) > -2e-2
    assert gradient[solution.weights >= 0.8 - 1e-6].max(initial=0.0) < 2e-2
    with pytest.raises(BadInput, match="lower above upper"):
        minimise(matrix, some_objectives(), np.ones(25), (upper, lower))
    with pytest.raises(BadInput, match="no voxel of the 60"):
        minimise(matrix, (Underdose(np.array([60]), 1.0, 1.0),), np.ones(25), (lower, upper))


@pytest.mark.requirement("TPS-OPTIMISE")
def test_settled_metersets_keep_to_the_limits():
    mu = np.array([0.0, 0.02, 0.0201, 0.3, 4.9])
    settled = deliverable.settle(mu, 0.99, (0.02, 4.0))
    assert settled.dtype == np.float32
    assert settled[0] == 0.0
    assert settled[1:].astype(np.float64).min() >= 0.02
    assert settled.max() <= 4.0
    assert settled[3] == pytest.approx(0.297)


@pytest.mark.requirement("TPS-DESIGN")
def test_serpentine_never_jumps_a_row():
    rows = np.array([(x, y) for y in (0.0, 5.2, 10.4) for x in (-6.0, 0.0, 6.0, 12.0)])
    order = serpentine(np.random.default_rng(1).permutation(rows))
    path = np.random.default_rng(1).permutation(rows)[order]
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).max() < 6.1


@pytest.fixture(scope="module")
def plan():
    ct, structures = water_box()
    beam = model.load("proton-generic")
    wanted = Prescription("cube", 2.0, 25, (OrganLimit("organ", 20.0),))
    seen = []
    fields = (FieldRequest("ANT", 0.0), FieldRequest("LAT", 90.0))
    result = make_plan(
        ct, structures, wanted, fields, beam, progress=lambda part, step: seen.append((part, step))
    )
    return ct, structures, beam, result, seen


@pytest.mark.requirement("TPS-OPTIMISE")
def test_plan_on_a_water_box_meets_its_goals(plan):
    _ct, _structures, _beam, result, seen = plan
    target = result.dose[result.regions["cube"]]
    assert np.percentile(target, 5) >= 0.95 * 2.0
    assert np.percentile(target, 98) <= 1.07 * 2.0
    assert np.median(target) == pytest.approx(2.0, rel=0.01)
    assert result.dose[result.regions["organ"]].mean() < 0.2
    assert result.dose[~result.body].max() == 0.0
    assert result.converged
    fractions = [part for part, _step in seen]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)


@pytest.mark.requirement("TPS-DESIGN")
def test_beams_are_deliverable(plan):
    _ct, _structures, beam, result, _seen = plan
    assert [planned.name for planned in result.beams] == ["ANT", "LAT"]
    for planned in result.beams:
        energies = [layer.energy for layer in planned.layers]
        assert energies == sorted(energies, reverse=True)
        assert all(energy in beam.energies for energy in energies)
        for layer in planned.layers:
            assert layer.mu.dtype == layer.x.dtype == np.float32
            assert layer.mu.astype(np.float64).min() >= beam.minimum_mu
            assert layer.mu.max() <= beam.maximum_mu
            rows = np.unique(layer.y)
            assert (np.diff(layer.y) >= 0.0).all()
            assert len(rows) == len(np.unique(np.round(layer.y, 3)))


@pytest.mark.requirement("TPS-DOSE")
def test_the_dose_is_that_of_the_final_metersets(plan):
    ct, structures, beam, result, _seen = plan
    patient = patient_model.build(ct, structures, [], "cube", stopping_power.load())
    again = sum(beam_dose(patient, result.grid, planned, beam) for planned in result.beams)
    np.testing.assert_allclose(1.1 * again, result.dose, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(sum(result.beam_doses), result.dose, rtol=1e-6)


@pytest.mark.requirement("TPS-DESIGN")
def test_a_target_too_shallow_for_the_machine_is_told():
    """30 mm of it lie in front of the lowest energy's peak: planned, but with plain words."""
    ct = water_ct()
    shallow = regions(
        External=("EXTERNAL", box((-68, 68), (-84, 84), ct.z[2:-2])),
        slab=("PTV", box((-10, 10), (-78, -30), ct.z[17:23])),
    )
    beam = model.load("proton-generic")
    result = make_plan(ct, shallow, Prescription("slab", 2.0, 25), (FieldRequest("ANT", 0.0),), beam)
    assert any("ANT" in text and "range shifter is needed" in text for text in result.warnings)
    low = np.percentile(result.dose[result.regions["slab"]], 5) / 2.0
    assert any("D95" in text for text in result.warnings) == (low < 0.95)


@pytest.mark.requirement("TPS-DESIGN")
def test_requests_that_cannot_be_planned_are_refused():
    beam = model.load("proton-generic")
    ct, structures = water_box()
    with pytest.raises(BadInput, match="one field or more"):
        make_plan(ct, structures, Prescription("cube", 2.0, 25), (), beam)
    with pytest.raises(BadInput, match="up to 30 Gy"):
        Prescription("cube", 0.0, 25)
    with pytest.raises(BadInput, match=r"allowed are constant 1\.1"):
        Prescription("cube", 2.0, 25, rbe_model="LEM IV")
    # the body fills the image sideways: a lateral field would enter where the image ends
    wide = regions(
        External=("EXTERNAL", box((-80, 80), (-84, 84), ct.z[2:-2])),
        cube=("PTV", box((-15, 15), (-15, 15), ct.z[16:24])),
        skin=("PTV", box((-15, 15), (-82, -74), ct.z[16:24])),
    )
    with pytest.raises(BadInput, match="field LAT enters the body where the image ends"):
        make_plan(ct, wide, Prescription("cube", 2.0, 25), (FieldRequest("LAT", 90.0),), beam)
    with pytest.raises(BadInput, match="a range shifter is needed"):
        make_plan(ct, wide, Prescription("skin", 2.0, 25), (FieldRequest("ANT", 0.0),), beam)
    dense = water_ct((40, 60, 50), 3.0, 3071.0)
    with pytest.raises(BadInput, match="reaches 323 mm"):
        make_plan(dense, wide, Prescription("skin", 2.0, 25), (FieldRequest("POST", 180.0),), beam)
