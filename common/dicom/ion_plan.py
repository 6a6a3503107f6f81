"""IonPlan to RT Ion Plan Storage (PS3.3 A.52, C.8.8.25) and back.

Each layer is a pair of control points: the first carries the spots' metersets, the second zeros, so that
no attribute changes while the meterset runs. Meterset weights are written in MU.
"""

import numpy as np
from pydicom.dataset import Dataset

from common.dicom import accessories as hardware
from common.dicom import modules, private
from common.dicom.ion_plan_read import NO_TUNE, from_dataset
from common.dicom.modules import RT_DOSE, RT_ION_PLAN, RT_STRUCTURE_SET, decimal, limited
from common.dicom.plan import IonBeam, IonLayer, IonPlan
from common.errors import BadDicom

__all__ = ["MAX_SPOTS", "from_dataset", "to_dataset"]

MAX_SPOTS = 8191
"""Most spots of one layer: an FL element of Explicit VR holds 65534 B (PS3.5 7.1.2), a spot takes 8."""


def to_dataset(plan: IonPlan) -> Dataset:
    """A plan as an RT Ion Plan instance; the same plan always gives the same data set.

    Raises BadDicom for a plan without beams, a layer that is empty, negative, non-finite or larger than
    MAX_SPOTS, a text too long for its attribute, and a beam with accessories whose geometry is unknown.
    """
    if not plan.beams or plan.fractions < 1:
        raise BadDicom(
            f"plan has {len(plan.beams)} beams and {plan.fractions} fractions: allowed is 1 or more"
        )
    uids = (plan.sop_instance_uid, plan.study_instance_uid, plan.series_instance_uid)
    ds = modules.new_dataset(RT_ION_PLAN, "RTPLAN", plan.patient, uids, plan.created)
    ds.OperatorsName = ""
    ds.FrameOfReferenceUID = plan.frame_of_reference_uid
    ds.PositionReferenceIndicator = ""
    ds.RTPlanLabel = limited("plan label", plan.label, 16)
    ds.RTPlanDate, ds.RTPlanTime = plan.created[:8], plan.created[8:]
    ds.PlanIntent = "CURATIVE"
    ds.RTPlanGeometry = "PATIENT" if plan.structure_set_uid else "TREATMENT_DEVICE"
    if plan.structure_set_uid:
        ds.ReferencedStructureSetSequence = modules.sequence(
            [modules.reference(RT_STRUCTURE_SET, plan.structure_set_uid)]
        )
    if plan.dose_sop_instance_uid:
        ds.ReferencedDoseSequence = modules.sequence([modules.reference(RT_DOSE, plan.dose_sop_instance_uid)])
    _add_prescription(ds, plan)
    ds.FractionGroupSequence = modules.sequence([_fraction_group(plan)])
    ds.PatientSetupSequence = modules.sequence([_setup(plan)])
    ds.IonBeamSequence = modules.sequence([_beam(plan, beam) for beam in plan.beams])
    ds.ApprovalStatus = "UNAPPROVED"
    return ds


def _add_prescription(ds: Dataset, plan: IonPlan) -> None:
    ds.PrescriptionDescription = f"RBE model: {plan.rbe_model or 'not stated'}"
    private.put_text(ds, private.PLAN_GROUP, private.RBE_MODEL, plan.rbe_model)
    item = Dataset()
    item.DoseReferenceNumber = 1
    item.DoseReferenceUID = modules.new_uid(plan.sop_instance_uid, "dose reference 1")
    item.DoseReferenceStructureType = "SITE"
    item.DoseReferenceDescription = limited("target name", plan.target, 64)
    item.DoseReferenceType = "TARGET"
    if plan.prescription > 0:
        item.TargetPrescriptionDose = decimal(plan.prescription * plan.fractions)
    ds.DoseReferenceSequence = modules.sequence([item])


def _fraction_group(plan: IonPlan) -> Dataset:
    group = Dataset()
    group.FractionGroupNumber = 1
    group.NumberOfFractionsPlanned = plan.fractions
    group.NumberOfBeams = len(plan.beams)
    group.NumberOfBrachyApplicationSetups = 0
    beams = []
    for beam in plan.beams:
        item = Dataset()
        item.BeamMeterset = decimal(beam.meterset)
        item.ReferencedBeamNumber = beam.number
        beams.append(item)
    group.ReferencedBeamSequence = modules.sequence(beams)
    return group


def _setup(plan: IonPlan) -> Dataset:
    item = Dataset()
    item.PatientPosition = plan.patient_position
    item.PatientSetupNumber = 1
    item.SetupTechnique = "ISOCENTRIC"
    return item


