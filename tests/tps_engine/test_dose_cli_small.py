"""`ptcs dose`, `ptcs gamma` and `ptcs beam-model import` on small cases, in process."""

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from tps_phantoms import NOBODY, water_box

from common.dicom import ct, files, ion_plan, rt_dose, structures
from common.dicom.plan import IonBeam, IonLayer, IonPlan
from ptcs.cli import main
from tps_engine.beamdata import bragg, model
from tps_engine.dose import engines

PHANTOM = {
    "format": 1,
    "name": "box",
    "spacing_mm": [2.0, 1.0, 2.0],
    "boxes": [{"material": "water", "centre_mm": [0, 0, 0], "size_mm": [80, 120, 80]}],
}


def layer(energy, x=(0.0,), mu=1.0):
    spots = np.asarray(x, dtype=np.float32)
    return IonLayer(energy, spots, np.zeros_like(spots), np.full_like(spots, mu), 10.0, 10.0)


def a_plan(**changes):
    layers = (layer(100.4, (-4.0, 4.0)), layer(91.1))
    beams = (
        IonBeam(1, "front", 0.0, 0.0, (0.0, 0.0, 0.0), layers),
        IonBeam(2, "side", 90.0, 0.0, (0.0, 0.0, 0.0), (layer(71.3),)),
    )
    plan = IonPlan(
        NOBODY,
        "2.25.1",
        "1.2.1",
        "2.25.2",
        "1.2.3",
        "",
        "small",
        "G1",
        beams,
        2,
        1.0,
        "PTV",
        created="20260101120000",
    )
    return replace(plan, **changes)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.write_file(ion_plan.to_dataset(a_plan()), tmp_path / "RP.dcm")
    (tmp_path / "box.yaml").write_text(yaml.safe_dump(PHANTOM))
    return tmp_path


