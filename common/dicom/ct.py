"""CT series as one volume of Hounsfield units, and back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from common.dicom import modules
from common.dicom.geometry import axes_of, to_patient_axes
from common.dicom.modules import CT_IMAGE, decimal
from common.dicom.plan import PatientIdentity
from common.errors import BadDicom

SPACING_TOLERANCE = 0.02
"""Largest relative deviation of one slice distance from the usual one."""

_SAME = (
    ("SeriesInstanceUID", "series"),
    ("StudyInstanceUID", "studies"),
    ("FrameOfReferenceUID", "frames of reference"),
    ("PatientID", "patients"),
    ("Rows", "heights (Rows)"),
    ("Columns", "widths (Columns)"),
    ("PixelSpacing", "pixel spacings"),
    ("PatientPosition", "patient positions"),
)


@dataclass(frozen=True)
class CtVolume:
    """A CT scan in patient coordinates.

    hu: (nz, ny, nx) float32, Hounsfield units, axes along +z, +y, +x of the patient (DICOM LPS).
    origin: (x, y, z) centre of voxel [0, 0, 0], mm. spacing: (x, y, z), mm.
    sop_instance_uids: of the slices, in order of rising z. patient_position: HFS, HFP, FFS, ...
    created: date and time of the scan, YYYYMMDDhhmmss, or "".
    """

    hu: NDArray[np.float32] = field(repr=False)
    origin: tuple[float, float, float]
    spacing: tuple[float, float, float]
    patient: PatientIdentity = field(repr=False)
    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str
    sop_instance_uids: tuple[str, ...] = field(repr=False)
    patient_position: str = "HFS"
    description: str = ""
    created: str = ""

    @property
    def z(self) -> NDArray[np.float64]:
        """(nz,) position of each slice, mm."""
        return self.origin[2] + self.spacing[2] * np.arange(self.hu.shape[0], dtype=np.float64)


def read_series(datasets: Iterable[Dataset]) -> CtVolume:
    """One CT series, given in any order, as a volume.

    Raises BadDicom for: no CT slice; mixed series, patients, frames of reference, sizes or orientations;
    tilted or sagittal slices; slices missing, doubled or unevenly spaced (positions named); damaged or cut
    pixel data; pixels that are no Hounsfield units. Objects of other kinds are passed over.
    """
    slices = [ds for ds in datasets if modules.text(ds, "Modality") == "CT"]
    if len(slices) < 2:
        raise BadDicom(f"{len(slices)} CT slice(s) found: a volume needs 2 or more; give the whole series")
    for ds in slices:
        modules.check_class(ds, CT_IMAGE, "CT Image Storage (one slice an instance)")
    for keyword, what in _SAME:
        _same(slices, keyword, what)
    axes = axes_of(modules.numbers(slices[0], "ImageOrientationPatient", 6))
    for ds in slices[1:]:
        if axes_of(modules.numbers(ds, "ImageOrientationPatient", 6)) != axes:
            raise BadDicom("CT slices have mixed orientations: allowed is one; give one series at a time")
    positions = np.array([modules.numbers(ds, "ImagePositionPatient", 3) for ds in slices])
    order = np.argsort(positions[:, 2], kind="stable")
    slices, positions = [slices[i] for i in order], positions[order]
    distance = _slice_distance(positions)
    stored = np.stack([_hounsfield(ds, z) for ds, z in zip(slices, positions[:, 2], strict=True)])
    hu, origin, spacing = to_patient_axes(
        stored, axes, positions[0], modules.numbers(slices[0], "PixelSpacing", 2)
    )
    if min(spacing) <= 0:
        raise BadDicom(f"PixelSpacing is {spacing}: allowed are positive lengths in mm")
    head = slices[0]
    return CtVolume(
        hu=np.ascontiguousarray(hu),
        origin=(origin[0], origin[1], float(positions[0, 2])),
        spacing=(spacing[0], spacing[1], distance),
        patient=modules.patient_of(head),
        study_instance_uid=str(modules.require(head, "StudyInstanceUID")),
        series_instance_uid=str(modules.require(head, "SeriesInstanceUID")),
        frame_of_reference_uid=str(modules.require(head, "FrameOfReferenceUID")),
        sop_instance_uids=tuple(str(modules.require(ds, "SOPInstanceUID")) for ds in slices),
        patient_position=modules.text(head, "PatientPosition"),
        description=modules.text(head, "SeriesDescription"),
        created=modules.moment(head, "StudyDate", "StudyTime"),
    )


def _same(slices: Sequence[Dataset], keyword: str, what: str) -> None:
    found = {str(modules.text(ds, keyword)) for ds in slices}
    if len(found) > 1:
        raise BadDicom(
            f"CT slices of {len(found)} different {what} are mixed: allowed is one; give one series at a time"
        )


def _slice_distance(positions: NDArray[np.float64]) -> float:
    """The distance between neighbours in (n, 3) positions of rising z, mm; BadDicom unless it is even."""
    drift = np.abs(positions[:, :2] - positions[0, :2]).max()
    if drift > 0.01:
        raise BadDicom(
            f"CT slices shift by {drift:.3f} mm in the plane: allowed is an untilted, straight stack"
        )
    z = positions[:, 2]
    steps = np.diff(z)
    if steps.min() < 1e-3:
        at = int(steps.argmin())
        raise BadDicom(f"two CT slices lie at z = {z[at]:.2f} mm: allowed is one a position; remove the copy")
    usual = float(np.median(steps))
    wrong = np.flatnonzero(np.abs(steps - usual) > SPACING_TOLERANCE * usual)
    if wrong.size:
        gaps = "; ".join(_gap(z[i], z[i + 1], usual) for i in wrong[:5])
        more = f" and {wrong.size - 5} more places" if wrong.size > 5 else ""
        raise BadDicom(
            f"CT slices are not {usual:.2f} mm apart everywhere: {gaps}{more}; send the complete series again"
        )
    return float((z[-1] - z[0]) / (len(z) - 1))


def _gap(low: float, high: float, usual: float) -> str:
    count = (high - low) / usual
    if round(count) >= 2 and abs(count - round(count)) <= SPACING_TOLERANCE * round(count):
        missing = ", ".join(f"{low + usual * k:.2f}" for k in range(1, min(round(count), 6)))
        return f"slice missing at z = {missing} mm (between {low:.2f} and {high:.2f} mm)"
    return f"{high - low:.2f} mm between z = {low:.2f} and {high:.2f} mm"


def _hounsfield(ds: Dataset, z: float) -> NDArray[np.float32]:
    """(rows, columns) of one slice, rescaled. Raises BadDicom naming the slice's position."""
    where = f"CT slice at z = {z:.2f} mm"
    if (
        modules.text(ds, "PhotometricInterpretation") != "MONOCHROME2"
        or modules.integer(ds, "SamplesPerPixel") != 1
    ):
        raise BadDicom(f"{where} is no grey-value image (MONOCHROME2)")
    if modules.text(ds, "RescaleType", "HU") != "HU":
        raise BadDicom(f"{where} holds {modules.text(ds, 'RescaleType')}: allowed are Hounsfield units (HU)")
    rows, columns = modules.integer(ds, "Rows"), modules.integer(ds, "Columns")
    data = modules.require(ds, "PixelData")
    syntax = ds.file_meta.TransferSyntaxUID if hasattr(ds, "file_meta") else None
    if syntax is None or not syntax.is_compressed:
        wanted = rows * columns * modules.integer(ds, "BitsAllocated") // 8
        if len(data) < wanted:
            raise BadDicom(
                f"{where} has {len(data)} B of pixel data instead of {wanted} B: it is cut off; send it again"
            )
    try:
        pixels = ds.pixel_array
    except modules.DAMAGE as why:
        raise BadDicom(f"{where} has pixel data that cannot be decoded; send it uncompressed") from why
    if pixels.shape != (rows, columns):
        raise BadDicom(f"{where} has {pixels.shape} pixels instead of {(rows, columns)}")
    slope, intercept = modules.number(ds, "RescaleSlope"), modules.number(ds, "RescaleIntercept")
    return np.asarray(pixels * np.float64(slope) + intercept, dtype=np.float32)


