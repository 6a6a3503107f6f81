"""Checks of an RT Ion Beams Treatment Record (PS3.3 C.8.8.26)."""

import numpy as np
from pydicom.dataset import Dataset

from common.dicom import modules
from common.dicom.findings import Report
from common.dicom.ion_record_read import from_dataset, wall_ns
from common.errors import BadDicom

METERSET_TOLERANCE = 1e-4
"""Largest relative difference between spots and a beam's delivered meterset."""

TERMINATIONS = ("NORMAL", "OPERATOR", "MACHINE", "UNKNOWN")


def check_record(ds: Dataset, report: Report) -> None:
    """Add the findings in a treatment record."""
    plans = report.items(ds, "ReferencedRTPlanSequence")
    if len(plans) > 1:
        report.error("ReferencedRTPlanSequence", f"{len(plans)} plans: allowed is 1")
    for plan in plans:
        report.uid(plan, "ReferencedSOPInstanceUID")
    report.text(ds, "TreatmentDate")
    report.text(ds, "TreatmentTime")
    report.one_of(ds, "PrimaryDosimeterUnit", ("MU",))
    if not modules.text(ds, "OperatorsName"):
        report.warning("OperatorsName", "the record names no operator")
    for machine in report.items(ds, "TreatmentMachineSequence"):
        report.text(machine, "TreatmentMachineName")
    numbers: list[int] = []
    for position, beam in enumerate(report.items(ds, "TreatmentSessionIonBeamSequence"), 1):
        report.where = f"beam item {position}: "
        number = report.integer(beam, "ReferencedBeamNumber")
        if number is not None:
            report.where = f"beam {number}: "
            if number in numbers:
                report.error(
                    "ReferencedBeamNumber", "two beam items have this number: allowed is one a record"
                )
            numbers.append(number)
        _check_beam(beam, report)
    report.where = ""
    if not report.has_errors:
        try:
            from_dataset(ds)
        except BadDicom as why:
            report.error("TreatmentSessionIonBeamSequence", str(why))


def _check_beam(beam: Dataset, report: Report) -> None:
    fraction = report.integer(beam, "CurrentFractionNumber")
    if fraction is not None and fraction < 1:
        report.error("CurrentFractionNumber", f"fraction {fraction}: allowed is 1 or more")
    report.one_of(beam, "TreatmentDeliveryType", ("TREATMENT", "CONTINUATION"))
    ended = report.one_of(beam, "TreatmentTerminationStatus", TERMINATIONS)
    report.one_of(beam, "TreatmentVerificationStatus", ("VERIFIED", "VERIFIED_OVR", "NOT_VERIFIED"))
    report.one_of(beam, "RadiationType", ("PROTON", "ION"))
    report.one_of(beam, "ScanMode", ("MODULATED", "MODULATED_SPEC"))
    delivered = report.number(beam, "DeliveredPrimaryMeterset")
    specified = report.number(beam, "SpecifiedPrimaryMeterset")
    points = report.items(beam, "IonControlPointDeliverySequence")
    report.count(beam, "NumberOfControlPoints", len(points), "control points")
    if not points:
        return
    report.number(points[0], "GantryAngle")
    report.number(points[0], "PatientSupportAngle")
    counted = _check_points(points, report)
    if delivered is None or specified is None:
        return
    if delivered < 0 or abs(counted - delivered) > METERSET_TOLERANCE * max(delivered, 1e-3):
        report.error(
            "DeliveredPrimaryMeterset",
            f"spots sum to {counted:.6g} MU, DeliveredPrimaryMeterset is {delivered:.6g} MU; they must agree",
        )
    whole = modules.text(beam, "TreatmentDeliveryType") == "TREATMENT"
    if ended == "NORMAL" and whole and specified > 0 and delivered < 0.9 * specified:
        report.warning(
            "TreatmentTerminationStatus",
            f"ended NORMAL with {delivered:.4g} of {specified:.4g} MU delivered",
        )


def _check_points(points: list[Dataset], report: Report) -> float:
    """Check the control points; returns the sum of all spots in MU."""
    where, total = report.where, 0.0
    last_index, last_time = -1, 0
    for position, point in enumerate(points):
        report.where = f"{where}control point item {position}: "
        index = report.integer(point, "ReferencedControlPointIndex")
        if index is not None:
            if index <= last_index:
                report.error(
                    "ReferencedControlPointIndex", f"{index} follows {last_index}: allowed are rising ones"
                )
            last_index = index
        last_time = _check_time(point, last_time, report)
        spots = report.spots(point, "ScanSpotMetersetsDelivered")
        total += 0.0 if spots is None else float(np.clip(spots, 0, None).sum())
        report.number(point, "DeliveredMeterset")
        if position == 0 or "NominalBeamEnergy" in point:
            report.number(point, "NominalBeamEnergy")
    report.where = where
    return total


def _check_time(point: Dataset, before: int, report: Report) -> int:
    date = report.text(point, "TreatmentControlPointDate")
    clock = report.text(point, "TreatmentControlPointTime")
    if date is None or clock is None:
        return before
    try:
        now = wall_ns(date, clock)
    except BadDicom as why:
        report.error("TreatmentControlPointTime", str(why))
        return before
    if now < before:
        report.error("TreatmentControlPointTime", "lies before the control point before it")
    return now
