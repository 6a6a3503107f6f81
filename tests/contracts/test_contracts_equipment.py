"""The driver Protocols of equipment: what device classes may rely on, whatever stands behind."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bench import wait_until

from common.errors import Refused
from device_servers.drivers.quantities import MODBUS, QUANTITIES
from tests.contracts.small_site import EQUIPMENT

Ready = Callable[[str], Any]

SUPPLIES = {
    "MagnetSupply": ("current", 100.0, 0.5),
    "KickerSupply": ("voltage", 15.0, 0.5),
    "IonSource": ("current", 200.0, 6.0),
    "HighVoltageSupply": ("voltage", 30.0, 1.0),
    "RfCavity": ("voltage", 0.5, 0.02),
    "RfKnockOut": ("amplitude", 1.0, 0.1),
}


def value(driver: Any, quantity: str) -> float:
    reading = driver.read()
    assert reading.values.shape == (len(driver.quantities),) and reading.values.dtype == np.float64
    return float(reading.values[driver.quantities.index(quantity)])


def reaches(driver: Any, quantity: str, wanted: float, near: float = 0.0) -> None:
    wait_until(lambda: abs(value(driver, quantity) - wanted) <= near, f"{quantity} {wanted}", 20)


@pytest.mark.requirement("ACS-MONITOR")
@pytest.mark.parametrize("kind", sorted({*QUANTITIES, *MODBUS}))
def test_a_source_knows_every_quantity_of_its_class(ready: Ready, kind: str) -> None:
    source = ready(kind)
    woken: list[int] = []
    source.listen(lambda: woken.append(1))
    assert source.quantities == (QUANTITIES | MODBUS)[kind]
    assert kind in EQUIPMENT
    reading = source.read()
    assert reading.wall_ns > 0
    without_beam = {"x", "y", "sigma_x", "sigma_y"}
    unknown = {q for q, v in zip(source.quantities, reading.values, strict=True) if np.isnan(v)}
    assert unknown <= (without_beam if kind in ("BeamPositionMonitor", "ProfileMonitor") else set())
    assert value(source, "fault") == 0.0


@pytest.mark.requirement("ACS-POWER")
@pytest.mark.parametrize("kind", sorted(SUPPLIES))
def test_a_power_supply(ready: Ready, kind: str) -> None:
    quantity, wanted, near = SUPPLIES[kind]
    supply = ready(kind)
    if kind == "RfCavity":
        ready("RfAmplifier").on()
    supply.on()
    reaches(supply, "on", 1.0)
    supply.set(quantity, wanted)
    reaches(supply, "setpoint", wanted, 1e-9)
    reaches(supply, quantity, wanted, near)
    supply.off()
    reaches(supply, "on", 0.0)
    supply.reset()
    assert value(supply, "fault") == 0.0


@pytest.mark.requirement("ACS-POWER")
def test_magnet_power_has_a_ramp_rate_and_follows_a_waveform(ready: Ready) -> None:
    magnet = ready("MagnetSupply")
    magnet.on()
    reaches(magnet, "on", 1.0)
    magnet.set("ramp", 800.0)
    reaches(magnet, "ramp", 800.0, 1e-9)
    with pytest.raises(Refused):
        magnet.set("colour", 1.0)
    points = np.array([[0.0, 10.0], [0.2, 60.0], [0.3, 60.0]])
    magnet.load_waveform(points)
    assert magnet.waveform() == pytest.approx(points)
    reaches(magnet, "setpoint", 60.0, 1e-9)
    reaches(magnet, "current", 60.0, 0.5)
    magnet.off()


@pytest.mark.requirement("ACS-VACUUM")
@pytest.mark.parametrize("kind", ["IonPump", "TurboPump", "RfAmplifier", "ScanningSupply", "WaterPump"])
def test_something_switchable(ready: Ready, kind: str) -> None:
    pump = ready(kind)
    pump.on()
    reaches(pump, "on", 1.0)
    pump.off()
    reaches(pump, "on", 0.0)
    pump.reset()
    pump.on()
    reaches(pump, "on", 1.0)


@pytest.mark.requirement("ACS-WATER")
def test_a_chiller_is_a_power_supply_with_a_temperature(ready: Ready) -> None:
    chiller = ready("Chiller")
    chiller.on()
    reaches(chiller, "on", 1.0)
    chiller.set("temperature", 18.5)
    reaches(chiller, "setpoint", 18.5, 1e-6)
    assert value(chiller, "temperature") == pytest.approx(20.0, abs=10.0)


@pytest.mark.requirement("ACS-VACUUM")
@pytest.mark.parametrize("kind", ["SectorValve", "BeamStopper"])
def test_a_valve(ready: Ready, kind: str) -> None:
    valve = ready(kind)
    valve.open()
    reaches(valve, "position", 1.0)
    valve.close()
    reaches(valve, "position", 0.0)


@pytest.mark.requirement("ACS-SOURCE")
@pytest.mark.parametrize("kind", ["ProfileMonitor", "FaradayCup", "RangeShifter"])
def test_something_insertable(ready: Ready, kind: str) -> None:
    monitor = ready(kind)
    monitor.insert()
    reaches(monitor, "position", 1.0)
    if kind == "ProfileMonitor":
        x, y = monitor.profile()
        assert x.shape == y.shape == (64,) and np.isfinite(x).all() and np.isfinite(y).all()
    monitor.retract()
    reaches(monitor, "position", 0.0)


@pytest.mark.requirement("ACS-SOURCE")
def test_a_selector(ready: Ready) -> None:
    foil = ready("StripperFoil")
    foil.set("position", 3.0)
    reaches(foil, "position", 3.0)


@pytest.mark.requirement("ACS-SOURCE")
@pytest.mark.parametrize(
    ("kind", "target"), [("Slit", {"centre": 5.0, "gap": 20.0}), ("Degrader", {"thickness": 50.0})]
)
def test_something_movable(ready: Ready, kind: str, target: dict[str, float]) -> None:
    axes = ready(kind)
    axes.move(target)
    for axis, wanted in target.items():
        reaches(axes, axis, wanted, 0.05)
    axes.move(dict.fromkeys(target, 30.0))
    axes.stop()
    reaches(axes, "moving", 0.0)


@pytest.mark.requirement("TCS-COUCH")
@pytest.mark.parametrize(
    ("kind", "target"),
    [("Couch", {"x": 5.0, "yaw": -2.0}), ("Gantry", {"angle": 5.0}), ("Snout", {"extension": 8.0})],
)
def test_a_positioner_knows_the_beam(ready: Ready, kind: str, target: dict[str, float]) -> None:
    axes = ready(kind)
    wait_until(lambda: axes.beam() is False, "the state of the beam")
    assert axes.beam_now() is False
    axes.move(target)
    for axis, wanted in target.items():
        reaches(axes, axis, wanted, 0.2)
    axes.move(dict.fromkeys(target, 0.0))
    axes.stop()
    reaches(axes, "moving", 0.0)


@pytest.mark.requirement("ACS-WATER")
@pytest.mark.parametrize(("quantity", "low", "high"), [("temperature", 0.0, 40.0), ("pressure", 0.0, 1100.0)])
def test_a_station_measures_the_air(ready: Ready, quantity: str, low: float, high: float) -> None:
    assert low <= value(ready("EnvironmentStation"), quantity) <= high


@pytest.mark.requirement("ACS-COMMISSION")
@pytest.mark.parametrize("kind", ["LayerChamber", "ReferenceChamber"])
def test_a_dosimeter(ready: Ready, kind: str) -> None:
    dosimeter = ready(kind)
    dosimeter.on()
    reaches(dosimeter, "on", 1.0)
    dosimeter.zero()
    reaches(dosimeter, "charge", 0.0, 1e-6)
    dosimeter.off()
    reaches(dosimeter, "on", 0.0)
    if kind == "LayerChamber":
        depth, charge = dosimeter.layers()
        assert depth.shape == charge.shape and len(depth) > 100 and (np.diff(depth) > 0).all()


@pytest.mark.requirement("ACS-COMMISSION")
def test_a_magnet_supply_has_a_trim(ready: Ready) -> None:
    supply = ready("MagnetSupply")
    supply.on()
    try:
        supply.set("trim", 1.0)
    except Refused as why:  # the small site's supply has no program, so there is nothing to trim
        assert "follows no cycle" in str(why)
    else:
        reaches(supply, "trim", 1.0)
