"""CT series as one volume of Hounsfield units, and back."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from common import memory
from common.dicom import modules, stack
from common.dicom.modules import CT_IMAGE, decimal
from common.dicom.plan import PatientIdentity
from common.errors import BadDicom
from common.text import _

_BYTES = 16
"""Memory for a voxel while a series is read: stored, rescaled, stacked and turned."""

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
    sop_instance_uids: of the slices, in order of rising position. patient_position: HFS, HFP, FFS, ...
    created: date and time of the scan, YYYYMMDDhhmmss, or "". warnings: what was done to the images, for
    the planner. slice_per_plane: each hu[k] is the axial slice sop_instance_uids[k], not interpolated.
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
    warnings: tuple[str, ...] = ()
    slice_per_plane: bool = True

    @property
    def z(self) -> NDArray[np.float64]:
        """(nz,) position of each slice, mm."""
        return self.origin[2] + self.spacing[2] * np.arange(self.hu.shape[0], dtype=np.float64)


def read_series(datasets: Iterable[Dataset]) -> CtVolume:
    """One CT series, given in any order, as a volume in patient coordinates.

    Axial, sagittal and coronal slices of any patient position are turned exactly. Slices at uneven distances
    are interpolated linearly to even ones, with a warning. Raises BadDicom for: no CT slice; mixed
    series, patients, frames of reference, sizes or orientations; oblique or tilted slices; slices missing or
    doubled (positions named); damaged or cut pixel data; pixels that are no Hounsfield units. Raises
    BadInput when the volume does not fit in memory. Objects of other kinds are passed over.
    """
    slices = [ds for ds in datasets if modules.text(ds, "Modality") == "CT"]
    if len(slices) < 2:
        raise BadDicom(f"{len(slices)} CT slice(s) found: a volume needs 2 or more; give the whole series")
    for ds in slices:
        modules.check_class(ds, CT_IMAGE, "CT Image Storage (one slice an instance)")
    for keyword, what in _SAME:
        _same(slices, keyword, what)
    directions = _directions(slices)
    positions = np.array([modules.numbers(ds, "ImagePositionPatient", 3) for ds in slices])
    order = stack.order_of(positions, directions)
    slices, positions = [slices[i] for i in order], positions[order]
    heights = positions[:, directions.stack]
    thickness = np.array([_thickness(ds) for ds in slices])
    uneven = stack.uneven(heights, thickness, directions.stack)
    _refuse_too_large(slices, heights)
    name = "xyz"[directions.stack]
    stored = np.stack([_hounsfield(ds, f"{name} = {z:.2f}") for ds, z in zip(slices, heights, strict=True)])
    warnings: tuple[str, ...] = ()
    if uneven:
        stored, heights = stack.evenly(stored, heights)
        warnings = (_uneven_warning(positions[:, directions.stack], heights),)
    pixel_spacing = modules.numbers(slices[0], "PixelSpacing", 2)
    if min(pixel_spacing) <= 0:
        raise BadDicom(f"PixelSpacing is {pixel_spacing}: allowed are positive lengths in mm")
    hu, origin, spacing = stack.to_patient(stored, directions, positions[0], pixel_spacing)
    spacing[directions.stack] = (heights[-1] - heights[0]) / (len(heights) - 1)
    return _volume(hu, origin, spacing, slices, warnings, axial=directions.stack == 2 and not uneven)


def _volume(
    hu: NDArray[np.float32],
    origin: NDArray[np.float64],
    spacing: NDArray[np.float64],
    slices: Sequence[Dataset],
    warnings: tuple[str, ...],
    axial: bool,
) -> CtVolume:
    """The volume with the identity of its series."""
    head = slices[0]
    return CtVolume(
        hu=np.ascontiguousarray(hu),
        origin=(float(origin[0]), float(origin[1]), float(origin[2])),
        spacing=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        patient=modules.patient_of(head),
        study_instance_uid=str(modules.require(head, "StudyInstanceUID")),
        series_instance_uid=str(modules.require(head, "SeriesInstanceUID")),
        frame_of_reference_uid=str(modules.require(head, "FrameOfReferenceUID")),
        sop_instance_uids=tuple(str(modules.require(ds, "SOPInstanceUID")) for ds in slices),
        patient_position=modules.text(head, "PatientPosition"),
        description=modules.text(head, "SeriesDescription"),
        created=modules.moment(head, "StudyDate", "StudyTime"),
        warnings=warnings,
        slice_per_plane=axial,
    )


def _directions(slices: Sequence[Dataset]) -> stack.Directions:
    """The one orientation of all slices. Raises BadDicom."""
    first = stack.directions_of(modules.numbers(slices[0], "ImageOrientationPatient", 6))
    for ds in slices[1:]:
        if stack.directions_of(modules.numbers(ds, "ImageOrientationPatient", 6)) != first:
            raise BadDicom("CT slices have mixed orientations: allowed is one; give one series at a time")
    return first


def _thickness(ds: Dataset) -> float:
    """Slice Thickness in mm, NaN where it is not told."""
    return modules.number(ds, "SliceThickness") if modules.has(ds, "SliceThickness") else math.nan


def _refuse_too_large(slices: Sequence[Dataset], heights: NDArray[np.float64]) -> None:
    """Raise BadInput before decoding when the volume at even distances does not fit in memory."""
    rows, columns = modules.integer(slices[0], "Rows"), modules.integer(slices[0], "Columns")
    count = (heights[-1] - heights[0]) / np.diff(heights).min() + 1.0
    memory.require(int(_BYTES * rows * columns * max(count, len(slices))), _("the CT"))


def _uneven_warning(given: NDArray[np.float64], heights: NDArray[np.float64]) -> str:
    steps = np.diff(given)
    return _(
        "CT slices lie {low} to {high} mm apart: {count} slices were interpolated to {made} slices "
        "of {even} mm"
    ).format(
        low=f"{steps.min():.2f}",
        high=f"{steps.max():.2f}",
        count=len(given),
        made=len(heights),
        even=f"{heights[1] - heights[0]:.2f}",
    )


def _same(slices: Sequence[Dataset], keyword: str, what: str) -> None:
    found = {str(modules.text(ds, keyword)) for ds in slices}
    if len(found) > 1:
        raise BadDicom(
            f"CT slices of {len(found)} different {what} are mixed: allowed is one; give one series at a time"
        )


def _hounsfield(ds: Dataset, place: str) -> NDArray[np.float32]:
    """(rows, columns) of one slice by its own slope and intercept. Raises BadDicom naming its place."""
    where = f"CT slice at {place} mm"
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

    Raises BadDicom when a value lies outside 16 bits or the UIDs are not one an axial slice.
    """
    if not volume.slice_per_plane:
        raise BadDicom("this CT was turned or interpolated: give each slice a new SOP instance UID first")
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