def to_datasets(volume: CtVolume) -> list[Dataset]:
    """A volume as CT Image instances of rising z, Hounsfield units rounded to whole numbers.

    Raises BadDicom when a value lies outside 16 bits or the UIDs are not one a slice.
    """
    whole = np.rint(volume.hu)
    if not np.isfinite(whole).all() or whole.min() < -32768 or whole.max() > 32767:
        raise BadDicom("CT values must lie within -32768..32767 HU")
    if len(volume.sop_instance_uids) != len(whole):
        raise BadDicom(
            f"{len(volume.sop_instance_uids)} SOP instance UIDs for {len(whole)} slices: allowed is one each"
        )
    return [_slice(volume, index, plane.astype("<i2")) for index, plane in enumerate(whole)]


def _slice(volume: CtVolume, index: int, plane: NDArray[np.int16]) -> Dataset:
    uids = (volume.sop_instance_uids[index], volume.study_instance_uid, volume.series_instance_uid)
    ds = modules.new_dataset(CT_IMAGE, "CT", volume.patient, uids, volume.created)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.StudyDate, ds.StudyTime = volume.created[:8], volume.created[8:]
    ds.ContentDate, ds.ContentTime = volume.created[:8], volume.created[8:]
    ds.SeriesDescription = volume.description
    ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber = 1, 1, index + 1
    ds.PatientPosition = volume.patient_position
    ds.FrameOfReferenceUID = volume.frame_of_reference_uid
    ds.PositionReferenceIndicator = ""
    ds.Laterality = ""
    x, y, z = volume.spacing
    ds.SliceThickness = decimal(z)
    ds.KVP = None
    height = volume.origin[2] + index * z
    ds.ImagePositionPatient = [decimal(volume.origin[0]), decimal(volume.origin[1]), decimal(height)]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.SliceLocation = decimal(height)
    ds.PixelSpacing = [decimal(y), decimal(x)]
    ds.Rows, ds.Columns = plane.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "HU"
    ds.WindowCenter, ds.WindowWidth = "40", "400"
    ds.PixelData = plane.tobytes()
    ds["PixelData"].VR = "OW"
    return ds
