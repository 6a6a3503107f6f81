"""Water, RF, source, safety and room equipment, and faults of every kind on everything."""

import math
from itertools import pairwise

import numpy as np
import pytest
from rig_bench import Bench, device

from common import site
from common.errors import Refused
from common.text import catalogue
from simulation.plant import fault_page
from simulation.plant.plant import Plant
from simulation.plant.registry import FAMILIES, GROUPS

SYNCHROTRON = site.CONFIG / "synchrotron.yaml"


def cooled() -> Bench:
    """Two circuits on one pump and one chiller; both cool the same magnet."""
    circuit = {"pump": "pump", "chiller": "chiller", "inlet_c": 20.0, "volume_s": 10.0, "cools": ["hall"]}
    supply = {"resistance_ohm": 0.1, "inductance_h": 0.001, "ramp_a_s": 5000.0, "role": "hall"}
    bench = Bench(
        device("MagnetSupply", "magnet", {"current": (0, 600)}, **supply),
        device("WaterPump", "pump", head_bar=6.0, flow_l_min=150.0),
        device("Chiller", "chiller", {"temperature": (12, 25)}, capacity_kw=60.0, nominal=20.0),
        device("WaterCircuit", "wide", {"flow": (80, 200)}, flow_l_min=100.0, **circuit),
        device("WaterCircuit", "narrow", {"flow": (40, 100)}, flow_l_min=50.0, **circuit),
    )
    bench.do("on", "magnet")
    bench.do("set", "magnet", name="setpoint", value=500.0)
    return bench


@pytest.mark.requirement("ACS-WATER")
def test_water_carries_the_heat_that_the_magnets_give_off() -> None:
    bench = cooled()
    bench.go(200)
    kw = 0.1 * 500.0**2 / 1000.0
    rise = kw / (150.0 * 4.186 / 60.0)
    for wire in ("wide", "narrow"):
        assert (
            bench[f"{wire}.temperature"] == pytest.approx(20.0 + rise, rel=0.02) and bench[f"{wire}.ok"] == 1
        )
    assert bench.reading("chiller", "power") == pytest.approx(kw, rel=0.05)
    assert bench.reading("chiller", "temperature") == pytest.approx(20.0, abs=0.1)
    assert bench.reading("pump", "flow") == pytest.approx(150.0, rel=0.02)


@pytest.mark.requirement("ACS-WATER")
def test_a_closed_circuit_moves_the_pump_along_its_characteristic() -> None:
    bench = cooled()
    bench.fault("narrow", "pump")
    bench.go(30)
    assert bench["narrow.flow"] < 1.0 and bench["narrow.fault"] == 1 and bench["narrow.ok"] == 0
    relative = 1.25 / (1.0 + 0.25 * (100.0 / 150.0) ** 2)
    assert bench.reading("pump", "pressure") == pytest.approx(6.0 * relative, rel=0.02)
    assert bench["wide.flow"] == pytest.approx(100.0 * math.sqrt(relative), rel=0.02)


@pytest.mark.requirement("ACS-WATER")
def test_a_pump_that_stops_heats_the_magnet_and_a_chiller_that_stops_heats_the_water() -> None:
    bench = cooled()
    bench.go(60)
    bench.do("off", "pump")
    bench.go(20)
    assert bench["pump.ok"] == bench["wide.ok"] == bench["ok.water"] == 0
    assert bench.plant.world.cooling["hall"] < 0.01 and bench["wide.temperature"] > 40
    bench.do("on", "pump")
    bench.fault("chiller", "compressor")
    bench.go(60)
    warm = bench.reading("chiller", "temperature")
    bench.go(60)
    kelvin = 25.0 * 60.0 / 4186.0  # 25 kW for 60 s into a tank of 1000 l
    assert bench.reading("chiller", "temperature") - warm == pytest.approx(kelvin, rel=0.2)
    with pytest.raises(Refused, match="still there"):
        bench.do("reset", "chiller")
    bench.clear("chiller")
    bench.do("reset", "chiller")
    bench.do("on", "chiller")
    with pytest.raises(Refused, match="allowed are 12 to 25"):
        bench.do("set", "chiller", name="setpoint", value=30.0)


