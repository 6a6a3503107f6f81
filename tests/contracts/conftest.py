"""Drivers of both kinds for every class of equipment: in memory, and over the wire to plant and fpga."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "device_servers"))

from bench import Bench, wait_until
from fakes import FakeDrivers

from common.site import Site
from device_servers.drivers.factory import Drivers
from tests.contracts.small_site import CENTRAL, SERVER, name_of, write


@pytest.fixture(scope="package")
def small_site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return write(tmp_path_factory.mktemp("contracts"))


@pytest.fixture(scope="package")
def equipment(small_site: Site) -> Iterator[Bench]:
    """A plant and an fpga process."""
    with Bench(small_site.path.parent, small_site.path) as bench:
        bench.start_hardware()
        yield bench


@pytest.fixture(scope="package", params=["memory", "wire"])
def drivers(request: pytest.FixtureRequest, small_site: Site) -> Iterator[Any]:
    """Makes the driver of a site device, of either kind."""
    if request.param == "memory":
        yield FakeDrivers()
        return
    made = Drivers(small_site, request.getfixturevalue("equipment").state, SERVER)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def ready(drivers: Any, small_site: Site) -> Callable[[str], Any]:
    """The driver of the device of a class, when its link is up."""

    def get(tango_class: str) -> Any:
        name = CENTRAL.get(tango_class) or name_of(tango_class)
        driver = drivers(small_site.device(name))
        wait_until(lambda: driver.up, f"the link of {name}")
        return driver

    return get
