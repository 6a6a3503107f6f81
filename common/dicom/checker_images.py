"""Checks of CT slices, RT Structure Sets and RT Dose grids."""

from collections.abc import Callable, Sequence

import numpy as np
from pydicom.dataset import Dataset

from common.dicom import modules, rt_dose, structures
from common.dicom.findings import Report
from common.dicom.geometry import axes_of
from common.dicom.stack import directions_of
from common.errors import BadDicom


def check_ct(ds: Dataset, report: Report) -> None:
    """Add the findings in one CT slice."""
    report.uid(ds, "FrameOfReferenceUID")
    report.text(ds, "PatientPosition")
    report.one_of(ds, "PhotometricInterpretation", ("MONOCHROME2",))
    _check_grid(ds, 1, report, directions_of)
    slope, _ = report.number(ds, "RescaleSlope"), report.number(ds, "RescaleIntercept")
    if slope == 0:
        report.error("RescaleSlope", "RescaleSlope is 0: allowed is any other number")
    if modules.text(ds, "RescaleType", "HU") != "HU":
        report.error("RescaleType", f"RescaleType is {modules.text(ds, 'RescaleType')}: allowed is HU")


def _check_grid(
    ds: Dataset, frames: int, report: Report, read: Callable[[Sequence[float]], object] = axes_of
) -> None:
    """Position, orientation, spacing and amount of the pixels."""
    report.numbers(ds, "ImagePositionPatient", 3)
    orientation = report.numbers(ds, "ImageOrientationPatient", 6)
    if orientation is not None:
        try:
            read(orientation)
        except BadDicom as why:
            report.error("ImageOrientationPatient", str(why))
    spacing = report.numbers(ds, "PixelSpacing", 2)
    if spacing is not None and min(spacing) <= 0:
        report.error("PixelSpacing", f"PixelSpacing is {spacing}: allowed are positive lengths")
    sizes = [report.integer(ds, keyword) for keyword in ("Rows", "Columns", "BitsAllocated")]
    compressed = hasattr(ds, "file_meta") and ds.file_meta.TransferSyntaxUID.is_compressed
    if None in sizes or compressed:
        return
    wanted = int(np.prod([size or 0 for size in sizes])) * frames // 8
    data = ds.get("PixelData") or b""
    if len(data) < wanted:
        report.error("PixelData", f"{len(data)} B of pixel data instead of {wanted} B: it is cut off")


def check_dose(ds: Dataset, report: Report) -> None:
    """Add the findings in a dose grid."""
    report.uid(ds, "FrameOfReferenceUID")
    report.one_of(ds, "DoseUnits", ("GY",))
    report.one_of(ds, "DoseType", rt_dose.DOSE_TYPES)
    summation = report.one_of(ds, "DoseSummationType", rt_dose.SUMMATIONS)
    scaling = report.number(ds, "DoseGridScaling")
    if scaling is not None and scaling <= 0:
        report.error("DoseGridScaling", f"DoseGridScaling is {scaling:g}: allowed is more than 0")
    frames = report.integer(ds, "NumberOfFrames") or 1
    _check_grid(ds, frames, report)
    if frames > 1:
        report.numbers(ds, "GridFrameOffsetVector", frames)
    if summation in ("PLAN", "FRACTION", "FRACTION_SESSION", "BEAM"):
        for item in report.items(ds, "ReferencedRTPlanSequence"):
            report.uid(item, "ReferencedSOPInstanceUID")
    if summation == "RECORD":
        report.items(ds, "ReferencedTreatmentRecordSequence")
    if not report.has_errors:
        try:
            grid = rt_dose.from_dataset(ds)
        except BadDicom as why:
            report.error("PixelData", str(why))
            return
        if grid.dose.min() < 0:
            report.error("PixelData", "dose is negative somewhere: allowed is 0 Gy or more")
        if grid.dose.max() == 0:
            report.warning("PixelData", "dose is 0 everywhere")


def check_structures(ds: Dataset, report: Report) -> None:
    """Add the findings in a structure set."""
    report.text(ds, "StructureSetLabel")
    for frame in report.items(ds, "ReferencedFrameOfReferenceSequence"):
        report.uid(frame, "FrameOfReferenceUID")
    numbers = [report.integer(item, "ROINumber") for item in report.items(ds, "StructureSetROISequence")]
    if len(set(numbers)) != len(numbers):
        report.error("ROINumber", "two regions have one number: allowed is one each")
    drawn = [report.integer(item, "ReferencedROINumber") for item in report.items(ds, "ROIContourSequence")]
    for number in sorted({number for number in drawn if number is not None} - set(numbers), key=str):
        report.error("ReferencedROINumber", f"contours of region {number}, which is not defined")
    if report.has_errors:
        return
    try:
        found = structures.from_dataset(ds)
    except BadDicom as why:
        report.error("ROIContourSequence", str(why))
        return
    for roi in found.rois.values():
        if not roi.name:
            report.error("ROIName", f"region {roi.number} has no name")
        if not roi.contours:
            report.warning("ContourSequence", f"region {roi.number} has no closed contour")
    if not found.of_kind("EXTERNAL"):
        report.warning("RTROIInterpretedType", "no region is marked EXTERNAL (the patient's outline)")
