"""Control of areas between real processes: who has it writes, the others read and stop."""

import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import tango
from bench import wait_until
from conftest import refusal
from control_room import AUTHORITY, GANTRY, MAGNET, VALVE, ControlRoom, wish

from common import authority, hashchain
from common.errors import Unauthorised
from common.state import StateDir
from device_servers import control_file
from device_servers.admin_port import KEPT
from device_servers.sessions import open_sessions


@pytest.fixture(scope="module")
def control_room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlRoom]:
    bench = ControlRoom(tmp_path_factory.mktemp("control"))
    try:
        bench.start_all()
        yield bench
    finally:
        bench.close()


@pytest.fixture
def site(control_room: ControlRoom) -> Iterator[ControlRoom]:
    """The room with nobody logged in and nobody in control."""
    yield control_room
    control_room.login("sam", "service")
    for name, row in control_room.areas().items():
        if row["user"] == "sam":
            control_room.control("Release", name)
        elif row["user"]:
            control_room.aside(row["user"], "service", (AUTHORITY, "Release", wish(name)))
    control_room.logout()


def audit(site: ControlRoom, server: str) -> list[dict[str, object]]:
    return hashchain.entries(site.state / "audit" / f"{server}.log")


@pytest.mark.requirement("ACS-USERS")
def test_a_required_area_is_written_by_whoever_has_control_and_by_nobody_else(site: ControlRoom) -> None:
    site.login("otto", "operator")
    magnet = site.proxy(MAGNET)
    assert "nobody has control of ring" in refusal(magnet.On).desc
    assert site.control("Request", "ring") == "HELD"
    magnet.On()
    (other,) = site.aside("anna", "operator", (MAGNET, "=CurrentSetpoint", 5.0))
    assert other.startswith("Refused: otto has control of ring") and "ptcs control request ring" in other
    assert json.loads(site.proxy(AUTHORITY).read_attribute("Holders").value)["ring"]["user"] == "otto"
    entry = audit(site, "one")[-1]
    assert (entry["user"], entry["outcome"]) == ("anna", "refused") and "otto" in str(entry["why"])
    passed_on = {
        "token": site.token("anna", "operator"),
        "device": MAGNET,
        "command": "Off",
        "by": "epics peer",
    }
    assert (
        "otto has control of ring"
        in refusal(site.proxy("crate/server/one").WriteAs, json.dumps(passed_on)).desc
    )
    assert site.control("Release", "ring") == "FREE"
    assert refusal(magnet.On).origin == "authority"


@pytest.mark.requirement("ACS-USERS")
def test_a_free_area_is_open_until_somebody_has_it_and_stops_always_pass(site: ControlRoom) -> None:
    site.login("thea", "therapist")
    gantry = site.proxy(GANTRY)
    gantry.MoveTo(1.0)
    assert site.aside("sam", "service", (AUTHORITY, "Request", wish("room1"))) == ["HELD"]
    assert "sam has control of room1" in refusal(gantry.MoveTo, 2.0).desc
    gantry.Stop()
    assert audit(site, "one")[-1]["outcome"] == "accepted"


@pytest.mark.requirement("ACS-USERS")
def test_an_area_is_made_exclusive_and_open_again_by_its_highest_rank_also_over_a_restart(
    site: ControlRoom,
) -> None:
    def require(must: bool, reason: str = "machine shift begins") -> tuple[str, str, str]:
        return (AUTHORITY, "Require", wish("transport", required=must, reason=reason))

    site.login("otto", "operator")
    site.proxy(VALVE).Open()
    assert "is for: service" in refusal(site.proxy(AUTHORITY).Require, require(True)[2]).desc
    (short,) = site.aside("sam", "service", require(True, "no"))
    assert "say why" in short
    assert site.aside("sam", "service", require(True)) == ["done"]
    assert site.areas()["transport"]["required"] is True
    assert "nobody has control of transport" in refusal(site.proxy(VALVE).Close).desc
    site.kill("services")
    site.start_fakes("services", 300.0)
    site.login("otto", "operator")
    assert site.areas()["transport"]["required"] is True
    assert "nobody has control of transport" in refusal(site.proxy(VALVE).Close).desc
    assert site.control("Request", "transport") == "HELD"
    site.proxy(VALVE).Close()
    site.control("Release", "transport")
    assert site.aside("sam", "service", require(False, "machine shift is over")) == ["done"]
    site.proxy(VALVE).Open()
    kept = [row for row in hashchain.entries(site.state / "control" / "control.log") if "required" in row]
    assert [(row["event"], row["user"]) for row in kept] == [("require", "sam"), ("free", "sam")]


