"""The validation suite: verdicts that cannot be talked up, cases that run, the report of the command line."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from common.errors import BadInput
from common.text import _, set_language
from ptcs import validate_mcsquare
from ptcs.cli import main
from tps_engine.beamdata import model
from tps_engine.beamdata.water import water
from tps_engine.validate import (
    biology,
    case,
    doses,
    ions,
    lateral,
    other,
    phantoms,
    planning,
    ranges,
    report,
    saved,
    suite,
)
from tps_engine.validate.case import Case, Check, NotRun, Outcome, Setup, at_least, at_most, within

pytestmark = [pytest.mark.requirement("TPS-VALIDATE")]


@pytest.fixture(scope="module")
def setup():
    return Setup(model.load("proton-generic"), quick=True)


def fake(outcome):
    def run(_setup):
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return Case("fake", "group", "title", "pb", "table", run)


def test_a_check_passes_only_within_its_tolerance():
    assert within("a", -0.3, 0.3, "mm").ok
    assert not within("a", 0.31, 0.3, "mm").ok
    assert at_least("a", 98.0, 98.0, "%").ok
    assert not at_least("a", 97.99, 98.0, "%").ok
    assert not at_most("a", 0.6, 0.5, "%").ok
    assert not within("a", float("nan"), 0.3, "mm").ok
    assert within("a", float("inf"), 0.3, "mm").to_json()["value"] is None


def test_verdicts(setup):
    good, bad = Outcome((within("a", 0.0, 1.0, "mm"),)), Outcome((within("a", 2.0, 1.0, "mm"),))
    passed, failed = (case.carry_out(fake(one), setup) for one in (good, bad))
    assert (passed.status, failed.status) == (case.PASSED, case.FAILED)
    nothing = case.carry_out(fake(Outcome(())), setup)
    assert nothing.status == case.FAILED, "a case that checks nothing has shown nothing"
    missing = case.carry_out(fake(NotRun("no data")), setup)
    assert (missing.status, missing.why) == (case.NOT_RUN, "no data")
    refused = case.carry_out(fake(BadInput("zero dose")), setup)
    assert (refused.status, refused.why) == (case.FAILED, "zero dose")
    assert case.verdict([passed, missing]) == case.PASSED
    assert case.verdict([passed, failed]) == case.FAILED
    assert case.verdict([missing]) == case.NOT_RUN


def test_cases_have_one_name_each_and_are_chosen_by_it():
    everything = suite.cases()
    assert len({one.name for one in everything}) == len(everything) > 25
    assert [one.name for one in suite.chosen(("range",))] == [
        "range-pb", "range-mc", "range-carbon", "range-helium",
    ]  # fmt: skip
    with pytest.raises(BadInput, match="no validation case plan99"):
        suite.chosen(("plan99",))


def test_the_references_are_the_published_ones():
    """Between PSTAR's energies too; carbon of 270 MeV/u reaches 14.4 cm (within 1 %)."""
    assert ranges.pstar_range(150.0) == pytest.approx(157.7)
    assert ranges.pstar_range(160.0) == pytest.approx(176.5, abs=0.3)
    assert ions.scaled_range("carbon", 270.0) == pytest.approx(144.0, rel=0.012)
    assert ions.scaled_range("helium", 150.0) == pytest.approx(ranges.pstar_range(150.0), rel=0.01)
    alpha, beta = 0.1, 0.05
    assert biology.photon_dose(alpha, beta, (alpha, beta), 2.0) == pytest.approx(2.0)


def test_a_case_tells_a_wrong_machine(setup):
    """A range 1 mm short is a failed case, not a note."""
    right = case.carry_out(suite.chosen(("range-pb",))[0], setup)
    assert right.status == case.PASSED
    assert len(right.outcome.checks) == 3
    table = setup.model.water
    short = replace(table, csda=table.csda - 1.0, energy=table.energy)
    wrong = replace(setup, model=replace(setup.model, water=short))
    failed = case.carry_out(suite.chosen(("range-pb",))[0], wrong)
    assert failed.status == case.FAILED


