"""Every class of equipment on in-memory drivers, through Tango: admin, health, limits, groups, waveforms."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tango
import yaml
from bench import wait_until
from conftest import FakeFacility, refusal
from tango import DevState

from common import site as sites
from device_servers.sessions import close_sessions
from tests.contracts.small_site import EQUIPMENT, SERVER, name_of, write

MAGNET = name_of("MagnetSupply")
OTHER = "test/equipment/quad-2"
GROUP = "test/equipment/quads"
NO_FAULT_CODE = {"EnvironmentStation"}


def full_site(folder: Path) -> Path:
    """The small site with a second magnet and a group of both."""
    path = write(folder).path
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    magnet = next(d for d in content["devices"] if d["name"] == MAGNET)
    magnet["plant"]["settle_s"] = 0.2
    magnet["alarms"] = {"temperature": [0.0, 5.0, 60.0, 80.0]}
    other = magnet | {"name": OTHER, "wire": "quad-2", "limits": {"current": [0, 200]}}
    group = {"name": GROUP, "class": "SupplyGroup", "server": SERVER, "area": "accelerator"}
    content["devices"] += [other, group | {"plant": {"members": [MAGNET, OTHER]}}]
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeFacility]:
    with FakeFacility(tmp_path_factory.mktemp("hall")) as bench:
        bench.site_file, bench.server = full_site(bench.state), SERVER
        bench.begin()
        yield bench


@pytest.fixture(autouse=True)
def nobody(hall: FakeFacility) -> Iterator[None]:
    yield
    close_sessions(hall.host)


def tell(hall: FakeFacility, name: str, **values: float) -> None:
    hall.tell(f"drivers[{name!r}].values.update({', '.join(f'{k}={v}' for k, v in values.items())})")


def job_end(device: tango.DeviceProxy, job: str) -> dict[str, Any]:
    wait_until(lambda: json.loads(device.JobStatus(job))["state"] in ("DONE", "FAILED"), "the job", 10)
    return dict(json.loads(device.JobStatus(job)))


@pytest.mark.requirement("ACS-MONITOR")
@pytest.mark.parametrize("kind", sorted(EQUIPMENT))
def test_every_class_says_what_its_attributes_are(hall: FakeFacility, kind: str) -> None:
    device = hall.proxy(name_of(kind))
    names = set(device.get_attribute_list())
    assert {"AdminMode", "HealthState", "State", "Status"} <= names
    assert ("FaultCode" in names) == (kind not in NO_FAULT_CODE)
    limits = sites.load(hall.state / "site.yaml").device(name_of(kind)).limits
    for config in device.get_attribute_config(list(names - {"State", "Status"})):
        assert config.description not in ("", "No description"), config.name
        if config.data_type == tango.DevDouble:
            assert config.unit and config.format, config.name
        if config.writable == tango.AttrWriteType.READ_WRITE and config.data_type == tango.DevDouble:
            low, high = limits.get("ramp" if config.name == "RampRate" else quantity(config.name), (0, 0))
            if low < high:
                assert float(config.min_value) == low and float(config.max_value) == high, config.name
    assert device.state() not in (DevState.UNKNOWN, DevState.INIT)
    if "fault" in device.get_attribute_list():
        raise AssertionError("attributes are named in capitals")


def quantity(setpoint: str) -> str:
    return setpoint.removesuffix("Setpoint").lower()


@pytest.mark.requirement("ACS-SUPERVISE")
@pytest.mark.parametrize(
    ("kind", "code", "word"),
    [
        ("RfCavity", 1, "arc"),
        ("WaterPump", 2, "dry"),
        ("SectorValve", 3, "air"),
        ("Couch", 1, "collision"),
        ("RadiationMonitor", 1, "detector"),
        ("SafetyDoor", 2, "supply"),
        ("StripperFoil", 1, "broken"),
    ],
)
def test_a_fault_has_the_name_that_its_family_gives_it(
    hall: FakeFacility, kind: str, code: int, word: str
) -> None:
    device = hall.proxy(name_of(kind))
    tell(hall, name_of(kind), fault=float(code))
    assert device.state() == DevState.FAULT and f"fault: {word}" in device.status()
    assert device.FaultCode == code and device.HealthState.name == "FAILED"
    tell(hall, name_of(kind), fault=0.0)
    assert device.HealthState.name != "FAILED"


@pytest.mark.requirement("ACS-SUPERVISE")
def test_fault_names_are_those_of_the_equipment() -> None:
    from device_servers.faults import FAULTS
    from simulation.plant.registry import FAMILIES

    for kind, family in FAMILIES.items():
        codes = {fault.code: name.replace("_", " ") for name, fault in family.faults.items() if fault.code}
        assert FAULTS.get(kind, {}) == codes, kind


@pytest.mark.requirement("ACS-SUPERVISE")
def test_admin_mode_is_not_state_and_outlives_the_server(hall: FakeFacility) -> None:
    pump = hall.proxy(name_of("IonPump"))
    before = pump.state()
    hall.login("thea", "physicist")
    assert refusal(pump.write_attribute, "AdminMode", 1).origin == "authority"
    hall.login("otto", "operator")
    pump.AdminMode = "MAINTENANCE"
    assert pump.state() == before and pump.AdminMode.name == "MAINTENANCE"
    assert "maintenance" in refusal(pump.On).desc
    hall.login("sam", "service")
    pump.On()
    assert pump.state() == DevState.ON
    pump.AdminMode = "NOT_FITTED"
    assert "not fitted" in refusal(pump.Off).desc
    with pytest.raises(tango.DevFailed):
        pump.write_attribute("AdminMode", 7)
    hall.stop(SERVER)
    hall.start_fakes(SERVER)
    assert pump.AdminMode.name == "NOT_FITTED"
    hall.login("otto", "operator")
    pump.AdminMode = "ONLINE"
    pump.Off()
    assert pump.state() == DevState.OFF


@pytest.mark.requirement("ACS-POWER")
def test_a_magnet_is_in_tolerance_once_it_has_settled(hall: FakeFacility) -> None:
    hall.login("otto", "operator")
    magnet = hall.proxy(MAGNET)
    magnet.On()
    magnet.CurrentSetpoint = 100.0
    wait_until(lambda: magnet.InTolerance, "the settle time", 10)
    assert magnet.Deviation == pytest.approx(0.0)
    tell(hall, MAGNET, current=99.0)
    assert not magnet.InTolerance and magnet.Deviation == pytest.approx(-1.0)
    tell(hall, MAGNET, current=100.01)
    assert not magnet.InTolerance, "it must settle again"
    wait_until(lambda: magnet.InTolerance, "the settle time", 10)
    magnet.RampRate = 400.0
    assert magnet.RampRate == 400.0
    magnet.Off()
    assert not magnet.InTolerance
    tell(hall, MAGNET, temperature=70.0)
    assert magnet.read_attribute("Temperature").quality == tango.AttrQuality.ATTR_WARNING
    tell(hall, MAGNET, temperature=85.0)
    assert magnet.state() == DevState.ALARM and magnet.HealthState.name == "DEGRADED"
    config = magnet.get_attribute_config("Temperature").alarms
    assert [config.min_alarm, config.min_warning, config.max_warning, config.max_alarm] == [
        "0.0",
        "5.0",
        "60.0",
        "80.0",
    ]
    tell(hall, MAGNET, temperature=30.0)


@pytest.mark.requirement("ACS-POWER")
def test_a_waveform_is_checked_before_it_is_loaded(hall: FakeFacility) -> None:
    hall.login("otto", "operator")
    magnet = hall.proxy(MAGNET)
    good = [[0, 0], [0.1, 100], [0.5, 120]]
    magnet.Off()
    assert "send On first" in refusal(magnet.LoadWaveform, json.dumps(good)).desc
    magnet.On()
    magnet.LoadWaveform(json.dumps(good))
    assert magnet.Waveform == pytest.approx(np.array(good).ravel())
    assert magnet.CurrentSetpoint == 120.0
    for wrong, why in (
        ("", "not JSON"),
        ("[[0, 1]]", "2 .. 4096 points"),
        ("[[0, 1, 2], [1, 2, 3]]", "points"),
        ("[[0, 1], [1, NaN]]", "finite"),
        ("[[0, 1], [1, null]]", "finite"),
        ("[[1, 1], [2, 2]]", "begin at 0"),
        ("[[0, 1], [0, 2]]", "rise"),
        ("[[0, 1], [1, 501]]", "reaches 501 A: allowed are 0 .. 500 A"),
        ("[[0, 0], [0.1, 200]]", "steep as 2000 A/s: allowed are up to 1500 A/s"),
        ("[" * 100000, "not JSON"),
    ):
        assert why in refusal(magnet.LoadWaveform, wrong).desc, wrong
    assert magnet.Waveform == pytest.approx(np.array(good).ravel())


@pytest.mark.requirement("ACS-POWER")
def test_a_group_acts_on_all_members_and_names_who_failed(hall: FakeFacility) -> None:
    hall.login("otto", "operator")
    group, magnets = hall.proxy(GROUP), [hall.proxy(MAGNET), hall.proxy(OTHER)]
    assert job_end(group, group.On())["state"] == "DONE"
    for magnet in magnets:
        assert magnet.state() in (DevState.ON, DevState.MOVING)
        magnet.CurrentSetpoint = 100.0
    assert job_end(group, group.SetRelative(1.5))["state"] == "DONE"
    assert [magnet.CurrentSetpoint for magnet in magnets] == [150.0, 150.0]
    assert f"{OTHER}: current 300 A: allowed are 0 .. 200 A" in refusal(group.SetRelative, 2.0).desc
    assert [magnet.CurrentSetpoint for magnet in magnets] == [150.0, 150.0]
    tell(hall, OTHER, fault=1.0)
    wait_until(lambda: group.state() == DevState.FAULT, "the group's state", 10)
    assert OTHER in group.status()
    end = job_end(group, group.On())
    assert end["state"] == "FAILED" and end["error"].startswith(f"1 of 2 failed: {OTHER}: supply has a fault")
    assert job_end(group, group.Reset())["state"] == "DONE"
    magnets[1].AdminMode = "MAINTENANCE"
    assert "maintenance" in refusal(group.Off).desc and magnets[0].state() != DevState.OFF
    magnets[1].AdminMode = "ONLINE"
    assert job_end(group, group.Off())["state"] == "DONE"
    assert group.state() == DevState.OFF
    close_sessions(hall.host)
    assert refusal(group.On).origin == "authority"


@pytest.mark.requirement("ACS-SOURCE")
def test_diagnostics_are_moved_into_the_beam_and_out(hall: FakeFacility) -> None:
    hall.login("otto", "operator")
    harp, foil, slit = (hall.proxy(name_of(k)) for k in ("ProfileMonitor", "StripperFoil", "Slit"))
    harp.Insert()
    assert harp.state() == DevState.INSERT and len(harp.ProfileX) == len(harp.ProfileY) == 64
    harp.Retract()
    assert harp.state() == DevState.EXTRACT
    tell(hall, name_of("ProfileMonitor"), position=0.5)
    assert harp.state() == DevState.MOVING
    foil.Select(3)
    assert foil.Foil == 3 and "foil 3" in foil.status()
    assert "allowed are 1 .. 4" in refusal(foil.Select, 5).desc
    hall.tell(f"drivers[{name_of('Slit')!r}].beam_on = True")  # a slit moves under beam
    assert job_end(slit, slit.MoveTo('{"centre": 2.0, "gap": 30.0}'))["state"] == "DONE"
    assert slit.Centre == 2.0 and slit.Gap == 30.0
    assert "allowed are 0 .. 100 mm" in refusal(slit.MoveTo, '{"gap": 101}').desc


@pytest.mark.requirement("TCS-ROOMS")
def test_safety_equipment_shows_contacts_that_differ(hall: FakeFacility) -> None:
    door, stopper = hall.proxy(name_of("SafetyDoor")), hall.proxy(name_of("BeamStopper"))
    for a, b, state in ((1, 1, DevState.CLOSE), (0, 0, DevState.OPEN), (1, 0, DevState.ALARM)):
        tell(hall, name_of("SafetyDoor"), a=a, b=b)
        assert door.state() == state
    for position, opened, closed, state in (
        (0.0, 0, 1, DevState.CLOSE),
        (0.0, 0, 0, DevState.ALARM),
        (1.0, 1, 0, DevState.OPEN),
        (0.5, 1, 1, DevState.FAULT),
    ):
        tell(hall, name_of("BeamStopper"), position=position, open=opened, closed=closed)
        assert stopper.state() == state, (position, opened, closed)
    search = hall.proxy(name_of("SearchStation"))
    tell(hall, name_of("SearchStation"), state=2.0)
    assert search.SearchState == "RADIATION" and search.state() == DevState.CLOSE
    radiation = hall.proxy(name_of("RadiationMonitor"))
    tell(hall, name_of("RadiationMonitor"), rate=25.0)
    assert radiation.state() == DevState.ALARM and "25" in radiation.status()
