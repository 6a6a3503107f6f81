"""Exchange, lock, re-validation and record on real servers, plant and beam hardware, and what is refused."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, wait_until
from conftest import refusal
from tango import DevFailed, DevState

from common import authority
from common import site as sites
from common.hashchain import entries
from device_servers.registration import register
from device_servers.services.maintenance import procedures, verdicts
from device_servers.services.maintenance.stepper import Run
from device_servers.sessions import close_sessions, open_sessions
from ptcs.client import Client
from ptcs.maintenance_bench import TangoBench

SITE_FILE = sites.CONFIG / "cyclotron.yaml"
SITE = sites.load(SITE_FILE)
SERVERS = ("transport", "room1", "central", "services")
MAGNET, VALVE = "line/magnet/ess-bend", "acs/vacuum/valve-1"
REGISTER, MODE = "services/maintenance/1", "central/machine/mode"
ONLINE, MAINTENANCE = 0, 1


class Works(Bench):
    """Hardware, the accelerator's server, the central one and the services of the cyclotron site."""

    def serve(self, name: str) -> None:
        self.start_server(name)
        self.wait_exported([f"crate/server/{name}"])

    def begin(self) -> None:
        self.start_database()
        register(SITE)
        self.start_hardware()
        for name in SERVERS:
            self.serve(name)
        unknown = (DevState.UNKNOWN, DevState.INIT)
        wait_until(lambda: self.proxy(MAGNET).state() not in unknown, "the magnet")
        wait_until(lambda: self.proxy("central/timing/1").state() not in unknown, "the timing system")

    def login(self, user: str, *roles: str) -> None:
        open_sessions(self.token(user, *roles), self.host)

    def ask(self, command: str, **fields: Any) -> Any:
        return self.proxy(REGISTER).command_inout(command, json.dumps(fields))

    def record(self, user: str, device: str, **changed: Any) -> dict[str, Any]:
        """The finished record of a re-validation that really takes place."""
        entry = SITE.device(device)
        procedure = procedures.for_class(entry.tango_class)
        begun = json.loads(self.proxy(REGISTER).Begin(device))
        opened = open_sessions(self.token(user, "service"), self.host)
        client = Client(self.host, "", user, "", opened)
        run = Run(procedure, SITE, TangoBench(client, SITE, lambda _step: (True, "")), entry)
        about = {"kind": "revalidation", "name": procedure.name, "digest": begun["digest"], "device": device}
        about |= {"serial": begun["serial"], "user": user, "site": SITE.name, "version": "test"}
        return {**about, **run.perform(), **changed}

    def signed(self, record: dict[str, Any], user: str, **changed: str) -> str:
        """What the OIS signs when that user gives the password."""
        key = authority.load_private(self.state / "keys" / "ois_signing.pem")
        said = {"purpose": "record", "hash": verdicts.digest(record), "user": user, "meaning": record["kind"]}
        return authority.sign(key, {**said, "time": datetime.now(UTC).isoformat(), **changed})

    def submit(self, record: dict[str, Any], user: str = "sue", **changed: str) -> dict[str, Any]:
        answer = self.ask("Submit", record=record, signature=self.signed(record, user, **changed))
        return dict(json.loads(answer))


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    with Works(tmp_path_factory.mktemp("works"), SITE_FILE) as bench:
        bench.begin()
        yield bench


@pytest.fixture(autouse=True)
def nobody_logged_in(works: Works) -> Iterator[None]:
    yield
    close_sessions(works.host)


def mode(works: Works, wanted: str, *roles: str) -> None:
    works.login("otto", *roles)
    works.proxy(MODE).SetMode(wanted)


