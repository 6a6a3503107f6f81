"""The sites in config/: they load, their parts fit, and the check sees when they do not."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from common import site as sites
from common.site import CONFIG, Site
from interlock import matrix
from interlock.table import Family, Kind
from ptcs.cli import main
from ptcs.site_check import findings

FILES = {name: CONFIG / f"{name}.yaml" for name in ("demo", "synchrotron", "cyclotron")}
MOST_ON_A_SERVER = 130
"""Devices that a server process starts in good time."""

EVERYWHERE = {"EmergencyStop", "RadiationMonitor"}
"""What these find ends beam whichever room has it: radiation in an isolated room means that it is not."""


@pytest.fixture(scope="module", params=list(FILES))
def site(request: pytest.FixtureRequest) -> Site:
    return sites.load(FILES[request.param])


@pytest.mark.requirement("ACS-SUPERVISE")
@pytest.mark.parametrize("name", list(FILES))
def test_a_site_has_no_findings(name: str) -> None:
    result = CliRunner().invoke(main, ["site", "check", str(FILES[name]), "--json"])
    answer = json.loads(result.output)
    assert answer["findings"] == [] and result.exit_code == 0
    assert answer["site"] == name


@pytest.mark.requirement("ACS-SUPERVISE")
def test_the_synchrotron_is_a_whole_centre() -> None:
    site = sites.load(FILES["synchrotron"])
    kinds = Counter(device.tango_class for device in site.devices)
    assert len(site.devices) >= 500 and len(kinds) >= 25
    assert site.rooms == ("room1", "room2", "room3") and set(site.ions) == {"proton", "carbon"}
    assert max(Counter(device.server for device in site.devices).values()) <= MOST_ON_A_SERVER
    for room in site.rooms:
        for kind in ("Couch", "Nozzle", "TreatmentSession", "SafetyDoor", "EmergencyStop", "BeamStopper"):
            assert site.of_class(kind, room), f"{room} has no {kind}"
        assert {f"{room}.session", f"{room}.nozzle"} <= set(site.watchdogs["clients"])


@pytest.mark.requirement("ACS-INTERLOCK")
def test_the_synchrotron_table_is_large_and_in_three_families() -> None:
    table = matrix.load(sites.load(FILES["synchrotron"]).interlock_path)
    assert len(table.inputs) >= 512 and len(table.outputs) == 16
    assert {row.family for row in table.inputs} == set(Family)
    assert table.self_test_ticks > 0 and len(table.beam_off) == 3
    assert set(table.isolation_keys) == {"room1", "room2", "room3"}


@pytest.mark.requirement("ACS-INTERLOCK")
def test_rows_read_what_stands_for_the_device(site: Site) -> None:
    table = matrix.load(site.interlock_path)
    pairs = set(table.pairs.values())
    for kind in ("SafetyDoor", "EmergencyStop"):
        for device in site.of_class(kind):
            assert (f"{device.wire}.a", f"{device.wire}.b") in pairs, f"{device.name} is read by one channel"
    for row in table.inputs:
        assert re.search("[\u4e00-\u9fff]", row.text.zh), f"{row.name} has no Chinese text"
        assert not re.search("[\u4e00-\u9fff]", row.text.en)
        if row.family is not Family.EQUIPMENT:
            assert not row.maskable
        if row.kind is Kind.FAULT and row.name.startswith(("monitor.", "beam.unexpected")):
            assert set(site.rooms) <= row.cuts


@pytest.mark.requirement("ACS-INTERLOCK")
def test_a_fault_in_a_room_spares_the_others() -> None:
    site = sites.load(FILES["synchrotron"])
    table = matrix.load(site.interlock_path)
    rooms = {row.name: row.room for row in table.inputs}
    for device in site.devices:
        names = [name for name in rooms if device.room and name == f"{device.room}.{device.wire[6:]}"]
        for name in names:
            expected = "" if device.tango_class in EVERYWHERE else device.room
            assert rooms[name] == expected, f"{name} is in room {rooms[name]!r}"


@pytest.mark.requirement("ACS-SUPERVISE")
def test_the_check_sees_what_does_not_fit() -> None:
    site = sites.load(FILES["cyclotron"])

    def without(name: str) -> Site:
        return replace(site, devices=tuple(d for d in site.devices if d.name != name))

    def found(changed: Site) -> str:
        return "\n".join(set(findings(changed)) - set(findings(site)))

    assert "reads vacuum-gauge-1.ok, which is no channel" in found(without("acs/vacuum/gauge-1"))
    assert "room1 has 0 devices of class Couch" in found(without("room1/support/couch"))
    assert "Timing: a site has one, this one has 0" in found(without("central/timing/1"))
    assert "names pump water-line-pump, which is no device's wire" in found(without("acs/water/line-pump"))
    extra = replace(site.device("acs/vacuum/gauge-1"), name="acs/vacuum/gauge-9", wire="vacuum-gauge-9")
    assert "has no interlock row that reads vacuum-gauge-9.ok" in found(_with(site, extra))
    assert "machine.yaml line" in found(_with(site, extra))
    assert "unknown class Teapot" in found(_with(site, replace(extra, tango_class="Teapot")))
    assert "unknown room room7" in found(_with(site, replace(extra, room="room7")))
    assert "stands at nowhere" in found(_with(site, replace(extra, element="nowhere")))
    long = replace(extra, name="acs/vacuum/gauge-of-the-second-sector-of-the-line")
    assert "allowed are 60 characters" in found(_with(site, long))
    pumps = [replace(site.device("acs/water/line-pump"), name=f"a/b/p{i}", wire=f"p{i}") for i in range(260)]
    assert "Modbus has addresses for 247" in found(replace(site, devices=(*site.devices, *pumps)))
    clients = {**site.watchdogs, "clients": ["session", "nozzle", "somebody"]}
    text = found(replace(site, watchdogs=clients))
    assert "no interlock row watchdog.somebody" in text and "watchdog.interlock belongs to no" in text
    assert "does not exist" in found(replace(site, roles_path=Path("/nowhere")))
    assert "cannot read" in found(replace(site, interlock_path=Path("/nowhere")))


@pytest.mark.requirement("ACS-SUPERVISE")
def test_the_command_names_line_and_reason(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("site: x\nservers: [\n", encoding="utf-8")
    result = CliRunner().invoke(main, ["site", "check", str(file)])
    assert result.exit_code == 1 and "bad.yaml line 3: " in result.output


def _with(site: Site, *devices: sites.Device) -> Site:
    return replace(site, devices=(*site.devices, *devices))
