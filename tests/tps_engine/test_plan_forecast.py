"""How much memory a plan takes, told and refused before any of its matrices is begun."""

from dataclasses import replace

import pytest
from tps_phantoms import water_box

from common import memory
from common.errors import BadInput
from tps_engine.beamdata import ion_files, model
from tps_engine.patient import stopping_power
from tps_engine.plan import forecast, planning, radiation, setup
from tps_engine.plan.request import FieldRequest, PlanOptions, Prescription, Robustness

WANTED = Prescription("cube", 2.0, 25)
FIELDS = (FieldRequest("ANT", 0.0), FieldRequest("LAT", 90.0))
TABLE = stopping_power.load()
pytestmark = pytest.mark.requirement("TPS-OPTIMISE", "TPS-SCRIPT")


def images():
    """The water box as a body in air, so that fields enter it inside the image."""
    ct, structures = water_box()
    hu = ct.hu.copy()
    hu[:2], hu[-2:], hu[:, :3], hu[:, -3:], hu[..., :3], hu[..., -3:] = (-1000.0,) * 6
    return replace(ct, hu=hu), structures


def expected(machine, options: PlanOptions) -> forecast.Forecast:
    chosen, name = radiation.with_model(radiation.of(machine), options.model, WANTED.rbe_model)
    layout = options.robust.wider(chosen.layout) if options.robust else chosen.layout
    found = forecast.forecast(images(), WANTED, FIELDS, chosen, name, replace(options, layout=layout), TABLE)
    assert found is not None
    return found


def taken(machine, options: PlanOptions) -> int:
    """Bytes of all matrices."""
    made = setup.prepare(images(), WANTED, FIELDS, machine, options, TABLE, planning.silent)
    total = 0
    for situation in made.task.situations:
        for matrices in situation.phases:
            total += next(iter(matrices.values())).indices.nbytes
            total += sum(one.data.nbytes for one in matrices.values())
    return total


@pytest.mark.parametrize(
    ("machine", "options"),
    [
        ("proton-generic", PlanOptions(dose_spacing=2.5)),
        ("proton-generic", PlanOptions(dose_spacing=4.0, objectives=("cube: LETd mean < 9",))),
        ("proton-generic", PlanOptions(dose_spacing=6.0, robust=Robustness(3.0, 3.5))),
        ("carbon-generic", PlanOptions(dose_spacing=4.0)),
    ],
)
def test_what_is_forecast_is_what_the_matrices_take(machine: str, options: PlanOptions) -> None:
    loaded = model.load(machine) if machine.startswith("proton") else ion_files.load(machine)
    found = expected(loaded, options)
    assert 1.0 / forecast.LOW < found.matrices / taken(loaded, options) < forecast.SURE


def test_too_large_plans_are_refused_before_the_matrices_with_what_would_fit(monkeypatch) -> None:
    machine = model.load("proton-generic")
    small = PlanOptions(dose_spacing=2.0, memory=20_000_000)
    begun = []
    real = setup.build_scene
    monkeypatch.setattr(setup, "build_scene", lambda *given: begun.append(1) or real(*given))
    with pytest.raises(BadInput, match=r"not enough memory: the dose matrices of about .* would fit") as said:
        planning.make_plan(*images(), WANTED, FIELDS, machine, small)
    assert not begun
    fitting = float(str(said.value).split("dose voxels of ")[1].split(" mm")[0])
    assert 2.0 < fitting < 5.0
    assert taken(machine, replace(small, dose_spacing=fitting)) <= 20_000_000
    assert begun


def test_too_fine_dose_voxels_are_refused_with_those_that_fit(monkeypatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 300_000_000)
    machine = model.load("proton-generic")
    with pytest.raises(BadInput, match=r"dose voxels of 0\.5 mm need .* 0\.27 GB can be had; dose voxels of"):
        planning.make_plan(*images(), WANTED, FIELDS, machine, PlanOptions(dose_spacing=0.5))