def call(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def dose(*more):
    return call("dose", "--plan", "RP.dcm", "--machine", "proton-generic", "--out", "RD.dcm", *more)


def read(path):
    return rt_dose.from_dataset(files.read_file(path))


@pytest.mark.requirement("TPS-DOSE")
def test_a_plan_on_a_phantom(place):
    """Beams sum to the plan, dose is that of all fractions, integral and range are those of the model."""
    done = dose("--phantom", "box.yaml", "--spacing", "2", "--per-beam", "--dose-type", "physical")
    assert done.exit_code == 0, done.output
    whole, front, side = (read(place / f"RD{part}.dcm") for part in ("", "-beam1", "-beam2"))
    assert (whole.dose_type, whole.summation, front.summation, front.beam_number) == (
        "PHYSICAL",
        "PLAN",
        "BEAM",
        1,
    )
    assert whole.plan_sop_instance_uid == "2.25.1"
    assert whole.frame_of_reference_uid == "1.2.3"
    np.testing.assert_allclose(front.dose + side.dose, whole.dose, atol=2e-4 * whole.dose.max())
    beam = model.load("proton-generic")
    depth = np.arange(0.5, 119.0, 1.0)
    expected = sum(
        mu * beam.protons_per_mu[beam.index_of(e)]
        * bragg.integral_depth_dose(
            beam.water, e, float(beam.spread[beam.index_of(e)]), beam.depth_dose, depth
        ).sum()
        for e, mu in ((100.4, 2.0), (91.1, 1.0))
    )  # fmt: skip
    seen = front.dose.sum(dtype=np.float64) * np.prod(front.spacing)
    assert seen == pytest.approx(2 * expected, rel=0.01)
    # the beam comes from the front: half its dose lies within the range from y = -60 mm
    heights = front.origin[1] + front.spacing[1] * np.arange(front.dose.shape[1])
    profile = front.dose.sum(axis=(0, 2))
    r80 = bragg.distal_depth(heights, profile.astype(np.float64), 0.8) + 60.0
    assert r80 == pytest.approx(float(beam.water.range_of(100.4)), abs=1.5)


@pytest.mark.requirement("TPS-DOSE")
def test_gantry_type_and_engine(place):
    assert dose("--phantom", "box.yaml", "--gantry", "front=180", "--per-beam").exit_code == 0
    turned = read(place / "RD-beam1.dcm").dose
    assert dose("--phantom", "box.yaml", "--per-beam").exit_code == 0
    straight, front = read(place / "RD.dcm"), read(place / "RD-beam1.dcm").dose
    assert straight.dose_type == "EFFECTIVE"
    inner = np.s_[:, 5:-5, :]  # which voxels at the surface count as inside may differ by side
    np.testing.assert_allclose(turned[:, ::-1, ::-1][inner], front[inner], atol=0.01 * front.max())
    assert not np.allclose(turned, front, atol=0.1 * front.max())
    assert dose("--phantom", "box.yaml", "--dose-type", "physical").exit_code == 0
    np.testing.assert_allclose(
        1.1 * read(place / "RD.dcm").dose, straight.dose, atol=1e-4 * straight.dose.max()
    )


@pytest.mark.requirement("TPS-PATIENT")
def test_a_plan_on_a_ct(place):
    """CT with a structure set and without: the water box is found, and a plan of another frame is refused."""
    volume, regions = water_box()
    hu = volume.hu.copy()
    hu[:, :2], hu[:, -2:] = -1000.0, -1000.0
    volume = replace(volume, hu=hu)
    folder = place / "ct"
    for k, ds in enumerate(ct.to_datasets(volume)):
        files.write_file(ds, folder / f"{k:03}.dcm")
    found = dose("--ct", "ct", "--spacing", "4")
    assert found.exit_code == 0, found.output
    alone = read(place / "RD.dcm")
    files.write_file(structures.to_dataset(regions, volume), folder / "RS.dcm")
    assert dose("--ct", "ct", "--like", "RD.dcm").exit_code == 0
    drawn = read(place / "RD.dcm")
    # both begin at the same surface within a voxel; dose inside agrees away from the outline
    assert drawn.dose.max() == pytest.approx(alone.dose.max(), rel=0.1)
    (folder / "020.dcm").unlink()
    missing = dose("--ct", "ct")
    assert missing.exit_code == 1
    assert "slice missing at z" in missing.stderr
    files.write_file(ion_plan.to_dataset(a_plan(frame_of_reference_uid="1.9.9")), place / "RP.dcm")
    files.write_file(ct.to_datasets(volume)[20], folder / "020.dcm")
    other = dose("--ct", "ct")
    assert other.exit_code == 1
    assert "frame of reference" in other.stderr


@pytest.mark.requirement("TPS-DOSE")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "either --ct or --phantom"),
        (("--ct", "ct", "--phantom", "box.yaml"), "either --ct or --phantom"),
        (("--phantom", "box.yaml", "--noise", "1"), "take --engine mc"),
        (("--phantom", "box.yaml", "--engine", "xy"), "engine xy is not available"),
        (("--phantom", "box.yaml", "--device", "gpu"), "allowed are cpu, cuda, auto"),
        (("--phantom", "box.yaml", "--gantry", "9=0"), "no beam 9"),
        (("--phantom", "box.yaml", "--gantry", "1=up"), "BEAM=ANGLE"),
        (("--phantom", "box.yaml", "--spacing", "0"), "0.5 to 20"),
        (("--phantom", "none.yaml"), "cannot read none.yaml"),
        (("--phantom", "box.yaml", "--machine", "none.yaml"), "cannot read none.yaml"),
        (("--ct", "nowhere"), "no folder"),
        (("--phantom", "box.yaml", "--like", "RP.dcm"), "RT Dose Storage"),
        (("--phantom", "box.yaml", "--plan", "box.yaml"), "no DICOM file"),
    ],
)
def test_bad_input_is_refused(place, words, message):
    result = dose(*words)
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (place / "RD.dcm").exists()


