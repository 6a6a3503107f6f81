"""The AlarmServer as a process: from a value at a crate to an alarm, acts, restarts, lost servers."""

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import tango
from alarm_bench import ALARMS, MAGNET, WATER, AlarmBench
from bench import wait_until
from click.testing import CliRunner
from conftest import refusal

from common.hashchain import entries
from device_servers.sessions import close_sessions, open_sessions
from ptcs import alarm_command

pytestmark = pytest.mark.requirement("ACS-ALARM")

FLOOD = 1000
STANDING = ("UNACKED", "ACKED", "LATCHED")


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlarmBench]:
    with AlarmBench(tmp_path_factory.mktemp("alarms"), flood=FLOOD) as bench:
        bench.start_all()
        yield bench


@pytest.fixture
def alarms(plant: AlarmBench) -> Iterator[tango.DeviceProxy]:
    """Nothing alarms but the water, whose temperature is 0 in the fakes until it is set."""
    plant.tell(f"drivers['{WATER}'].values.update(temperature=20.0)")
    plant.current(0.0)
    open_sessions(plant.token("otto", "operator"), plant.host)
    proxy = plant.proxy(ALARMS)

    def calm() -> bool:
        with contextlib.suppress(tango.DevFailed):  # what stood may go before it is acknowledged
            plant.ask("AcknowledgeAll", group="")
        return not any(row["state"] in STANDING for row in plant.rows().values())

    wait_until(calm, "nothing stands", 20)
    yield proxy
    close_sessions(plant.host)


def test_a_value_beyond_its_level_is_an_alarm_until_acknowledged(
    plant: AlarmBench, alarms: tango.DeviceProxy
) -> None:
    plant.current(150.0)
    plant.wait_state("test/current", "UNACKED")
    row = plant.rows()["test/current"]
    assert (row["severity"], row["status"], row["value"]) == ("MINOR", "HIGH", 150.0)
    assert row["text"] == {"en": "current too high", "zh": "电流过高"}
    assert "test/current" in {active["name"] for active in json.loads(alarms.Active)}
    plant.current(300.0)
    plant.wait_state("test/second", "UNACKED")
    assert plant.rows()["test/current"]["severity"] == "MAJOR"
    firsts = {name for name, found in plant.rows().items() if found["first"] and found["group"] == "first"}
    assert firsts == {"test/current"}
    assert plant.rows()["test/inhibited"]["state"] == "SUPPRESSED"
    told = plant.ask("Acknowledge", names=["test/current"], comment="seen at the supply")
    assert told == {"done": ["test/current"], "not": {}}
    row = plant.rows()["test/current"]
    assert (row["state"], row["user"], row["note"]) == ("ACKED", "otto", "seen at the supply")
    newest = plant.history(names=["test/current"], most=1)[0]
    assert (newest["event"], newest["user"], newest["note"]) == ("ACK", "otto", "seen at the supply")
    summary = json.loads(alarms.Summary())
    assert summary["test/magnet"]["minor"] == 1
    assert summary[""]["rules"] > FLOOD
    plant.current(0.0)
    plant.wait_state("test/second", "LATCHED")
    wait_until(lambda: {"test/current", "test/unlatched"}.isdisjoint(plant.rows()), "they are gone", 15)
    assert plant.history(text="过高", most=5)[0]["name"] == "test/current"


def test_a_word_of_an_attribute_in_no_block_is_heard(plant: AlarmBench, alarms: tango.DeviceProxy) -> None:
    plant.tell("drivers['central/interlock/1'].values.update(tripped=1.0)")
    plant.wait_state("test/word", "UNACKED")
    plant.tell("drivers['central/interlock/1'].values.update(tripped=0.0)")
    plant.wait_state("test/word", "NORMAL")


