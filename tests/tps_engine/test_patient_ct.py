"""CT series of any orientation and slice distance, and those that are refused."""

import copy
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from tps_phantoms import NOBODY

from common import memory
from common.dicom import ct, files, stack
from common.dicom.ct import CtVolume
from common.errors import BadDicom, BadInput

ORIENTATIONS = {
    "HFS": ([1, 0, 0], [0, 1, 0]), "HFP": ([-1, 0, 0], [0, -1, 0]), "FFS": ([1, 0, 0], [0, 1, 0]),
    "FFP": ([-1, 0, 0], [0, -1, 0]), "HFDR": ([0, 1, 0], [-1, 0, 0]), "HFDL": ([0, -1, 0], [1, 0, 0]),
    "sagittal": ([0, 1, 0], [0, 0, -1]), "sagittal-up": ([0, -1, 0], [0, 0, 1]),
    "coronal": ([1, 0, 0], [0, 0, -1]), "coronal-turned": ([0, 0, 1], [-1, 0, 0]),
}  # fmt: skip


def body(shape=(7, 9, 11)):
    """A volume without any symmetry, anisotropic voxels."""
    hu = np.random.default_rng(3).integers(-1000, 1500, shape).astype(np.float32)
    return CtVolume(
        hu, (-20.5, -31.25, 44.0), (1.5, 2.25, 4.0), NOBODY, "1.2.1", "1.2.2", "1.2.3",
        tuple(f"1.2.4.{k}" for k in range(shape[0])),
    )  # fmt: skip


def stored(volume, columns, rows, heights=None, thickness=True):
    """Slices of a volume as a scanner stores them, in no order. heights: positions along the stack, mm."""
    array = volume.hu.transpose(2, 1, 0)
    across = np.abs(np.cross(columns, rows))
    axes = [int(np.abs(direction).argmax()) for direction in (across, rows, columns)]
    planes = array.transpose(axes)
    size, first = np.array(volume.spacing), np.array(volume.origin, dtype=float)
    for place, axis, direction in ((1, axes[1], rows), (2, axes[2], columns)):
        if sum(direction) < 0:
            planes = np.flip(planes, place)
            first[axis] += (array.shape[axis] - 1) * size[axis]
    template = ct.to_datasets(volume)[0]
    found = []
    for k, plane in enumerate(planes):
        ds = copy.deepcopy(template)
        ds.SOPInstanceUID = f"1.2.9.{k}"
        where = first.copy()
        where[axes[0]] = first[axes[0]] + k * size[axes[0]] if heights is None else heights[k]
        ds.ImagePositionPatient = [float(value) for value in where]
        ds.ImageOrientationPatient = [*columns, *rows]
        ds.PixelSpacing = [float(size[axes[1]]), float(size[axes[2]])]
        ds.Rows, ds.Columns = plane.shape
        if not thickness:
            del ds.SliceThickness
        # every slice has a slope and an intercept of its own
        slope, intercept = 1 + k % 3, -7 * k
        ds.RescaleSlope, ds.RescaleIntercept = str(slope), str(intercept)
        steps = np.rint((plane - intercept) / slope)
        ds.PixelData = steps.astype("<i2").tobytes()
        found.append((ds, steps * slope + intercept))
    kept = np.array([values for _ds, values in found], dtype=np.float32)
    np.random.default_rng(1).shuffle(found)
    return [ds for ds, _values in found], kept, axes


@pytest.mark.requirement("TPS-MODEL")
@pytest.mark.parametrize("position", list(ORIENTATIONS))
def test_any_orientation_gives_the_same_body(position):
    volume = body()
    columns, rows = ORIENTATIONS[position]
    slices, _kept, axes = stored(volume, columns, rows)
    for ds in slices:
        ds.PatientPosition = position[:4].upper()
    found = ct.read_series(slices)
    assert found.hu.shape == volume.hu.shape
    # slopes of 2 and 3 round by up to 1.5 HU
    assert np.abs(found.hu - volume.hu).max() <= 1.5
    assert found.origin == pytest.approx(volume.origin)
    assert found.spacing == pytest.approx(volume.spacing)
    assert found.slice_per_plane == (axes[0] == 2)
    assert found.warnings == ()
    if axes[0] != 2:
        with pytest.raises(BadDicom, match="turned or interpolated"):
            ct.to_datasets(found)


