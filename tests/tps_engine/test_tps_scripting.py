"""Planning as a user does it: by the command, and from Python."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from click.testing import CliRunner, Result

from common.dicom import files, ion_plan, rt_dose
from common.errors import BadInput
from ptcs.cli import main
from simulation.scanner.scan import pelvis
from tps_engine.beamdata import ion_files
from tps_engine.plan.request import PlanOptions
from tps_engine.scripting.case import Case
from tps_engine.scripting.plan import Plan


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("pelvis")
    slices, drawn = pelvis()
    for number, ds in enumerate([*slices, drawn]):
        files.write_file(ds, place / f"{number:03d}.dcm")
    return place


def run(folder: Path, out: Path, *more: str) -> Result:
    words = ["plan", "--ct", str(folder), "--target", "PTV", "--dose", "2", "--fractions", "3"]
    coarse = ["--spacing", "6", "--margin", "0", "--out", str(out), "--json"]
    return CliRunner().invoke(main, [*words, *coarse, *more])


@pytest.mark.requirement("TPS-SCRIPT", "TPS-DESIGN")
def test_the_command_writes_a_plan_that_the_dose_command_repeats(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "plan"
    done = run(
        folder, out, "--field", "A=90", "--field", "B=270/0", "--organ", "rectum=60", "--organ", "bladder"
    )
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout.splitlines()[-1])
    assert facts["converged"] and set(facts["regions"]) == {"PTV", "rectum", "bladder"}
    assert facts["regions"]["PTV"]["D95"] > 1.9
    plan = ion_plan.from_dataset(files.read_file(out / "plan.dcm"))
    assert [beam.gantry for beam in plan.beams] == [90.0, 270.0] and plan.fractions == 3
    planned = rt_dose.from_dataset(files.read_file(out / "dose.dcm"))
    assert planned.plan_sop_instance_uid == plan.sop_instance_uid
    again = tmp_path / "again.dcm"
    words = ["dose", "--plan", str(out / "plan.dcm"), "--ct", str(folder), "--machine", "proton-generic"]
    repeated = CliRunner().invoke(main, [*words, "--like", str(out / "dose.dcm"), "--out", str(again)])
    assert repeated.exit_code == 0, repeated.output
    dose = rt_dose.from_dataset(files.read_file(again)).dose
    np.testing.assert_allclose(dose, planned.dose, atol=2e-3 * float(planned.dose.max()))
    assert {path.name for path in out.iterdir()} == {"plan.dcm", "dose.dcm", "dose_planes.png", "dvh.png"}


@pytest.mark.requirement("TPS-SCRIPT")
@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--field", "A=ninety"), "in degrees"),
        (("--field", "A=400"), "-360 .. 360"),
        (("--field", "A=0", "--field", "A=90"), "one name"),
        (("--field", "A=90", "--organ", "rectum=-1"), "up to 1000 Gy"),
        (("--field", "A=90", "--organ", "liver"), "no region named liver"),
        (("--field", "A=90", "--spacing", "0.1"), "0.5 to 20 mm"),
        (("--field", "A=90", "--device", "gpu"), "allowed are cpu, cuda, auto"),
        (("--field", "A=90", "--robust", "3"), "MM/PERCENT"),
        (("--field", "A=90", "--constraint", "rectum V40"), "REGION: METRIC"),
        (("--field", "A=90", "--tissue", "PTV"), "NAME=RATIO"),
        (("--field", "A=90", "--machine", "helium-generic"), "MKM, physical"),
        (("--field", "A=90", "--tissue", "PTV=7", "--machine", "carbon-generic"), "tables for 2, 10"),
        ((), "missing: --field"),
    ],
)
def test_what_cannot_be_planned_is_refused_and_nothing_is_written(
    folder: Path, tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    done = run(folder, tmp_path / "plan", *more)
    assert done.exit_code == 1 and said in done.output
    assert not (tmp_path / "plan").exists()


@pytest.fixture(scope="module")
def plan(folder: Path) -> Plan:
    options = PlanOptions(margin=0.0, dose_spacing=6.0)
    return Case.read(folder).plan("PTV", dose=2.0, fractions=3, fields={"A": 90}, options=options)


@pytest.mark.requirement("TPS-SCRIPT", "TPS-OPTIMISE")
def test_a_robust_plan_tells_of_every_scenario(folder: Path, tmp_path: Path) -> None:
    done = run(folder, tmp_path / "plan", "--field", "A=90", "--field", "B=270", "--robust", "3/3.5")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout.splitlines()[-1])
    assert len(facts["scenarios"]) == 9
    assert min(numbers["D95"] for numbers in facts["scenarios"].values()) > 1.85


REQUEST = """
format: 1
target: PTV
dose: 9
fractions: 3
spacing: 6
margin: 0
machine: carbon-generic
fields: {A: {gantry: 90}}
tissues: {rectum: 2}
constraints: ["rectum: mean < 3"]
"""


@pytest.mark.requirement("TPS-SCRIPT", "TPS-OPTIMISE")
def test_a_request_is_a_file_that_options_go_before(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(REQUEST)
    out = tmp_path / "plan"
    done = run(folder, out, "--request", str(tmp_path / "plan.yaml"))
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout.splitlines()[-1])
    assert facts["model"] == "tabulated" and facts["seconds"] > 0.0
    assert [(goal["text"], goal["kept"]) for goal in facts["goals"]] == [("rectum: mean < 3", True)]
    assert facts["regions"]["PTV"]["D50"] == pytest.approx(2.0, abs=0.05)  # --dose 2, not the file's 9
    plan = ion_plan.from_dataset(files.read_file(out / "plan.dcm"))
    assert (plan.radiation, plan.machine, plan.rbe_model) == ("ION", "carbon-generic", "tabulated")
    physical = rt_dose.from_dataset(files.read_file(out / "physical.dcm"))
    effective = rt_dose.from_dataset(files.read_file(out / "dose.dcm"))
    assert (physical.dose_type, effective.dose_type) == ("PHYSICAL", "EFFECTIVE")
    assert 1.2 < effective.dose.max() / physical.dose.max() < 4.0
    (tmp_path / "plan.yaml").write_text(REQUEST.replace("gantry: 90", "gantry: 900"))
    refused = run(folder, tmp_path / "other", "--request", str(tmp_path / "plan.yaml"))
    assert refused.exit_code == 1 and "plan.yaml line 9" in refused.output


@pytest.mark.requirement("TPS-SCRIPT", "TPS-EVALUATE")
def test_a_plan_shows_itself(plan: Plan, tmp_path: Path) -> None:
    table = plan.metrics()
    assert "D95" in str(table) and "<table>" in table._repr_html_()
    again = plan.recompute("pb")
    assert plan.compare(again).pass_rate > 99.9
    assert plan.delivery().rows[0][-1] == pytest.approx(plan.result.time.total)
    for picture in (plan.planes(again=again), plan.histograms(again)):
        assert picture._repr_png_().startswith(b"\x89PNG")
    saved = plan.planes().save(tmp_path / "planes.png")
    assert saved.read_bytes().startswith(b"\x89PNG")
    stored = pydicom.dcmread(plan.save(tmp_path / "plan")[1])
    assert stored.DoseSummationType == "PLAN"
    with pytest.raises(BadInput, match="not available"):
        plan.recompute("abacus")


@pytest.mark.requirement("TPS-SCRIPT", "TPS-BIO")
def test_an_ion_plan_is_recomputed_by_monte_carlo(folder: Path) -> None:
    case = Case.read(folder)
    words: dict[str, Any] = {"dose": 2.0, "fractions": 3, "fields": {"A": 90}, "margin": 0.0}
    made = case.plan("PTV", machine="carbon-generic", dose_spacing=8.0, model="MKM", **words)
    again = made.recompute("mc", histories=3000)
    inside = made.result.regions["PTV"]
    assert float(again[inside].mean()) == pytest.approx(2.0, rel=0.12)
    with pytest.raises(BadInput, match="is no option of an engine: there are noise"):
        made.recompute("mc", protons=3)
    tables = replace(made, options=replace(made.options, model=""))
    with pytest.raises(BadInput, match="plan with MKM or physical"):
        tables.recompute("mc")
    helium = replace(made, machine=ion_files.load("helium-generic"))
    with pytest.raises(BadInput, match="too little dose"):
        helium.recompute("mc")


@pytest.mark.requirement("TPS-SCRIPT", "TPS-BIO")
def test_a_plan_is_seen_with_a_variable_rbe(plan: Plan) -> None:
    found = plan.effective("McNamara", {"PTV": 10.0})
    constant = plan.effective("constant 1.1")
    np.testing.assert_allclose(constant.weighted, plan.dose, atol=2e-3 * float(plan.dose.max()))
    np.testing.assert_allclose(found.physical, constant.physical)
    target = plan.result.regions["PTV"]
    assert 2.0 < float(found.let[target].mean()) < 8.0
    assert 1.0 < float(found.weighted[target].mean() / found.physical[target].mean()) < 1.4
    with pytest.raises(BadInput, match="allowed are"):
        plan.effective("Nobody")


@pytest.mark.requirement("TPS-SCRIPT")
def test_a_case_needs_one_structure_set(folder: Path) -> None:
    slices, _drawn = pelvis()
    with pytest.raises(BadInput, match="0 structure sets"):
        Case.of(slices)
    assert [row[0] for row in Case.read(folder).regions().rows][:2] == ["External", "PTV"]
