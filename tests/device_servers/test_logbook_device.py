"""Logbook and beam catalogue as processes, and their commands on the command line."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tango
from bench import wait_until
from click.testing import CliRunner, Result
from conftest import refusal
from settings_room import CATALOGUE, LOGBOOK, Facility

from common import hashchain
from device_servers.sessions import Opened, close_sessions
from ptcs.cli import main
from ptcs.client import Client

pytestmark = pytest.mark.requirement("ACS-SNAPSHOT")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facility]:
    with Facility(tmp_path_factory.mktemp("logbook")) as bench:
        bench.begin()
        yield bench


def found(machine: Facility, **wish: Any) -> list[dict[str, Any]]:
    return list(json.loads(machine.proxy(LOGBOOK).Find(json.dumps(wish))))


def entry_of(machine: Facility) -> dict[str, Any]:
    """An entry of the catalogue that this site offers."""
    offers = json.loads(machine.proxy(CATALOGUE).Offers)
    ion = next(iter(offers["energies"]))
    words = {"intensity": next(iter(offers["intensities"])), "room": offers["rooms"][0]}
    return {"ion": ion, "energy": offers["energies"][ion][0], **words}


def test_the_start_of_the_facility_is_entered_once_also_over_a_restart(machine: Facility) -> None:
    wait_until(lambda: found(machine, kind="start-up"), "the entry")
    machine.kill("services")
    machine.start_services()
    machine.login("otto", "operator")
    machine.proxy(LOGBOOK).Add(json.dumps({"title": "after the kill"}))
    assert len(found(machine, kind="start-up")) == 1
    assert found(machine, text="kill")[0]["user"] == "otto"


def test_entries_need_a_session_and_a_role_and_the_author_is_the_session(machine: Facility) -> None:
    close_sessions(machine.host)
    wish = json.dumps({"title": "no name", "user": "petra"})
    refusal(machine.proxy(LOGBOOK).Add, wish)
    machine.login("rosa", "receptionist")
    refusal(machine.proxy(LOGBOOK).Add, wish)
    machine.login("rita", "therapist")
    number = machine.proxy(LOGBOOK).Add(wish)
    assert json.loads(machine.proxy(LOGBOOK).Show(number))[0]["user"] == "rita"
    machine.proxy(LOGBOOK).Amend(json.dumps({"number": number, "text": "治疗室", "reason": "more"}))
    newest = found(machine, text="治疗")[0]
    assert (newest["number"], newest["version"], newest["text"]) == (number, 2, "治疗室")
    content = base64.b64encode(b"1;2\n").decode()
    file = {"title": "data", "attachments": [{"name": "a.csv", "content": content}]}
    number = machine.proxy(LOGBOOK).Add(json.dumps(file))
    assert machine.proxy(LOGBOOK).File(json.dumps({"number": number, "name": "a.csv"})) == content
    refusal(machine.proxy(LOGBOOK).File, json.dumps({"number": number, "name": "b.csv"}))


def test_services_enter_once_by_key_and_in_a_users_name_only_with_the_token(machine: Facility) -> None:
    close_sessions(machine.host)
    wish = {"kind": "alarm", "title": "alarm acknowledged", "source": "alarm", "key": "ack:1"}
    first = machine.proxy(LOGBOOK).Log(json.dumps(wish))
    assert machine.proxy(LOGBOOK).Log(json.dumps(wish)) == first
    named = {**wish, "key": "ack:2", "token": machine.token("petra", "physicist")}
    assert (
        json.loads(machine.proxy(LOGBOOK).Show(machine.proxy(LOGBOOK).Log(json.dumps(named))))[0]["user"]
        == "petra"
    )
    refusal(machine.proxy(LOGBOOK).Log, json.dumps({**wish, "key": "ack:3", "token": "forged"}))
    refusal(machine.proxy(LOGBOOK).Log, json.dumps({**wish, "source": "hand"}))
    audit = hashchain.entries(machine.state / "audit" / "services.log")
    assert [entry["outcome"] for entry in audit if entry["what"] == "Log"][-2:] == ["refused", "refused"]


def test_snapshots_come_into_the_logbook_by_themselves(machine: Facility) -> None:
    machine.login("otto", "operator")
    line = machine.ask("Take", configuration="magnets", comment="before the shutdown")
    wait_until(lambda: found(machine, kind="snapshot"), "the entry")
    entry = found(machine, kind="snapshot")[0]
    assert (entry["user"], entry["source"], entry["text"]) == ("otto", "snapshot", "before the shutdown")
    assert line["id"] in entry["title"]


def test_only_an_approved_version_is_selected(machine: Facility) -> None:
    catalogue, entry = machine.proxy(CATALOGUE), entry_of(machine)
    base = json.loads(catalogue.Show(json.dumps(entry)))
    supply, current = next(iter(base["settings"].items()))
    device = next(d.name for d in machine.site.of_class("MagnetSupply") if d.wire == supply)
    assert base["version"] == 0
    machine.login("petra", "physicist")
    wish = {
        **entry,
        "settings": {device: current * 1.01},
        "why": "range was short",
        "evidence": {"scan": "7"},
    }
    number = catalogue.Propose(json.dumps(wish))
    assert list(catalogue.Waiting) == [f"{base['id']} {number}"]
    told = json.dumps({**entry, "number": number, "why": "seen"})
    refusal(catalogue.Approve, told)
    assert json.loads(catalogue.Show(json.dumps(entry)))["settings"] == base["settings"]
    machine.login("paula", "physicist")
    catalogue.Approve(told)
    assert [row["name"] for row in json.loads(catalogue.Compare(told))] == [supply]
    catalogue.Enforce(told)
    machine.login("otto", "operator")
    selected = json.loads(catalogue.Select(json.dumps(entry)))
    assert (selected["version"], catalogue.SelectedVersion) == (number, number)
    assert selected["settings"][supply] == pytest.approx(current * 1.01)
    versions = json.loads(catalogue.Versions(json.dumps(entry)))
    assert [line["act"] for line in versions[-1]["history"]] == ["approve", "enforce"]
    catalogue.Enforce(json.dumps({**entry, "number": 0, "why": "back"}))
    assert json.loads(catalogue.Show(json.dumps(entry)))["settings"] == base["settings"]
    wait_until(lambda: len(found(machine, kind="catalogue")) == 4, "the entries")
    assert hashchain.verify(machine.state / "catalogue" / "catalogue.log") == 4
    with pytest.raises(tango.DevFailed):
        catalogue.Propose(json.dumps({**wish, "settings": {"no/such/supply": 1.0}}))


# --- The command line


@pytest.fixture
def run(machine: Facility, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `ptcs` against the facility; a log-in gives the token of the user's roles without an OIS."""
    machine.announce()
    monkeypatch.setenv("PTCS_LANG", "en")
    monkeypatch.setenv("COLUMNS", "200")

    def connect(_state: Path, user: str, _password: str) -> Client:
        machine.login(user, ROLES[user])
        return Client(machine.host, "", user, "", Opened(user, (), {}))

    monkeypatch.setattr("ptcs.service_calls.connect", connect)

    def ptcs(*words: str, user: str = "", status: int = 0) -> Result:
        who = ["--user", user, "--password", "-"] if user else []
        result = CliRunner().invoke(main, [*words, "--state", str(machine.state), *who])
        assert result.exit_code == status, result.output
        return result

    return ptcs