@pytest.mark.requirement("ACS-REVALIDATE")
def test_an_exchange_locks_clinical_mode_until_a_signed_record_has_passed(works: Works) -> None:
    """The whole way, with every refusal on it; the server killed half-way."""
    register_, machine = works.proxy(REGISTER), works.proxy(MODE)
    assert machine.Mode == "CLINICAL"
    refusal(register_.Fit, json.dumps({"device": MAGNET, "serial": "A1"}))
    works.login("sue", "service")
    works.ask("Fit", device=MAGNET, serial="A1", type="T", maker="M")
    assert "exchange" in refusal(register_.Fit, json.dumps({"device": MAGNET, "serial": "A2"})).desc
    wish = {"device": MAGNET, "serial": "A2", "reason": "ground fault"}
    assert "CLINICAL" in refusal(register_.Exchange, json.dumps(wish)).desc
    mode(works, "PHYSICS", "operator")
    works.login("sue", "service")
    for bad in ({"serial": "A1"}, {"reason": ""}, {"device": "no/such/device"}, {"serial": "x" * 61}):
        refusal(register_.Exchange, json.dumps({**wish, **bad}))
    assert works.ask("Exchange", **wish) == ""
    assert works.proxy(MAGNET).AdminMode == MAINTENANCE
    assert list(register_.ClinicalLock) == [MAGNET] and register_.state() == DevState.ALARM

    works.login("otto", "operator")
    assert MAGNET in refusal(machine.SetMode, "CLINICAL").desc
    assert "maintenance" in refusal(works.proxy(MAGNET).On).desc

    works.kill("services")
    assert "does not tell" in refusal(machine.SetMode, "CLINICAL").desc
    works.serve("services")
    works.login("sue", "service")
    assert list(register_.ClinicalLock) == [MAGNET], "the lock outlives the process"

    record = works.record("sue", MAGNET)
    assert record["verdict"] == "PASSED", [s for s in record["steps"] if s["verdict"] != "PASSED"]
    measured = next(content for content in record["steps"] if content["name"] == "accuracy")["readings"][0]
    assert measured["values"] and max(measured["values"]) == pytest.approx(450.0, rel=2e-3)

    for changes in ({"user": "bob"}, {"serial": "A1"}, {"device": VALVE}, {"site": "demo"}, {"kind": "x"}):
        refusal(works.submit, {**record, **changes})
    for said in ({"user": "bob"}, {"hash": "0" * 64}, {"meaning": "checklist"}, {"purpose": "x"}):
        with pytest.raises(DevFailed):
            works.submit(record, **said)
    refusal(register_.Submit, json.dumps({"record": record, "signature": "a.b.c"}))
    measured["values"][0] = 1.0
    assert "does not follow" in refusal(works.submit, record).desc
    assert list(register_.Pending) == [MAGNET]

    record = works.record("sue", MAGNET)
    kept = works.submit(record)
    assert kept["passed"] and kept["admin"] == ""
    assert works.proxy(MAGNET).AdminMode == ONLINE
    assert not register_.Pending and register_.state() == DevState.ON
    assert "already" in refusal(works.submit, record).desc
    entry = json.loads(register_.Record(kept["hash"][:12]))
    assert entry["record"] == record and entry["user"] == "sue"
    public = authority.load_public(works.state / "keys" / "ois_public.pem")
    assert authority.read_statement(public, entry["signature"])["hash"] == kept["hash"]
    mode(works, "CLINICAL", "operator")
    assert machine.Mode == "CLINICAL"


@pytest.mark.requirement("ACS-REVALIDATE")
def test_a_failed_revalidation_is_kept_and_the_device_stays_pending(works: Works) -> None:
    register_, valve = works.proxy(REGISTER), works.proxy(VALVE)
    mode(works, "PHYSICS", "operator")
    works.login("sue", "service")
    works.ask("OpenOrder", device=VALVE, what="new seal", major=True)
    number = json.loads(register_.Orders[0])["number"]
    refusal(register_.MoveOrder, json.dumps({"number": number, "to": "DONE"}))
    works.ask("MoveOrder", number=number, to="IN_PROGRESS")
    assert not register_.Pending
    assert works.ask("MoveOrder", number=number, to="DONE", note="done") == ""
    assert list(register_.Pending) == [VALVE]

    failed = works.record("sue", VALVE)
    index = next(i for i, content in enumerate(failed["steps"]) if content["name"] == "opened")
    failed["steps"][index] |= {"verdict": "FAILED", "note": "stuck half-way"}
    for content in failed["steps"][index + 1 :]:
        if content["name"] == "position-open":
            content |= {"verdict": "SKIPPED", "readings": []}
    failed["verdict"] = "FAILED"
    kept = works.submit(failed)
    assert not kept["passed"] and list(register_.Pending) == [VALVE]
    assert valve.AdminMode == MAINTENANCE
    assert "re-validation" in refusal(machine_clinical, works).desc

    works.login("sue", "service")
    kept = works.submit(works.record("sue", VALVE))
    assert kept["passed"] and not register_.Pending
    history = json.loads(register_.History(VALVE))
    assert [entry["passed"] for entry in history["history"]] == [False, True]
    assert history["orders"][0]["record"] == kept["hash"]
    time.sleep(2.5)  # the register has seen where the valve stands now
    for move in (valve.Open, valve.Close):
        before = cycles(works)
        move()
        wait_until(lambda seen=before: cycles(works) == seen + 1, "a stroke of the valve")