@pytest.mark.requirement("TPS-DOSE")
def test_bad_plans_and_phantoms_are_refused(place):
    def refused(plan, message):
        files.write_file(ion_plan.to_dataset(plan), place / "RP.dcm")
        result = dose("--phantom", "box.yaml")
        assert result.exit_code == 1
        assert message in result.stderr

    first = a_plan().beams[0]
    refused(a_plan(beams=(replace(first, layers=(layer(250.0),)),)), "nearest allowed is 228.8")
    refused(a_plan(beams=(replace(first, layers=(layer(100.4, (190.0,)),)),)), "the machine scans")
    refused(a_plan(beams=(replace(first, range_shifter="RS1"),)), "RS1 is not described")
    shifted = replace(first, range_shifter="RS1", range_shifter_wet=40.0)
    refused(a_plan(beams=(shifted,)), "does not say where its range shifter stands")
    refused(a_plan(beams=(replace(shifted, range_shifter_distance=10.0),)), "inside the patient")
    thick = replace(shifted, range_shifter_wet=300.0, range_shifter_distance=200.0)
    refused(a_plan(beams=(thick,)), "ends in the range shifter")
    refused(a_plan(radiation="ION"), "for protons")
    refused(a_plan(patient_position="FFS"), "patient position FFS")
    refused(a_plan(beams=(replace(first, isocentre=(900.0, 0.0, 0.0)),)), "passes beside the body")
    files.write_file(ion_plan.to_dataset(a_plan()), place / "RP.dcm")
    for change, message in (
        ({"boxes": []}, "boxes"),
        ({"boxes": [{"material": "gold", "centre_mm": [0, 0, 0], "size_mm": [1, 1, 1]}]}, "gold"),
        ({"spacing_mm": [0.1, 0.1, 0.1]}, "million voxels"),
        ({"colour": 1}, "colour"),
    ):
        (place / "bad.yaml").write_text(yaml.safe_dump({**PHANTOM, **change}))
        result = dose("--phantom", "bad.yaml")
        assert result.exit_code == 1
        assert message in result.stderr


def core_sigma(across, plane):
    """Standard deviation of the Gaussian of a profile's width at half maximum: the halo is below that."""
    level = 0.5 * plane.max()
    above = np.flatnonzero(plane > level)
    ends = [
        np.interp(level, [plane[a], plane[b]], [across[a], across[b]])
        for a, b in ((above[0] - 1, above[0]), (above[-1] + 1, above[-1]))
    ]
    return (ends[1] - ends[0]) / 2.3548


@pytest.mark.requirement("TPS-DESIGN")
def test_a_range_shifter_pulls_the_range_back_and_widens_the_spot(place):
    first = replace(a_plan().beams[0], layers=(layer(100.4),))
    profiles = {}
    for name, beam in (
        ("open", first),
        ("shifted", replace(first, range_shifter="RS", range_shifter_wet=34.3, range_shifter_distance=150.0)),
    ):
        files.write_file(ion_plan.to_dataset(a_plan(beams=(beam,))), place / "RP.dcm")
        assert dose("--phantom", "box.yaml", "--spacing", "2").exit_code == 0
        seen = read(place / "RD.dcm")
        heights = seen.origin[1] + seen.spacing[1] * np.arange(seen.dose.shape[1])
        across = seen.origin[0] + seen.spacing[0] * np.arange(seen.dose.shape[2])
        plane = seen.dose[:, np.argmin(np.abs(heights + 50.0))].sum(axis=0).astype(np.float64)
        depth = bragg.distal_depth(heights, seen.dose.sum(axis=(0, 2)).astype(np.float64), 0.8)
        profiles[name] = depth, core_sigma(across, plane)
    assert profiles["open"][0] - profiles["shifted"][0] == pytest.approx(34.3, abs=0.7)
    # 34 mm of plastic scatter 100 MeV by about 28 mrad, over 90 mm of air
    assert np.sqrt(profiles["shifted"][1] ** 2 - profiles["open"][1] ** 2) == pytest.approx(3.0, abs=1.2)


