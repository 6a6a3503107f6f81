"""RT Dose: a grid of dose on an axial, even grid, and back."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from common.dicom import modules
from common.dicom.geometry import axes_of, to_patient_axes
from common.dicom.modules import RT_DOSE, RT_ION_PLAN, RT_ION_RECORD, RT_STRUCTURE_SET, decimal
from common.dicom.plan import PatientIdentity
from common.errors import BadDicom

DOSE_TYPES = ("PHYSICAL", "EFFECTIVE")
SUMMATIONS = ("PLAN", "MULTI_PLAN", "FRACTION", "FRACTION_SESSION", "BEAM", "RECORD")
_FULL_SCALE = 2**16 - 1


@dataclass(frozen=True)
class DoseGrid:
    """Dose on a grid in patient coordinates.

    dose: (nz, ny, nx) float32, Gy (RBE-weighted Gy when dose_type is EFFECTIVE), axes along +z, +y, +x.
    origin: (x, y, z) centre of voxel [0, 0, 0], mm. spacing: (x, y, z), mm.
    summation: PLAN (the whole plan), FRACTION, BEAM (with beam_number), or RECORD (delivered): this one names
    its records, and its plan only through them (PS3.3 C.8.8.3), so plan_sop_instance_uid is not written.
    """

    dose: NDArray[np.float32]
    origin: tuple[float, float, float]
    spacing: tuple[float, float, float]
    patient: PatientIdentity
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str
    plan_sop_instance_uid: str
    dose_type: str = "EFFECTIVE"
    summation: str = "PLAN"
    structure_set_uid: str = ""
    beam_number: int | None = None
    record_sop_instance_uids: tuple[str, ...] = ()
    comment: str = ""
    created: str = ""


def to_dataset(grid: DoseGrid) -> Dataset:
    """A dose grid as an RT Dose instance; scaling loses less than 1e-5 of the maximum.

    Raises BadDicom for negative or non-finite dose and for an unknown type or summation.
    """
    if not np.isfinite(grid.dose).all() or grid.dose.min() < 0:
        raise BadDicom("dose holds negative values or values that are no numbers: allowed is 0 Gy or more")
    if grid.dose_type not in DOSE_TYPES or grid.summation not in SUMMATIONS:
        raise BadDicom(
            f"dose type {grid.dose_type}, summation {grid.summation}: allowed are {DOSE_TYPES}, {SUMMATIONS}"
        )
    uids = (grid.sop_instance_uid, grid.study_instance_uid, grid.series_instance_uid)
    ds = modules.new_dataset(RT_DOSE, "RTDOSE", grid.patient, uids, grid.created)
    ds.OperatorsName = ""
    ds.ContentDate, ds.ContentTime = grid.created[:8], grid.created[8:]
    ds.InstanceNumber = 1
    ds.FrameOfReferenceUID = grid.frame_of_reference_uid
    ds.PositionReferenceIndicator = ""
    ds.DoseUnits, ds.DoseType, ds.DoseSummationType = "GY", grid.dose_type, grid.summation
    if grid.comment:
        ds.DoseComment = modules.limited("dose comment", grid.comment, 64)
    if grid.dose_type == "PHYSICAL":
        ds.SpatialTransformOfDose = "NONE"
    _add_references(ds, grid)
    _add_pixels(ds, grid)
    return ds


def _add_references(ds: Dataset, grid: DoseGrid) -> None:
    if grid.plan_sop_instance_uid and grid.summation != "RECORD":
        plan = modules.reference(RT_ION_PLAN, grid.plan_sop_instance_uid)
        if grid.structure_set_uid:
            plan.ReferencedPlanOverviewIndex = 1
        if grid.summation in ("FRACTION", "FRACTION_SESSION", "BEAM"):
            group = Dataset()
            group.ReferencedFractionGroupNumber = 1
            if grid.beam_number is not None:
                beam = Dataset()
                beam.ReferencedBeamNumber = grid.beam_number
                group.ReferencedBeamSequence = modules.sequence([beam])
            plan.ReferencedFractionGroupSequence = modules.sequence([group])
        ds.ReferencedRTPlanSequence = modules.sequence([plan])
    if grid.structure_set_uid:
        ds.PlanOverviewSequence = modules.sequence([_overview(grid.structure_set_uid)])
    if grid.record_sop_instance_uids:
        ds.ReferencedTreatmentRecordSequence = modules.sequence(
            [modules.reference(RT_ION_RECORD, uid) for uid in grid.record_sop_instance_uids]
        )


def _overview(structure_set_uid: str) -> Dataset:
    """The one place where a dose may name a structure set without holding dose-volume histograms."""
    item = Dataset()
    item.PlanOverviewIndex = 1
    item.RTPlanLabel = item.TreatmentSite = ""
    item.ReferencedStructureSetSequence = modules.sequence(
        [modules.reference(RT_STRUCTURE_SET, structure_set_uid)]
    )
    item.PrescriptionOverviewSequence = modules.sequence([])
    return item


def _add_pixels(ds: Dataset, grid: DoseGrid) -> None:
    frames, rows, columns = grid.dose.shape
    x, y, z = grid.spacing
    highest = float(grid.dose.max(initial=0.0))
    scaling = decimal(highest / _FULL_SCALE if highest > 0 else 1.0)
    ds.NumberOfFrames, ds.Rows, ds.Columns = frames, rows, columns
    ds.FrameIncrementPointer = Tag("GridFrameOffsetVector")
    ds.GridFrameOffsetVector = [decimal(z * index) for index in range(frames)]
    ds.ImagePositionPatient = [decimal(value) for value in grid.origin]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing = [decimal(y), decimal(x)]
    ds.SliceThickness = decimal(z)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.DoseGridScaling = scaling
    # the scaling was rounded to 16 characters: divide by what was written, and stay below full scale
    counts = np.minimum(np.rint(grid.dose.astype(np.float64) / float(scaling)), _FULL_SCALE)
    ds.PixelData = counts.astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"


def from_dataset(ds: Dataset) -> DoseGrid:
    """Read an RT Dose grid. Raises BadDicom unless it is in Gy on an axial, evenly spaced grid, undamaged."""
    modules.check_class(ds, RT_DOSE, "RT Dose Storage")
    if modules.text(ds, "DoseUnits") != "GY":
        raise BadDicom(f"dose is in {modules.text(ds, 'DoseUnits') or 'no unit'}: allowed is GY")
    stored = _pixels(ds) * modules.number(ds, "DoseGridScaling")
    axes = axes_of(modules.numbers(ds, "ImageOrientationPatient", 6))
    first = modules.numbers(ds, "ImagePositionPatient", 3)
    heights = _heights(ds, first[2], len(stored), axes.normal)
    order = np.argsort(heights)
    heights = heights[order]
    dose, origin, spacing = to_patient_axes(
        stored[order], axes, first, modules.numbers(ds, "PixelSpacing", 2)
    )
    step = float(heights[1] - heights[0]) if len(heights) > 1 else modules.number(ds, "SliceThickness", 1.0)
    plan, beam = _plan_of(ds)
    return DoseGrid(
        dose=np.ascontiguousarray(dose, dtype=np.float32),
        origin=(origin[0], origin[1], float(heights[0])),
        spacing=(spacing[0], spacing[1], step),
        patient=modules.patient_of(ds),
        sop_instance_uid=str(modules.require(ds, "SOPInstanceUID")),
        study_instance_uid=str(modules.require(ds, "StudyInstanceUID")),
        series_instance_uid=str(modules.require(ds, "SeriesInstanceUID")),
        frame_of_reference_uid=modules.text(ds, "FrameOfReferenceUID"),
        plan_sop_instance_uid=plan,
        dose_type=modules.text(ds, "DoseType"),
        summation=modules.text(ds, "DoseSummationType"),
        structure_set_uid=_structures_of(ds),
        beam_number=beam,
        record_sop_instance_uids=tuple(
            modules.text(item, "ReferencedSOPInstanceUID")
            for item in modules.items(ds, "ReferencedTreatmentRecordSequence")
        ),
        comment=modules.text(ds, "DoseComment"),
        created=modules.moment(ds, "InstanceCreationDate", "InstanceCreationTime"),
    )


def _pixels(ds: Dataset) -> NDArray[np.float64]:
    frames = int(modules.number(ds, "NumberOfFrames", 1))
    shape = (frames, modules.integer(ds, "Rows"), modules.integer(ds, "Columns"))
    bits = modules.integer(ds, "BitsAllocated")
    if bits not in (16, 32):
        raise BadDicom(f"dose grid of {bits} bits: allowed are 16 and 32")
    data = modules.require(ds, "PixelData")
    wanted = int(np.prod(shape)) * bits // 8
    if len(data) < wanted:
        raise BadDicom(
            f"dose grid has {len(data)} B of pixel data instead of {wanted} B: it is cut off; send it again"
        )
    signed = modules.integer(ds, "PixelRepresentation") == 1
    dtype = f"<{'i' if signed else 'u'}{bits // 8}"
    return np.frombuffer(data, dtype, int(np.prod(shape))).reshape(shape).astype(np.float64)


def _heights(ds: Dataset, first: float, frames: int, normal: int) -> NDArray[np.float64]:
    """(frames,) z of each frame in mm. Offsets are relative, or absolute z (PS3.3 C.8.8.3.2)."""
    if frames == 1:
        return np.array([first])
    offsets = np.array(modules.numbers(ds, "GridFrameOffsetVector", frames))
    # normal: +1 when rows x columns point to the head, so that a relative offset counts that way
    heights = first + normal * offsets if abs(offsets[0]) < 1e-6 else offsets
    steps = np.diff(heights)
    if np.abs(steps - steps[0]).max() > 0.01 or abs(steps[0]) < 1e-3:
        raise BadDicom("dose frames are not evenly spaced: allowed is one distance; export on an even grid")
    return np.asarray(heights)


def _plan_of(ds: Dataset) -> tuple[str, int | None]:
    for plan in modules.items(ds, "ReferencedRTPlanSequence"):
        beam = None
        for group in modules.items(plan, "ReferencedFractionGroupSequence"):
            for item in modules.items(group, "ReferencedBeamSequence"):
                beam = modules.integer(item, "ReferencedBeamNumber")
        return modules.text(plan, "ReferencedSOPInstanceUID"), beam
    return "", None


def _structures_of(ds: Dataset) -> str:
    """The structure set: in the plan overview, or beside dose-volume histograms in foreign doses."""
    for holder in (*modules.items(ds, "PlanOverviewSequence"), ds):
        for item in modules.items(holder, "ReferencedStructureSetSequence"):
            return modules.text(item, "ReferencedSOPInstanceUID")
    return ""
