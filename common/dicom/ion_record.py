"""TreatmentRecord to RT Ion Beams Treatment Record Storage (PS3.3 A.54, C.8.8.26) and back.

One instance a part of a fraction. Only layers that saw beam in this part have control points, each pair
naming the plan's control points (Referenced Control Point Index 2 x layer and one more); the metersets are
those counted in this part. What the standard cannot hold (the secondary monitor's count and the measured
sigma of each spot, the layers not reached, the monitor's context) lies in the private block described in
`common.dicom.private`. Dates and times are UTC.
"""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from common.dicom import modules, private
from common.dicom.ion_plan import MAX_SPOTS
from common.dicom.ion_plan_read import NO_TUNE
from common.dicom.ion_record_read import from_dataset
from common.dicom.modules import RT_ION_PLAN, RT_ION_RECORD, decimal, limited
from common.dicom.record import BeamRecord, LayerRecord, TreatmentRecord
from common.errors import BadDicom

__all__ = ["FWHM", "from_dataset", "to_dataset"]

TERMINATIONS = ("NORMAL", "OPERATOR", "MACHINE", "UNKNOWN")
DELIVERIES = ("TREATMENT", "CONTINUATION")
FWHM = 2.0 * float(np.sqrt(2.0 * np.log(2.0)))
"""Full width at half maximum of a Gaussian, in sigma."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_dataset(record: TreatmentRecord) -> Dataset:
    """A record as one RT Ion Beams Treatment Record instance.

    Raises BadDicom for a record without beams or times, unknown termination or delivery words, layers whose
    arrays differ in length or hold negative or non-finite metersets, and texts too long for their attribute.
    """
    if not record.beams or record.start_ns <= 0 or record.end_ns < record.start_ns:
        raise BadDicom("a treatment record needs a beam, a start time and an end time not before it")
    uids = (record.sop_instance_uid, record.study_instance_uid, record.series_instance_uid)
    created, fraction = _stamp(record.end_ns)
    ds = modules.new_dataset(RT_ION_RECORD, "RTRECORD", record.patient, uids, created + fraction)
    ds.TimezoneOffsetFromUTC = "+0000"
    ds.OperatorsName = list(record.operators)
    ds.InstanceNumber = record.part
    ds.TreatmentDate, ds.TreatmentTime = _date_time(record.start_ns)
    ds.ReferencedRTPlanSequence = modules.sequence(
        [modules.reference(RT_ION_PLAN, record.plan_sop_instance_uid)]
    )
    machine = Dataset()
    machine.Manufacturer = modules.MANUFACTURER
    machine.InstitutionName = machine.ManufacturerModelName = machine.DeviceSerialNumber = ""
    machine.TreatmentMachineName = limited("machine name", record.machine, 16)
    ds.TreatmentMachineSequence = modules.sequence([machine])
    ds.PrimaryDosimeterUnit = "MU"
    ds.NumberOfFractionsPlanned = record.fractions_planned
    ds.TreatmentSessionIonBeamSequence = modules.sequence([_beam(record, beam) for beam in record.beams])
    session = {
        "part": record.part,
        "verified_by": record.verified_by,
        "operators": list(record.operators),
        "clock_factor": record.clock_factor,
        "start_ns": record.start_ns,
        "end_ns": record.end_ns,
        "monitor": record.monitor,
    }
    private.put_text(ds, private.RECORD_GROUP, private.SESSION, json.dumps(session, ensure_ascii=False))
    return ds


def _stamp(wall_ns: int) -> tuple[str, str]:
    moment = _EPOCH + timedelta(microseconds=wall_ns // 1000)
    return moment.strftime("%Y%m%d%H%M%S"), moment.strftime(".%f")


def _date_time(wall_ns: int) -> tuple[str, str]:
    stamp, fraction = _stamp(wall_ns)
    return stamp[:8], stamp[8:] + fraction


def _beam(record: TreatmentRecord, beam: BeamRecord) -> Dataset:
    _check(beam)
    ds = Dataset()
    ds.ReferencedBeamNumber = beam.number
    ds.BeamName = limited("beam name", beam.name, 64)
    ds.BeamType = "STATIC"
    ds.RadiationType = record.radiation
    if record.radiation == "ION":
        ds.RadiationMassNumber, ds.RadiationAtomicNumber, ds.RadiationChargeState = 12, 6, 6
    ds.CurrentFractionNumber = record.fraction
    ds.TreatmentDeliveryType = beam.delivery_type
    ds.TreatmentTerminationStatus = beam.termination
    if beam.cause:
        ds.TreatmentTerminationDescription = beam.cause[:1024]
    ds.TreatmentVerificationStatus = "VERIFIED" if record.verified_by else "NOT_VERIFIED"
    ds.SpecifiedPrimaryMeterset = decimal(beam.planned_mu)
    ds.DeliveredPrimaryMeterset = decimal(beam.delivered_mu)
    ds.DeliveredSecondaryMeterset = decimal(
        sum(float(layer.secondary_mu.sum(dtype=np.float64)) for layer in beam.layers)
    )
    ds.NumberOfWedges = ds.NumberOfCompensators = ds.NumberOfBoli = ds.NumberOfBlocks = 0
    ds.ScanMode, ds.ModulatedScanModeType = "MODULATED", "STATIONARY"
    ds.NumberOfRangeShifters = 0 if beam.range_shifter is None else 1
    if beam.range_shifter is not None:
        shifter = Dataset()
        shifter.RangeShifterID = limited("range shifter id", beam.range_shifter, 16)
        shifter.ReferencedRangeShifterNumber = 1
        ds.RecordedRangeShifterSequence = modules.sequence([shifter])
    ds.NumberOfLateralSpreadingDevices = ds.NumberOfRangeModulators = 0
    ds.PatientSupportType = "TABLE"
    points = _points(beam, record.start_ns)
    _add_geometry(points[0], beam)
    ds.NumberOfControlPoints = len(points)
    ds.IonControlPointDeliverySequence = modules.sequence(points)
    _add_private(ds, beam)
    return ds


def _check(beam: BeamRecord) -> None:
    if beam.termination not in TERMINATIONS or beam.delivery_type not in DELIVERIES:
        raise BadDicom(
            f"beam {beam.number} ended {beam.termination!r} as {beam.delivery_type!r}: "
            f"allowed are {', '.join(TERMINATIONS)} and {', '.join(DELIVERIES)}"
        )
    if not beam.layers:
        raise BadDicom(f"beam {beam.number} has no layer: allowed is every planned layer, delivered or not")
    for index, layer in enumerate(beam.layers):
        where = f"layer {index + 1} of beam {beam.number}"
        arrays = (
            layer.x,
            layer.y,
            layer.mu,
            layer.secondary_mu,
            layer.size_x,
            layer.size_y,
            layer.prescribed_mu,
        )
        if len({len(array) for array in arrays}) != 1 or not 1 <= len(layer.mu) <= MAX_SPOTS:
            raise BadDicom(f"{where}: arrays must have one length of 1..{MAX_SPOTS} spots")
        if not all(np.isfinite(array).all() for array in arrays) or layer.mu.min() < 0:
            raise BadDicom(f"{where} holds negative metersets or values that are no numbers")


def saw_beam(layer: LayerRecord) -> bool:
    """Whether anything of a layer was delivered in this part."""
    return bool(layer.start_ns or layer.mu.any() or layer.secondary_mu.any())


def _points(beam: BeamRecord, start_ns: int) -> list[Dataset]:
    """Control points of the layers that saw beam; of the first layer, with zeros, when none did."""
    points: list[Dataset] = []
    specified = delivered = 0.0
    any_beam = any(saw_beam(layer) for layer in beam.layers)
    for index, layer in enumerate(beam.layers):
        before = specified, delivered
        specified += float(layer.prescribed_mu.sum(dtype=np.float64))
        delivered += float(layer.mu.sum(dtype=np.float64))
        if saw_beam(layer) or (index == 0 and not any_beam):
            start, end = layer.start_ns or start_ns, layer.end_ns or layer.start_ns or start_ns
            points.append(_point(2 * index, layer, start, before, layer.mu))
            points.append(_point(2 * index + 1, layer, end, (specified, delivered), np.zeros_like(layer.mu)))
    return points


def _point(
    index: int, layer: LayerRecord, wall_ns: int, metersets: tuple[float, float], mu: NDArray[np.float32]
) -> Dataset:
    point = Dataset()
    point.ReferencedControlPointIndex = index
    point.TreatmentControlPointDate, point.TreatmentControlPointTime = _date_time(wall_ns)
    point.SpecifiedMeterset, point.DeliveredMeterset = decimal(metersets[0]), decimal(metersets[1])
    point.NominalBeamEnergy = decimal(layer.energy)
    point.ScanSpotTuneID = limited("tune id", layer.tune_id, 16) or NO_TUNE
    point.ScanSpotReordered = "NO"
    point.NumberOfScanSpotPositions = len(mu)
    point.ScanSpotPositionMap = np.column_stack([layer.x, layer.y]).astype(np.float32).ravel().tolist()
    point.ScanSpotMetersetsDelivered = mu.astype(np.float32).tolist()
    sizes = np.column_stack([layer.size_x, layer.size_y]).ravel() * FWHM
    point.ScanSpotSizesDelivered = sizes.astype(np.float32).tolist()
    point.NumberOfPaintings = layer.paintings
    return point


def _add_geometry(point: Dataset, beam: BeamRecord) -> None:
    point.GantryAngle, point.GantryRotationDirection = decimal(beam.gantry), "NONE"
    point.BeamLimitingDeviceAngle, point.BeamLimitingDeviceRotationDirection = "0", "NONE"
    point.PatientSupportAngle, point.PatientSupportRotationDirection = decimal(beam.couch), "NONE"
    lateral, longitudinal, vertical = beam.couch_position
    point.TableTopLateralPosition = decimal(lateral)
    point.TableTopLongitudinalPosition = decimal(longitudinal)
    point.TableTopVerticalPosition = decimal(vertical)
    point.TableTopPitchAngle, point.TableTopPitchRotationDirection = 0.0, "NONE"
    point.TableTopRollAngle, point.TableTopRollRotationDirection = 0.0, "NONE"
    point.GantryPitchAngle, point.GantryPitchRotationDirection = 0.0, "NONE"
    point.SnoutPosition = float(beam.snout_position)
    if beam.range_shifter is not None:
        setting = Dataset()
        setting.RangeShifterSetting = "IN"
        setting.ReferencedRangeShifterNumber = 1
        point.RangeShifterSettingsSequence = modules.sequence([setting])


def _add_private(ds: Dataset, beam: BeamRecord) -> None:
    group, layers = private.RECORD_GROUP, beam.layers
    table = [
        {
            "energy": layer.energy,
            "spots": len(layer.mu),
            "paintings": layer.paintings,
            "start_ns": layer.start_ns,
            "end_ns": layer.end_ns,
            "tune": layer.tune_id,
        }
        for layer in layers
    ]
    texts = {"cause": beam.cause, "layers": table}
    private.put_text(ds, group, private.BEAM, json.dumps(texts, ensure_ascii=False))
    spots = {
        private.SPOT_POSITION: [np.column_stack([layer.x, layer.y]) for layer in layers],
        private.SPOT_SECONDARY: [layer.secondary_mu for layer in layers],
        private.SPOT_SIGMA: [np.column_stack([layer.size_x, layer.size_y]) for layer in layers],
        private.SPOT_PRESCRIBED: [layer.prescribed_mu for layer in layers],
    }
    for element, parts in spots.items():
        private.put_array(ds, group, element, np.concatenate(parts))