@pytest.mark.requirement("ACS-USERS")
def test_hand_over_needs_both_and_taking_a_reason_and_a_higher_rank(site: ControlRoom) -> None:
    site.login("otto", "operator")
    site.control("Request", "transport")
    asked, again, taken = site.aside(
        "anna",
        "operator",
        (AUTHORITY, "Request", wish("transport")),
        (AUTHORITY, "Request", wish("transport")),
        (AUTHORITY, "Take", wish("transport", reason="because I want it")),
    )
    assert asked == "ASKED" and "has asked" in again and "not of a lower rank" in taken
    assert site.control("Offer", "transport") == "HELD"
    assert site.areas()["transport"]["user"] == "anna"
    refusal(site.proxy(VALVE).Open)
    short, taken = site.aside(
        "sam",
        "service",
        (AUTHORITY, "Take", wish("transport", reason="")),
        (AUTHORITY, "Take", wish("transport", reason="pump has to be changed")),
    )
    assert "say why" in short and taken == "HELD"
    log = hashchain.entries(site.state / "control" / "control.log")
    kept = [entry for entry in log if entry["event"] == "take"][-1]
    assert (kept["user"], kept["from"], kept["reason"]) == ("sam", "anna", "pump has to be changed")


@pytest.mark.requirement("ACS-USERS")
def test_control_that_is_bound_to_a_process_ends_with_it(site: ControlRoom) -> None:
    assert site.aside("otto", "operator", (AUTHORITY, "Request", wish("ring", bind=True))) == ["HELD"]
    wait_until(lambda: site.areas()["ring"]["state"] == "FREE", "the lapse", 15.0)


@pytest.mark.requirement("ACS-USERS")
def test_a_killed_authority_changes_nothing_and_its_successor_goes_on(site: ControlRoom) -> None:
    site.login("otto", "operator")
    site.control("Request", "ring")
    since = site.areas()["ring"]["since"]
    site.kill("services")
    site.proxy(MAGNET).On()
    assert "otto has control" in site.aside("anna", "operator", (MAGNET, "Off"))[0]
    site.start_fakes("services")
    wait_until(lambda: site.areas().get("ring", {}).get("user") == "otto", "control as it was")
    assert site.areas()["ring"]["since"] == since
    site.proxy(MAGNET).Off()


@pytest.mark.requirement("SYS-AUDIT")
def test_a_statement_that_is_forged_old_or_gone_gives_control_to_nobody(
    site: ControlRoom, tmp_path: Path
) -> None:
    site.login("otto", "operator")
    site.control("Request", "ring")
    site.control("Request", "room1")
    state = StateDir(site.state)
    magnet, gantry, good = site.proxy(MAGNET), site.proxy(GANTRY), state.holders.read_bytes()
    magnet.On()
    authority.new_key(tmp_path / "a.pem", tmp_path / "b.pem")
    told = control_file.read(state.holders, authority.load_public(state.machine_public_key))
    os.kill(site.processes["services"].pid, signal.SIGSTOP)  # nobody mends it meanwhile
    try:
        control_file.write(tmp_path / "forged.json", authority.load_private(tmp_path / "a.pem"), told)
        old = control_file.Statement(told.serial - 1, told.time, told.grants)
        control_file.write(tmp_path / "old.json", authority.load_private(state.machine_key), old)
        for name in ("forged.json", "old.json"):
            state.holders.write_bytes((tmp_path / name).read_bytes())
            assert "cannot be told" in refusal(magnet.On).desc, name
        state.holders.unlink()
        assert "missing" in refusal(magnet.On).desc
        gantry_stop = site.aside("thea", "therapist", (GANTRY, "Stop"))
        assert gantry_stop == ["done"]
        assert gantry.state() is not None
        state.holders.write_bytes(good)
        magnet.On()
    finally:
        os.kill(site.processes["services"].pid, signal.SIGCONT)


