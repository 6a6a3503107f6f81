"""The plant's physics, stepped by hand."""

import numpy as np
import pytest

from common import site
from common.errors import Refused
from simulation.plant.plant import Plant
from simulation.plant.world import energy_of, rigidity

SITE = site.load()


class Stand:
    """A plant with its channels by name."""

    def __init__(self) -> None:
        self.plant = Plant(SITE)
        self.index = {row["name"]: i for i, row in enumerate(self.plant.channels())}

    def __getitem__(self, name: str) -> float:
        return float(self.plant.values()[self.index[name]])

    def go(self, seconds: float, step: float = 0.01) -> None:
        for _ in range(round(seconds / step)):
            self.plant.step(step)

    def do(self, verb: str, device: str, **body) -> None:
        self.plant.do(verb, {"do": verb, "device": device, **body})

    def all_on(self) -> None:
        for device in SITE.devices:
            if device.tango_class in ("MagnetSupply", "IonSource", "RfCavity"):
                self.do("on", device.wire)
            if device.tango_class == "SectorValve":
                self.do("open", device.wire)
        self.go(2.0)

    def cycle(self, energy: float) -> None:
        for phase in ("INJECTION", "RAMP", "FLAT_TOP"):
            self.plant.cycle(phase, energy)
            self.go(0.1)


@pytest.fixture
def stand() -> Stand:
    return Stand()


@pytest.fixture
def running() -> Stand:
    stand = Stand()
    stand.all_on()
    stand.cycle(150.0)
    return stand


def test_rigidity_of_known_beams() -> None:
    assert rigidity("proton", 228.8) == pytest.approx(694.05 / 299.792, rel=1e-4)  # p of protons, MeV/c
    assert rigidity("carbon", 400.0) == pytest.approx(6.36, abs=0.02)  # HIMM, HIT: 6.3 to 6.6 T m
    for ion in ("proton", "carbon"):
        assert energy_of(ion, rigidity(ion, 137.0)) == pytest.approx(137.0)


@pytest.mark.requirement("ACS-POWER")
def test_everything_is_off_at_first_and_the_beam_not_ready(stand: Stand) -> None:
    assert stand["ring-dipole.on"] == 0 and stand["ok.magnets"] == 0
    stand.cycle(150.0)
    assert stand["beam.ready"] == 0 and stand["ring-dipole.current"] == 0


@pytest.mark.requirement("ACS-POWER")
def test_magnets_follow_the_cycle_and_the_beam_is_ready(running: Stand) -> None:
    for name in ("magnets", "vacuum", "water", "rf", "source", "couch", "gantry"):
        assert running[f"ok.{name}"] == 1, name
    assert running["beam.ready"] == 1
    assert running["beam.energy"] == pytest.approx(150.0, abs=0.01)
    assert running["ring-dipole.current"] == pytest.approx(600 * rigidity("proton", 150.0), rel=1e-4)
    assert running["ring-dipole.voltage"] == pytest.approx(0.08 * running["ring-dipole.current"], rel=1e-2)
    assert running["beam.offset_x"] == 0.0 and running["beam.size"] == 1.0
    running.plant.cycle("RAMP_DOWN", 150.0)
    running.go(0.02)
    assert running["beam.ready"] == 0


@pytest.mark.requirement("ACS-POWER")
def test_a_ramp_is_limited_and_needs_voltage(stand: Stand) -> None:
    stand.do("on", "ring-dipole")
    stand.do("set", "ring-dipole", name="setpoint", value=900.0)
    stand.go(0.011, 0.001)  # 0.11 s of beam time at 3000 A/s
    assert 250 < stand["ring-dipole.current"] < 340
    current = stand["ring-dipole.current"]
    assert stand["ring-dipole.voltage"] == pytest.approx(0.08 * current + 0.02 * 3000.0, rel=0.05)
    stand.go(0.2)
    assert stand["ring-dipole.current"] == pytest.approx(900.0, rel=1e-4)
    stand.do("off", "ring-dipole")
    stand.go(0.025, 0.005)  # one L/R of beam time
    assert stand["ring-dipole.current"] == pytest.approx(900 * np.exp(-1), rel=0.05)