@pytest.mark.requirement("ACS-SOURCE")
def test_a_cavity_fills_only_with_its_amplifier_and_reflects_when_detuned() -> None:
    bench = Bench(
        device("RfCavity", "cavity", nominal=10.0, rise_s=0.5, role="injector", frequency_mhz=162.5),
        device("RfAmplifier", "amplifier", cavity="cavity", nominal_kw=100.0),
    )
    bench.do("on", "cavity")
    bench.go(2)
    assert bench["cavity.voltage"] == 0.0 and bench["cavity.ok"] == 0
    bench.do("on", "amplifier")
    bench.go(0.05)
    assert bench["amplifier.reflected"] > 50  # an empty cavity takes little
    bench.go(3)
    assert bench["cavity.ok"] == 1 and bench["amplifier.reflected"] < 1
    assert bench["cavity.frequency"] == 162.5 and abs(bench["cavity.phase"]) < 1
    bench.fault("cavity", "detuned")
    bench.go(1)
    psi = math.radians(50)
    assert bench["cavity.voltage"] == pytest.approx(10 * math.cos(psi), rel=0.02)
    assert bench["amplifier.reflected"] == pytest.approx(100 * math.sin(psi) ** 2, rel=0.02)
    bench.go(3)
    assert bench["amplifier.fault"] == 1 and bench["amplifier.on"] == 0 and bench["cavity.ok"] == 0


@pytest.mark.requirement("ACS-SOURCE")
def test_the_knock_out_drives_on_the_flat_top_only_and_its_gate_can_be_shut() -> None:
    bench = Bench(device("RfKnockOut", "knock-out", nominal=0.8, rise_s=0.01))
    bench.do("on", "knock-out")
    bench.go(1)
    assert bench["knock-out.gate"] == 0 and bench.plant.world.knock_out == 0
    bench.plant.cycle("FLAT_TOP", 150.0)
    bench.go(0.1)
    assert bench["knock-out.gate"] == 1 and bench.plant.world.knock_out == pytest.approx(1, abs=1e-3)
    bench.do("set", "knock-out", name="gate", value=0)
    bench.go(0.1)
    assert bench["knock-out.gate"] == 0 and bench.plant.world.knock_out == 0
    bench.fault("knock-out", "gate_open")
    bench.go(0.1)
    assert bench.plant.world.knock_out > 0.9


@pytest.mark.requirement("ACS-SOURCE")
def test_intensity_is_that_of_the_ion_in_use_and_of_the_foil_and_the_high_voltage() -> None:
    bench = Bench(
        device("IonSource", "ecr-p", nominal=300.0, ion="proton"),
        device("IonSource", "ecr-c", nominal=200.0, ion="carbon"),
        device("HighVoltageSupply", "platform", nominal=24.0, rise_s=0.2),
        device("StripperFoil", "foil", foils=3),
    )
    world = bench.plant.world
    bench.do("on", "ecr-p")
    bench.do("on", "platform")
    bench.go(3)
    assert world.ion == "proton" and world.intensity == pytest.approx(1.0, abs=0.02)
    world.ion = "carbon"
    bench.go(0.1)
    assert world.intensity == 0.0
    world.ion = "proton"
    bench.fault("foil", "broken")
    bench.go(0.1)
    assert world.intensity == 0.0 and bench["foil.ok"] == 0 and bench["foil.fault"] == 1
    with pytest.raises(Refused, match="allowed are 1 to 3"):
        bench.do("set", "foil", name="position", value=4)
    bench.do("set", "foil", name="position", value=2)
    bench.go(2)
    assert bench["foil.position"] == 2.0 and bench["foil.ok"] == 0  # the cause still tears foils
    bench.clear("foil")
    bench.go(0.1)
    assert world.intensity == pytest.approx(1.0, abs=0.02) and bench["foil.ok"] == 1
    bench.plant.cycle("INJECTION", 150.0)
    bench.go(60)
    hours = 60 * world.clock_factor / 3600
    assert bench["foil.used"] == pytest.approx(0.1 * hours, rel=0.05)
    bench.fault("platform", "sparking")
    bench.go(20)
    assert bench["platform.fault"] == 1 and bench["platform.on"] == 0 and world.intensity < 0.01


def hall() -> Bench:
    return Bench(
        device("SafetyDoor", "door"),
        device("EmergencyStop", "stop"),
        device("SearchStation", "search", buttons=["far", "near"], walk_s=30.0, close_s=10.0),
        device("SafetyDoor", "elsewhere", room="room9"),
    )


