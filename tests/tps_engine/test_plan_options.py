"""What a planner can ask of a plan, on a water cube with an organ behind it."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from tps_phantoms import water_box

from common.dicom import ion_plan
from common.errors import BadInput
from tps_engine.beamdata import ion_files, model
from tps_engine.optimise import delivery_time
from tps_engine.output import Case
from tps_engine.patient import stopping_power
from tps_engine.patient.grid import Grid
from tps_engine.plan.planning import make_plan
from tps_engine.plan.request import (
    Displacement,
    FieldRequest,
    OrganLimit,
    Phase,
    PlanOptions,
    PlanResult,
    Prescription,
    Reduction,
    Robustness,
)
from tps_engine.scripting.plan import Plan

WANTED = Prescription("cube", 2.0, 25, (OrganLimit("organ"),))
FIELDS = (FieldRequest("ANT", 0.0), FieldRequest("POST", 180.0))


def machine_of(name: str):
    return model.load(name) if name.startswith("proton") else ion_files.load(name)


@cache
def body():
    """The water box as a body in air."""
    ct, structures = water_box()
    hu = np.full_like(ct.hu, -1000.0)
    hu[2:-2, 4:-4, 3:-3] = 0.0
    return replace(ct, hu=hu), structures


def planned(machine: str = "proton-generic", fields=FIELDS, **choices) -> PlanResult:
    options = PlanOptions(**{"margin": 0.0, "dose_spacing": 6.0, **choices})
    return make_plan(*body(), WANTED, fields, machine_of(machine), options)


@cache
def plain() -> PlanResult:
    return planned()


def even(result: PlanResult) -> bool:
    inside = result.dose[result.regions["cube"]] / 2.0
    return bool(np.percentile(inside, 5) > 0.95 and np.percentile(inside, 95) < 1.07)


@pytest.mark.requirement("TPS-OPTIMISE")
def test_constraints_hold_on_the_dose_that_is_shown() -> None:
    free = 25.0 * float(plain().dose[plain().regions["organ"]].max())
    limit = 0.6 * free
    result = planned(constraints=(f"organ: max < {limit:.3f}", "cube: D95% > 47.5"))
    shown = 25.0 * result.dose
    assert shown[result.regions["organ"]].max() <= limit + 25 * 0.0025
    assert np.percentile(shown[result.regions["cube"]], 5) > 47.4
    assert [goal.kept for goal in result.goals] == [True, True]
    assert result.goals[0].reached == pytest.approx(float(shown[result.regions["organ"]].max()), abs=0.01)
    assert result.goals[0].price > 0.0


@pytest.mark.requirement("TPS-OPTIMISE")
def test_constraints_that_nothing_keeps_are_told() -> None:
    result = planned(constraints=("cube: min > 50", "cube: max < 45"))
    assert not all(goal.kept for goal in result.goals)
    assert any("is not kept" in warning for warning in result.warnings)


@pytest.mark.requirement("TPS-OPTIMISE", "TPS-BIO")
def test_let_and_rbe_may_be_asked_for_beside_the_dose() -> None:
    first = planned(objectives=("cube: LETd mean < 99",)).goals[0].reached
    higher = planned(objectives=(f"cube: LETd mean > {first + 0.3:.2f}, weight 30",))
    assert higher.goals[0].reached > first + 0.1 and even(higher)
    assert higher.let is not None and higher.let.shape == higher.dose.shape
    # late-responding tissue: the same dose weighs more than 1.1 where protons stop
    late = planned(model="McNamara", tissues={"cube": 2.0}, objectives=("cube: constant 1.1 mean < 99",))
    assert late.model == "McNamara" and even(late)
    assert late.goals[0].reached < 50.0 < 1.5 * late.goals[0].reached
    weighed = late.dose[late.regions["cube"]] / late.physical[late.regions["cube"]]
    assert 1.1 < weighed.mean() < 1.5
    total = np.sum(late.beam_doses, axis=0)
    np.testing.assert_allclose(total, late.dose, atol=1e-5)


@pytest.mark.requirement("TPS-OPTIMISE")
def test_single_fields_give_an_even_dose_each() -> None:
    fields = (FieldRequest("ANT", 0.0), FieldRequest("LAT", 90.0))
    result = planned(fields=fields, uniform=True, shares=(0.3, 0.7))
    cube = result.regions["cube"]
    for share, dose in zip((0.3, 0.7), result.beam_doses, strict=True):
        alone = dose[cube] / (2.0 * share)
        assert np.percentile(alone, 5) > 0.93 and np.percentile(alone, 95) < 1.08
    with pytest.raises(BadInput, match="together 1"):
        planned(uniform=True, shares=(0.5, 0.6))
    with pytest.raises(BadInput, match="not proportional"):
        planned(uniform=True, model="McNamara")


@pytest.mark.requirement("TPS-OPTIMISE")
def test_fewer_layers_and_less_time_keep_the_dose() -> None:
    fewer = planned(reduction=Reduction(layers=0.5))
    assert fewer.layers < plain().layers and even(fewer)
    quick = planned(time=1.0, least_mu=0.05)
    assert quick.time.total < plain().time.total and even(quick)
    assert quick.time.total == pytest.approx(delivery_time.of_beams(quick.beams).total)
    assert min(float(layer.mu.min()) for beam in quick.beams for layer in beam.layers) >= 0.05


@pytest.mark.requirement("TPS-OPTIMISE")
def test_an_earlier_plan_is_where_the_next_begins() -> None:
    again = planned(start=plain().beams)
    assert len(again.optimiser) < len(plain().optimiser)
    assert again.optimiser[0] < 0.1 * plain().optimiser[0]
    assert even(again)
    with pytest.raises(BadInput, match="same fields and machine"):
        planned("carbon-generic", start=plain().beams)


@pytest.mark.requirement("TPS-OPTIMISE", "TPS-BIO")
def test_ions_are_planned_by_their_biology() -> None:
    result = planned("carbon-generic", tissues={"organ": 2.0}, constraints=("organ: max < 12",))
    assert result.species == "ION" and result.model == "tabulated" and even(result)
    assert result.goals[0].kept
    cube = result.regions["cube"]
    assert 1.5 < (result.dose[cube] / result.physical[cube]).mean() < 4.0
    plan = Plan(
        Case(*body()), WANTED, machine_of("carbon-generic"), stopping_power.load(), result,
        PlanOptions(tissues={"organ": 2.0}),
    )  # fmt: skip
    np.testing.assert_allclose(plan.recompute("pb"), result.dose, atol=2e-3 * float(result.dose.max()))
    written = ion_plan.from_dataset(ion_plan.to_dataset(plan.objects()[0]))
    assert (written.radiation, written.nuclide, written.rbe_model) == ("ION", (12, 6), "tabulated")
    with pytest.raises(BadInput, match="engine pb"):
        plan.recompute("mc")
    with pytest.raises(BadInput, match="protons do not hold"):
        plan.effective("McNamara")
    helium = planned("helium-generic", model="MKM", fields=FIELDS[:1])
    assert helium.model.startswith("modified MKM") and even(helium)
    for choice, said in (
        ({}, "allows MKM, physical"),
        ({"model": "MKM", "tissues": {"cube": 2.0}}, "tables"),
    ):
        with pytest.raises(BadInput, match=said):
            planned("helium-generic", **choice)


@pytest.mark.requirement("TPS-OPTIMISE")
def test_a_plan_holds_in_every_phase_of_breathing() -> None:
    ct = body()[0]
    up = (0.0, 0.0, 9.0)
    still = Grid((-100.0,) * 3, (100.0,) * 3, (3, 3, 3))
    field = Displacement(still, np.broadcast_to(np.array(up), (3, 3, 3, 3)))
    found = []
    for motion in (up, field):
        result = planned(robust=Robustness(0.0, 0.0, "worst", (Phase("50 %", ct, motion),)))
        assert list(result.scenarios) == ["nominal", "50 %, nominal"]
        found.append([h["cube"].dose_to(95.0) for h in result.scenarios.values()])
        assert min(found[-1]) > 1.85
    np.testing.assert_allclose(found[0], found[1], atol=1e-3)
    mean = planned(robust=Robustness(0.0, 0.0, "worst", (Phase("50 %", ct, up),), accumulate=True))
    assert list(mean.scenarios) == ["nominal"]
    assert mean.scenarios["nominal"]["cube"].dose_to(95.0) > 1.9
    with pytest.raises(BadInput, match="needs its phases"):
        planned(robust=Robustness(accumulate=True))
    with pytest.raises(BadInput, match="up to 100 mm"):
        planned(robust=Robustness(0.0, 0.0, "worst", (Phase("far", ct, (0.0, 0.0, 500.0)),)))


@pytest.mark.requirement("TPS-EVALUATE")
def test_histograms_count_parts_of_voxels() -> None:
    result = plain()
    assert result.fractions["cube"].sum() * result.grid.voxel_cm3 == pytest.approx(27.0, rel=0.03)
    some = result.inside["cube"]
    assert ((some > 0.0) & (some < 1.0)).any()


@pytest.mark.requirement("TPS-OPTIMISE")
@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"memory": 10_000}, "not enough memory"),
        ({"objectives": ("organ: dose rate max < 3",)}, "quantity dose rate"),
        ({"constraints": ("liver: max < 3",)}, "no region named liver"),
        ({"model": "abacus"}, "RBE model abacus"),
        ({"tissues": {"organ": "steel"}}, "tissue steel"),
        ({"dose_spacing": 0.1}, "0.5 to 20 mm"),
        ({"time": -1.0}, "0 to 10"),
    ],
)
def test_what_cannot_be_asked_is_refused(choices, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        planned(**choices)
