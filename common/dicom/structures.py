"""RT Structure Set: the drawn regions of a CT as closed contours, and back."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID

from common.dicom import modules
from common.dicom.ct import CtVolume
from common.dicom.modules import CT_IMAGE, RT_STRUCTURE_SET, STUDY_COMPONENT, decimal
from common.dicom.plan import PatientIdentity
from common.errors import BadDicom

CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


@dataclass(frozen=True)
class Roi:
    """One region. kind: RT ROI Interpreted Type (EXTERNAL, PTV, CTV, ORGAN, AVOIDANCE, ...) or "".

    contours: closed planar polygons, each (n, 3) float64, patient coordinates in mm; overlapping polygons
    of one slice combine by exclusive or. Points, open lines and polygons of fewer than three points enclose
    nothing and are not contours.
    """

    number: int
    name: str
    kind: str
    contours: tuple[NDArray[np.float64], ...]
    colour: tuple[int, int, int] = (255, 255, 255)


@dataclass(frozen=True)
class StructureSet:
    """All regions of one structure set. rois: name -> region. referenced_series_uid: the CT drawn on."""

    patient: PatientIdentity
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str
    referenced_series_uid: str
    label: str
    rois: Mapping[str, Roi]
    created: str = ""

    def roi(self, name: str) -> Roi:
        """The region of that name. Raises BadDicom listing the names there are, or when it has no contour."""
        found = self.rois.get(name)
        if found is None:
            known = ", ".join(sorted(self.rois)) or "none"
            raise BadDicom(f"no region (ROI) named {name!r}: this structure set holds {known}")
        if not found.contours:
            raise BadDicom(f"region (ROI) {name!r} has no closed contour; draw it first")
        return found

    def of_kind(self, kind: str) -> tuple[Roi, ...]:
        """All regions of an interpreted type, by number."""
        return tuple(
            sorted((roi for roi in self.rois.values() if roi.kind == kind), key=lambda roi: roi.number)
        )


def from_dataset(ds: Dataset) -> StructureSet:
    """Read an RT Structure Set. Raises BadDicom for missing parts, doubled names or damaged contours."""
    modules.check_class(ds, RT_STRUCTURE_SET, "RT Structure Set Storage")
    kinds = {
        modules.integer(item, "ReferencedROINumber"): modules.text(item, "RTROIInterpretedType")
        for item in modules.items(ds, "RTROIObservationsSequence")
    }
    drawn = {
        modules.integer(item, "ReferencedROINumber"): item for item in modules.items(ds, "ROIContourSequence")
    }
    rois: dict[str, Roi] = {}
    frames = set()
    for item in modules.items(ds, "StructureSetROISequence"):
        number, name = modules.integer(item, "ROINumber"), modules.text(item, "ROIName").strip()
        if name in rois:
            raise BadDicom(f"two regions (ROI) are named {name!r}: allowed is one; rename one of them")
        rois[name] = _roi(number, name, kinds.get(number, ""), drawn.get(number))
        frames.add(modules.text(item, "ReferencedFrameOfReferenceUID"))
    if len(frames) != 1:
        raise BadDicom(f"regions lie in {len(frames)} frames of reference: allowed is one")
    return StructureSet(
        patient=modules.patient_of(ds),
        sop_instance_uid=str(modules.require(ds, "SOPInstanceUID")),
        study_instance_uid=str(modules.require(ds, "StudyInstanceUID")),
        series_instance_uid=str(modules.require(ds, "SeriesInstanceUID")),
        frame_of_reference_uid=frames.pop(),
        referenced_series_uid=_series_of(ds),
        label=modules.text(ds, "StructureSetLabel"),
        rois=rois,
        created=modules.moment(ds, "StructureSetDate", "StructureSetTime"),
    )


def _series_of(ds: Dataset) -> str:
    for frame in modules.items(ds, "ReferencedFrameOfReferenceSequence"):
        for study in modules.items(frame, "RTReferencedStudySequence"):
            for series in modules.items(study, "RTReferencedSeriesSequence"):
                return modules.text(series, "SeriesInstanceUID")
    return ""


def _roi(number: int, name: str, kind: str, drawn: Dataset | None) -> Roi:
    if drawn is None:
        return Roi(number, name, kind, ())
    polygons = (
        _contour(item, name)
        for item in modules.items(drawn, "ContourSequence")
        if modules.text(item, "ContourGeometricType") in CLOSED
    )
    contours = tuple(points for points in polygons if len(points) >= 3)
    colour = (255, 255, 255)
    if modules.text(drawn, "ROIDisplayColor"):
        red, green, blue = modules.numbers(drawn, "ROIDisplayColor", 3)
        colour = (int(red), int(green), int(blue))
    return Roi(number, name, kind, contours, colour)


def _contour(item: Dataset, name: str) -> NDArray[np.float64]:
    try:
        flat = np.asarray(modules.require(item, "ContourData"), dtype=np.float64).ravel()
    except (TypeError, ValueError) as why:
        raise BadDicom(f"a contour of region {name!r} holds something that is no number") from why
    wanted = modules.integer(item, "NumberOfContourPoints")
    if flat.size != 3 * wanted or not np.isfinite(flat).all():
        raise BadDicom(f"a contour of region {name!r} holds {flat.size / 3:g} points instead of {wanted}")
    points = flat.reshape(-1, 3)
    if np.ptp(points[:, 2]) > 0.01:
        raise BadDicom(
            f"a contour of region {name!r} is not axial: allowed are contours drawn on axial slices"
        )
    return points


def to_dataset(structures: StructureSet, ct: CtVolume) -> Dataset:
    """A structure set drawn on `ct` as an RT Structure Set instance. Raises BadDicom when they do not fit."""
    if structures.frame_of_reference_uid != ct.frame_of_reference_uid:
        raise BadDicom(
            "structure set and CT have different frames of reference: allowed is the CT that was drawn on"
        )
    if not ct.slice_per_plane:
        raise BadDicom(
            "the CT has no axial slices at even distances: allowed is one that has; resample it first"
        )
    uids = (structures.sop_instance_uid, structures.study_instance_uid, structures.series_instance_uid)
    ds = modules.new_dataset(RT_STRUCTURE_SET, "RTSTRUCT", structures.patient, uids, structures.created)
    ds.StudyDate, ds.StudyTime = ct.created[:8], ct.created[8:]
    ds.OperatorsName = ""
    ds.FrameOfReferenceUID = structures.frame_of_reference_uid
    ds.PositionReferenceIndicator = ""
    ds.StructureSetLabel = modules.limited("structure set label", structures.label, 16)
    ds.StructureSetDate, ds.StructureSetTime = structures.created[:8], structures.created[8:]
    ds.ReferencedFrameOfReferenceSequence = modules.sequence([_frame(ct)])
    ordered = sorted(structures.rois.values(), key=lambda roi: roi.number)
    ds.StructureSetROISequence = modules.sequence([_definition(roi, structures) for roi in ordered])
    ds.ROIContourSequence = modules.sequence([_drawing(roi, ct) for roi in ordered])
    ds.RTROIObservationsSequence = modules.sequence([_observation(roi) for roi in ordered])
    ds.ApprovalStatus = "UNAPPROVED"
    return ds


def _frame(ct: CtVolume) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = UID(ct.series_instance_uid)
    series.ContourImageSequence = modules.sequence(
        [modules.reference(CT_IMAGE, uid) for uid in ct.sop_instance_uids]
    )
    study = modules.reference(STUDY_COMPONENT, ct.study_instance_uid)
    study.RTReferencedSeriesSequence = modules.sequence([series])
    frame = Dataset()
    frame.FrameOfReferenceUID = UID(ct.frame_of_reference_uid)
    frame.RTReferencedStudySequence = modules.sequence([study])
    return frame


def _definition(roi: Roi, structures: StructureSet) -> Dataset:
    item = Dataset()
    item.ROINumber = roi.number
    item.ReferencedFrameOfReferenceUID = UID(structures.frame_of_reference_uid)
    item.ROIName = modules.limited("region name", roi.name, 64)
    item.ROIGenerationAlgorithm = "AUTOMATIC"
    return item


def _drawing(roi: Roi, ct: CtVolume) -> Dataset:
    item = Dataset()
    item.ROIDisplayColor = list(roi.colour)
    item.ReferencedROINumber = roi.number
    if roi.contours:
        item.ContourSequence = modules.sequence([_polygon(points, roi.name, ct) for points in roi.contours])
    return item


def _polygon(points: NDArray[np.float64], name: str, ct: CtVolume) -> Dataset:
    index = round((points[0, 2] - ct.origin[2]) / ct.spacing[2])
    if not 0 <= index < len(ct.sop_instance_uids):
        raise BadDicom(f"a contour of region {name!r} lies at z = {points[0, 2]:.2f} mm, outside the CT")
    item = Dataset()
    item.ContourImageSequence = modules.sequence([modules.reference(CT_IMAGE, ct.sop_instance_uids[index])])
    item.ContourGeometricType = "CLOSED_PLANAR"
    item.NumberOfContourPoints = len(points)
    item.ContourData = [decimal(round(float(value), 4)) for value in points.ravel()]
    return item


def _observation(roi: Roi) -> Dataset:
    item = Dataset()
    item.ObservationNumber = roi.number
    item.ReferencedROINumber = roi.number
    item.RTROIInterpretedType = roi.kind
    item.ROIInterpreter = ""
    return item
