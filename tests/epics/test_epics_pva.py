"""pvAccess clients of p4p, in processes of their own, on the gateway of a running facility."""

import pytest

from common.hashchain import entries
from tests.epics.epics_room import EpicsRoom

DIPOLE = "PTCS:acs/magnet/ring-dipole"


@pytest.mark.requirement("ACS-EPICS")
def test_every_attribute_of_every_device_answers_a_get(epics_room: EpicsRoom) -> None:
    listed = set()
    for device in epics_room.site.devices:
        for name in epics_room.proxy(device.name).get_attribute_list():
            listed.add(f"PTCS:{device.name}:{name}")
    assert len(listed) > 200
    code = f"""
names = {sorted(listed)!r}
answers = ctx.get(names, timeout=30, throw=False)
say([name for name, answer in zip(names, answers) if isinstance(answer, Exception)])
say([name for name, answer in zip(names, answers) if answer["alarm.severity"] == 3])
served = ctx.get("PTCS:gateway:Names")["value"]
say(sorted(set(names) - set(served)))
"""
    failed, invalid, unlisted = epics_room.client(code)
    assert failed == [] and unlisted == []
    tango_invalid = set()
    for name in invalid:
        device, member = name.removeprefix("PTCS:").split(":")
        reading = epics_room.proxy(device).read_attribute(member)
        if str(reading.quality) != "ATTR_INVALID" and str(reading.value) not in ("UNKNOWN", "INIT"):
            tango_invalid.add(name)
    assert tango_invalid == set(), "INVALID in EPICS, and good in Tango"


@pytest.mark.requirement("ACS-EPICS")
def test_a_number_has_units_limits_description_and_the_time_of_tango(epics_room: EpicsRoom) -> None:
    code = f"""
v = ctx.get("{DIPOLE}:CurrentSetpoint")
say([v.getID(), v["display.units"], v["display.limitLow"], v["display.limitHigh"], v["control.limitHigh"],
     v["display.precision"], v["display.description"], v["alarm.severity"]])
say(abs(v["timeStamp.secondsPastEpoch"] - time.time()) < 3600)
w = ctx.get("PTCS:acs/water/ring-circuit:Temperature")
say([w["valueAlarm.highWarningLimit"], w["valueAlarm.highAlarmLimit"], w["valueAlarm.active"],
     w["alarm.severity"], w["alarm.message"], w["value"] > 18.0])
s = ctx.get("{DIPOLE}:State")
say([s.getID(), s["value.choices"][s["value.index"]], s["display.description"]])
say(ctx.get("{DIPOLE}:Status")["value"])
say(ctx.get("PTCS:central/interlock/1:Inputs")["value"])
a = ctx.get("{DIPOLE}:AdminMode")
say(a["value.choices"][a["value.index"]])
"""
    number, timed, water, state, status, inputs, admin = epics_room.client(code)
    assert number[:6] == ["epics:nt/NTScalar:1.0", "A", 0.0, 1500.0, 1500.0, 4]
    assert "regulates" in number[6] and number[7] == 0 and timed
    assert water == [18.0, 40.0, True, 1, "HIGH", True]
    assert state[0] == "epics:nt/NTEnum:1.0" and state[1] == str(
        epics_room.proxy("acs/magnet/ring-dipole").state()
    )
    assert state[2] and status == epics_room.proxy("acs/magnet/ring-dipole").status()
    assert any(row.startswith("vacuum") for row in inputs) and admin == "ONLINE"