@pytest.mark.requirement("ACS-INTERLOCK")
def test_a_hall_is_searched_in_order_and_any_opening_voids_it() -> None:
    bench = hall()
    bench.do("open", "door")
    bench.go(2)
    assert (bench["door.a"], bench["door.b"], bench["door.ok"]) == (0, 0, 0)
    bench.do("press", "search", button="near")  # out of order
    bench.do("press", "search", button="far")
    bench.do("press", "search", button="near")
    bench.go(0.1)
    assert bench["search.state"] == 1 and bench["search.button"] == 2 and bench["search.ok"] == 0
    bench.do("close", "door")
    bench.go(2)
    assert bench["search.state"] == 2 and bench["search.ok"] == 1
    bench.do("open", "elsewhere")
    bench.go(2)
    assert bench["search.ok"] == 1
    bench.do("press", "stop")
    bench.go(0.1)
    assert bench["stop.ok"] == 0 and bench["search.state"] == 0 and bench["search.button"] == 0
    bench.do("release", "stop")
    bench.do("open", "door")
    bench.go(2)
    bench.do("press", "search", button="far")
    bench.go(31)
    bench.do("press", "search", button="near")  # too late: the walk begins again
    bench.do("close", "door")
    bench.go(2)
    assert bench["search.state"] == 0
    with pytest.raises(Refused, match="allowed are far, near"):
        bench.do("press", "search", button="red")


@pytest.mark.requirement("ACS-INTERLOCK")
@pytest.mark.parametrize("wire", ["door", "stop"])
def test_one_contact_that_fails_is_seen_and_two_that_are_welded_are_not(wire: str) -> None:
    away, back = ("open", "close") if wire == "door" else ("press", "release")
    bench = hall()
    bench.fault(wire, "b_open")
    bench.go(0.1)
    assert (bench[f"{wire}.a"], bench[f"{wire}.b"]) == (1, 0)
    assert bench[f"{wire}.fault"] == 1 and bench[f"{wire}.ok"] == 0
    bench.clear(wire)
    bench.fault(wire, "a_welded")
    bench.go(0.1)
    assert bench[f"{wire}.ok"] == 1  # nothing to see until it is used
    bench.do(away, wire)
    bench.go(2)
    assert (bench[f"{wire}.a"], bench[f"{wire}.b"], bench[f"{wire}.fault"]) == (1, 0, 1)
    bench.fault(wire, "b_welded")
    bench.go(0.1)
    assert bench[f"{wire}.ok"] == 1
    bench.clear(wire)
    bench.go(0.1)
    assert bench[f"{wire}.ok"] == 0
    bench.do(back, wire)
    bench.go(2)
    assert bench[f"{wire}.ok"] == 1


@pytest.mark.requirement("ACS-MAINTENANCE")
def test_radiation_follows_the_beam_into_its_room_and_some_stays() -> None:
    inside = {"alarm": 1000.0, "background_usv_h": 0.1}
    bench = Bench(*(device("RadiationMonitor", f"m{n}", room=f"room{n}", **inside) for n in (1, 2)))
    world, monitors = bench.plant.world, bench.plant.families["RadiationMonitor"]
    bench.go(1)
    assert bench["m1.rate"] == pytest.approx(0.1, rel=0.3)
    bench.plant.cycle("FLAT_TOP", 150.0, room=1)
    world.charge = 1.0
    for _ in range(3000):
        monitors.advance(0.1, world)
    assert bench["m1.rate"] == pytest.approx(200, rel=0.3) and bench["m2.rate"] < 1
    bench.plant.cycle("IDLE", 0.0)
    world.charge = 0.0
    monitors.advance(0.1, world)
    assert 0.3 < bench["m1.rate"] < 3
    bench.fault("m1", "alarm")
    bench.go(0.1)
    assert bench["m1.ok"] == 0


