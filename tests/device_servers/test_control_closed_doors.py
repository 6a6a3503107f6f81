"""Whoever has no log-in writes nothing: every command and every writable attribute of a facility is tried."""

import json
import os
import pwd
import subprocess
import sys
from typing import Any

import pytest
import tango
from bench import wait_until
from conftest import SERVER, FakeFacility

from device_servers.admin_port import CLOSED, KEPT
from device_servers.classes import CLASSES

NOBODY = pwd.getpwnam("nobody").pw_uid
STRANGER = """
import os, sys
os.environ["TANGO_HOST"] = "127.0.0.1:{port}"
import tango
os.setgid({uid}); os.setuid({uid})
database = tango.DeviceProxy("sys/database/2")
for command in database.command_list_query():
    samples = {{tango.DevVoid: None, tango.DevString: "select 1"}}
    wanted = samples.get(command.in_type, ["x", "y", "1", "z", "1"])
    try:
        database.command_inout(command.cmd_name, *([] if wanted is None else [wanted]))
        print(command.cmd_name, "answered")
    except tango.DevFailed as why:
        print(command.cmd_name, why.args[0].reason)
"""
MAGNET = "acs/magnet/ring-dipole"
READ_ONLY = {"State", "Status"}
SESSIONS = {"OpenSession", "CloseSession", "WhoAmI", "WriteAs"}
"""Commands of a Crate that ask for a token, or tell whose session this is."""
SAMPLES: dict[Any, Any] = {
    tango.DevVoid: None,
    tango.DevString: "x",
    tango.DevBoolean: True,
    tango.DevEnum: 0,
    tango.DevVarStringArray: ["x"],
    tango.DevVarDoubleArray: [1.0],
}


def outcome(call: Any, *arguments: Any) -> str:
    """Reason of a failure; "" when the call was accepted."""
    try:
        call(*arguments)
    except tango.DevFailed as why:
        return f"{why.args[0].reason} {why.args[0].origin}"
    return ""


@pytest.mark.requirement("SYS-ACCESS")
def test_nobody_writes_without_a_log_in_to_any_device(facility: FakeFacility) -> None:
    database = tango.Database("127.0.0.1", facility.port)
    exported = [name.lower() for name in database.get_device_exported("*").value_string]
    names = [name for name in exported if not name.startswith("sys/")]
    assert "dserver/databaseds/2" in names
    tried, open_ones = 0, 0
    for name in names:
        proxy = facility.proxy(name)
        if name.startswith("dserver/"):
            assert {command.cmd_name for command in proxy.command_list_query()} == KEPT
            assert all(outcome(proxy.command_inout, closed) for closed in CLOSED)
            continue
        kind = proxy.info().dev_class
        for command in proxy.command_list_query():
            if command.cmd_name in READ_ONLY or (kind == "Crate" and command.cmd_name in SESSIONS):
                continue
            value = SAMPLES.get(command.in_type, 1)
            tried += 1
            found = outcome(proxy.command_inout, command.cmd_name, *([] if value is None else [value]))
            if found != "Refused authority":
                assert getattr(CLASSES[kind], command.cmd_name).write_rule.read, f"{name}.{command.cmd_name}"
                open_ones += 1
        for attribute in proxy.attribute_list_query():
            if attribute.writable == tango.AttrWriteType.READ:
                continue
            value = SAMPLES.get(attribute.data_type, 1)
            value = value if attribute.data_format == tango.AttrDataFormat.SCALAR else [value]
            tried += 1
            found = outcome(proxy.write_attribute, attribute.name, value)
            assert found.startswith(("Refused authority", "API_WAttrOutsideLimit")), (
                f"{name}/{attribute.name}"
            )
    assert tried > 60 and open_ones < tried / 4
    crate = facility.proxy(f"crate/server/{SERVER}")
    pushed = crate.read_attribute("Pushed").value
    facility.tell(f"drivers[{MAGNET!r}].put(current=17.0)")
    wait_until(
        lambda: crate.read_attribute("Pushed").value > pushed, "the block: a refused Init ends nothing"
    )


@pytest.mark.requirement("SYS-ACCESS")
@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a program of another user")
def test_another_user_of_the_computer_reads_the_tango_database_and_changes_nothing(
    facility: FakeFacility,
) -> None:
    database = tango.Database("127.0.0.1", facility.port)
    before = database.get_device_info(MAGNET).ior
    script = STRANGER.format(port=facility.port, uid=NOBODY)
    told = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    found = dict(line.split() for line in told.stdout.splitlines())
    refused = {name for name, answer in found.items() if answer == "Refused"}
    reads = ("DbGet", "DbImport", "DbInfo", "State", "Status")
    assert all(name.startswith(reads) for name in set(found) - refused), told.stderr
    assert {"DbPutProperty", "DbExportDevice", "DbDeleteServer", "DbMySqlSelect"} <= refused
    assert "Init" not in found and found["DbInfo"] == "answered"
    assert database.get_device_info(MAGNET).ior == before
    database.put_property("shift", {"of": ["today"]})  # the facility's own programs write


@pytest.mark.requirement("SYS-ACCESS")
def test_a_token_of_somebody_else_is_worth_nothing_without_its_signature(facility: FakeFacility) -> None:
    """Writing as another through the gateway's door: the token decides, whoever passes it on."""
    crate = facility.proxy(f"crate/server/{SERVER}")
    good = facility.token("otto", "operator")
    head, body, signature = good.split(".")
    for token in ("", good[:-1], f"{head}.{body}.", f"{head}.{body}.{signature[::-1]}", "a.b.c"):
        wish = {"token": token, "device": MAGNET, "command": "Off", "by": "somebody"}
        assert outcome(crate.WriteAs, json.dumps(wish)).startswith("Refused"), token