def test_shelving_needs_a_reason_and_ends(plant: AlarmBench, alarms: tango.DeviceProxy) -> None:
    plant.current(150.0)
    plant.wait_state("test/unlatched", "UNACKED")
    for wish, words in (
        ({"names": ["test/unlatched"], "seconds": 60}, "'reason' is missing"),
        ({"names": ["test/unlatched"], "reason": "x", "seconds": 1e7}, "7 days"),
        ({"names": ["test/unlatched"], "reason": "x", "until": 1.0}, "in the future"),
        ({"names": ["nothing"], "reason": "x", "seconds": 60}, "no alarm nothing"),
        ({"reason": "x", "seconds": 60}, "'names' is missing"),
    ):
        assert words in refusal(alarms.Shelve, json.dumps(wish)).desc
    plant.ask("Shelve", names=["test/unlatched"], reason="supply in repair", seconds=2.0)
    row = plant.rows()["test/unlatched"]
    assert (row["state"], row["note"]) == ("SHELVED", "supply in repair")
    plant.wait_state("test/unlatched", "UNACKED")
    plant.ask("Disable", names=["test/unlatched"], reason="supply removed")
    assert plant.state_of("test/unlatched") == "DISABLED"
    plant.ask("Enable", names=["test/unlatched"])
    assert plant.state_of("test/unlatched") == "UNACKED"

    def events() -> list[str]:
        return [row["event"] for row in plant.history(names=["test/unlatched"], most=6)]

    wait_until(lambda: events()[0] == "RAISE", "what followed from it in the history", 15)
    assert {"ENABLE", "DISABLE", "EXPIRE"} <= set(events())


def test_who_is_not_logged_in_reads_and_writes_nothing(plant: AlarmBench, alarms: tango.DeviceProxy) -> None:
    plant.current(150.0)
    plant.wait_state("test/current", "UNACKED")
    close_sessions(plant.host)
    assert plant.rows()["test/current"]["state"] == "UNACKED"
    wish = json.dumps({"names": ["test/current"], "reason": "x", "seconds": 60})
    for command in ("Acknowledge", "AcknowledgeAll", "Shelve", "Unshelve", "Disable", "Enable"):
        assert refusal(alarms.command_inout, command, wish).origin == "authority"
    refusal(alarms.Silence, 10.0)
    open_sessions(plant.token("thea", "therapist"), plant.host)
    assert refusal(alarms.Acknowledge, wish).origin == "authority"
    assert plant.state_of("test/current") == "UNACKED"


def test_alarms_of_a_room_are_acknowledged_by_those_who_treat_there(
    plant: AlarmBench, alarms: tango.DeviceProxy
) -> None:
    plant.current(115.0)
    for name in ("test/room", "test/current"):
        plant.wait_state(name, "UNACKED")
    both = json.dumps(
        {"names": ["test/room", "test/current"], "comment": "seen", "reason": "x", "seconds": 60}
    )
    open_sessions(plant.token("rita", "receptionist"), plant.host)
    assert refusal(alarms.Acknowledge, both).origin == "authority"
    open_sessions(plant.token("thea", "therapist"), plant.host)
    for command in ("Shelve", "Unshelve", "Disable", "Enable"):
        assert refusal(alarms.command_inout, command, both).origin == "authority"
    told = json.loads(alarms.Acknowledge(both))
    assert told["done"] == ["test/room"] and "operator" in told["not"]["test/current"]
    row = plant.rows()["test/room"]
    assert (row["state"], row["user"], row["note"]) == ("ACKED", "thea", "seen")
    only = json.dumps({"names": ["test/current"]})
    assert "may not acknowledge test/current" in refusal(alarms.Acknowledge, only).desc
    assert plant.state_of("test/current") == "UNACKED"
    audit = [entry for entry in entries(plant.state / "audit" / "services.log") if entry["user"] == "thea"]
    acts = [(entry["what"], entry["outcome"]) for entry in audit]
    assert acts[-2:] == [("Acknowledge", "accepted"), ("Acknowledge", "refused")]
    plant.current(0.0)
    wait_until(lambda: "test/room" not in plant.rows(), "it is gone", 15)
    plant.current(115.0)
    plant.wait_state("test/room", "UNACKED")
    open_sessions(plant.token("phil", "physician"), plant.host)
    assert json.loads(alarms.AcknowledgeAll(json.dumps({"group": ""})))["done"] == ["test/room"]
    assert plant.history(names=["test/room"], most=1)[0]["user"] == "phil"


