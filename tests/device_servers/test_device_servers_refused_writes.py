"""Writes that Tango refuses by itself stand in the audit log too, with user, process and attribute."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
import tango
from bench import wait_until
from conftest import SERVER, FakeFacility

from common import hashchain
from device_servers.unseen import Call, Written, box, fresh, refused

MAGNET = "acs/magnet/ring-dipole"


def audit(facility: FakeFacility) -> list[dict[str, Any]]:
    return [dict(entry) for entry in hashchain.entries(facility.state / "audit" / f"{SERVER}.log")]


def refused_after(facility: FakeFacility, known: int, count: int) -> list[dict[str, Any]]:
    """The refused writes after `known` entries, once there are `count` of them."""

    def found() -> list[dict[str, Any]]:
        return [entry for entry in audit(facility)[known:] if entry["outcome"] == "refused"]

    wait_until(lambda: len(found()) >= count, f"{count} refused writes: {found()}", 10.0)
    return found()


@pytest.mark.requirement("SYS-AUDIT")
@pytest.mark.parametrize(
    ("attribute", "value", "reason", "why"),
    [
        ("CurrentSetpoint", 1e6, "API_WAttrOutsideLimit", "allowed are"),
        ("CurrentSetpoint", -1e6, "API_WAttrOutsideLimit", "allowed are"),
        ("CurrentSetpoint", float("nan"), "API_WAttrOutsideLimit", "allowed are"),
        ("AdminMode", 7, "API_WAttrOutsideLimit", "labels"),
    ],
)
def test_a_write_that_tango_refuses_is_recorded(
    facility: FakeFacility, attribute: str, value: float, reason: str, why: str
) -> None:
    facility.login("otto", "operator")
    known, magnet = len(audit(facility)), facility.proxy(MAGNET)
    with pytest.raises(tango.DevFailed) as caught:
        magnet.write_attribute(attribute, value)
    assert caught.value.args[0].reason == reason
    (entry,) = refused_after(facility, known, 1)
    assert (entry["user"], entry["pid"], entry["device"]) == ("otto", os.getpid(), MAGNET)
    assert entry["what"] == attribute and why in entry["why"]


@pytest.mark.requirement("SYS-AUDIT")
def test_each_write_once_whatever_else_is_asked_meanwhile(facility: FakeFacility) -> None:
    """Good and bad writes in turn, reads between them, and one call with both: every bad one, no good one."""
    facility.login("otto", "operator")
    facility.tell(f"drivers[{MAGNET!r}].values.update(on=1.0)")
    known, magnet = len(audit(facility)), facility.proxy(MAGNET)
    for number in range(10):
        magnet.write_attribute("CurrentSetpoint", float(number))
        with pytest.raises(tango.DevFailed):
            magnet.write_attribute("CurrentSetpoint", 1e6)
        magnet.read_attribute("Current"), magnet.state(), magnet.status()
    with pytest.raises(tango.DevFailed):
        magnet.write_attributes([("CurrentSetpoint", 20.0), ("AdminMode", 9), ("Current", 1.0)])
    found = refused_after(facility, known, 12)
    assert [entry["what"] for entry in found] == [*["CurrentSetpoint"] * 10, "AdminMode", "Current"]
    assert "cannot be written" in found[-1]["why"]
    accepted = [e["value"] for e in audit(facility)[known:] if e["outcome"] == "accepted"]
    assert [v for v in accepted if v] == [str(float(n)) for n in range(10)] + ["20.0"]


@pytest.mark.requirement("SYS-AUDIT")
def test_who_has_no_session_or_has_gone_is_named_as_far_as_it_is_known(facility: FakeFacility) -> None:
    known = len(audit(facility))
    with pytest.raises(tango.DevFailed):
        facility.proxy(MAGNET).write_attribute("CurrentSetpoint", 1e6)
    (nobody,) = refused_after(facility, known, 1)
    assert (nobody["user"], nobody["pid"], nobody["host"]) == ("", os.getpid(), "localhost")
    script = (
        "import sys, tango; from device_servers.sessions import close_sessions, open_sessions\n"
        "open_sessions(sys.argv[1], sys.argv[2])\n"
        f"p = tango.DeviceProxy('tango://' + sys.argv[2] + '/{MAGNET}')\n"
        "try: p.write_attribute('CurrentSetpoint', 1e6)\n"
        "except tango.DevFailed: pass\n"
        "close_sessions(sys.argv[2])"
    )
    token, known = facility.token("thea", "therapist"), len(audit(facility))
    done = subprocess.run([sys.executable, "-c", script, token, facility.host], timeout=60, check=False)
    assert done.returncode == 0
    (gone,) = refused_after(facility, known, 1)
    assert gone["user"] == "thea" and gone["what"] == "CurrentSetpoint"


@pytest.mark.requirement("SYS-AUDIT")
def test_a_write_passed_on_by_a_gateway_is_recorded_with_its_value(facility: FakeFacility) -> None:
    crate, known = facility.proxy(f"crate/server/{SERVER}"), len(audit(facility))
    wish = {"device": MAGNET, "by": "epics peer", "attribute": "CurrentSetpoint", "value": 1e6}
    with pytest.raises(tango.DevFailed):
        crate.WriteAs(json.dumps(wish | {"token": facility.token("otto", "operator")}))
    (entry,) = refused_after(facility, known, 1)
    assert (entry["user"], entry["by"], entry["value"]) == ("otto", "epics peer", "1000000.0")


CLIENT = "(CPP/Python client with PID"
LINES = (
    f"22/11/2026 23:49:38:41 : Operation read_attributes_5 (Current) requested from vm {CLIENT} 7)",
    f"22/11/2026 23:49:38:40 : Operation write_attributes_4 (A, B) requested from vm {CLIENT} 7)",
    "22/11/2026 23:49:38:39 : Operation write_attributes_4 (A) requested from a collocated client",
    f"22/11/2026 23:49:38:4 : Operation write_attributes_4 (A) requested from vm {CLIENT} 6)",
)


@pytest.mark.requirement("SYS-AUDIT")
def test_the_black_box_is_read_and_paired_in_order() -> None:
    early, late = box(LINES)
    assert (early.pid, early.names, late.pid, late.names) == (6, ("A",), 7, ("A", "B"))
    assert late.at - early.at == pytest.approx(0.36)
    calls = [Call(early.at), Call(late.at, {"a"})]
    assert list(refused(calls, [early, late], 0.0)) == list(zip([early, late], calls, strict=True))
    behind = [Call(early.at + 0.3), Call(late.at + 1.9, {"a"})]  # they had to wait for the device
    assert list(refused(behind, [early, late], 0.0)) == list(zip([early, late], behind, strict=True))
    assert unpaired([Call(late.at - 0.5)], [late], 0.0) == [], "no call has begun before it was made"
    assert fresh([early, early, late], (early.at, 1)) == [early, late] and not fresh([late], (late.at, 1))
    assert unpaired([Call(early.at - 1.0)], [early, late], early.at) == [(None, Call(early.at - 1.0))]
    assert unpaired([Call(early.at - 1.0)], [early, late], 0.0) == []


def unpaired(calls: Sequence[Call], writes: Sequence[Written], oldest: float) -> list[Any]:
    return list(refused(calls, writes, oldest))