def _beam(plan: IonPlan, beam: IonBeam) -> Dataset:
    _check(beam)
    ds = Dataset()
    ds.TreatmentMachineName = limited("machine name", plan.machine, 16)
    ds.PrimaryDosimeterUnit = plan.meterset_unit
    ds.BeamNumber = beam.number
    ds.BeamName = limited("beam name", beam.name, 64)
    ds.BeamType = "STATIC"
    ds.RadiationType = plan.radiation
    if plan.radiation == "ION":
        ds.RadiationMassNumber, ds.RadiationAtomicNumber = plan.nuclide
        ds.RadiationChargeState = plan.nuclide[1]
    ds.TreatmentDeliveryType = "TREATMENT"
    ds.NumberOfWedges = ds.NumberOfBoli = 0
    hardware.put(ds, beam.aperture, beam.compensator)
    ds.FinalCumulativeMetersetWeight = decimal(beam.meterset)
    ds.NumberOfControlPoints = 2 * len(beam.layers)
    ds.ScanMode, ds.ModulatedScanModeType = "MODULATED", "STATIONARY"
    ds.VirtualSourceAxisDistances = list(beam.virtual_sad)
    ds.NumberOfRangeShifters = 0 if beam.range_shifter is None else 1
    if beam.range_shifter is not None:
        shifter = Dataset()
        shifter.RangeShifterNumber = 1
        shifter.RangeShifterID = limited("range shifter id", beam.range_shifter, 16)
        shifter.RangeShifterType = "BINARY"
        ds.RangeShifterSequence = modules.sequence([shifter])
    ds.NumberOfLateralSpreadingDevices = 0
    ds.NumberOfRangeModulators = 0 if beam.ripple_filter is None else 1
    if beam.ripple_filter is not None:
        filter_ = Dataset()
        filter_.RangeModulatorNumber = 1
        filter_.RangeModulatorID = limited("ripple filter id", beam.ripple_filter, 16)
        filter_.RangeModulatorType = "FIXED"
        ds.RangeModulatorSequence = modules.sequence([filter_])
    ds.PatientSupportType = "TABLE"
    ds.ReferencedPatientSetupNumber = 1
    points: list[Dataset] = []
    total = 0.0
    for layer in beam.layers:
        points.append(_control_point(len(points), layer, total, layer.mu))
        total += float(layer.mu.sum(dtype=np.float64))
        points.append(_control_point(len(points), layer, total, np.zeros_like(layer.mu)))
    points[-1].CumulativeMetersetWeight = ds.FinalCumulativeMetersetWeight
    _add_geometry(points[0], beam)
    ds.IonControlPointSequence = modules.sequence(points)
    return ds


def _check(beam: IonBeam) -> None:
    held = (beam.aperture, beam.compensator, beam.ripple_filter)
    if len(beam.accessories) > sum(part is not None for part in held):
        raise BadDicom(f"beam {beam.number} holds {', '.join(beam.accessories)}, which cannot be written")
    if not beam.layers:
        raise BadDicom(f"beam {beam.number} has no layer: allowed is 1 or more")
    for index, layer in enumerate(beam.layers):
        where = f"layer {index + 1} of beam {beam.number}"
        if not len(layer.x) == len(layer.y) == len(layer.mu):
            raise BadDicom(f"{where} has {len(layer.x)} x, {len(layer.y)} y and {len(layer.mu)} metersets")
        if not 1 <= layer.spot_count <= MAX_SPOTS:
            raise BadDicom(
                f"{where} has {layer.spot_count} spots: allowed are 1..{MAX_SPOTS}; split the layer"
            )
        finite = np.isfinite(layer.x).all() and np.isfinite(layer.y).all() and np.isfinite(layer.mu).all()
        if not finite or layer.mu.min() < 0 or layer.mu.sum() <= 0:
            raise BadDicom(f"{where} has metersets or positions that are negative, all zero or no numbers")


def _control_point(index: int, layer: IonLayer, cumulative: float, mu: np.ndarray) -> Dataset:
    point = Dataset()
    point.ControlPointIndex = index
    point.NominalBeamEnergy = decimal(layer.energy)
    point.CumulativeMetersetWeight = decimal(cumulative)
    point.ScanSpotTuneID = limited("tune id", layer.tune_id, 16) or NO_TUNE
    point.NumberOfScanSpotPositions = layer.spot_count
    # float32 to float is exact, and FL is float32 again
    point.ScanSpotPositionMap = np.column_stack([layer.x, layer.y]).astype(np.float32).ravel().tolist()
    point.ScanSpotMetersetWeights = mu.astype(np.float32).tolist()
    if np.isfinite(layer.fwhm_x) and np.isfinite(layer.fwhm_y):
        point.ScanningSpotSize = [float(layer.fwhm_x), float(layer.fwhm_y)]
    point.NumberOfPaintings = layer.paintings
    return point


def _add_geometry(point: Dataset, beam: IonBeam) -> None:
    """What the first control point alone carries, because it never changes."""
    point.GantryAngle, point.GantryRotationDirection = decimal(beam.gantry), "NONE"
    point.BeamLimitingDeviceAngle, point.BeamLimitingDeviceRotationDirection = "0", "NONE"
    point.PatientSupportAngle, point.PatientSupportRotationDirection = decimal(beam.couch), "NONE"
    point.TableTopVerticalPosition = point.TableTopLongitudinalPosition = point.TableTopLateralPosition = None
    point.TableTopPitchAngle, point.TableTopPitchRotationDirection = 0.0, "NONE"
    point.TableTopRollAngle, point.TableTopRollRotationDirection = 0.0, "NONE"
    point.GantryPitchAngle, point.GantryPitchRotationDirection = 0.0, "NONE"
    point.IsocenterPosition = [decimal(value) for value in beam.isocentre]
    point.SnoutPosition = float(beam.snout_position)
    if beam.range_shifter is not None:
        setting = Dataset()
        setting.RangeShifterSetting = "IN"
        setting.ReferencedRangeShifterNumber = 1
        if beam.range_shifter_wet is not None:
            setting.RangeShifterWaterEquivalentThickness = float(beam.range_shifter_wet)
        if beam.range_shifter_distance is not None:
            setting.IsocenterToRangeShifterDistance = float(beam.range_shifter_distance)
        point.RangeShifterSettingsSequence = modules.sequence([setting])
