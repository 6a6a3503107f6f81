"""Every write needs a session with the right role, and leaves a line in an unbroken audit log."""

import os
import subprocess
import sys

import pytest
import tango
from bench import ROOT, wait_until
from conftest import SERVER, FakeFacility, refusal

from common import authority, hashchain
from common.errors import Unauthorised
from device_servers.classes import CLASSES
from device_servers.sessions import is_without_session, open_sessions

MAGNET = "acs/magnet/ring-dipole"
SESSION_COMMANDS = {"JobStatus", "OpenSession", "CloseSession", "WhoAmI", "WriteAs", "BreakGlass"}
QUESTIONS = {"Components", "Devices", "EventLog", "History", "Record", "Show", "ShowSequence", "Uptime"}
"""Commands that change nothing: they answer what does not fit into an attribute."""
QUESTIONS |= {"AllVersions", "Compare", "File", "Find", "JobResult", "Restores", "ShowRestore", "Versions"}
QUESTIONS |= {"ActiveSince", "Counters", "Guidance", "Names", "Query", "Rules", "Standing", "Summary"}
SERVICE_COMMANDS = {"Log"}
"""Services have no session: the Logbook itself looks at who calls, and records it."""
OPEN_COMMANDS = SESSION_COMMANDS | QUESTIONS | SERVICE_COMMANDS


def audit(facility: FakeFacility) -> list[dict[str, object]]:
    return hashchain.entries(facility.state / "audit" / f"{SERVER}.log")


@pytest.mark.requirement("ACS-USERS")
def test_every_command_and_write_of_every_class_is_guarded() -> None:
    for name, kind in CLASSES.items():
        for command in kind.TangoClassClass.cmd_list:
            assert getattr(kind, command).is_guarded, f"{name}.{command}"
            is_open = getattr(kind, command).write_rule.read
            assert is_open == (command in OPEN_COMMANDS), f"{name}.{command}"
        for attribute in kind.TangoClassClass.attr_list.values():
            if attribute.attr_write != tango.AttrWriteType.READ:
                assert attribute.fset.is_guarded, f"{name}.{attribute.attr_name}"


@pytest.mark.requirement("ACS-USERS")
def test_without_a_session_reads_work_and_writes_are_refused(facility: FakeFacility) -> None:
    magnet = facility.proxy(MAGNET)
    assert magnet.state() in (tango.DevState.OFF, tango.DevState.ON)
    assert magnet.read_attribute("Current").quality == tango.AttrQuality.ATTR_VALID
    assert facility.proxy(f"crate/server/{SERVER}").WhoAmI() == ""
    error = refusal(magnet.On)
    assert "open a session" in error.desc and error.origin == "authority"
    refusal(magnet.write_attribute, "CurrentSetpoint", 1.0)
    refusal(magnet.Init)


@pytest.mark.requirement("ACS-USERS")
def test_a_role_writes_in_its_own_area_only(facility: FakeFacility) -> None:
    facility.login("thea", "therapist")
    assert facility.proxy(f"crate/server/{SERVER}").WhoAmI() == "thea"
    assert "allowed are operator, service" in refusal(facility.proxy(MAGNET).On).desc
    facility.proxy("room1/support/gantry").Stop()
    facility.login("otto", "operator")
    facility.proxy(MAGNET).On()


@pytest.mark.requirement("ACS-USERS")
def test_tokens_that_are_expired_or_forged_open_no_session(facility: FakeFacility, tmp_path: object) -> None:
    with pytest.raises(Unauthorised, match="expired"):
        open_sessions(facility.token("otto", "operator", lifetime_s=-1), facility.host)
    key = authority.Ed25519PrivateKey.generate()
    good = facility.token("otto", "operator")
    forged = authority.sign(key, {"sub": "otto", "exp": 4e9, "roles": ["operator"]})  # type: ignore[dict-item]
    with pytest.raises(Unauthorised, match="not accepted"):
        open_sessions(forged, facility.host)
    with pytest.raises(Unauthorised, match="not accepted"):
        open_sessions(good[:-4], facility.host)
    assert [(e["what"], e["outcome"]) for e in audit(facility)[-3:]] == [("OpenSession", "refused")] * 3


@pytest.mark.requirement("TCS-IRRADIATE")
def test_an_expired_session_may_stop_and_nothing_else(facility: FakeFacility) -> None:
    facility.login("thea", "therapist", lifetime_s=1.0)
    gantry = facility.proxy("room1/support/gantry")
    wait_until(lambda: facility.proxy(f"crate/server/{SERVER}").WhoAmI() == "", "expiry", 5)
    assert "expired" in refusal(gantry.MoveTo, 3.0).desc
    gantry.Stop()


@pytest.mark.requirement("ACS-USERS")
def test_a_session_belongs_to_one_process(facility: FakeFacility) -> None:
    facility.login("otto", "operator")
    script = (
        "import tango\n"
        f"crate = tango.DeviceProxy('tango://{facility.host}/crate/server/{SERVER}')\n"
        "assert crate.WhoAmI() == ''\n"
        "try:\n"
        f"    tango.DeviceProxy('tango://{facility.host}/{MAGNET}').On()\n"
        "except tango.DevFailed as why:\n"
        "    assert why.args[0].reason == 'Refused'\n"
        "else:\n"
        "    raise SystemExit('accepted')\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, timeout=60)


@pytest.mark.requirement("ACS-USERS")
def test_a_closed_session_is_gone(facility: FakeFacility) -> None:
    facility.login("otto", "operator")
    facility.proxy(f"crate/server/{SERVER}").CloseSession()
    with pytest.raises(tango.DevFailed) as caught:
        facility.proxy(MAGNET).On()
    assert is_without_session(caught.value)


@pytest.mark.requirement("SYS-AUDIT")
def test_accepted_and_refused_writes_are_on_the_chain(facility: FakeFacility) -> None:
    before = len(audit(facility))
    facility.login("otto", "operator")
    magnet = facility.proxy(MAGNET)
    magnet.On()
    magnet.CurrentSetpoint = 12.5
    refusal(magnet.LoadWaveform, "[[0, 0], [1e4, 1e6]]")
    new = audit(facility)[before:]
    assert [(e["user"], e["device"], e["what"], e["value"], e["outcome"]) for e in new] == [
        ("otto", f"crate/server/{SERVER}", "OpenSession", "", "accepted"),
        ("otto", MAGNET, "On", "", "accepted"),
        ("otto", MAGNET, "CurrentSetpoint", "12.5", "accepted"),
        ("otto", MAGNET, "LoadWaveform", "[[0, 0], [1e4, 1e6]]", "refused"),
    ]
    assert "allowed are 0 .. 1500 A" in str(new[3]["why"])
    assert all(entry["time"] and entry["pid"] == os.getpid() for entry in new)