@pytest.mark.requirement("ACS-POWER")
@pytest.mark.parametrize(
    ("kind", "code", "on"),
    [("overcurrent", 1, 0), ("overtemperature", 2, 0), ("regulation", 3, 1), ("interlock", 4, 0)],
)
def test_a_supply_fault_latches_until_its_cause_is_gone_and_reset(running: Stand, kind, code, on) -> None:
    running.plant.inject({"device": "hebt-dipole-1", "kind": kind})
    running.go(0.05)
    assert running["hebt-dipole-1.fault"] == code and running["hebt-dipole-1.on"] == on
    assert running["ok.magnets"] == 0 and running["beam.ready"] == 0
    with pytest.raises(Refused, match="still there"):
        running.do("reset", "hebt-dipole-1")
    with pytest.raises(Refused, match="fault"):
        running.do("on", "hebt-dipole-1")
    running.plant.clear({"device": "hebt-dipole-1", "kind": kind})
    running.go(0.02)
    assert running["hebt-dipole-1.fault"] == code
    running.do("reset", "hebt-dipole-1")
    running.do("on", "hebt-dipole-1")
    running.go(0.3)
    assert running["ok.magnets"] == 1 and running["beam.ready"] == 1


@pytest.mark.requirement("ACS-POWER")
def test_an_unnoticed_drift_moves_the_beam_and_a_quadrupole_widens_it(running: Stand) -> None:
    running.plant.inject({"device": "hebt-dipole-1", "kind": "drift"})
    running.go(0.1)
    assert running["beam.ready"] == 1 and running["hebt-dipole-1.fault"] == 0
    assert 2.0 < running["beam.offset_x"] < 5.0
    running.plant.inject({"device": "hebt-quad-1", "kind": "drift"})
    running.go(0.1)
    assert running["beam.size"] > 1.01


@pytest.mark.requirement("ACS-POWER")
def test_a_communication_fault_shows_no_values(running: Stand) -> None:
    running.plant.inject({"device": "ring-quad-f", "kind": "communication"})
    running.go(0.02)
    assert np.isnan(running["ring-quad-f.current"]) and running["ring-quad-f.fault"] == 5


@pytest.mark.requirement("ACS-VACUUM")
def test_a_leak_closes_the_valve_and_pumping_brings_the_vacuum_back(running: Stand) -> None:
    running.plant.inject({"device": "ring-gauge-1", "kind": "leak"})
    running.go(5.0, 0.05)
    assert running["ring-gauge-1.pressure"] > 1e-7 and running["ok.vacuum"] == 0
    assert running["hebt-valve-1.position"] == 0
    with pytest.raises(Refused, match="vacuum is bad"):
        running.do("open", "hebt-valve-1")
    running.plant.clear({"device": "ring-gauge-1"})
    high = running["ring-gauge-1.pressure"]
    running.go(10.0, 0.05)
    assert running["ring-gauge-1.pressure"] == pytest.approx(high * np.exp(-1), rel=0.1)
    running.go(80.0, 0.1)
    running.do("open", "hebt-valve-1")
    running.go(1.2)
    assert running["ok.vacuum"] == 1


@pytest.mark.requirement("ACS-WATER")
def test_water_warms_with_the_magnets_and_a_stopped_pump_is_seen(running: Stand) -> None:
    running.go(60.0, 0.05)
    assert 22.5 < running["ring-circuit.temperature"] < 35 and running["ok.water"] == 1
    running.plant.inject({"device": "ring-circuit", "kind": "pump"})
    running.go(3.0, 0.05)
    assert running["ring-circuit.flow"] < 60 and running["ok.water"] == 0


@pytest.mark.requirement("ACS-SOURCE")
def test_source_and_cavity_rise_and_the_ring_fills(stand: Stand) -> None:
    stand.do("on", "ecr-1")
    stand.go(0.1)
    assert 30 < stand["ecr-1.current"] < 250 and stand["ok.source"] == 0
    stand.all_on()
    assert stand["ecr-1.current"] == pytest.approx(300, rel=0.03) and stand["ok.source"] == 1
    stand.plant.cycle("INJECTION", 150.0)
    stand.go(0.05)
    slow = stand["ring-cavity.frequency"]
    assert stand["ring-dcct.current"] > 5
    stand.cycle(150.0)
    assert stand["ring-cavity.frequency"] > 2 * slow
    stand.plant.cycle("RAMP_DOWN", 150.0)
    stand.go(0.02)
    assert abs(stand["ring-dcct.current"]) < 0.1


