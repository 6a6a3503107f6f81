"""The wire drivers' links to a real simulated plant: refusals, loss, return. Contracts: tests/contracts."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bench import Bench, wait_until

from common.errors import BadConfig, LinkLost, Refused
from common.site import Device, Site
from device_servers.drivers.factory import Drivers
from device_servers.drivers.modbus import units
from tests.contracts.small_site import SERVER, name_of, write

MAGNET, STATION, PUMP, CHILLER = map(name_of, ("MagnetSupply", "EnvironmentStation", "WaterPump", "Chiller"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return write(tmp_path_factory.mktemp("hardware"))


@pytest.fixture(scope="module")
def hardware(site: Site) -> Iterator[Bench]:
    """A plant process."""
    bench = Bench(site.path.parent)
    try:
        start_plant(bench, site)
        yield bench
    finally:
        bench.close()


def start_plant(bench: Bench, site: Site) -> None:
    options = ["--state", bench.state, "--site", site.path]
    bench.start("plant", [sys.executable, "-m", "simulation.plant", *options])
    wait_until((bench.state / "run" / "plant.json").exists, "plant")


@pytest.fixture
def made(hardware: Bench, site: Site) -> Iterator[Drivers]:
    drivers = Drivers(site, hardware.state, SERVER)
    try:
        yield drivers
    finally:
        drivers.close()


@pytest.mark.requirement("ACS-POWER")
def test_the_hardware_has_the_last_word(made: Drivers, site: Site) -> None:
    magnet = made(site.device(MAGNET))
    wait_until(lambda: magnet.up, "the link")
    with pytest.raises(Refused):
        magnet.set("current", 1e9)
    with pytest.raises(Refused):
        magnet.set("colour", 1.0)
    with pytest.raises(Refused):
        magnet.load_waveform(np.array([[0.0, 0.0], [1.0, 1e6]]))


@pytest.mark.requirement("ACS-WATER")
def test_a_modbus_unit_says_why_it_refuses(made: Drivers, site: Site) -> None:
    pump, chiller = made(site.device(PUMP)), made(site.device(CHILLER))
    assert units(site) == {PUMP: 1, CHILLER: 2}
    wait_until(lambda: pump.up and chiller.up, "the link")
    for wrong in (5.0, 31.0, float("nan")):
        with pytest.raises(Refused, match="limits"):
            chiller.set("temperature", wrong)
    with pytest.raises(Refused, match="nothing to set"):
        pump.set("flow", 1.0)
    plant = made.plant()
    wait_until(lambda: plant.up, "the link")
    plant.request("fault", {"device": "pump", "kind": "motor"})
    place = pump.quantities.index("fault")
    wait_until(lambda: pump.read().values[place] == 1.0, "the fault")
    for refused in (pump.on, pump.reset):
        with pytest.raises(Refused, match="fault"):
            refused()
    plant.request("clear", {"device": "pump"})
    pump.reset()
    wait_until(lambda: pump.read().values[place] == 0.0, "the reset")


@pytest.mark.requirement("ACS-SUPERVISE")
def test_a_link_comes_back_with_its_peer_and_shows_nothing_meanwhile(
    hardware: Bench, made: Drivers, site: Site
) -> None:
    devices = [made(site.device(name)) for name in (MAGNET, STATION, PUMP, CHILLER)]
    for device in devices:
        wait_until(lambda device=device: device.up, "the link")
    hardware.stop("plant")
    for device in devices:
        wait_until(lambda device=device: not device.up, "the loss", 5)
        assert np.isnan(device.read().values).all()
    for device in (devices[0], devices[2]):
        with pytest.raises(LinkLost):
            device.on()
    start_plant(hardware, site)
    for device in devices:
        wait_until(lambda device=device: device.up, "the return")
        assert np.isfinite(device.read().values).all()


@pytest.mark.requirement("ACS-SUPERVISE")
def test_without_its_hardware_a_driver_says_so(tmp_path: Path, site: Site) -> None:
    drivers = Drivers(site, tmp_path, SERVER)
    try:
        for name in (MAGNET, PUMP):
            device = drivers(site.device(name))
            assert not device.up and np.isnan(device.read().values).all()
            with pytest.raises(LinkLost, match="plant"):
                device.on()
        with pytest.raises(BadConfig, match="no driver for class Teapot"):
            drivers(Device("a/b/c", "Teapot", SERVER, "accelerator"))
    finally:
        drivers.close()
