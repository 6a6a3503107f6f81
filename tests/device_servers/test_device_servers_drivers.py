"""One contract per driver Protocol, held by the in-memory drivers and by the wire drivers alike.

The wire drivers talk to a real simulated plant and fpga, each in its own process.
"""

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench import Bench, wait_until
from fakes import FakeDrivers

from common import site as sites
from common.errors import BadConfig, LinkLost, Refused
from common.site import Device
from device_servers.drivers.factory import Drivers

SITE = sites.load()


@pytest.fixture(scope="module")
def hardware(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A plant and an fpga process."""
    bench = Bench(tmp_path_factory.mktemp("hardware"))
    try:
        for name in ("plant", "fpga"):
            options = ["--state", bench.state, "--site", sites.DEFAULT_SITE]
            bench.start(name, [sys.executable, "-m", f"simulation.{name}", *options])
            wait_until((bench.state / "run" / f"{name}.json").exists, name)
        yield bench
    finally:
        bench.close()


@pytest.fixture(scope="module", params=["memory", "wire"])
def drivers(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Makes the driver of a site device, of either kind."""
    if request.param == "memory":
        yield FakeDrivers()
        return
    made = Drivers(SITE, request.getfixturevalue("hardware").state, "accelerator")
    try:
        yield made
    finally:
        made.close()


def ready(drivers: Any, name: str) -> Any:
    """The driver of a device, when its link is up."""
    driver = drivers(SITE.device(name))
    wait_until(lambda: driver.up, f"the link of {name}")
    return driver


def value(driver: Any, quantity: str) -> float:
    reading = driver.read()
    assert reading.values.shape == (len(driver.quantities),) and reading.values.dtype == np.float64
    return float(reading.values[driver.quantities.index(quantity)])


def reaches(driver: Any, quantity: str, wanted: float, near: float) -> None:
    wait_until(lambda: abs(value(driver, quantity) - wanted) <= near, f"{quantity} {wanted}", 20)


@pytest.mark.requirement("ACS-POWER")
@pytest.mark.parametrize(
    ("name", "quantity", "wanted", "near"),
    [
        ("acs/magnet/ring-dipole", "current", 250.0, 0.5),
        ("acs/source/ecr-1", "current", 200.0, 5.0),
        ("acs/rf/ring-cavity", "voltage", 0.5, 0.02),
    ],
)
def test_a_power_supply(drivers: Any, name: str, quantity: str, wanted: float, near: float) -> None:
    supply = ready(drivers, name)
    woken: list[int] = []
    supply.listen(lambda: woken.append(1))
    supply.on()
    reaches(supply, "on", 1.0, 0)
    supply.set(quantity, wanted)
    reaches(supply, "setpoint", wanted, 1e-9)
    reaches(supply, quantity, wanted, near)
    supply.off()
    reaches(supply, "on", 0.0, 0)
    supply.reset()
    assert value(supply, "fault") == 0.0
    assert woken


@pytest.mark.requirement("ACS-VACUUM")
def test_a_valve(drivers: Any) -> None:
    valve = ready(drivers, "acs/vacuum/hebt-valve-1")
    valve.open()
    reaches(valve, "position", 1.0, 0)
    valve.close()
    reaches(valve, "position", 0.0, 0)


@pytest.mark.requirement("ACS-WATER")
@pytest.mark.parametrize(
    ("name", "quantity", "low", "high"),
    [
        ("acs/water/ring-circuit", "flow", 0.0, 200.0),
        ("acs/vacuum/ring-gauge-1", "pressure", 0.0, 1e-3),
        ("acs/diag/ring-dcct", "current", -0.1, 20.0),
        ("room1/environment/station", "temperature", 0.0, 40.0),
        ("room1/environment/station", "pressure", 0.0, 1100.0),
    ],
)
def test_a_measuring_device(drivers: Any, name: str, quantity: str, low: float, high: float) -> None:
    assert low <= value(ready(drivers, name), quantity) <= high


@pytest.mark.requirement("TCS-COUCH")
def test_a_positioner(drivers: Any) -> None:
    couch = ready(drivers, "room1/support/couch")
    wait_until(lambda: couch.beam() is False, "the state of the beam")
    couch.move({"x": 5.0, "yaw": -2.0})
    reaches(couch, "x", 5.0, 0.1)
    reaches(couch, "yaw", -2.0, 0.05)
    couch.move({"x": 0.0, "yaw": 0.0})
    couch.stop()
    reaches(couch, "moving", 0.0, 0)


@pytest.mark.requirement("ACS-INTERLOCK")
def test_an_interlock(drivers: Any) -> None:
    interlock = ready(drivers, "central/interlock/1")
    wait_until(lambda: interlock.status().get("inputs"), "the status")
    status = interlock.status()
    assert all(isinstance(ok, bool) for ok in status["permit"].values())
    assert all({"ok", "latched", "masked"} <= set(entry) for entry in status["inputs"].values())
    interlock.set_input("emergency_stop", False)
    wait_until(lambda: interlock.status()["inputs"]["emergency_stop"]["ok"] is False, "the input")
    interlock.set_input("emergency_stop", True)
    interlock.reset("otto", ["operator", "service"])
    wait_until(lambda: not interlock.status()["inputs"]["emergency_stop"]["latched"], "the reset")


@pytest.mark.requirement("ACS-TIMING")
def test_a_timing_system(drivers: Any) -> None:
    timing = ready(drivers, "central/timing/1")
    wait_until(lambda: timing.clock_factor() is not None, "the clock factor")
    assert timing.clock_factor() == SITE.clock_factor
    timing.load_cycles([100.0, 80.0])
    assert math.isfinite(value(timing, "tick"))


@pytest.mark.requirement("TCS-DOSE")
def test_a_nozzle(drivers: Any) -> None:
    nozzle = ready(drivers, "room1/beam/nozzle")
    assert nozzle.take_spots().shape == (0, 10)
    assert value(nozzle, "beam") == 0.0
    assert not value(nozzle, "primary") > 0.0, "no map was delivered"


@pytest.mark.requirement("ACS-POWER")
def test_the_hardware_has_the_last_word(hardware: Bench) -> None:
    made = Drivers(SITE, hardware.state, "accelerator")
    try:
        magnet = ready(made, "acs/magnet/ring-quad-f")
        with pytest.raises(Refused):
            magnet.set("current", 1e9)
        with pytest.raises(Refused):
            magnet.set("colour", 1.0)
    finally:
        made.close()


@pytest.mark.requirement("ACS-SUPERVISE")
def test_a_link_comes_back_with_its_peer_and_shows_nothing_meanwhile(hardware: Bench) -> None:
    made = Drivers(SITE, hardware.state, "accelerator")
    try:
        names = ("acs/magnet/hebt-dipole-1", "room1/environment/station")
        devices = [ready(made, name) for name in names]
        hardware.stop("plant")
        for device in devices:
            wait_until(lambda device=device: not device.up, "the loss", 5)
            assert np.isnan(device.read().values).all()
        with pytest.raises(LinkLost):
            devices[0].on()
        options = ["--state", hardware.state, "--site", sites.DEFAULT_SITE]
        hardware.start("plant", [sys.executable, "-m", "simulation.plant", *options])
        for device in devices:
            wait_until(lambda device=device: device.up, "the return")
            assert np.isfinite(device.read().values).all()
    finally:
        made.close()


@pytest.mark.requirement("ACS-SUPERVISE")
def test_without_its_hardware_a_driver_says_so(tmp_path: Path) -> None:
    made = Drivers(SITE, tmp_path, "accelerator")
    try:
        magnet = made(SITE.device("acs/magnet/ring-dipole"))
        assert not magnet.up and np.isnan(magnet.read().values).all()
        with pytest.raises(LinkLost, match="plant"):
            magnet.on()
        with pytest.raises(BadConfig, match="no driver for class Teapot"):
            made(Device("a/b/c", "Teapot", "accelerator", "accelerator"))
    finally:
        made.close()
