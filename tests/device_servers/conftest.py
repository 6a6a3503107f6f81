"""One facility per test run: a Tango database and one server with all classes on in-memory drivers."""

from collections.abc import Iterator
from typing import Any

import pytest
import tango
import yaml
from bench import Bench
from rooms import Room

from common import site as sites
from device_servers.server import register
from device_servers.sessions import close_sessions, open_sessions

SERVER = "all"
NOT_HERE = ("TreatmentSession", "Archiver", "PhysicsBeam")


class FakeFacility(Bench):
    """One server on fakes."""

    server = SERVER

    def login(self, user: str, *roles: str, lifetime_s: float = 3600.0) -> None:
        open_sessions(self.token(user, *roles, lifetime_s=lifetime_s), self.host)

    def begin(self) -> None:
        self.start_database()
        register(sites.load(self.site_file))
        self.start_fakes(self.server)


@pytest.fixture(scope="session")
def facility(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeFacility]:
    with FakeFacility(tmp_path_factory.mktemp("facility")) as bench:
        bench.keep_site(one_server_site())
        bench.begin()
        yield bench


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """Real servers on a real plant and fpga."""
    with Room(tmp_path_factory.mktemp("room")) as bench:
        bench.start_all()
        yield bench


@pytest.fixture(autouse=True)
def nobody_logged_in(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test starts without a session."""
    yield
    for name in ("facility", "room"):
        if name in request.fixturenames:
            close_sessions(request.getfixturevalue(name).host)


def one_server_site() -> dict[str, Any]:
    """The demonstration site with every device on one server."""
    content: dict[str, Any] = yaml.safe_load(sites.DEFAULT_SITE.read_text())
    content["servers"] = [{"name": SERVER}]
    content["devices"] = [
        d | {"server": SERVER}
        for d in content["devices"]
        if d["class"] not in NOT_HERE and d["area"] != "services"
    ]
    water = next(device for device in content["devices"] if device["class"] == "WaterCircuit")
    water["alarms"] = {"temperature": [10.0, 15.0, 28.0, 32.0]}
    content["archive"]["blocks"] = [f"crate/server/{SERVER}"]
    content["interlock"] = str(sites.CONFIG / content["interlock"])
    return content


def refusal(call: Any, *arguments: Any) -> tango.DevError:
    """The reason of a refusal; fails when the call is not refused."""
    with pytest.raises(tango.DevFailed) as caught:
        call(*arguments)
    error: tango.DevError = caught.value.args[0]
    assert error.reason == "Refused", error
    return error
