"""`ptcs dose --engine mc` on a small phantom: dose, noise, LET, uncertainty, refusals."""

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from common.dicom import files, ion_plan, rt_dose
from common.dicom.plan import IonBeam, IonLayer, IonPlan
from ptcs.cli import main
from tests.tps_engine.tps_phantoms import NOBODY

pytestmark = pytest.mark.requirement("TPS-DOSE")
BOX = {
    "format": 1,
    "name": "box",
    "spacing_mm": [2.0, 1.0, 2.0],
    "boxes": [{"material": "water", "centre_mm": [0, 0, 0], "size_mm": [60, 120, 60]}],
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    axis = np.arange(-12.0, 13.0, 6.0, dtype=np.float32)
    x, y = (a.ravel() for a in np.meshgrid(axis, axis))
    layer = IonLayer(91.1, x, y, np.full(len(x), 0.1, np.float32), 10.0, 10.0)
    beam = IonBeam(1, "front", 0.0, 0.0, (0.0, 0.0, 0.0), (layer,))
    plan = IonPlan(
        NOBODY, "2.25.1", "1.2.1", "2.25.2", "1.2.3", "", "small", "G1", (beam,), 1, 1.0, "PTV",
        created="20260101120000",
    )  # fmt: skip
    files.write_file(ion_plan.to_dataset(plan), tmp_path / "RP.dcm")
    (tmp_path / "box.yaml").write_text(yaml.safe_dump(BOX))
    return tmp_path


def dose(out, *more):
    words = [
        "dose",
        "--plan",
        "RP.dcm",
        "--machine",
        "proton-generic",
        "--phantom",
        "box.yaml",
        "--spacing",
        "5",
    ]
    return CliRunner().invoke(main, [*words, "--dose-type", "physical", "--out", out, *more])


def test_dose_let_and_uncertainty(place):
    done = dose(
        "MC.dcm",
        "--engine",
        "mc",
        "--noise",
        "4",
        "--seed",
        "2",
        "--let",
        "let.npz",
        "--uncertainty",
        "s.mha",
    )
    assert done.exit_code == 0, done.output
    assert "mean uncertainty" in done.output
    assert dose("PB.dcm").exit_code == 0
    ours, theirs = (rt_dose.from_dataset(files.read_file(place / f"{n}.dcm")) for n in ("MC", "PB"))
    assert ours.comment.startswith("mc proton-generic")
    assert "dose to water" in ours.comment
    high = theirs.dose > 0.5 * theirs.dose.max()
    y = ours.origin[1] + ours.spacing[1] * np.arange(ours.dose.shape[1])
    plateau = (y > -55.0) & (y < -12.0)  # the peak is narrower than the voxels
    assert ours.dose[:, plateau].sum() == pytest.approx(theirs.dose[:, plateau].sum(), rel=0.03)
    let = np.load(place / "let.npz")
    assert str(let["unit"]) == "keV/um"
    assert let["values"].shape == ours.dose.shape
    assert tuple(let["origin"]) == pytest.approx(ours.origin)
    before_peak = let["values"][:, plateau][theirs.dose[:, plateau] > 0.3 * theirs.dose.max()]
    assert 0.8 < float(before_peak.mean()) < 3.0
    assert float(let["values"][high].max()) > 2.0 * float(before_peak.mean())
    head, _, raw = (place / "s.mha").read_bytes().partition(b"ElementDataFile = LOCAL\n")
    assert b"ElementType = MET_FLOAT" in head
    sigma = np.frombuffer(raw, "<f4").reshape(ours.dose.shape)
    told = float(
        np.mean(sigma[ours.dose > 0.5 * ours.dose.max()] / ours.dose[ours.dose > 0.5 * ours.dose.max()])
    )
    assert 0.005 < told <= 0.041


def test_a_seed_repeats_and_medium_is_named(place):
    more = ("--engine", "mc", "--histories", "4000", "--seed", "5")
    assert dose("A.dcm", *more).exit_code == 0
    assert dose("B.dcm", *more, "--dose-to", "medium").exit_code == 0
    assert dose("C.dcm", *more).exit_code == 0
    first, medium, again = (rt_dose.from_dataset(files.read_file(place / f"{n}.dcm")) for n in "ABC")
    np.testing.assert_array_equal(first.dose, again.dose)
    assert "dose to medium" in medium.comment
    assert medium.dose.sum() == pytest.approx(first.dose.sum(), rel=0.02)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--noise", "1"), "take --engine mc"),
        (("--dose-to", "medium"), "take --engine mc"),
        (("--engine", "mc", "--noise", "0"), "0.01 to 50 %"),
        (("--engine", "mc", "--histories", "3"), "20 and more"),
        (("--engine", "mc", "--let", "let.dcm"), ".mha"),
    ],
)
def test_refusals(place, more, said):
    done = dose("X.dcm", *more)
    assert done.exit_code != 0
    assert said in done.output
    assert not (place / "X.dcm").exists()
