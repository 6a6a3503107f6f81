"""Robust plans on a water box: what the worst scenario keeps of the target, against a plan without margin."""

from dataclasses import replace

import numpy as np
import pytest
from tps_phantoms import water_box

from tps_engine.beamdata import model
from tps_engine.patient import stopping_power
from tps_engine.plan.planning import make_plan
from tps_engine.plan.radiation import of
from tps_engine.plan.request import FieldRequest, PlanOptions, PlanResult, Prescription, Robustness
from tps_engine.plan.scene import build_scene, lay_out
from tps_engine.plan.setup import build_task

WANTED = Prescription("cube", 2.0, 25)
FIELDS = (FieldRequest("ANT", 0.0), FieldRequest("POST", 180.0))
ERRORS = Robustness(shift=3.0, range_percent=3.5)


def planned(errors: Robustness | None) -> PlanResult:
    ct, structures = water_box()
    options = PlanOptions(margin=0.0, dose_spacing=5.0, robust=errors)
    return make_plan(ct, structures, WANTED, FIELDS, model.load("proton-generic"), options)


@pytest.fixture(scope="module")
def fragile() -> tuple[float, float]:
    """D95 of the target in the worst scenario of a plan that was not made for any, and nominally."""
    result = planned(None)
    ct, structures = water_box()
    machine = model.load("proton-generic")
    options = PlanOptions(margin=0.0, dose_spacing=5.0)
    scene = build_scene(ct, structures, WANTED, options, stopping_power.load())
    laid = [lay_out(scene, request, scene.isocentre, machine, options) for request in FIELDS]
    effects = of(machine).effects(WANTED.rbe_model, scene.grid.shape, scene.drawn, {})
    asked = PlanOptions(margin=0.0, dose_spacing=5.0, robust=ERRORS)
    task = build_task(scene, laid, WANTED, machine, asked, effects)
    given = [(beam.name, layer) for beam in result.beams for layer in beam.layers]
    on = {
        (name, round(layer.energy, 3), x, y): mu
        for name, layer in given
        for x, y, mu in zip(layer.x, layer.y, layer.mu, strict=True)
    }
    mu = np.array(
        [
            on.get((field.request.name, round(float(energy), 3), np.float32(x), np.float32(y)), 0.0)
            for field in laid
            for energy, x, y in zip(field.layout.energy, field.layout.x, field.layout.y, strict=True)
        ],
        dtype=np.float32,
    )
    assert mu.sum() == pytest.approx(sum(float(layer.mu.sum()) for _name, layer in given), rel=1e-5)
    weights = mu.astype(np.float64)
    nominal = task.values("dose", task.situations[0], weights)
    exact = result.dose.ravel()[task.wanted.flat].astype(np.float64)
    found = replace(task, offsets={"dose": exact - nominal}).histograms(scene, weights)
    return min(h["cube"].dose_to(95.0) for h in found.values()), found[task.names[0]]["cube"].dose_to(95.0)


@pytest.mark.requirement("TPS-OPTIMISE")
@pytest.mark.parametrize("aim", ["worst", "expected", "voxel"])
def test_a_robust_plan_keeps_its_target_in_the_worst_scenario(aim: str, fragile: tuple[float, float]) -> None:
    result = planned(Robustness(ERRORS.shift, ERRORS.range_percent, aim))  # type: ignore[arg-type]
    assert len(result.scenarios) == 9 and set(result.regions) == {"cube"}
    worst = min(found["cube"].dose_to(95.0) for found in result.scenarios.values())
    assert fragile[1] > 1.9 > fragile[0] + 0.1
    assert worst > fragile[0] + 0.1 and worst > 1.9
    nominal = next(iter(result.scenarios.values()))["cube"]
    assert nominal.dose_to(50.0) == pytest.approx(2.0, abs=0.02)


@pytest.mark.requirement("TPS-OPTIMISE")
def test_the_nominal_scenario_is_the_dose_of_the_plan() -> None:
    result = planned(ERRORS)
    inside = result.dose[result.regions["cube"]]
    nominal = next(iter(result.scenarios.values()))["cube"]
    assert nominal.mean == pytest.approx(float(inside.mean()), rel=1e-4)
