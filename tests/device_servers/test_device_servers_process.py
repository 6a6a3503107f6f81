"""Real server processes with a real database, plant and fpga: start, work, lose, stop."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import tango
from bench import wait_until
from conftest import refusal
from rooms import SERVERS, SITE, Room
from tango import DevState

from common import hashchain
from common.errors import LinkLost, Unauthorised
from common.files import write_json
from device_servers.registration import register
from device_servers.sessions import close_sessions, open_sessions
from ptcs.client import connect


@pytest.mark.requirement("ACS-SUPERVISE")
def test_the_database_knows_the_site_and_nothing_else(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANGO_HOST", f"127.0.0.1:{room.port}")
    database = tango.Database("127.0.0.1", room.port)
    register(SITE)
    names = set(database.get_device_name("PTCS/accelerator", "MagnetSupply").value_string)
    assert names == {d.name for d in SITE.of_class("MagnetSupply")}
    limits = database.get_device_property("acs/magnet/ring-dipole", "limits")["limits"]
    assert list(limits) == ["current 0 1500"]
    old = tango.DbDevInfo()
    old.name, old._class, old.server = "acs/magnet/scrapped", "MagnetSupply", "PTCS/scrapped"
    database.add_server("PTCS/scrapped", [old], with_dserver=True)
    register(SITE)
    assert "PTCS/scrapped" not in list(database.get_server_list("PTCS/*").value_string)


@pytest.mark.requirement("ACS-POWER")
def test_a_real_token_switches_and_ramps_a_real_supply(room: Room) -> None:
    magnet = room.proxy("acs/magnet/ring-dipole")
    refusal(magnet.On)
    open_sessions(room.token("otto", "operator"), room.host)
    magnet.On()
    wait_until(lambda: magnet.state() == DevState.ON, "ON")
    magnet.CurrentSetpoint = 700.0
    assert magnet.state() == DevState.MOVING, "a written value counts before the hardware shows it"
    wait_until(lambda: magnet.state() == DevState.ON, "the ramp")
    assert magnet.Current == pytest.approx(700.0, rel=1e-3)
    magnet.Off()
    close_sessions(room.host)
    log = hashchain.entries(room.state / "audit" / "accelerator.log")
    assert [entry["what"] for entry in log][-3:] == ["On", "CurrentSetpoint", "Off"]


@pytest.mark.requirement("TCS-COUCH")
def test_couch_and_gantry_move_and_report_arrival(room: Room) -> None:
    open_sessions(room.token("thea", "therapist"), room.host)
    couch, gantry = room.proxy("room1/support/couch"), room.proxy("room1/support/gantry")
    jobs = [(couch, couch.MoveTo('{"x": 10, "yaw": 3}')), (gantry, gantry.MoveTo(30.0))]
    for device, job in jobs:
        wait_until(lambda d=device, j=job: json.loads(d.JobStatus(j))["state"] == "DONE", "arrival")
    assert pytest.approx(10.0, abs=0.1) == couch.X and gantry.Angle == pytest.approx(30.0, abs=0.1)
    close_sessions(room.host)


@pytest.mark.requirement("ACS-INTERLOCK")
def test_a_killed_nozzle_server_is_missed_and_returns(room: Room) -> None:
    assert room.inputs()["watchdog.nozzle"] in ("OK", "LATCHED")
    process = room.processes.pop("room1")
    process.kill()
    process.wait()
    wait_until(lambda: room.inputs()["watchdog.nozzle"] == "BAD", "the watchdog", 10)
    room.start_server("room1")
    wait_until(lambda: room.inputs()["watchdog.nozzle"] in ("OK", "LATCHED"), "the return")
    room.wait_exported(["crate/server/room1"])


@pytest.mark.requirement("ACS-SUPERVISE")
def test_sigterm_ends_a_server_cleanly_and_a_forged_audit_log_keeps_it_down(room: Room) -> None:
    process = room.processes["accelerator"]
    room.stop("accelerator")
    assert process.returncode == 0
    log = room.state / "audit" / "accelerator.log"
    kept = log.read_text()
    log.write_text(kept.replace("otto", "anna", 1))
    room.start_server("accelerator")
    forged = room.processes.pop("accelerator")
    assert forged.wait(60) == 1
    assert "does not follow" in (room.state / "log" / "accelerator.log").read_text()
    log.write_text(kept)
    room.start_server("accelerator")
    room.wait_exported(["crate/server/accelerator"])


class LoginOnly(BaseHTTPRequestHandler):
    """The log-in of an OIS."""

    tokens: dict[str, str]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        token = self.tokens.get(body["password"])
        answer = {"token": token} if token else {"error": "wrong user or password"}
        data = json.dumps(answer).encode()
        self.send_response(200 if token else 401)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_arguments: object) -> None:
        """Keep quiet."""


@pytest.mark.requirement("ACS-USERS")
def test_a_client_logs_in_once_and_works_with_plain_proxies(room: Room, tmp_path: Path) -> None:
    with pytest.raises(LinkLost, match="ptcs up"):
        connect(tmp_path, "otto", "right")
    handler = type("Ois", (LoginOnly,), {"tokens": {"right": room.token("otto", "operator")}})
    server = HTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        write_json(room.state / "run" / "ois.json", {"host": "127.0.0.1", "port": server.server_port})
        write_json(room.state / "run" / "database.json", {"host": "127.0.0.1", "port": room.port})
        with pytest.raises(Unauthorised, match="wrong user or password"):
            connect(room.state, "otto", "wrong")
        with connect(room.state, "otto", "right") as facility:
            assert set(facility.opened.crates) == {f"crate/server/{name}" for name in SERVERS}
            facility.proxy("acs/magnet/ring-quad-d").On()
        refusal(room.proxy("acs/magnet/ring-quad-d").Off)
    finally:
        server.shutdown()
        server.server_close()