@pytest.mark.requirement("TPS-EVALUATE")
def test_gamma_command(place):
    assert dose("--phantom", "box.yaml", "--spacing", "2.5").exit_code == 0
    whole = read(place / "RD.dcm")
    for name, factor in (("same", 1.0), ("more", 1.05)):
        files.write_file(
            rt_dose.to_dataset(replace(whole, dose=whole.dose * np.float32(factor))), place / f"{name}.dcm"
        )

    def result(*more):
        out = call("gamma", "--reference", "RD.dcm", *more, "--json")
        assert out.exit_code == 0, out.output
        return json.loads(out.stdout)

    same = result("--evaluated", "same.dcm")
    assert same["pass_rate"] == 100.0
    assert same["points"] == int((whole.dose >= 0.1 * whole.dose.max()).sum())
    assert (same["mode"], same["normalisation_gy"]) == ("global", pytest.approx(float(whole.dose.max())))
    more = result("--evaluated", "more.dcm", "--local", "--dose", "2", "--distance", "0.1")
    assert more["mean_ratio"] == pytest.approx(1.05, rel=1e-3)
    assert more["pass_rate"] < 60.0
    back = result("--evaluated", "more.dcm", "--scale", str(1 / 1.05))
    assert back["pass_rate"] == 100.0
    # 2 Gy in two fractions: more points lie above a tenth of a lower normalisation dose
    low = result("--evaluated", "same.dcm", "--normalise", str(0.5 * float(whole.dose.max())))
    assert low["points"] > same["points"]
    prescribed = result("--evaluated", "same.dcm", "--normalise", "prescription", "--plan", "RP.dcm")
    assert prescribed["normalisation_gy"] == 2.0
    small = {**PHANTOM, "boxes": [{"material": "water", "centre_mm": [0, -40, 0], "size_mm": [20, 40, 20]}]}
    (place / "mask.yaml").write_text(yaml.safe_dump(small))
    masked = result("--evaluated", "same.dcm", "--mask", "mask.yaml")
    assert masked["points"] + masked["outside"] == same["points"]
    assert 0 < masked["points"] < same["points"]
    text = call("gamma", "--reference", "RD.dcm", "--evaluated", "same.dcm")
    assert "100.00 %" in text.stdout


@pytest.mark.requirement("TPS-EVALUATE")
def test_gamma_refuses_what_cannot_be_compared(place):
    assert dose("--phantom", "box.yaml", "--spacing", "4").exit_code == 0
    whole = read(place / "RD.dcm")
    for name, changed in (
        ("frame", replace(whole, frame_of_reference_uid="1.9")),
        ("type", replace(whole, dose_type="PHYSICAL")),
        ("zero", replace(whole, dose=np.zeros_like(whole.dose))),
        ("far", replace(whole, origin=(5000.0, 0.0, 0.0))),
    ):
        files.write_file(rt_dose.to_dataset(changed), place / f"{name}.dcm")
    for words, message in (
        (("RD.dcm", "frame.dcm"), "frames of reference"),
        (("RD.dcm", "type.dcm"), "doses of one type"),
        (("zero.dcm", "RD.dcm"), "reference dose is zero everywhere"),
        (("RD.dcm", "zero.dcm"), "evaluated dose is zero everywhere"),
        (("RD.dcm", "far.dcm"), "check both grids"),
        (("RD.dcm", "RD.dcm", "--normalise", "500"), "its maximum is"),
        (("RD.dcm", "RP.dcm"), "RT Dose Storage"),
        (("RD.dcm", "RD.dcm", "--normalise", "best"), "max, prescription"),
        (("RD.dcm", "RD.dcm", "--normalise", "prescription"), "needs --plan"),
        (("RD.dcm", "RD.dcm", "--dose", "0"), "--dose 0"),
        (("RD.dcm", "RD.dcm", "--device", "gpu"), "allowed are cpu, cuda, auto"),
        (("RD.dcm", "RD.dcm", "--mask", "RP.dcm"), "RT Structure Set"),
    ):
        result = call("gamma", "--reference", words[0], "--evaluated", words[1], *words[2:])
        assert result.exit_code == 1, words
        assert message in result.stderr