@pytest.mark.requirement("TCS-RESPIRATION")
def test_breathing_has_its_period_and_depth_and_opens_the_gate_at_its_end() -> None:
    bench = Bench(device("RespirationMonitor", "breath", period_s=4.0, amplitude_mm=8.0))
    rows = []
    for _ in range(4000):
        bench.plant.step(0.05)
        rows.append((bench["breath.amplitude"], bench["breath.phase"], bench["breath.gate"]))
    height, phase, gate = np.array(rows).T
    breaths = np.flatnonzero(np.diff(phase) < -180)
    periods = np.diff(breaths) * 0.05
    assert np.mean(periods) == pytest.approx(4.0, rel=0.1) and 0.1 < np.std(periods) < 1.0
    peaks = [height[a:b].max() for a, b in pairwise(breaths)]
    assert np.mean(peaks) == pytest.approx(8.0, rel=0.1) and np.std(peaks) > 0.2
    assert 0.4 < gate.mean() < 0.75 and height[gate > 0].max() < 0.3 * 8.0
    bench.fault("breath", "camera")
    bench.go(0.1)
    assert bench["breath.gate"] == 0 and np.isnan(bench["breath.amplitude"])


@pytest.mark.requirement("TCS-COUCH")
def test_snout_and_range_shifter_go_where_they_are_sent() -> None:
    bench = Bench(
        device("Snout", "snout", {"extension": (0, 420)}, speed_mm_s=100.0),
        device("RangeShifter", "shifter", travel_s=2.0),
    )
    bench.do("move", "snout", target={"extension": 200.0})
    bench.do("insert", "shifter")
    bench.go(1)
    assert bench["snout.moving"] == 1 and bench["snout.ok"] == 0
    assert 0 < bench["shifter.position"] < 1 and bench["shifter.ok"] == 0
    bench.go(4)
    assert bench["snout.extension"] == 200.0 and bench["snout.ok"] == 1
    assert bench["shifter.position"] == 1.0 and bench["shifter.ok"] == 1
    with pytest.raises(Refused, match="allowed are 0 to 420"):
        bench.do("move", "snout", target={"extension": 500.0})
    bench.fault("shifter", "stuck")
    bench.do("retract", "shifter")
    bench.go(5)
    assert bench["shifter.position"] == 1.0 and bench["shifter.fault"] == 1


@pytest.mark.requirement("ACS-MONITOR")
def test_every_family_has_its_own_faults_and_the_page_and_chinese_know_them() -> None:
    chinese = catalogue("zh")
    untold = [text.text for f in FAMILIES.values() for text in f.faults.values() if text.text not in chinese]
    assert untold == []
    assert {name: list(f.faults) for name, f in FAMILIES.items() if len(f.faults) < 2} == {}
    assert fault_page.PAGE.read_text(encoding="utf-8") == fault_page.page()
    assert {name for names in GROUPS.values() for name in names} <= set(FAMILIES)


@pytest.mark.requirement("ACS-MONITOR")
def test_every_fault_of_every_device_of_a_centre_comes_and_goes() -> None:
    plant = Plant(site.load(SYNCHROTRON))
    names = [row["name"] for row in plant.channels()]
    assert len(names) == len(set(names)) == len(plant.values()) > 1500
    listed = plant.faults()
    assert len(listed) >= 450
    kinds = [(wire, kind) for wire, row in listed.items() for kind in row["kinds"]]
    assert len(kinds) > 1000
    for wire, kind in kinds:
        plant.inject({"device": wire, "kind": kind})
    plant.step(0.05)
    assert all(set(row["causes"]) == set(row["kinds"]) for row in plant.faults().values())
    assert np.isfinite(plant.values()[-len(GROUPS) :]).all()
    for wire, row in listed.items():
        plant.clear({"device": wire})
        if plant.families[str(row["class"])].latching:
            plant.do("reset", {"device": wire})
    plant.step(0.05)
    assert all(not row["causes"] for row in plant.faults().values())
    left = {wire: row["code"] for wire, row in plant.faults().items() if row["code"]}
    assert all(listed[wire]["class"] in ("IonPump",) for wire in left), left


@pytest.mark.requirement("ACS-SUPERVISE")
def test_a_plant_that_comes_back_has_its_equipment_as_it_was() -> None:
    first = hall()
    first.do("open", "door")
    first.go(2)
    second = hall()
    second.plant.recall(first.plant.memory())
    second.go(0.1)
    assert second["door.a"] == 0 and second["door.ok"] == 0
    pumps = cooled()
    pumps.do("off", "pump")
    pumps.do("set", "chiller", name="setpoint", value=15.0)
    again = cooled()
    again.plant.recall(pumps.plant.memory())
    again.go(0.1)
    assert again.reading("pump", "on") == 0 and again.reading("chiller", "setpoint") == 15.0