def test_widths_and_rbe_agree_with_theory(setup):
    for name in ("lateral-pb", "rbe-mcnamara", "rbe-wedenberg", "rbe-carabe"):
        result = case.carry_out(suite.chosen((name,))[0], setup)
        assert result.status == case.PASSED, [c for c in result.outcome.checks if not c.ok]
        assert result.outcome.pictures[0].png.startswith(b"\x89PNG")


def test_data_that_is_absent_is_said(setup):
    result = case.carry_out(suite.chosen(("depth-pb",))[0], setup)
    assert (result.status, "--data" in result.why) == (case.NOT_RUN, True)


def test_a_phantom_is_the_same_for_both_engines():
    grid = phantoms.cube(3.0, 30.0, 90.0)
    made = phantoms.build(grid, [phantoms.layer("cortical-bone", 30.0, 60.0)])
    row = made.patient.rsp[5, :, 5]
    assert row[5] == pytest.approx(1.0)
    assert row[15] == pytest.approx(phantoms.stopping_ratio("cortical-bone"))
    assert [int(np.flatnonzero(row > 1.2)[k]) for k in (0, -1)] == [10, 19]
    material = made.medium.material[5, 15, 5]
    assert made.medium.table.materials[material].name == "cortical-bone"
    ct, drawn = planning.phantom()
    assert ct.hu.max() == 300.0
    assert set(drawn.rois) == {"External", "target", "organ"}


def test_the_report_names_every_number_and_speaks_chinese():
    check = Check("R80 - CSDA", 0.4321, "mm", -0.3, 0.3, "PSTAR")
    results = [
        case.Result(fake(Outcome(())), case.FAILED, "", Outcome((check,), (case.Picture("curve", b"png"),))),
        case.Result(fake(Outcome(())), case.NOT_RUN, "no <data>", Outcome(())),
    ]
    page = report.html(results, {"host": "h"}, "abc123")
    assert all(text in page for text in ("0.4321 mm", "±0.3 mm", "PSTAR", "no &lt;data&gt;", "abc123"))
    assert report.to_json(results, {})["cases"][0]["checks"][0]["ok"] is False
    set_language("zh")
    try:
        assert "未通过" in report.html(results, {}, "")
        assert _("Validation of the planning system") == "治疗计划系统验证"
        assert all(one.title for one in suite.cases())
    finally:
        set_language("en")