def test_a_flood_of_1000_in_a_second_loses_none(plant: AlarmBench, alarms: tango.DeviceProxy) -> None:
    since = time.time()
    for step in range(10):
        plant.current(1000.0 + (step + 1) / 10 + 0.001)
        asked = time.process_time()
        assert isinstance(json.loads(alarms.Active), list)
        assert time.process_time() - asked < 5.0

    def raised() -> set[str]:
        rows = plant.history(**{"from": since, "most": 10_000})
        return {row["name"] for row in rows if row["event"] == "RAISE" and row["name"].startswith("flood/")}

    wait_until(lambda: len(raised()) == FLOOD, f"{FLOOD} alarms in the history", 30)
    names = sorted(raised())
    told = plant.ask("Acknowledge", names=names, comment="flood")
    assert told["done"] == names
    assert alarms.Lost == 0
    kept = [row for row in plant.rows().values() if row["name"].startswith("flood/")]
    assert {row["state"] for row in kept} == {"ACKED"} and len(kept) == FLOOD


def test_a_killed_alarm_server_comes_back_as_it_was(plant: AlarmBench, alarms: tango.DeviceProxy) -> None:
    plant.current(250.0)
    plant.wait_state("test/current", "UNACKED")
    plant.ask("Acknowledge", names=["test/current"], comment="before the kill")
    plant.ask("Shelve", names=["test/second"], reason="before the kill", seconds=600)
    plant.wait_state("test/unlatched", "UNACKED")
    plant.kill("services")
    plant.start_services()
    rows = plant.rows()
    assert (rows["test/current"]["state"], rows["test/current"]["note"]) == ("ACKED", "before the kill")
    assert (rows["test/second"]["state"], rows["test/second"]["note"]) == ("SHELVED", "before the kill")
    assert rows["test/unlatched"]["state"] == "UNACKED"
    open_sessions(plant.token("otto", "operator"), plant.host)
    plant.ask("Unshelve", names=["test/second"])


def test_a_lost_server_is_one_alarm_and_its_devices_are_suppressed(
    plant: AlarmBench, alarms: tango.DeviceProxy
) -> None:
    plant.kill("all")
    plant.wait_state("crate/server/all/lost", "UNACKED", 20)
    rows = plant.rows()
    assert (rows["crate/server/all/lost"]["severity"], rows["crate/server/all/lost"]["status"]) == (
        "MAJOR",
        "COMM",
    )
    assert rows[f"{MAGNET}/State"]["state"] == "SUPPRESSED"
    assert (rows[f"{WATER}/Temperature"]["state"], rows[f"{WATER}/Temperature"]["now"]) == (
        "SUPPRESSED",
        "INVALID",
    )
    # a rule that nobody inhibits says that nothing is known
    assert (rows["test/current"]["severity"], rows["test/current"]["status"]) == ("INVALID", "COMM")
    plant.start_fakes()
    plant.wait_state("crate/server/all/lost", "LATCHED", 20)
    plant.wait_state("test/current", "LATCHED", 20)
    assert plant.state_of(f"{MAGNET}/State") == "NORMAL"


def test_the_command_line_speaks_both_languages(
    plant: AlarmBench, alarms: tango.DeviceProxy, monkeypatch: Any
) -> None:
    plant.current(150.0)
    plant.wait_state("test/current", "UNACKED")
    wait_until(lambda: plant.history(names=["test/current"], most=1), "its line in the history", 15)
    monkeypatch.setenv("COLUMNS", "200")  # a narrower table breaks words at a line's end
    plant.announce()
    state = ["--state", str(plant.state)]

    def told(*words: str) -> Any:
        return CliRunner().invoke(alarm_command.alarm, [*words, *state])

    monkeypatch.setenv("PTCS_LANG", "zh")
    listed = told("list").output.replace("\n", "")
    assert "电流过高" in listed
    assert "未确认" in listed
    monkeypatch.setenv("PTCS_LANG", "en")
    rows = json.loads(told("history", "test/current", "--from", "1h", "--json").output)
    assert {row["name"] for row in rows} == {"test/current"}
    assert json.loads(told("rules", "test/cur", "--json").output)[0]["expression"] == f"{MAGNET}/Current"
    assert "trend" in told("guidance", f"{WATER}/Temperature").output
    assert told("shelve", "x", "--for", "soon", "--reason", "r", "--user", "u").exit_code == 2