ROLES = {"otto": "operator", "petra": "physicist", "paula": "physicist"}


def test_ptcs_snapshot_takes_compares_restores_and_rolls_back(
    machine: Facility, run: Callable[..., Result]
) -> None:
    quad = "acs/magnet/ring-quad-f"
    machine.tell(f"drivers[{quad!r}].values.update(on=1.0, setpoint=100.0, current=100.0)")
    wait_until(
        lambda: machine.value(f"{quad}/CurrentSetpoint") == 100.0 and machine.state_of(quad) == "ON", "on"
    )
    wait_until(
        lambda: '"ON"' in json.dumps(json.loads(machine.proxy("crate/server/all").Devices)[quad]), "told"
    )
    assert "machine" in run("snapshot", "configurations").output
    taken = run("snapshot", "take", "magnets", "--comment", "早上", "--tag", "am", user="otto").output
    number = taken.split()[1].rstrip(":")
    row = json.loads(run("snapshot", "list", "--tag", "am", "--json").output)[0]
    assert (row["id"], row["comment"], row["user"]) == (number, "早上", "otto")
    assert f"{quad}/CurrentSetpoint" in run("snapshot", "show", number, "--only", f"{quad}/*").output
    machine.tell(f"drivers[{quad!r}].values.update(setpoint=90.0, current=90.0)")
    wait_until(
        lambda: f"{quad}/CurrentSetpoint" in run("snapshot", "compare", number).output, "the difference"
    )
    dry = run("snapshot", "restore", number, "--dry-run", user="otto").output
    assert "1 to write" in dry and machine.value(f"{quad}/CurrentSetpoint") == 90.0
    done = run("snapshot", "restore", number, "--yes", "--comment", "back", user="otto").output
    assert "1 of 1 written" in done and machine.value(f"{quad}/CurrentSetpoint") == 100.0
    last = json.loads(run("snapshot", "restores", "--json").output)[0]
    run("snapshot", "rollback", last["id"], user="otto")
    assert machine.value(f"{quad}/CurrentSetpoint") == 90.0
    assert "golden snapshots are for" in run("snapshot", "golden", number, user="otto", status=1).output
    assert run("snapshot", "show", "nothing", status=1).output.startswith("refused")