def test_the_command_writes_a_page_and_its_data(tmp_path):
    words = ["validate", "tps", "--out", str(tmp_path), "--quick"]
    words += ["--only", "rbe-wedenberg", "--only", "plan06-pb"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    text = (tmp_path / "validation.json").read_bytes()
    content = json.loads(text)
    assert content["verdict"] == "PASSED"
    assert [one["status"] for one in content["cases"]] == ["NOT_RUN", "PASSED"]
    assert any("proton-generic" in value for value in content["facts"].values())
    assert (tmp_path / "validation.pdf").read_bytes().startswith(b"%PDF")
    assert len(hashlib.sha256(text).hexdigest()) == 64


def test_a_run_that_was_cut_goes_on(tmp_path):
    """Results of the same code and options are kept with their pictures, others are calculated again."""
    words = ["validate", "tps", "--out", str(tmp_path), "--only", "rbe-carabe"]
    assert CliRunner().invoke(main, words).exit_code == 0
    kept = tmp_path / "cases" / "rbe-carabe.json"
    content = json.loads(kept.read_text())
    content["checks"][0]["what"] = "as it lay on disk"
    kept.write_text(json.dumps(content))
    again = CliRunner().invoke(main, [*words, "--resume", "--only", "rbe-wedenberg"])
    assert again.exit_code == 0, again.output
    found = json.loads((tmp_path / "validation.json").read_text())["cases"]
    assert [one["name"] for one in found] == ["rbe-wedenberg", "rbe-carabe"]
    assert found[1]["checks"][0]["what"] == "as it lay on disk"
    one = suite.chosen(("rbe-carabe",))[0]
    result, _seconds = saved.read(tmp_path / "cases", one, content["key"])
    assert result.outcome.pictures[0].png.startswith(b"\x89PNG")
    assert saved.read(tmp_path / "cases", one, "another code") is None
    assert CliRunner().invoke(main, words).exit_code == 0
    assert "as it lay" not in kept.read_text()


def test_a_voxel_mean_is_that_of_the_points_in_it(setup):
    """Across a narrow spot the mean lies below the centre; together both hold the same energy."""
    energy = phantoms.machine_energy(setup.model, 100.0)
    phantom = phantoms.build(phantoms.cube(3.0, 45.0, 60.0))
    planned = phantoms.beam(setup.model, energy)
    centre, mean = (make(phantom, planned, setup.model).dose for make in (doses.pencil, doses.pencil_means))
    assert mean.shape == centre.shape
    middle = mean.shape[0] // 2
    sigma2 = float(setup.model.at(np.array([energy]), setup.model.sigma[:, 0])[0]) ** 2
    fall = mean[middle, 3, middle] / centre[middle, 3, middle]
    assert fall == pytest.approx(1.0 - 9.0 * 8.0 / 9.0 / 12.0 / sigma2, abs=0.005)
    assert mean.sum(dtype=float) == pytest.approx(centre.sum(dtype=float), rel=0.01)


def test_noise_of_the_other_code_is_told_by_its_batches():
    """Batches of 5 % scatter each: 1.6 % of their mean, 0.56 % after eight images but on the planes."""
    phantom = phantoms.build(phantoms.cube(2.0, 21.0, 20.0))

    class Noisy:
        name = "noisy"

        def dose(self, medium, energy, sigma, protons, seed):
            scatter = np.random.default_rng(seed).normal(1.0, 0.05, medium.grid.shape)
            return scatter.astype(np.float32)

    found = other._in_batches(Noisy(), phantom, 130.0, 7.0)
    assert found.dose.mean() == pytest.approx(7.0, rel=2e-3)
    assert found.noise == pytest.approx(0.6, abs=0.1)
    assert not doses.noise_check(found, 0.5).ok


def test_the_mean_of_images_has_the_noise_it_says():
    """Many draws of a symmetric dose: mean kept, scatter of each voxel as stated, also on the planes."""
    true = np.ones((3, 2, 3), dtype=np.float32)
    random = np.random.default_rng(3)
    drawn = true + 0.1 * random.standard_normal((4000, *true.shape)).astype(np.float32)
    for symmetry, corner, centre in (
        ("square", 0.05, 0.1),
        ("mirror", 0.1 / 2**0.5, 0.1),
        ("none", 0.1, 0.1),
    ):
        made = [doses.mirrored(one, 0.1 * true, symmetry) for one in drawn]
        scatter = np.std([mean for mean, _sigma in made], axis=0)
        stated = made[0][1]
        assert scatter == pytest.approx(stated, rel=0.08)
        assert stated[0, 0, 0] == pytest.approx(corner)
        assert stated[1, 0, 1] == pytest.approx(centre)
        assert np.mean([mean for mean, _sigma in made]) == pytest.approx(1.0, abs=0.002)


def test_scattering_theory_follows_its_sources():
    """Highland's formula in a thin slab; the detour that ICRU 49 states, about 0.1 %."""
    thin, energy = 10.0, 200.0
    pv = 368.0  # MeV at 200 MeV; 1 cm of water takes off little
    theta = 13.6 / pv * np.sqrt(thin / 360.8) * (1.0 + 0.038 * np.log(thin / 360.8))
    found = lateral.highland_variance(water(), energy, thin)
    assert found == pytest.approx((theta * thin) ** 2 / 3.0, rel=0.03)
    detour = ranges.detour(water(), np.array([77.2, 259.6]))
    assert detour == pytest.approx([0.08, 0.26], abs=0.02)


def test_the_command_refuses_what_it_cannot_use(tmp_path):
    for words, told in ((("--only", "nothing"), "no validation case"), (("--data", "/nowhere"), "no folder")):
        result = CliRunner().invoke(main, ["validate", "tps", "--out", str(tmp_path / "o"), *words])
        assert result.exit_code == 1
        assert told in result.output
    with pytest.raises(BadInput, match="no MCsquare program"):
        validate_mcsquare.find(tmp_path)