@pytest.mark.requirement("TPS-PHYSICS")
def test_imported_tables_say_what_they_said(place, shared_data):
    """DCPT and MCsquare tables: sizes at the isocentre by transport of the emittance."""
    table = shared_data / "ion_plans_dcpt" / "dcpt_beam_model" / "DCPT_beam_model__v5.csv"
    assert call("beam-model", "import", table, "--format", "dcpt", "--out", "dcpt.yaml").exit_code == 0
    beam = model.load(place / "dcpt.yaml")
    row = beam.index_of(150.0)
    assert (len(beam.energies), beam.protons_per_mu[row], beam.air_from) == (1741, 3542880.0, 600.0)
    assert beam.mean_energy[row] == pytest.approx(150.141921)
    s, d, c = 3.76999454, 3.93146183e-3, -0.166931458
    assert beam.sigma[row, 0] ** 2 == pytest.approx(s**2 + 2 * c * s * d * 600 + (600 * d) ** 2, rel=1e-6)
    assert beam.covariance[row, 0] == pytest.approx(c * s * d + d**2 * 600, rel=1e-6)
    library = shared_data / "mcsquare_bdl" / "BDL" / "BDL_default_UN_RangeShifter.txt"
    assert call("beam-model", "import", library, "--format", "mcsquare", "--out", "un.yaml").exit_code == 0
    other = model.load(place / "un.yaml")
    assert (len(other.energies), other.range_shifters[0].water_equivalent) == (26, 73.1)
    assert other.spread[0] == pytest.approx(100.533 * 0.711552 / 100)
    assert other.second.weight[0] == pytest.approx(0.03)
    for words, message in (
        ((table, "--format", "mcsquare"), "no MCsquare beam data library"),
        ((library, "--format", "dcpt"), "something is no number"),
        (("none.csv", "--format", "dcpt"), "cannot read none.csv"),
    ):
        result = call("beam-model", "import", *words, "--out", "x.yaml")
        assert result.exit_code == 1
        assert message in result.stderr
        assert not (place / "x.yaml").exists()


def _hot(volume, regions):
    hu = volume.hu.copy()
    hu[20, 20, 20] = 9000.0
    return replace(volume, hu=hu), regions


def _beside(volume, regions):
    far = np.array([900.0, 0.0, 0.0])
    rois = {
        name: replace(roi, contours=tuple(part + far for part in roi.contours))
        for name, roi in regions.rois.items()
    }
    return volume, replace(regions, rois=rois)


def _as_it_is(volume, regions):
    return volume, regions


@pytest.mark.requirement("TPS-DOSE")
@pytest.mark.parametrize(
    ("change", "more", "said"),
    [
        (_hot, (), "lie outside table"),
        (_beside, (), "region External lies outside the image"),
        (_as_it_is, ("--spacing", "0.5"), "not enough memory"),
        (_as_it_is, ("--like", "far.dcm"), "holds nothing of the body"),
    ],
)
def test_images_refused_before_time_is_spent(place, monkeypatch, change, more, said):
    def late(*_all):
        raise AssertionError("the engine was called")

    monkeypatch.setattr(engines, "ENGINES", {"pb": late})
    monkeypatch.setattr("common.memory.available", lambda: 200_000_000)
    volume, regions = change(*water_box())
    for k, ds in enumerate(ct.to_datasets(volume)):
        files.write_file(ds, place / "ct" / f"{k:03}.dcm")
    files.write_file(structures.to_dataset(regions, volume), place / "ct" / "RS.dcm")
    far = rt_dose.DoseGrid(
        np.ones((3, 3, 3), dtype=np.float32), (5000.0, 0.0, 0.0), (3.0, 3.0, 3.0), NOBODY, "2.25.9",
        "1.2.1", "2.25.8", "1.2.3", "2.25.1",
    )  # fmt: skip
    files.write_file(rt_dose.to_dataset(far), place / "far.dcm")
    done = dose("--ct", "ct", *more)
    assert done.exit_code == 1, done.output
    assert said in done.stderr
    assert not (place / "RD.dcm").exists()