def machine_clinical(works: Works) -> None:
    works.login("otto", "operator")
    works.proxy(MODE).SetMode("CLINICAL")


def cycles(works: Works) -> int:
    return int(json.loads(works.proxy(REGISTER).Components(VALVE))[0]["reading"]["cycles"])


@pytest.mark.requirement("ACS-MAINTENANCE", "ACS-COMMISSION")
def test_a_trim_that_stands_keeps_clinical_mode_out(works: Works) -> None:
    machine, magnet = works.proxy(MODE), works.proxy(MAGNET)
    works.login("sue", "operator", "service")
    machine.SetMode("PHYSICS")
    magnet.On()
    wait_until(lambda: magnet.state() == DevState.ON, "the magnet")
    magnet.CurrentTrim = 0.01
    wait_until(lambda: magnet.CurrentTrim == 0.01, "the trim")
    assert MAGNET in refusal(machine.SetMode, "CLINICAL").desc
    magnet.CurrentTrim = 0.0
    wait_until(lambda: magnet.CurrentTrim == 0.0, "no trim")
    machine.SetMode("CLINICAL")
    assert machine.Mode == "CLINICAL"
    told = refusal(magnet.write_attribute, "CurrentTrim", 0.01).desc
    assert "CLINICAL" in told and "PHYSICS, SERVICE" in told
    assert magnet.CurrentTrim == 0.0
    magnet.CurrentTrim = 0.0  # what takes a trim away is always possible


@pytest.mark.requirement("ACS-MAINTENANCE")
def test_hours_run_while_a_supply_is_on_and_outlive_a_restart(works: Works) -> None:
    works.login("otto", "operator")
    magnet = works.proxy(MAGNET)
    magnet.On()

    def hours() -> float:
        return float(json.loads(works.proxy(REGISTER).Components(MAGNET))[0]["reading"]["hours"])

    before = hours()
    wait_until(lambda: hours() > before, "running hours")
    works.stop("services")
    works.serve("services")
    assert hours() > before
    works.login("otto", "operator")
    magnet.Off()
    told = json.loads(works.proxy(REGISTER).Uptime())
    assert any(row["name"] == "line/magnet" and row["observed_h"] > 0 for row in told["subsystems"])


@pytest.mark.requirement("ACS-MAINTENANCE")
def test_a_register_that_was_altered_stops_clinical_mode_and_takes_nothing(works: Works) -> None:
    mode(works, "PHYSICS", "operator")
    works.kill("services")
    path: Path = works.state / "maintenance" / "register.log"
    whole = path.read_text()
    assert len(entries(path)) >= 6
    altered = whole.replace('"passed":false', '"passed":true', 1)
    assert altered != whole
    path.write_text(altered)
    works.serve("services")
    register_ = works.proxy(REGISTER)
    assert register_.state() == DevState.FAULT and "line" in register_.status()
    works.login("sue", "service")
    assert "cannot be trusted" in refusal(register_.Fit, json.dumps({"device": VALVE, "serial": "V1"})).desc
    assert "cannot be trusted" in refusal(machine_clinical, works).desc
    works.kill("services")
    path.write_text(whole)
    works.serve("services")
    assert register_.state() == DevState.ON
    machine_clinical(works)
