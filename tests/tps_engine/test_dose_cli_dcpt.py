"""Clinical plans of another planning system, recomputed on the command line, against that system's dose."""

import json

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from common.dicom import files, rt_dose
from common.dicom.rt_dose import DoseGrid
from ptcs.cli import main

RBE = 1.1


def call(*words):
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.stdout


def gamma(reference, evaluated, mask, percent, *more):
    return json.loads(
        call(
            "gamma", "--reference", reference, "--evaluated", evaluated, "--dose", percent,
            "--distance", percent, "--mask", mask, "--json", *more,
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def case(shared_data, tmp_path_factory):
    place = tmp_path_factory.mktemp("dcpt")
    table = shared_data / "ion_plans_dcpt" / "dcpt_beam_model" / "DCPT_beam_model__v5.csv"
    call("beam-model", "import", table, "--format", "dcpt", "--out", place / "dcpt.yaml")
    return place, shared_data / "ion_plans_dcpt"


def phantom(place, name, boxes):
    path = place / f"{name}.yaml"
    path.write_text(
        yaml.safe_dump({"format": 1, "name": name, "spacing_mm": [2.5, 1.0, 2.5], "boxes": boxes})
    )
    return path


def along_y(dose: DoseGrid, sign=1):
    """Depth along the beam, and the mean dose of the middle 50 mm of the field."""
    shape = dose.dose.shape
    x, y, z = (dose.origin[k] + dose.spacing[k] * np.arange(shape[2 - k]) for k in range(3))
    middle = dose.dose[np.abs(z) <= 25.0][:, :, np.abs(x) <= 25.0].mean(axis=(0, 2), dtype=np.float64)
    order = np.argsort(sign * y)
    return (sign * y)[order], middle[order]


def falls(depth, line, wanted):
    """The deepest place where a dose falls through `wanted` Gy."""
    last = int(np.flatnonzero(line > wanted)[-1])
    return float(np.interp(-wanted, -line[last : last + 2], depth[last : last + 2]))


def edges(dose, level):
    """Left and right place in x, at a level of the mean of the middle, in the axial plane y = -40 mm."""
    y = dose.origin[1] + dose.spacing[1] * np.arange(dose.dose.shape[1])
    x = dose.origin[0] + dose.spacing[0] * np.arange(dose.dose.shape[2])
    middle, row = dose.dose.shape[0] // 2, int(np.argmin(np.abs(y + 40.0)))
    profile = dose.dose[middle - 2 : middle + 3, row - 1 : row + 2].mean(axis=(0, 1), dtype=np.float64)
    wanted = level * profile[np.abs(x) < 25.0].mean()
    inside = np.flatnonzero(profile > wanted)
    a, b = inside[0], inside[-1]
    return (
        np.interp(wanted, profile[a - 1 : a + 1], x[a - 1 : a + 1]),
        np.interp(wanted, profile[b + 1 : b - 1 : -1], x[b + 1 : b - 1 : -1]),
    )


def centroid(dose, axis, mask):
    kept = np.where(mask, dose.dose, 0.0).astype(np.float64)
    at = dose.origin[axis] + dose.spacing[axis] * np.arange(dose.dose.shape[2 - axis])
    return float(kept.sum(axis=tuple(k for k in range(3) if k != 2 - axis)) @ at / kept.sum())


@pytest.mark.slow
@pytest.mark.requirement("TPS-VALIDATE")
def test_two_ramped_fields_in_solid_water(case):
    """Each field and their sum, in absolute dose; range, edges and the side on which the dose lies."""
    place, data = case
    folder = data / "plan03_ramp_full"
    box = phantom(
        place,
        "plan03",
        [
            {"material": "solid-water", "centre_mm": [0, 0, 0], "size_mm": [205, 205, 200]},
            {"material": "pmma", "centre_mm": [0, 0, 0], "size_mm": [205, 5, 200]},
        ],
    )
    total, first, second = (next(folder.glob(f"RD*{part}.dcm")) for part in ("73252", "16653", "84138"))
    call(
        "dose", "--plan", next(folder.glob("ramped*.dcm")), "--phantom", box,
        "--machine", place / "dcpt.yaml", "--out", place / "RD.dcm", "--per-beam",
        "--gantry", "b1=0", "--gantry", "b2=180", "--like", total,
    )  # fmt: skip
    for theirs, ours in ((first, "RD-beam1.dcm"), (second, "RD-beam2.dcm"), (total, "RD.dcm")):
        tight = gamma(theirs, place / ours, box, 2)
        assert tight["pass_rate"] > 99.0
        assert tight["mean_ratio"] == pytest.approx(1.0, abs=0.01)
        assert gamma(theirs, place / ours, box, 3)["pass_rate"] > 99.8
    for theirs, ours, sign in ((first, "RD-beam1.dcm", 1), (second, "RD-beam2.dcm", -1)):
        a, b = (rt_dose.from_dataset(files.read_file(path)) for path in (theirs, place / ours))
        for level, allowed in ((0.8, 0.5), (0.5, 0.5), (0.2, 0.5)):
            assert edges(b, level) == pytest.approx(edges(a, level), abs=allowed)
        (depth, them), (_, us) = along_y(a, sign), along_y(b, sign)
        # down the ramp, its end (knee), the end of range (toe)
        for level, allowed in ((0.3, 1.5), (0.1, 0.5), (0.05, 0.5), (0.02, 0.5)):
            far = [falls(depth, line, level * them.max()) for line in (them, us)]
            assert far[1] == pytest.approx(far[0], abs=allowed)
        seen = centroid(b, 0, np.ones(b.dose.shape, dtype=bool))
        assert np.sign(seen) == -sign
        assert seen == pytest.approx(-0.23 * sign, abs=0.1)


@pytest.mark.slow
@pytest.mark.requirement("TPS-VALIDATE")
def test_a_field_through_a_range_shifter(case):
    """In absolute dose and after one scale; range and place."""
    place, data = case
    folder = data / "plan06_sobp_4d"
    box = phantom(
        place,
        "plan06",
        [{"material": "solid-water", "relative_stopping_power": 1.03, "centre_mm": [0, 1.3, 0],
          "size_mm": [300, 200, 300]}],
    )  # fmt: skip
    reference = next(folder.glob("RD*.dcm"))
    call(
        "dose", "--plan", next(folder.glob("RP*.dcm")), "--phantom", box, "--machine", place / "dcpt.yaml",
        "--out", place / "RD6.dcm", "--like", reference,
    )  # fmt: skip
    plain = gamma(reference, place / "RD6.dcm", box, 3)
    assert plain["mean_ratio"] == pytest.approx(1.0, abs=0.02)
    assert plain["pass_rate"] > 98.0
    scaled = gamma(reference, place / "RD6.dcm", box, 2, "--scale", str(1.0 / plain["mean_ratio"]))
    assert scaled["pass_rate"] > 96.0
    theirs, ours = (rt_dose.from_dataset(files.read_file(path)) for path in (reference, place / "RD6.dcm"))
    (depth, them), (_, us) = along_y(theirs), along_y(ours)
    for level in (0.9, 0.8):  # knee, R80
        far = [falls(depth, line, level * them.max()) for line in (them, us)]
        assert far[1] == pytest.approx(far[0], abs=1.2)
    inside = ours.dose > 0.0
    for axis in (0, 2):
        assert centroid(ours, axis, inside) == pytest.approx(centroid(theirs, axis, inside), abs=0.1)
