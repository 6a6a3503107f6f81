"""The synthetic patient: DICOM that is read again, HU as in a body, and a target well inside."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.dicom import ct, files, structures
from common.dicom.checker import check
from simulation.scanner.scan import PATIENT, pelvis, phantom

NAMES = {"External", "PTV", "prostate", "bladder", "rectum", "femur_left", "femur_right"}


@pytest.mark.requirement("SYS-LOOP")
def test_pelvis_is_read_as_any_ct(tmp_path: Path) -> None:
    environment = {"PTCS_LANG": "zh", "PATH": "/usr/bin:/bin", "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "simulation.scanner", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment)
    assert "已写出 70 层" in done.stdout
    volume = ct.read_series(files.read_folder(tmp_path / "ct"))
    drawn = structures.from_dataset(files.read_file(tmp_path / "structures" / "RS.dcm"))
    made, _ = phantom()
    np.testing.assert_array_equal(volume.hu, made.hu)
    assert volume.patient == PATIENT
    assert set(drawn.rois) == NAMES
    assert drawn.frame_of_reference_uid == volume.frame_of_reference_uid
    assert drawn.referenced_series_uid == volume.series_instance_uid


@pytest.mark.requirement("SYS-LOOP")
def test_pelvis_is_conformant_and_makes_sense(tmp_path: Path) -> None:
    slices, drawn = pelvis()
    assert [finding for ds in [*slices, drawn] for finding in check(ds)] == []
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (apt dicom3tools) is not installed")
    for ds in (slices[0], slices[-1], drawn):
        files.write_file(ds, tmp_path / "object.dcm")
        verdict = subprocess.run(
            ["dciodvfy", "-new", str(tmp_path / "object.dcm")],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert [line for line in verdict.stderr.splitlines() if line.startswith("Error")] == []


@pytest.mark.requirement("SYS-LOOP")
def test_anatomy_is_where_it_should_be() -> None:
    volume, drawn = phantom()
    x, y = (
        volume.origin[axis] + volume.spacing[axis] * np.arange(volume.hu.shape[2 - axis]) for axis in (0, 1)
    )

    def bounds(name: str) -> tuple[np.ndarray, np.ndarray]:
        points = np.concatenate(drawn.roi(name).contours)
        return points.min(axis=0), points.max(axis=0)

    def hu_at(name: str) -> np.ndarray:
        """HU of the voxels within 4 mm of the middle of a region."""
        low, high = bounds(name)
        middle = (low + high) / 2
        near = [
            np.flatnonzero(np.abs(axis - m) < 4.5) for axis, m in zip((x, y, volume.z), middle, strict=True)
        ]
        return volume.hu[np.ix_(near[2], near[1], near[0])]

    body_low, body_high = bounds("External")
    low, high = bounds("PTV")
    assert (low - body_low > 40).all()
    assert (body_high - high > 40).all()
    # air all around the body in the plane, so that no field is cut by the edge of the image
    assert body_low[0] - x[0] > 6
    assert x[-1] - body_high[0] > 6
    assert (volume.hu[:, 0, :] < -900).all()
    assert (volume.hu[:, :, -1] < -900).all()
    assert 20 < np.mean(hu_at("prostate")) < 60
    assert -10 < np.mean(hu_at("bladder")) < 30
    assert bounds("bladder")[0][2] > bounds("prostate")[0][2]
    assert bounds("rectum")[1][1] > bounds("prostate")[1][1]
    assert bounds("femur_left")[0][0] > 0 > bounds("femur_right")[1][0]
    assert volume.hu.max() > 900
    assert ((volume.hu < -700)[10:60, 40:70, 50:76]).any()  # gas in the rectum
    target_cm3 = sum(_area(points) * volume.spacing[2] for points in drawn.roi("prostate").contours) / 1000
    assert target_cm3 == pytest.approx(4 / 3 * np.pi * 25 * 17 * 20 / 1000, rel=0.05)


def _area(points: np.ndarray) -> float:
    """Area of a polygon in mm2 (shoelace formula)."""
    x, y = points[:, 0], points[:, 1]
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


@pytest.mark.requirement("SYS-LOOP")
def test_a_seed_is_a_patient() -> None:
    first, _ = phantom(1)
    again, _ = phantom(1)
    other, _ = phantom(2)
    np.testing.assert_array_equal(first.hu, again.hu)
    assert first.sop_instance_uids == again.sop_instance_uids
    assert not np.array_equal(first.hu, other.hu)
    assert first.series_instance_uid != other.series_instance_uid
