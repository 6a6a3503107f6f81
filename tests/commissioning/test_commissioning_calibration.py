"""Range, dose, spots and spill against what the plant hides: energy and monitor are a little wrong."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from plant_bench import PlantBeam, PlantBench, session

from common.errors import BadInput, Refused
from ptcs.commissioning.monitor import MonitorCalibration, calibrate_monitor
from ptcs.commissioning.ranges import Ranges, measure_ranges
from ptcs.commissioning.result import Verdict
from ptcs.commissioning.spills import SpillPlan, measure_spill
from ptcs.commissioning.spots import SpotGrid, measure_spots
from tps_engine.beamdata.model import load

LAYERS, REFERENCE = "room1/dosimetry/layers", "room1/dosimetry/reference"
PHYSICS = "room1/beam/physics"
pytestmark = pytest.mark.requirement("ACS-COMMISSION")


@pytest.fixture(scope="module")
def bench() -> PlantBench:
    bench = PlantBench(seed=9)
    bench.plain |= {
        f"{REFERENCE}/Depth": 20.0,
        f"{REFERENCE}/Coefficient": 4.2,
        f"{PHYSICS}/CountsPerMU": 20000.0,
    }
    return bench


def hidden(bench: PlantBench, name: str) -> float:
    return float(bench.site.device(LAYERS).plant[name])


def test_the_energy_error_of_the_machine_is_found_by_range(bench: PlantBench, tmp_path: Path) -> None:
    here, model = session(bench, tmp_path), load("proton-generic")
    result = measure_ranges(here, bench, PlantBeam(bench), Ranges(LAYERS, (100.4, 150.0, 200.6)), model)
    scale = result.quantity("energy scale")
    assert scale.value == pytest.approx(hidden(bench, "energy_error"), abs=4.0 * scale.error)
    assert scale.error < 5e-4
    assert 0.2 < result.quantity("largest range error").value < 1.0 and result.verdict is not Verdict.FAILED
    assert result.proposal is not None
    assert result.proposal["energy_scale"] == pytest.approx(1.0 - scale.value, abs=1e-5)
    assert here.store.load(result.id).complete


def test_the_sensitivity_of_the_monitor_is_found_by_dose(bench: PlantBench, tmp_path: Path) -> None:
    here, model = session(bench, tmp_path), load("proton-generic")
    wanted = MonitorCalibration(REFERENCE, PHYSICS, 150.0, (4.0, 8.0, 16.0))
    result = calibrate_monitor(here, bench, PlantBeam(bench), wanted, model)
    found = result.quantity("counts per MU")
    truth = 20000.0 * (1.0 + hidden(bench, "monitor_error"))
    assert abs(found.value - truth) < 3.0 * found.error
    assert found.value == pytest.approx(truth, rel=0.004)  # the energy error moves the dose by less
    assert result.quantity("output").value == pytest.approx(1.0 / (1.0 - 0.012), rel=0.004)
    assert result.quantity("linearity").verdict is Verdict.PASSED
    assert result.inputs["k_tp"] == pytest.approx(1.0, abs=0.05)


def test_a_broken_instrument_ends_a_calibration(bench: PlantBench, tmp_path: Path) -> None:
    here, model = session(bench, tmp_path), load("proton-generic")
    bench.plant.inject({"device": "room1-layers", "kind": "electrometer"})
    try:
        with pytest.raises(Refused, match="fault 1"):
            measure_ranges(here, bench, PlantBeam(bench), Ranges(LAYERS, (150.0,)), model)
    finally:
        bench.plant.clear({"device": "room1-layers"})
    bench.plant.inject({"device": "room1-reference", "kind": "electrometer"})
    try:
        with pytest.raises(Refused, match="fault 1"):
            calibrate_monitor(
                here, bench, PlantBeam(bench), MonitorCalibration(REFERENCE, PHYSICS, 150.0), model
            )
    finally:
        bench.plant.clear({"device": "room1-reference"})


def test_place_gain_and_size_of_spots_are_found(bench: PlantBench, tmp_path: Path) -> None:
    here, model, beam = session(bench, tmp_path), load("proton-generic"), PlantBeam(bench)
    good = measure_spots(here, beam, SpotGrid((100.4, 200.6)), model)
    assert good.verdict is Verdict.PASSED
    beam.offset, beam.gain = (1.4, 0.0), (1.0, 1.02)
    bad = measure_spots(here, beam, SpotGrid((150.0,)), model)
    x, gain = bad.quantity("offset x"), bad.quantity("scanning gain y")
    assert abs(x.value - 1.4) < 4 * x.error and x.verdict is Verdict.FAILED
    assert abs(gain.value - 1.02) < 4 * gain.error and gain.verdict is Verdict.FAILED
    assert bad.quantity("offset y").verdict is Verdict.PASSED and bad.verdict is Verdict.FAILED


def test_a_spill_is_measured_and_a_rippling_supply_is_seen(bench: PlantBench, tmp_path: Path) -> None:
    here = session(bench, tmp_path)
    plan = SpillPlan("transport/diag/bpm1/Intensity", "room1/diag/bpm4/Intensity", "ring/diag/dcct/Current",
                     seconds=6.4, factor=bench.site.clock_factor)  # fmt: skip
    good = measure_spill(here, plan)
    assert good.quantity("duty factor").value > 0.9 and good.verdict in (Verdict.PASSED, Verdict.UNSURE)
    assert good.quantity("length").value == pytest.approx(4.8, rel=0.1)
    assert good.quantity("transmission").value == pytest.approx(1.0, abs=0.05)
    assert good.quantity("current").value == pytest.approx(0.4, rel=0.15)
    assert int(good.inputs["spills"]) >= 8
    assert good.quantity("extracted per circulating current").value > 0.0
    bench.plant.inject({"device": "rf-knock-out", "kind": "weak"})
    try:
        weak = measure_spill(here, plan)
    finally:
        bench.plant.clear({"device": "rf-knock-out"})
    assert weak.quantity("current").value == pytest.approx(0.67 * good.quantity("current").value, rel=0.1)
    bench.plant.do("set", {"device": "rf-knock-out", "name": "gate", "value": 0.0})
    try:
        with pytest.raises(BadInput, match="16 readings"):
            measure_spill(here, replace(plan, seconds=1.6))
    finally:
        bench.plant.do("set", {"device": "rf-knock-out", "name": "gate", "value": 1.0})
    assert np.isfinite(good.quantity("ripple").value)