@pytest.mark.requirement("ACS-EPICS")
def test_puts_need_a_log_in_and_the_devices_own_rules_hold(epics_room: EpicsRoom) -> None:
    token = epics_room.token("otto", "operator")
    nurse = epics_room.token("thea", "therapist")
    code = f"""
put = "{DIPOLE}:CurrentSetpoint"
ctx.put("PTCS:gateway:Login", "")
before = ctx.get(put)["value"]
say(refused(put, 100.0))
say(refused("PTCS:gateway:Login", "forged"))
say(refused("PTCS:gateway:Login", {nurse!r}))
say(refused(put, 100.0))
say(refused("PTCS:gateway:Login", {token!r}))
say(ctx.get("PTCS:gateway:Login")["value"])
for value in (1e6, -1.0, float("nan"), float("inf")):
    say(refused(put, value))
say(refused("{DIPOLE}:AdminMode", 9))
say(refused("{DIPOLE}:Current", 1.0))
say(refused("{DIPOLE}:State", 1))
say(refused("PTCS:gateway:Names", ["x"]))
say(ctx.get(put)["value"] == before)
say(refused("{DIPOLE}:On", 1))
wait(lambda: ctx.get("{DIPOLE}:State")["value.index"] == 0)
say(refused(put, 321.5))
wait(lambda: ctx.get(put)["value"] == 321.5)
wait(lambda: abs(ctx.get("{DIPOLE}:Current")["value"] - 321.5) < 1)
say(refused("{DIPOLE}:Off", 1))
say(refused("PTCS:gateway:Login", ""))
say(refused(put, 1.0))
"""
    said = epics_room.client(code)
    assert "not logged in" in said[0] and "log in again" in said[1]
    assert said[2] == "" and "thea may not write in area accelerator" in said[3]
    assert said[4] == "" and said[5] == "", "a token cannot be read"
    assert "allowed are 0 .. 1500 A" in said[6] and "allowed are" in said[7]
    assert "not a finite number" in said[8] and "not a finite number" in said[9]
    assert "allowed are ONLINE, MAINTENANCE, NOT_FITTED" in said[10]
    assert all("read only" in text for text in said[11:14]) and said[14] is True
    assert said[15:18] == ["", "", ""] and said[18] == "" and "not logged in" in said[19]
    log = (epics_room.state / "audit" / "accelerator.log").read_text()
    assert '"user":"otto"' in log and "epics peer " in log and token not in log
    assert token not in (epics_room.state / "log" / "gateway.log").read_text()
    here = epics_room.state / "audit" / "gateway.log"
    refused = [entry for entry in map(dict, entries(here)) if entry["why"]]
    found = {(entry["user"], entry["what"], entry["value"]) for entry in refused}
    assert token not in here.read_text() and "forged" not in here.read_text()
    assert {("", "CurrentSetpoint", "100.0"), ("", "Login", "")} <= found
    assert {("otto", "CurrentSetpoint", "1000000.0"), ("otto", "AdminMode", "9")} <= found
    assert all("@" in entry["host"] for entry in refused)


@pytest.mark.requirement("ACS-EPICS")
def test_a_dead_server_shows_as_invalid_and_comes_back(epics_room: EpicsRoom) -> None:
    code = f"""
import os, signal, sys
seen = {{}}
def hear(name):
    return lambda value: seen.__setitem__(name, value)
names = ["{DIPOLE}:Current", "{DIPOLE}:State", "PTCS:room1/support/couch:X"]
monitors = [ctx.monitor(name, hear(name), notify_disconnect=False) for name in names]
wait(lambda: len(seen) == 3 and seen[names[0]]["alarm.severity"] == 0)
os.kill({{pid}}, signal.SIGKILL)
took = wait(lambda: all(seen[name]["alarm.severity"] == 3 for name in names[:2]))
first, other = seen[names[0]], seen[names[2]]
say([took, first["alarm.message"], ctx.get(names[1])["alarm.severity"], other["alarm.severity"]])
"""
    process = epics_room.processes.pop("accelerator")
    (took, message, state, other), *_rest = epics_room.client(code.replace("{pid}", str(process.pid)))
    process.wait()
    print(f"INVALID after {took:.2f} s")
    assert "does not answer" in message and state == 3 and other == 0
    epics_room.start_server("accelerator")
    epics_room.wait_exported(["crate/server/accelerator"])
    code = f"""
names = ["{DIPOLE}:" + name for name in ("Current", "State", "Status")]
took = wait(lambda: all(ctx.get(name)["alarm.severity"] == 0 for name in names))
say(took)
"""
    print(f"valid again after {epics_room.client(code)[0]:.2f} s")