@pytest.mark.requirement("SYS-ACCESS")
def test_an_administrator_ends_the_log_ins_of_a_user_everywhere(site: ControlRoom) -> None:
    site.login("otto", "operator")
    old = site.token("otto", "operator")
    site.proxy(VALVE).Open()
    end = json.dumps({"user": "otto", "reason": "badge was lost"})
    refused, done = (
        site.aside("anna", "operator", (AUTHORITY, "EndSessions", end))[0],
        site.aside("root", "administrator", (AUTHORITY, "EndSessions", end))[0],
    )
    assert "administrator" in refused and done == "done"
    assert "ended by an administrator" in refusal(site.proxy(VALVE).Open).desc
    with pytest.raises(Unauthorised, match="ended by an administrator"):
        open_sessions(old, site.host)
    time.sleep(1.0)  # tokens tell whole seconds
    site.login("otto", "operator")
    site.proxy(VALVE).Open()


@pytest.mark.requirement("SYS-ACCESS")
def test_tokens_of_another_key_or_from_the_future_open_no_session(site: ControlRoom, tmp_path: Path) -> None:
    key = authority.load_private(site.state / "keys" / "ois_signing.pem")
    later = datetime.now(UTC) + timedelta(hours=1)
    with pytest.raises(Unauthorised, match="future"):
        open_sessions(authority.issue(key, "otto", frozenset({"operator"}), later), site.host)
    machine = authority.load_private(StateDir(site.state).machine_key)
    local = authority.issue_local(
        machine, "otto", frozenset({"operator"}), datetime.now(UTC), timedelta(minutes=5)
    )
    with pytest.raises(Unauthorised, match="local log-ins are over"):
        open_sessions(local, site.host)
    greedy = authority.issue(machine, "break-glass:otto", frozenset({"administrator"}), datetime.now(UTC))
    with pytest.raises(Unauthorised, match="not accepted"):
        open_sessions(greedy, site.host)
    assert [entry["what"] for entry in audit(site, "one")[-3:]] == ["OpenSession"] * 3


@pytest.mark.requirement("SYS-ACCESS")
def test_the_admin_device_of_a_server_takes_no_orders(site: ControlRoom) -> None:
    admin = site.proxy("dserver/PTCS/one")
    for name, argument in (("Kill", None), ("DevRestart", MAGNET), ("RestartServer", None), ("Init", None)):
        with pytest.raises(tango.DevFailed, match="not found"):
            admin.command_inout(name) if argument is None else admin.command_inout(name, argument)
    with pytest.raises(tango.DevFailed):
        admin.command_inout("AddLoggingTarget", [MAGNET, f"file::{site.state}/evil.log"])
    magnet = site.proxy(MAGNET)
    with pytest.raises(tango.DevFailed):
        magnet.poll_attribute("Current", 100)
    assert {command.cmd_name for command in admin.command_list_query()} == KEPT
    assert magnet.ping() > 0 and not (site.state / "evil.log").exists()
    seen = magnet.subscribe_event("State", tango.EventType.CHANGE_EVENT, lambda _event: None)
    magnet.unsubscribe_event(seen)


@pytest.mark.requirement("SYS-ACCESS")
def test_limits_that_somebody_changes_in_tango_limit_nothing_and_are_put_back(site: ControlRoom) -> None:
    magnet = site.proxy(MAGNET)
    wider = magnet.get_attribute_config("CurrentSetpoint")
    wider.max_value = "1000000"
    magnet.set_attribute_config(wider)
    site.login("otto", "operator")
    site.control("Request", "ring")
    with pytest.raises(tango.DevFailed):
        magnet.CurrentSetpoint = 1e5

    def limit() -> float:
        return float(magnet.get_attribute_config("CurrentSetpoint").max_value)

    wait_until(lambda: limit() == 1500.0, "the limits", 120.0)
    wait_until(
        lambda: any("changed in Tango" in str(e["why"]) for e in audit(site, "one")), "the record", 20.0
    )


@pytest.mark.requirement("ACS-USERS")
def test_who_is_logged_in_is_told(site: ControlRoom) -> None:
    site.login("otto", "operator")

    def found() -> list[dict[str, object]]:
        rows = json.loads(site.proxy(AUTHORITY).read_attribute("Users").value)
        return [row for row in rows if row["user"] == "otto" and row["pid"] == os.getpid()]

    wait_until(lambda: found() and found()[0]["servers"] == 2, "the list", 20.0)
    assert found()[0]["roles"] == ["operator"]
