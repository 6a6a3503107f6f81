"""The whole loop on the big sites: a carbon and proton synchrotron of 532 devices, and a cyclotron."""

import json
from pathlib import Path

import jsonschema
import pytest

from common.files import read_json
from common.site import CONFIG, load
from ptcs.demo.machine import start_up
from tests.loop.conftest import ptcs


@pytest.mark.slow
@pytest.mark.requirement("SYS-LOOP")
@pytest.mark.requirement("TCS-ROOMS")
@pytest.mark.parametrize(("name", "room"), [("synchrotron", "room2"), ("cyclotron", "room1")])
def test_a_patient_is_treated_on_every_site(name: str, room: str, tmp_path: Path) -> None:
    path = CONFIG / f"{name}.yaml"
    result = ptcs(
        "demo", "--site", path, "--room", room, "--state", tmp_path / "state", "--out", tmp_path / "out"
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    summary = read_json(tmp_path / "out" / "summary.json")
    schema = json.loads((CONFIG / "schema" / "summary.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(summary, schema)
    site = load(path)
    assert summary["passed"] is True
    assert (summary["site"], summary["room"], summary["machine"]) == (site.name, room, site.machine)
    assert summary["fraction"]["state"] == "DELIVERED"
    assert abs(summary["fraction"]["delivered_mu"] / summary["fraction"]["planned_mu"] - 1) < 0.001
    assert summary["verification"]["gamma"]["pass_rate"] > 95.0
    assert any("therapist" in row["cause"] for row in summary["delivery"]["interruptions"])
    assert summary["self_test"]["cases"] > 100
    assert summary["machine_start"] == {stage.text: len(each) for stage, each in start_up(site, room)}


@pytest.mark.requirement("TCS-ROOMS")
def test_a_room_that_the_site_does_not_have_is_refused(tmp_path: Path) -> None:
    result = ptcs("demo", "--room", "room9", "--out", tmp_path / "out")
    assert result.returncode == 1
    assert "no room 'room9': allowed are room1" in result.stderr
    assert not (tmp_path / "out").exists()