@pytest.mark.requirement("TCS-COUCH")
def test_couch_moves_with_limited_speed_and_stops(stand: Stand) -> None:
    with pytest.raises(Refused, match="allowed are -300 to 300"):
        stand.do("move", "room1-couch", target={"x": 301.0})
    with pytest.raises(Refused, match="some of"):
        stand.do("move", "room1-couch", target={"up": 1.0})
    stand.do("move", "room1-couch", target={"x": 200.0, "yaw": 30.0})
    before = 0.0
    for _ in range(400):
        stand.go(0.01)
        assert abs(stand["room1-couch.x"] - before) <= 1.0 + 1e-9
        before = stand["room1-couch.x"]
    assert stand["room1-couch.x"] == 200.0 and stand["room1-couch.moving"] == 0 and stand["ok.couch"] == 1
    stand.do("move", "room1-couch", target={"x": -100.0})
    stand.go(1.0)
    assert stand["room1-couch.moving"] == 1 and stand["ok.couch"] == 0
    stand.do("stop", "room1-couch")
    stand.go(1.0)
    assert stand["room1-couch.moving"] == 0 and -100 < stand["room1-couch.x"] < 200


@pytest.mark.requirement("TCS-GANTRY")
def test_gantry_without_dead_man_switch_or_with_fault_stands_still(stand: Stand) -> None:
    stand.do("move", "room1-gantry", target={"angle": 90.0})
    stand.go(1.0)
    stand.do("set", "room1-gantry", name="enabled", value=0)
    angle = stand["room1-gantry.angle"]
    assert 5 < angle < 35
    stand.go(1.0)
    assert stand["room1-gantry.angle"] == pytest.approx(angle, abs=0.5) and stand["ok.gantry"] == 0
    stand.do("set", "room1-gantry", name="enabled", value=1)
    stand.go(5.0)
    assert stand["room1-gantry.angle"] == 90.0 and stand["ok.gantry"] == 1


@pytest.mark.requirement("ACS-POWER")
@pytest.mark.parametrize(
    ("verb", "body", "why"),
    [
        ("set", {"device": "ring-dipole", "name": "setpoint", "value": 2000.0}, "outside its limits"),
        ("set", {"device": "ring-dipole", "name": "setpoint", "value": float("nan")}, "finite"),
        ("set", {"device": "ring-dipole", "name": "colour", "value": 1.0}, "nothing to set"),
        ("open", {"device": "ring-dipole"}, "does not know"),
        ("on", {"device": "nothing"}, "no device"),
        ("move", {"device": "room1-gantry", "target": 7}, "a target gives"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(stand: Stand, verb, body, why) -> None:
    with pytest.raises(Refused, match=why):
        stand.plant.do(verb, {"do": verb, **body})


def test_unknown_faults_are_refused(stand: Stand) -> None:
    with pytest.raises(Refused, match="allowed are overcurrent"):
        stand.plant.inject({"device": "ring-dipole", "kind": "boredom"})
    assert stand.plant.faults()["ring-dipole"]["causes"] == []


@pytest.mark.requirement("ACS-MONITOR")
def test_every_device_tells_whether_it_is_good_for_beam(running: Stand) -> None:
    names = [row["name"] for row in running.plant.channels()]
    assert len(names) == len(set(names)) == len(running.plant.values())
    for wire in running.plant.faults():
        assert running[f"{wire}.ok"] == 1 and running[f"{wire}.fault"] == 0, wire
    running.plant.inject({"device": "hebt-dipole-1", "kind": "regulation"})
    running.go(0.02)
    assert running["hebt-dipole-1.ok"] == 0 and running["hebt-dipole-1.fault"] == 3
    assert running["ring-dipole.ok"] == 1 and running["ok.magnets"] == 0