def test_ptcs_logbook_adds_searches_and_exports(run: Callable[..., Result], tmp_path: Path) -> None:
    picture = tmp_path / "scope.txt"
    picture.write_text("trace")
    words = ("--text", "功率模块已更换", "--tag", "night", "--file", str(picture))
    number = run("logbook", "add", "二极磁铁 repaired", *words, user="otto").output.split()[-1]
    assert "repaired" in run("logbook", "search", "磁铁").output
    assert json.loads(run("logbook", "search", "铁磁", "--json").output) == []
    run("logbook", "amend", number, "--reason", "more", "--text", "两个模块", user="petra")
    shown = run("logbook", "show", number, "--save", str(tmp_path / "saved")).output
    assert "两个模块" in shown and "功率模块已更换" in shown
    assert (tmp_path / "saved" / "scope.txt").read_text() == "trace"
    for ending in (".md", ".pdf", ".json"):
        run("logbook", "export", str(tmp_path / f"book{ending}"))
    assert "二极磁铁 repaired" in (tmp_path / "book.md").read_text()
    assert (tmp_path / "book.pdf").read_bytes().startswith(b"%PDF-")
    run("logbook", "export", str(tmp_path / "book.exe"), status=1)


def test_ptcs_catalogue_proposes_a_snapshot_and_another_person_approves(
    machine: Facility, run: Callable[..., Result]
) -> None:
    offers = entry_of(machine)
    entry = ":".join(str(offers[key]) for key in ("ion", "energy", "intensity", "room"))
    base = json.loads(run("catalogue", "show", entry, "--json").output)
    number = json.loads(run("snapshot", "list", "--tag", "am", "--json").output)[0]["id"]
    words = ("--why", "as measured", "--snapshot", number, "--large")
    version = run("catalogue", "propose", entry, *words, user="petra").output.split()[1]
    assert (
        "another person"
        in run("catalogue", "approve", entry, version, "--why", "x", user="petra", status=1).output
    )
    run("catalogue", "approve", entry, version, "--why", "seen", user="paula")
    run("catalogue", "enforce", entry, version, "--why", "now", user="otto")
    found = json.loads(run("catalogue", "show", entry, "--json").output)
    assert found["version"] == int(version) and found["settings"]["ring-quad-f"] == 100.0
    differ = json.loads(run("catalogue", "compare", entry, "0", "--json").output)
    assert "ring-quad-f" in [row["name"] for row in differ]
    assert (
        "enforce" in run("catalogue", "history", entry).output
        and base["id"] in run("catalogue", "list").output
    )
    path = str(machine.state / "export.json")
    run("catalogue", "export", path)
    assert "is proposed" in run("catalogue", "import", path, "--why", "again", "--large", user="petra").output
    assert "write ION:ENERGY" in run("catalogue", "show", "proton", status=1).output
