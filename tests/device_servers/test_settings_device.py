"""The SettingsServer as a process, on a facility of fakes: take, compare, dry run, restore, roll back."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import tango
from bench import wait_until
from conftest import refusal
from settings_room import SETTINGS, Facility

from common import hashchain

pytestmark = pytest.mark.requirement("ACS-SNAPSHOT")

DIPOLE, QUAD, SEPTUM = "acs/magnet/ring-dipole", "acs/magnet/ring-quad-f", "acs/magnet/extraction-septum"
MAGNETS = (
    DIPOLE,
    QUAD,
    SEPTUM,
    "acs/magnet/ring-quad-d",
    "acs/magnet/hebt-dipole-1",
    "acs/magnet/hebt-quad-1",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facility]:
    with Facility(tmp_path_factory.mktemp("settings")) as bench:
        bench.begin()
        yield bench


@pytest.fixture
def machine(site: Facility) -> Facility:
    """Every supply on at 100 A, without fault, and an operator at work."""
    site.login("otto", "operator")
    for name in MAGNETS:
        set_fake(site, name, on=1.0, setpoint=100.0, current=100.0, ramp=50.0, fault=0.0)
        site.tell(f"drivers[{name!r}].link_up = True")
    site.tell("drivers['room1/beam/nozzle'].values.update(beam=0.0)")
    wait_until(lambda: all(shown(site, name) == 100.0 for name in MAGNETS), "the block")
    wait_until(lambda: {standing(site, name) for name in MAGNETS} == {"ON"}, "the states")
    return site


def set_fake(site: Facility, device: str, **values: float) -> None:
    site.tell(f"drivers[{device!r}].values.update(**{values!r})")


def standing(site: Facility, device: str) -> str:
    """A State as the crate has it."""
    return str(json.loads(site.proxy("crate/server/all").Devices)[device][0])


def shown(site: Facility, device: str) -> float:
    """A set value as the block of its server has it."""
    crate = site.proxy("crate/server/all")
    names, block = list(crate.Channels), crate.changes
    return float(block[3 * names.index(f"{device}/CurrentSetpoint") + 2])


def moved(site: Facility, device: str, value: float) -> None:
    """Somebody else gives a supply another set value."""
    set_fake(site, device, setpoint=value, current=value)
    wait_until(lambda: shown(site, device) == value, "the block")


def take(site: Facility, **more: Any) -> dict[str, Any]:
    return site.ask("Take", **{"configuration": "magnets", "comment": "as found", **more})


def test_a_snapshot_keeps_values_times_states_and_what_cannot_be_read(machine: Facility) -> None:
    machine.tell(f"drivers[{SEPTUM!r}].link_up = False")
    wait_until(lambda: machine.state_of(SEPTUM) == "UNKNOWN", "the lost link")
    wait_until(lambda: standing(machine, SEPTUM) == "UNKNOWN", "it told")
    began = time.time()
    line = take(machine, tags=["test", "first"])
    assert (line["user"], line["comment"], line["tags"]) == ("otto", "as found", ["test", "first"])
    body = json.loads(machine.proxy(SETTINGS).Show(line["id"]))
    rows = {
        name: dict(zip(body["columns"], cells, strict=True))
        for name, *_ in [body["columns"]["name"]]
        for cells in zip(*body["columns"].values(), strict=True)
        for name in [cells[0]]
    }
    quad = rows[f"{QUAD}/CurrentSetpoint"]
    assert (quad["value"], quad["quality"]) == (100.0, "VALID")
    assert began - 60 < quad["time"] < time.time() + 1
    assert rows[f"{QUAD}/State"]["value"] == "ON" and body["states"][QUAD][0] == "ON"
    lost = rows[f"{SEPTUM}/Current"]
    assert (lost["value"], lost["quality"]) == (None, "INVALID")
    assert line["invalid"] == 5 and line["unreadable"] == 0 and line["count"] == len(rows)


def test_snapshots_are_found_by_tag_text_and_user_and_one_is_golden(machine: Facility) -> None:
    first, second = take(machine, tags=["monday"]), take(machine, comment="after the shutdown")
    found = lambda **wish: [row["id"] for row in json.loads(machine.proxy(SETTINGS).Find(json.dumps(wish)))]  # noqa: E731
    assert found(tag="monday") == [first["id"]]
    assert found(text="SHUTDOWN") == [second["id"]]
    assert found(user="nobody") == []
    assert found(limit=1) == [second["id"]]
    refusal(machine.proxy(SETTINGS).Golden, json.dumps({"id": first["id"]}))
    machine.login("petra", "physicist")
    machine.proxy(SETTINGS).Golden(json.dumps({"id": first["id"]}))
    machine.proxy(SETTINGS).Golden(json.dumps({"id": second["id"]}))
    assert found(golden=True) == [second["id"]]
    assert machine.ask("Compare", left="golden:magnets", right=first["id"])["differences"] == []


def test_a_comparison_shows_only_what_left_its_tolerance_farthest_first(machine: Facility) -> None:
    line = take(machine)
    moved(machine, QUAD, 100.04)  # within 0.05 %
    moved(machine, DIPOLE, 110.0)
    moved(machine, SEPTUM, 101.0)
    found = machine.ask("Compare", left=line["id"])
    setpoints = [row for row in found["differences"] if row["name"].endswith("Setpoint")]
    assert [row["name"] for row in setpoints] == [f"{DIPOLE}/CurrentSetpoint", f"{SEPTUM}/CurrentSetpoint"]
    assert setpoints[0]["left"] == 100.0 and setpoints[0]["right"] == 110.0
    assert setpoints[0]["apart"] == pytest.approx(10.0 / 0.05)


def test_a_restore_writes_what_the_dry_run_showed_in_order_and_as_the_user(machine: Facility) -> None:
    line = take(machine)
    moved(machine, QUAD, 55.0)
    moved(machine, DIPOLE, 66.0)
    set_fake(machine, SEPTUM, on=0.0)
    wait_until(lambda: machine.state_of(SEPTUM) == "OFF", "off")
    wait_until(lambda: standing(machine, SEPTUM) == "OFF", "it told")
    plan = machine.ask("DryRun", snapshot=line["id"])
    steps = [(step["group"], step["name"], step["verdict"]) for step in plan["steps"]]
    assert steps == [
        ("switch-on", f"{SEPTUM}/State", "write"),
        ("gradients", f"{QUAD}/CurrentSetpoint", "write"),
        ("dipoles", f"{DIPOLE}/CurrentSetpoint", "write"),
    ]
    assert shown(machine, QUAD) == 55.0
    record = machine.ask("Restore", plan=plan["plan"], comment="back")
    assert record["state"] == "DONE" and record["written"] == [name for _group, name, _verdict in steps]
    assert (machine.value(f"{QUAD}/CurrentSetpoint"), machine.value(f"{DIPOLE}/CurrentSetpoint")) == (
        100.0,
        100.0,
    )
    assert machine.state_of(SEPTUM) == "ON"
    audit = [
        (entry["user"], entry["by"], entry["device"], entry["what"])
        for entry in hashchain.entries(machine.state / "audit" / "all.log")
        if "by" in entry
    ]
    assert audit[-3:] == [
        ("otto", SETTINGS, SEPTUM, "On"),
        ("otto", SETTINGS, QUAD, "CurrentSetpoint"),
        ("otto", SETTINGS, DIPOLE, "CurrentSetpoint"),
    ]
    back = machine.ask("Rollback", restore=record["id"])
    assert back["rollback_of"] == record["id"] and len(back["written"]) == 3
    assert machine.value(f"{QUAD}/CurrentSetpoint") == 55.0 and machine.state_of(SEPTUM) == "OFF"
    states = {row["id"]: row["state"] for row in json.loads(machine.proxy(SETTINGS).Restores())}
    assert states[record["id"]] == "ROLLED_BACK"
    assert "cannot" in machine.fail("Rollback", restore=record["id"])


def test_what_cannot_be_written_is_told_before_and_refuses_the_restore(machine: Facility) -> None:
    line = take(machine)
    moved(machine, QUAD, 55.0)
    moved(machine, DIPOLE, 66.0)
    set_fake(machine, DIPOLE, fault=1.0)
    wait_until(lambda: standing(machine, DIPOLE) == "FAULT", "fault")
    only = ["*/CurrentSetpoint"]
    plan = machine.ask("DryRun", snapshot=line["id"], only=only)
    refused = {step["name"]: step["why"] for step in plan["steps"] if step["verdict"] == "refused"}
    assert list(refused) == [f"{DIPOLE}/CurrentSetpoint"] and "fault" in refused[f"{DIPOLE}/CurrentSetpoint"]
    assert "cannot be written" in machine.fail("Restore", plan=plan["plan"])
    assert shown(machine, QUAD) == 55.0
    plan = machine.ask("DryRun", snapshot=line["id"], only=only)
    assert machine.ask("Restore", plan=plan["plan"], partial=True)["written"] == [f"{QUAD}/CurrentSetpoint"]


def test_a_user_without_the_right_sees_it_in_the_dry_run(machine: Facility) -> None:
    line = take(machine)
    moved(machine, QUAD, 55.0)
    machine.login("petra", "physicist")
    plan = machine.ask("DryRun", snapshot=line["id"])
    assert [step["verdict"] for step in plan["steps"]] == ["refused"]
    assert "accelerator" in plan["steps"][0]["why"]
    assert machine.fail("Restore", plan=plan["plan"], partial=True)
    assert shown(machine, QUAD) == 55.0
    machine.login("otto", "operator")
    assert "petra" in machine.fail("Restore", plan=plan["plan"])


def test_what_somebody_changed_after_the_dry_run_is_noticed(machine: Facility) -> None:
    line = take(machine)
    moved(machine, QUAD, 55.0)
    plan = machine.ask("DryRun", snapshot=line["id"])
    moved(machine, QUAD, 56.0)
    assert f"{QUAD}/CurrentSetpoint" in machine.fail("Restore", plan=plan["plan"])
    assert shown(machine, QUAD) == 56.0
    record = machine.ask("Restore", plan=plan["plan"], force=True)
    moved(machine, QUAD, 57.0)
    assert "neither" in machine.fail("Rollback", restore=record["id"])
    machine.ask("Rollback", restore=record["id"], force=True)
    assert machine.value(f"{QUAD}/CurrentSetpoint") == 55.0


def test_a_value_that_does_not_arrive_is_rolled_back(machine: Facility) -> None:
    line = take(machine)
    moved(machine, QUAD, 55.0)
    moved(machine, DIPOLE, 66.0)
    plan = machine.ask("DryRun", snapshot=line["id"])
    machine.tell(f"d = drivers[{DIPOLE!r}]; d.put = lambda **v: (_ for _ in ()).throw(OSError('gone'))")
    try:
        why = machine.fail("Restore", plan=plan["plan"])
    finally:
        machine.tell(f"del drivers[{DIPOLE!r}].put")
    assert DIPOLE in why
    record = json.loads(machine.proxy(SETTINGS).Restores())[0]
    assert record["state"] in ("FAILED", "ROLLED_BACK")
    assert machine.value(f"{QUAD}/CurrentSetpoint") == 55.0


def test_a_device_that_goes_in_the_middle_fails_the_restore_and_what_was_written_goes_back(
    machine: Facility,
) -> None:
    line = take(machine)
    moved(machine, QUAD, 55.0)
    moved(machine, DIPOLE, 66.0)
    plan = machine.ask("DryRun", snapshot=line["id"])
    machine.tell(
        f"q, d = drivers[{QUAD!r}], drivers[{DIPOLE!r}]\n".replace("\n", "; ")
        + "old = q.put; q.put = lambda **v: (setattr(d, 'link_up', False), old(**v))[1]"
    )
    try:
        why = machine.fail("Restore", plan=plan["plan"])
    finally:
        machine.tell(f"del drivers[{QUAD!r}].put")
    assert (DIPOLE in why and "rolled back" in why) or "roll-back incomplete" in why
    assert machine.value(f"{QUAD}/CurrentSetpoint") == 55.0


def test_nothing_is_restored_while_there_is_beam(machine: Facility) -> None:
    line = take(machine)
    moved(machine, QUAD, 55.0)
    plan = machine.ask("DryRun", snapshot=line["id"])
    machine.tell("drivers['room1/beam/nozzle'].values.update(beam=1.0)")
    wait_until(lambda: machine.value("room1/beam/nozzle/Beam"), "beam")
    assert "there is beam" in machine.fail("Restore", plan=plan["plan"])
    machine.tell("drivers['room1/beam/nozzle'].link_up = False")
    assert "is not known" in machine.fail("Restore", plan=plan["plan"])
    machine.tell("drivers['room1/beam/nozzle'].link_up = True")
    assert shown(machine, QUAD) == 55.0


def test_a_server_that_is_gone_leaves_its_rows_unreadable(machine: Facility) -> None:
    line = take(machine)
    machine.kill("all")
    try:
        found = machine.ask("Compare", left=line["id"])
        assert {row["kind"] for row in found["differences"]} == {"unknown"}
        assert len(found["differences"]) == line["count"]
        assert "no attribute" in machine.fail("Take", configuration="magnets")
    finally:
        machine.start_fakes()


def test_a_killed_server_keeps_every_snapshot_it_acknowledged(machine: Facility) -> None:
    line = take(machine, comment="before the kill")
    machine.kill("services")
    (machine.state / "settings" / "snapshots" / ".half").write_bytes(b"{")
    machine.start_services()
    machine.login("otto", "operator")
    found = json.loads(machine.proxy(SETTINGS).Find(json.dumps({"text": "before the kill"})))
    assert [row["id"] for row in found] == [line["id"]]
    assert json.loads(machine.proxy(SETTINGS).Show(line["id"]))["id"] == line["id"]
    path = machine.state / "settings" / "snapshots" / f"{line['id']}.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"100.0", b"100.1", 1))
    with pytest.raises(tango.DevFailed, match="changed"):
        machine.proxy(SETTINGS).Show(line["id"])


def slow_restore(machine: Facility) -> str:
    """A restore that waits for a supply which does not take its value; the id of its plan."""
    line = take(machine)
    moved(machine, DIPOLE, 66.0)
    moved(machine, QUAD, 55.0)
    plan = machine.ask("DryRun", snapshot=line["id"])["plan"]
    machine.tell(f"drivers[{DIPOLE!r}].put = lambda **v: None")
    machine.proxy(SETTINGS).Restore(json.dumps({"plan": plan}))
    wait_until(lambda: json.loads(machine.proxy(SETTINGS).Progress).get("group") == "dipoles", "the dipole")
    return str(plan)


def test_two_restores_at_once_are_refused_and_one_can_be_stopped(machine: Facility) -> None:
    plan = slow_restore(machine)
    try:
        assert "under way" in refusal(machine.proxy(SETTINGS).Restore, json.dumps({"plan": plan})).desc
        machine.proxy(SETTINGS).Stop()
        wait_until(lambda: restores(machine)[0]["state"] == "STOPPED", "the stop")
    finally:
        machine.tell(f"del drivers[{DIPOLE!r}].put")
    assert machine.value(f"{QUAD}/CurrentSetpoint") == 100.0  # a stop writes nothing more


def test_a_restore_whose_server_is_killed_can_be_rolled_back(machine: Facility) -> None:
    slow_restore(machine)
    machine.kill("services")
    machine.tell(f"del drivers[{DIPOLE!r}].put")
    machine.start_services()
    machine.login("otto", "operator")
    record = restores(machine)[0]
    assert record["state"] == "INTERRUPTED" and machine.value(f"{QUAD}/CurrentSetpoint") == 100.0
    back = machine.ask("Rollback", restore=record["id"])
    assert back["written"] == [f"{QUAD}/CurrentSetpoint"]
    assert machine.value(f"{QUAD}/CurrentSetpoint") == 55.0


def restores(machine: Facility) -> list[dict[str, Any]]:
    return list(json.loads(machine.proxy(SETTINGS).Restores()))


def test_without_a_session_nothing_is_taken(machine: Facility) -> None:
    machine.login("rita", "therapist")
    refusal(machine.proxy(SETTINGS).Take, json.dumps({"configuration": "magnets"}))
    machine.login("otto", "operator")
    refusal(machine.proxy(SETTINGS).Take, json.dumps({"configuration": "none"}))
    refusal(machine.proxy(SETTINGS).Take, "[]")
