"""Checks of an RT Ion Plan (PS3.3 C.8.8.14, C.8.8.25)."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from common.dicom import modules
from common.dicom.findings import Report
from common.dicom.ion_plan_read import WEIGHT_TOLERANCE, from_dataset
from common.errors import BadDicom

ENERGY_RANGE = (1.0, 500.0)
"""Plausible kinetic energies of therapy beams, MeV per nucleon."""

POSITIONS = ("HFS", "HFP", "FFS", "FFP", "HFDL", "HFDR", "FFDL", "FFDR", "SITTING")
_MODIFIERS = (
    ("NumberOfWedges", "IonWedgeSequence"),
    ("NumberOfCompensators", "IonRangeCompensatorSequence"),
    ("NumberOfBoli", "ReferencedBolusSequence"),
    ("NumberOfBlocks", "IonBlockSequence"),
    ("NumberOfRangeModulators", "RangeModulatorSequence"),
)


def check_plan(ds: Dataset, report: Report) -> None:
    """Add the findings in a plan."""
    report.text(ds, "RTPlanLabel")
    report.uid(ds, "FrameOfReferenceUID")
    if report.one_of(ds, "RTPlanGeometry", ("PATIENT", "TREATMENT_DEVICE")) == "PATIENT":
        for item in report.items(ds, "ReferencedStructureSetSequence"):
            report.uid(item, "ReferencedSOPInstanceUID")
    _check_prescription(ds, report)
    setups = _check_setups(ds, report)
    beams = report.items(ds, "IonBeamSequence")
    metersets = _check_fractions(ds, len(beams), report)
    seen: set[int] = set()
    for position, beam in enumerate(beams, 1):
        report.where = f"beam item {position}: "
        number = report.integer(beam, "BeamNumber")
        if number is not None:
            report.where = f"beam {number}: "
            if number in seen:
                report.error("BeamNumber", "two beams have this number: allowed is one")
            seen.add(number)
            if metersets is not None and number not in metersets:
                report.error("ReferencedBeamSequence", "no fraction group gives its meterset")
        _check_beam(beam, setups, report)
    report.where = ""
    for number in sorted(set(metersets or ()) - seen):
        report.error(
            "ReferencedBeamSequence", f"the fraction group refers to beam {number}, which is not there"
        )
    if not report.has_errors:
        _check_readable(ds, report)


def _check_readable(ds: Dataset, report: Report) -> None:
    """What the plan model refuses, and what it reads but nothing here delivers."""
    try:
        plan = from_dataset(ds)
    except BadDicom as why:
        report.error("IonBeamSequence", str(why))
        return
    if not plan.rbe_model:
        report.warning("PrescriptionDescription", "the plan does not name its RBE model")


def _check_prescription(ds: Dataset, report: Report) -> None:
    doses = [
        modules.text(item, "TargetPrescriptionDose")
        for item in modules.items(ds, "DoseReferenceSequence")
        if modules.text(item, "DoseReferenceType") == "TARGET"
    ]
    if not any(doses):
        report.warning("DoseReferenceSequence", "the plan states no prescribed dose to a target")


def _check_setups(ds: Dataset, report: Report) -> set[int]:
    found = set()
    for item in report.items(ds, "PatientSetupSequence"):
        report.one_of(item, "PatientPosition", POSITIONS)
        number = report.integer(item, "PatientSetupNumber")
        if number is not None:
            found.add(number)
    return found


def _check_fractions(ds: Dataset, beams: int, report: Report) -> set[int] | None:
    """The beam numbers that the fraction group gives a meterset, or None when there is no one group."""
    groups = report.items(ds, "FractionGroupSequence")
    if len(groups) > 1:
        report.error("FractionGroupSequence", f"{len(groups)} fraction groups: allowed is 1")
    if len(groups) != 1:
        return None
    fractions = report.integer(groups[0], "NumberOfFractionsPlanned")
    if fractions is not None and fractions < 1:
        report.error("NumberOfFractionsPlanned", f"{fractions} fractions: allowed is 1 or more")
    report.count(groups[0], "NumberOfBeams", beams, "beams")
    numbers = set()
    for item in report.items(groups[0], "ReferencedBeamSequence"):
        number, meterset = report.integer(item, "ReferencedBeamNumber"), report.number(item, "BeamMeterset")
        if meterset is not None and meterset <= 0:
            report.error(
                "BeamMeterset", f"BeamMeterset of beam {number} is {meterset:g}: allowed is more than 0"
            )
        if number is not None:
            numbers.add(number)
    return numbers


def _check_beam(beam: Dataset, setups: set[int], report: Report) -> None:
    report.text(beam, "TreatmentMachineName")
    report.text(beam, "BeamName")
    report.one_of(beam, "PrimaryDosimeterUnit", ("MU",))
    report.one_of(beam, "TreatmentDeliveryType", ("TREATMENT", "CONTINUATION"))
    report.one_of(beam, "ScanMode", ("MODULATED", "MODULATED_SPEC"))
    if report.one_of(beam, "RadiationType", ("PROTON", "ION")) == "ION":
        report.integer(beam, "RadiationMassNumber")
        report.integer(beam, "RadiationAtomicNumber")
    distances = report.numbers(beam, "VirtualSourceAxisDistances", 2)
    if distances is not None and min(distances) <= 0:
        report.error("VirtualSourceAxisDistances", f"{distances} mm: allowed are positive lengths")
    for keyword, sequence in _MODIFIERS:
        count = report.integer(beam, keyword)
        if count:
            report.error(sequence, f"{keyword} is {count}: spot-scanned beams here take none")
    shifters = len(modules.items(beam, "RangeShifterSequence"))
    report.count(beam, "NumberOfRangeShifters", shifters, "range shifters")
    setup = report.integer(beam, "ReferencedPatientSetupNumber")
    if setup is not None and setup not in setups:
        report.error("ReferencedPatientSetupNumber", f"patient setup {setup} is not in the plan")
    points = report.items(beam, "IonControlPointSequence")
    report.count(beam, "NumberOfControlPoints", len(points), "control points")
    if len(points) < 2:
        report.error("IonControlPointSequence", f"{len(points)} control points: allowed is 2 or more")
        return
    _check_first_point(points[0], report)
    _check_points(beam, points, report)


def _check_first_point(point: Dataset, report: Report) -> None:
    """What the first control point must state, because nothing before it does."""
    for keyword in ("GantryAngle", "PatientSupportAngle"):
        angle = report.number(point, keyword)
        if angle is not None and abs(angle) > 360:
            report.error(keyword, f"{keyword} is {angle:g} deg: allowed are -360..360")
    report.numbers(point, "IsocenterPosition", 3)
    report.number(point, "NominalBeamEnergy")
    report.text(point, "ScanSpotTuneID")
    start = report.number(point, "CumulativeMetersetWeight")
    if start:
        report.error("CumulativeMetersetWeight", f"the first control point begins at {start:g}: allowed is 0")


def _check_points(beam: Dataset, points: list[Dataset], report: Report) -> None:
    where = report.where
    final = report.number(beam, "FinalCumulativeMetersetWeight")
    cumulative: list[float | None] = []
    spots: list[NDArray[np.float64] | None] = []
    energies: list[float] = []
    for index, point in enumerate(points):
        report.where = f"{where}control point {index}: "
        stated = report.integer(point, "ControlPointIndex")
        if stated is not None and stated != index:
            report.error("ControlPointIndex", f"ControlPointIndex is {stated}: allowed is {index}")
        cumulative.append(report.number(point, "CumulativeMetersetWeight"))
        spots.append(report.spots(point, "ScanSpotMetersetWeights"))
        if "NominalBeamEnergy" in point:
            energies.append(report.number(point, "NominalBeamEnergy") or 0.0)
        _check_spot_settings(point, report)
    report.where = where
    _check_energies(energies, report)
    if final is None or final <= 0:
        report.error("FinalCumulativeMetersetWeight", "FinalCumulativeMetersetWeight must be more than 0")
    elif all(weight is not None for weight in cumulative):
        _check_weights(final, [weight or 0.0 for weight in cumulative], spots, report)


def _check_spot_settings(point: Dataset, report: Report) -> None:
    if modules.text(point, "ScanningSpotSize"):
        size = report.numbers(point, "ScanningSpotSize", 2)
        if size is not None and min(size) <= 0:
            report.error("ScanningSpotSize", f"spot size {size} mm: allowed are positive lengths")
    paintings = report.integer(point, "NumberOfPaintings")
    if paintings is not None and paintings < 1:
        report.error("NumberOfPaintings", f"{paintings} paintings: allowed is 1 or more")


def _check_energies(energies: list[float], report: Report) -> None:
    low, high = ENERGY_RANGE
    wrong = [energy for energy in energies if not low <= energy <= high]
    if wrong:
        report.error("NominalBeamEnergy", f"{wrong[0]:g} MeV: allowed are {low:g}..{high:g}")
    if any(after > before + 1e-6 for before, after in pairwise(energies)):
        report.warning("NominalBeamEnergy", "energies rise from one layer to the next: they usually fall")


def _check_weights(
    final: float, cumulative: list[float], spots: list[NDArray[np.float64] | None], report: Report
) -> None:
    """Spot weights must sum to the rise of the cumulative weight, and this must end at the final one."""
    tolerance = WEIGHT_TOLERANCE * final
    steps = np.diff([*cumulative, final])
    for index, (step, weights) in enumerate(zip(steps, spots, strict=True)):
        if step < -tolerance:
            report.error(
                "CumulativeMetersetWeight", f"control point {index}: cumulative weight falls by {-step:.6g}"
            )
        elif weights is not None and abs(weights.sum() - step) > tolerance:
            report.error(
                "ScanSpotMetersetWeights",
                f"control point {index}: spot weights sum to {weights.sum():.6g}, "
                f"the cumulative weight rises by {step:.6g}; they must agree",
            )
    if abs(cumulative[-1] - final) > tolerance:
        report.error(
            "FinalCumulativeMetersetWeight",
            f"last control point ends at {cumulative[-1]:.6g}, FinalCumulativeMetersetWeight: {final:.6g}",
        )
