"""Differences between a site and a real Tango database, and `ptcs site diff` and `apply` on them."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import tango
from bench import Bench
from click.testing import CliRunner

from common import site as sites
from common.site import CONFIG, Site
from device_servers import registration
from device_servers.registration import Change, What, crate_name
from ptcs.cli import main

DEMO = sites.load()
BIG = sites.load(CONFIG / "synchrotron.yaml")


@pytest.fixture(scope="module")
def facility(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A database, and a state directory that says it runs."""
    with Bench(tmp_path_factory.mktemp("registration"), sites.DEFAULT_SITE) as bench:
        bench.start_database()
        bench.announce()
        yield bench


@pytest.fixture
def demo(facility: Bench) -> Bench:
    os.environ["TANGO_HOST"] = facility.host
    registration.register(DEMO)
    return facility


def changed(site: Site, name: str, **fields: object) -> Site:
    return replace(
        site,
        devices=tuple(replace(d, **fields) if d.name == name else d for d in site.devices),  # type: ignore[arg-type]
    )


@pytest.mark.requirement("ACS-SUPERVISE")
def test_a_registered_site_does_not_differ_and_keeps_what_others_set(demo: Bench) -> None:
    db = tango.Database()
    db.put_device_property("acs/source/ecr-1", {"note": ["set by hand"]})
    assert registration.diff(DEMO).differences == ()
    registration.register(DEMO)
    assert list(db.get_device_property("acs/source/ecr-1", "note")["note"]) == ["set by hand"]
    assert list(db.get_device_property("acs/source/ecr-1", "limits")["limits"]) == ["current 0 500"]


@pytest.mark.requirement("ACS-SUPERVISE")
def test_each_kind_of_difference_is_named_and_applied(demo: Bench) -> None:
    limits = changed(DEMO, "acs/source/ecr-1", limits={"current": (0, 400)}, plant={})
    lines = {(d.change, d.what, d.name): (d.was, d.will) for d in registration.diff(limits).differences}
    assert lines == {
        (Change.CHANGED, What.PROPERTY, "acs/source/ecr-1/limits"): ("current 0 500", "current 0 400"),
        (Change.REMOVED, What.PROPERTY, "acs/source/ecr-1/plant"): ("nominal 300.0; rise_s 0.5", ""),
    }
    moved = changed(DEMO, "acs/diag/ring-dcct", server="central")
    assert [(d.change, d.name, d.server) for d in registration.diff(moved).differences] == [
        (Change.REMOVED, "acs/diag/ring-dcct", "accelerator"),
        (Change.ADDED, "acs/diag/ring-dcct", "central"),
    ]
    other = changed(moved, "acs/source/ecr-1", tango_class="MagnetSupply", limits={"current": (0, 400)})
    other = replace(other, devices=tuple(d for d in other.devices if d.name != "acs/rf/ring-cavity"))
    registration.apply(registration.diff(other))
    assert registration.diff(other).differences == ()
    db = tango.Database()
    assert db.get_class_for_device("acs/source/ecr-1") == "MagnetSupply"
    assert db.get_device_info("acs/diag/ring-dcct").ds_full_name == "PTCS/central"
    assert "acs/rf/ring-cavity" not in list(db.get_device_exported("*")) + list(db.get_device_name("*", "*"))


@pytest.mark.requirement("ACS-SUPERVISE")
def test_one_site_after_another(demo: Bench) -> None:
    plan = registration.diff(BIG)
    servers = {d.name for d in plan.differences if d.what is What.SERVER and d.change is Change.ADDED}
    assert servers == set(BIG.servers) - set(DEMO.servers)
    registration.apply(plan)
    assert registration.diff(BIG).differences == ()
    db = tango.Database()
    names = set(db.get_device_name("PTCS/*", "*").value_string)
    assert {d.name for d in BIG.devices} | {crate_name(s) for s in BIG.servers} <= names
    assert crate_name("accelerator") not in names and "PTCS/accelerator" not in list(db.get_server_list("*"))


@pytest.mark.requirement("ACS-SUPERVISE")
def test_a_running_server_is_told_to_start_anew(demo: Bench) -> None:
    db = tango.Database()
    export = tango.DbDevExportInfo()
    export.name, export.ior, export.host, export.version, export.pid = (
        "dserver/PTCS/central",
        "x",
        "h",
        "1",
        1,
    )
    db.export_device(export)
    plan = registration.diff(changed(DEMO, "central/timing/1", alarms={"cycle": (0, 1, 2, 3)}))
    assert plan.running == {"central"} and plan.restart == ("central",)
    assert registration.diff(changed(DEMO, "acs/source/ecr-1", limits={})).restart == ()
    db.unexport_device("dserver/PTCS/central")


@pytest.mark.requirement("ACS-SUPERVISE")
def test_the_command_shows_and_applies(demo: Bench, tmp_path: Path) -> None:
    text = sites.DEFAULT_SITE.read_text().replace(
        "current: [0, 500]}, plant: {nominal: 300.0", "current: [0, 450]}, plant: {nominal: 300.0"
    )
    text = text.replace("interlock: interlock.yaml", f"interlock: {CONFIG / 'interlock.yaml'}")
    file = tmp_path / "site.yaml"
    file.write_text(text.replace("roles: roles.yaml", f"roles: {CONFIG / 'roles.yaml'}"))
    run, state = CliRunner(), ["--state", str(demo.state)]
    shown = run.invoke(main, ["site", "diff", str(file), *state])
    assert shown.exit_code == 1
    assert "~ property acs/source/ecr-1/limits: current 0 500 -> current 0 450" in shown.output
    assert "0 added, 0 removed, 1 changed" in shown.output and "demo.yaml" in shown.output
    refused = run.invoke(main, ["site", "apply", str(file), *state], input="n\n")
    assert refused.exit_code == 1 and registration.diff(DEMO).differences == ()
    done = run.invoke(main, ["site", "apply", str(file), *state, "--yes", "--json"])
    assert done.exit_code == 0 and json.loads(done.output)["applied"]
    after = run.invoke(main, ["site", "diff", str(file), *state, "--json"])
    assert after.exit_code == 0 and json.loads(after.output)["different"] is False
    bad = file.with_name("bad.yaml")
    bad.write_text(
        file.read_text().replace("clients: [session, nozzle, interlock]", "clients: [session, nozzle]")
    )
    unfit = run.invoke(main, ["site", "apply", str(bad), *state, "--yes"])
    assert unfit.exit_code == 1 and "has 1 findings and is not applied" in unfit.output
    nobody = run.invoke(main, ["site", "diff", str(file), "--state", str(tmp_path / "empty")])
    assert nobody.exit_code == 1 and "no facility runs" in nobody.output