@pytest.mark.requirement("TPS-MODEL")
def test_uneven_distances_are_made_even_with_a_warning():
    """Values that rise linearly along the stack stay on their line; first and last slice stay in place."""
    heights = np.array([0.0, 2.0, 4.0, 6.5, 9.0, 12.0, 15.0])
    volume = replace(body(), hu=np.broadcast_to((20.0 * heights)[:, None, None], (7, 9, 11)).astype("f4"))
    slices, _kept, _axes = stored(volume, [1, 0, 0], [0, 1, 0], heights, thickness=False)
    for ds in slices:
        ds.RescaleSlope, ds.RescaleIntercept = "1", "0"
        ds.PixelData = np.full((9, 11), round(20.0 * ds.ImagePositionPatient[2]), dtype="<i2").tobytes()
    found = ct.read_series(slices)
    assert found.spacing[2] <= 2.0
    assert (found.z[0], found.z[-1]) == pytest.approx((0.0, 15.0))
    np.testing.assert_allclose(found.hu[:, 4, 5], 20.0 * found.z, atol=0.01)
    assert found.warnings == (
        "CT slices lie 2.00 to 3.00 mm apart: 7 slices were interpolated to 9 slices of 1.88 mm",
    )
    assert not found.slice_per_plane


@pytest.mark.requirement("TPS-MODEL")
def test_gaps_and_copies_are_refused_by_their_places():
    volume = body()
    for heights, says in (
        ([0, 2, 4, 8, 10, 12, 14], r"slice missing at z = 6\.00 mm"),
        ([0, 2, 4, 4, 6, 8, 10], r"two CT slices lie at z = 4\.00 mm"),
        ([0, 2, 4, 6, 9.3, 11, 13], r"3\.30 mm between z = 6\.00 and 9\.30 mm"),
    ):
        slices, _kept, _axes = stored(volume, [1, 0, 0], [0, 1, 0], [float(z) for z in heights], False)
        with pytest.raises(BadDicom, match=says):
            ct.read_series(slices)
    # every second slice of a part is missing: the slices' thickness tells
    slices, _kept, _axes = stored(volume, [1, 0, 0], [0, 1, 0], [0.0, 4.0, 8.0, 12.0, 20.0, 28.0, 36.0])
    with pytest.raises(BadDicom, match=r"20\.00 mm.*28\.00 mm"):
        ct.read_series(slices)
    slices, _kept, _axes = stored(volume, [0, 1, 0], [0, 0, -1])
    del slices[[ds.SOPInstanceUID for ds in slices].index("1.2.9.4")]
    with pytest.raises(BadDicom, match=r"slice missing at x = -14\.50 mm"):
        ct.read_series(slices)


@pytest.mark.requirement("TPS-MODEL")
def test_oblique_and_sheared_stacks_are_refused():
    with pytest.raises(BadDicom, match=r"is oblique: allowed are axial, sagittal and coronal"):
        stack.directions_of([0.9962, 0.0872, 0, -0.0872, 0.9962, 0])
    with pytest.raises(BadDicom, match="is oblique"):
        stack.directions_of([1, 0, 0, 1, 0, 0])
    slices, _kept, _axes = stored(body(), [1, 0, 0], [0, 1, 0])
    for ds in slices:
        ds.ImagePositionPatient[1] += 0.2 * ds.ImagePositionPatient[2]
    with pytest.raises(BadDicom, match="CT slices shift by"):
        ct.read_series(slices)


@pytest.mark.requirement("TPS-MODEL")
def test_a_volume_too_large_for_memory_is_refused_before_decoding(monkeypatch):
    slices, _kept, _axes = stored(body(), [1, 0, 0], [0, 1, 0])
    for ds in slices:
        del ds.PixelData  # would be missed first, were it read
    monkeypatch.setattr(memory, "available", lambda: 10_000)
    with pytest.raises(BadInput, match=r"not enough memory: the CT needs 0\.00 GB"):
        ct.read_series(slices)
    assert memory.available() == 10_000


@pytest.mark.requirement("TPS-PATIENT")
def test_real_series_are_read(shared_data):
    """A compressed one of a scanner, stored feet to head, and one scanned feet first."""
    folder = shared_data / "ct_upper_abdomen_dicom_real" / "example_ct_dicom"
    slices = [pydicom.dcmread(path) for path in sorted(folder.rglob("*")) if path.is_file()]
    with pytest.raises(BadDicom, match="without SOP class"):
        ct.read_series(slices)
    for ds in slices:  # identifiers were blanked when it was made public
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID
        ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3.1", "1.2.3.2"
    found = ct.read_series(slices)
    assert found.hu.shape == (20, 512, 512)
    assert found.spacing == pytest.approx((0.9765625, 0.9765625, 2.0), abs=1e-3)
    assert (found.z[0], found.z[-1]) == pytest.approx((-804.5, -766.5))
    assert -30 < np.median(found.hu[10, 200:300, 200:300]) < 150
    folder = shared_data / "topas_rtion" / "Abdomen"
    found = ct.read_series(files.read_folder(folder))
    assert (found.patient_position, found.hu.shape[0], found.spacing[2]) == ("FFS", 3, 5.0)
    with pytest.raises(BadDicom, match="1 CT slice"):
        ct.read_series([files.read_file(shared_data / "photon_rt_dicompyler" / "ct.0.dcm")])
