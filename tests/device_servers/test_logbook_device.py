"""Logbook and beam catalogue as processes, and their commands on the command line."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import tango
from bench import wait_until
from conftest import refusal
from settings_room import CATALOGUE, LOGBOOK, Facility, host_before, put_back

from common import hashchain
from device_servers.sessions import close_sessions

pytestmark = pytest.mark.requirement("ACS-SNAPSHOT")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facility]:
    bench, before = Facility(tmp_path_factory.mktemp("logbook")), host_before()
    try:
        bench.begin()
        yield bench
    finally:
        bench.close()
        put_back(before)


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
