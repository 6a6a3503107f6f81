"""Bad input gives a clear error and a non-zero exit; nothing is half-stored; beam is never on."""

from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from common.files import read_json
from common.links.http import JsonClient
from common.state import StateDir
from tests.loop.conftest import Treated, ptcs, status

INSTANCES = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "ReferencedSOPInstanceUID")


def copy_of_patient(treated: Treated, folder: Path, patient_id: str) -> Path:
    """The demo's CT and structures as another patient's files, with UIDs of their own."""
    folder.mkdir(parents=True)
    for kind in ("ct", "structures"):
        for path in sorted((treated.out / kind).glob("*.dcm")):
            ds = pydicom.dcmread(path)
            ds.PatientID = patient_id
            for element in ds.iterall():
                if element.keyword in INSTANCES:
                    element.value = pydicom.uid.generate_uid(entropy_srcs=[element.value, patient_id])
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            ds.save_as(folder / f"{kind}-{path.name}")
    return folder


def height(path: Path) -> float:
    """z of a slice, mm."""
    return float(pydicom.dcmread(path).ImagePositionPatient[2])


def drop_slice(folder: Path) -> None:
    slices = sorted(
        folder.glob("ct-*"), key=lambda path: float(pydicom.dcmread(path).ImagePositionPatient[2])
    )
    slices[len(slices) // 2].unlink()


def truncate_slice(folder: Path) -> None:
    path = sorted(folder.glob("ct-*"))[3]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def destroy_slice(folder: Path) -> None:
    sorted(folder.glob("ct-*"))[3].write_bytes(b"this is not DICOM")


def cut_target(folder: Path) -> None:
    """Remove the slices below the middle of the target."""
    slices = sorted(
        folder.glob("ct-*"), key=lambda path: float(pydicom.dcmread(path).ImagePositionPatient[2])
    )
    structures = pydicom.dcmread(next(folder.glob("structures-*")))
    names = {roi.ROINumber: roi.ROIName for roi in structures.StructureSetROISequence}
    target = next(
        roi for roi in structures.ROIContourSequence if names[roi.ReferencedROINumber] == "prostate"
    )
    heights = sorted(float(contour.ContourData[2]) for contour in target.ContourSequence)
    middle = heights[len(heights) // 2]
    for path in slices:
        if height(path) < middle:
            path.unlink()


@pytest.mark.slow
@pytest.mark.requirement("TPS-PATIENT")
@pytest.mark.parametrize(
    ("spoil", "target", "message"),
    [
        (drop_slice, "prostate", "slice"),
        (truncate_slice, "prostate", ""),
        (destroy_slice, "prostate", "DICOM"),
        (cut_target, "prostate", "image edge"),
        (lambda folder: None, "no-such-roi", "no-such-roi"),
    ],
    ids=["missing-slice", "truncated", "not-dicom", "cut-target", "no-such-roi"],
)
def test_bad_images_are_refused(
    treated: Treated, tmp_path: Path, spoil: Callable[[Path], None], target: str, message: str
) -> None:
    patient = f"BAD-{tmp_path.name[-12:]}"
    folder = copy_of_patient(treated, tmp_path / "ct", patient)
    spoil(folder)
    out = tmp_path / "out"
    result = ptcs("demo", "--ct", folder, "--target", target, "--out", out, "--state", treated.state)
    assert result.returncode == 1, result.stdout
    assert message.lower() in result.stderr.lower()
    assert "Traceback" not in result.stderr
    assert not list(out.rglob("*.dcm"))
    assert status(treated.state)["phase"] == "UP"
    with JsonClient(f"{treated.facility['ois_url']}/api/v1", physicist(treated)) as ois:
        known = {row["patient_id"] for row in ois.get("/patients")}
        if patient in known:
            kinds = {row["modality"] for row in ois.get(f"/patients/{patient}/instances")}
            assert kinds <= {"CT", "RTSTRUCT"}


def physicist(treated: Treated) -> str:
    passwords = read_json(StateDir(treated.state).demo_accounts)
    with JsonClient(f"{treated.facility['ois_url']}/api/v1") as ois:
        answer = ois.post("/login", {"user": "physicist", "password": passwords["physicist"]})
    return str(answer["token"])


@pytest.mark.slow
@pytest.mark.requirement("TPS-PATIENT")
def test_prostate_of_the_real_ct_is_cut_by_the_image_edge(
    treated: Treated, shared_data: Path, tmp_path: Path
) -> None:
    ct = shared_data / "ct_abdomen_pelvis_real" / "dicom"
    result = ptcs("demo", "--ct", ct, "--target", "prostate", "--out", tmp_path, "--state", treated.state)
    assert result.returncode == 1
    assert "image edge" in result.stderr


@pytest.mark.requirement("SYS-INSTALL")
def test_a_folder_that_is_none_is_refused_before_anything_starts(tmp_path: Path) -> None:
    result = ptcs("demo", "--ct", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert result.returncode == 1
    assert "is no folder" in result.stderr
    assert not (tmp_path / "out").exists()
