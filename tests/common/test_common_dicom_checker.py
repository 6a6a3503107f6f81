"""The semantic checker: every injected defect is found, a good object has no finding."""

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from dicom_samples import small_ct, small_dose, small_plan, small_record, small_structures
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from common.dicom import ct, files, ion_plan, ion_record, rt_dose, structures
from common.dicom.checker import ERROR, WARNING, check, require_good
from common.errors import BadDicom

Damage = Callable[[Dataset], object]


def plan() -> Dataset:
    return ion_plan.to_dataset(small_plan())


def record() -> Dataset:
    return ion_record.to_dataset(small_record())


def point(ds: Dataset, beam: int = 0, index: int = 0) -> Dataset:
    """A control point of a plan or a record."""
    if "IonBeamSequence" in ds:
        found: Dataset = ds.IonBeamSequence[beam].IonControlPointSequence[index]
    else:
        found = ds.TreatmentSessionIonBeamSequence[beam].IonControlPointDeliverySequence[index]
    return found


def put(keyword: str, value: object, where: Callable[[Dataset], Dataset] = lambda ds: ds) -> Damage:
    return lambda ds: setattr(where(ds), keyword, value)


def remove(keyword: str, where: Callable[[Dataset], Dataset] = lambda ds: ds) -> Damage:
    return lambda ds: delattr(where(ds), keyword)


def change(keyword: str, index: int, value: float, where: Callable[[Dataset], Dataset]) -> Damage:
    return lambda ds: getattr(where(ds), keyword).__setitem__(index, value)


def beam(ds: Dataset) -> Dataset:
    found: Dataset = (ds.get("IonBeamSequence") or ds.TreatmentSessionIonBeamSequence)[0]
    return found


def group(ds: Dataset) -> Dataset:
    found: Dataset = ds.FractionGroupSequence[0]
    return found


def assert_found(ds: Dataset, keyword: str, severity: str = ERROR) -> None:
    assert (severity, keyword) in {(finding.severity, finding.keyword) for finding in check(ds)}, check(ds)


@pytest.mark.requirement("OIS-DICOM")
@pytest.mark.parametrize("radiation", ["PROTON", "ION"])
def test_good_objects_have_no_finding(radiation: str, tmp_path: Path) -> None:
    volume = small_ct()
    drawn = small_structures()
    outline = dataclasses.replace(drawn.rois["PTV"], number=2, name="External", kind="EXTERNAL")
    whole = dataclasses.replace(drawn, rois={"PTV": drawn.rois["PTV"], "External": outline})
    delivered = dataclasses.replace(small_dose(), summation="RECORD", record_sop_instance_uids=("2.25.61",))
    good = [
        ion_plan.to_dataset(small_plan(radiation)),
        record(),
        rt_dose.to_dataset(small_dose()),
        rt_dose.to_dataset(delivered),
        structures.to_dataset(whole, volume),
        *ct.to_datasets(volume),
    ]
    for index, ds in enumerate(good):
        assert check(ds) == []
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        files.write_file(ds, tmp_path / f"{index}.dcm")
        assert require_good(files.read_file(tmp_path / f"{index}.dcm")) == []


SEVEN = {
    "bad RadiationType": (put("RadiationType", "PROTONS", beam), "RadiationType"),
    "missing gantry angle": (remove("GantryAngle", point), "GantryAngle"),
    "wrong NumberOfControlPoints": (put("NumberOfControlPoints", 4, beam), "NumberOfControlPoints"),
    "map length": (lambda ds: point(ds).ScanSpotPositionMap.pop(), "ScanSpotPositionMap"),
    "weight sum": (change("ScanSpotMetersetWeights", 1, 9.0, point), "ScanSpotMetersetWeights"),
    "negative weight": (change("ScanSpotMetersetWeights", 1, -0.5, point), "ScanSpotMetersetWeights"),
    "missing FractionGroupSequence": (remove("FractionGroupSequence"), "FractionGroupSequence"),
}


@pytest.mark.requirement("OIS-DICOM")
@pytest.mark.parametrize("name", list(SEVEN))
def test_the_seven_defects_that_conformance_checkers_miss(name: str) -> None:
    damage, keyword = SEVEN[name]
    ds = plan()
    damage(ds)
    assert_found(ds, keyword)
    with pytest.raises(BadDicom):
        require_good(ds)


PLAN = {
    "no label": (put("RTPlanLabel", ""), "RTPlanLabel"),
    "no frame of reference": (remove("FrameOfReferenceUID"), "FrameOfReferenceUID"),
    "no structure set": (remove("ReferencedStructureSetSequence"), "ReferencedStructureSetSequence"),
    "bad UID": (put("StudyInstanceUID", "2.25.01"), "StudyInstanceUID"),
    "no patient": (put("PatientID", ""), "PatientID"),
    "other modality": (put("Modality", "CT"), "Modality"),
    "no setup": (remove("PatientSetupSequence"), "PatientSetupSequence"),
    "unknown setup": (put("ReferencedPatientSetupNumber", 7, beam), "ReferencedPatientSetupNumber"),
    "no fractions": (put("NumberOfFractionsPlanned", 0, group), "NumberOfFractionsPlanned"),
    "wrong beam count": (put("NumberOfBeams", 3, group), "NumberOfBeams"),
    "no meterset": (lambda ds: delattr(group(ds).ReferencedBeamSequence[0], "BeamMeterset"), "BeamMeterset"),
    "zero meterset": (
        lambda ds: setattr(group(ds).ReferencedBeamSequence[0], "BeamMeterset", 0),
        "BeamMeterset",
    ),
    "unreferenced beam": (lambda ds: group(ds).ReferencedBeamSequence.pop(), "ReferencedBeamSequence"),
    "doubled beam number": (put("BeamNumber", 2, beam), "BeamNumber"),
    "other unit": (put("PrimaryDosimeterUnit", "NP", beam), "PrimaryDosimeterUnit"),
    "uniform scanning": (put("ScanMode", "UNIFORM", beam), "ScanMode"),
    "aperture": (put("NumberOfBlocks", 1, beam), "IonBlockSequence"),
    "final weight": (put("FinalCumulativeMetersetWeight", "99", beam), "FinalCumulativeMetersetWeight"),
    "falling weight": (
        put("CumulativeMetersetWeight", "0", lambda ds: point(ds, 0, 2)),
        "CumulativeMetersetWeight",
    ),
    "start weight": (put("CumulativeMetersetWeight", "1", point), "CumulativeMetersetWeight"),
    "point index": (put("ControlPointIndex", 5, lambda ds: point(ds, 0, 2)), "ControlPointIndex"),
    "no isocentre": (remove("IsocenterPosition", point), "IsocenterPosition"),
    "no couch angle": (remove("PatientSupportAngle", point), "PatientSupportAngle"),
    "no energy": (remove("NominalBeamEnergy", point), "NominalBeamEnergy"),
    "absurd energy": (put("NominalBeamEnergy", "1500", point), "NominalBeamEnergy"),
    "spot count": (put("NumberOfScanSpotPositions", 9, point), "NumberOfScanSpotPositions"),
    "spot not finite": (change("ScanSpotPositionMap", 0, float("nan"), point), "ScanSpotPositionMap"),
    "spot far away": (change("ScanSpotPositionMap", 0, 5000.0, point), "ScanSpotPositionMap"),
    "weight not finite": (
        change("ScanSpotMetersetWeights", 0, float("inf"), point),
        "ScanSpotMetersetWeights",
    ),
    "spot size": (put("ScanningSpotSize", [8.0, 0.0], point), "ScanningSpotSize"),
    "no paintings": (put("NumberOfPaintings", 0, point), "NumberOfPaintings"),
    "arc": (put("GantryAngle", "91", lambda ds: point(ds, 0, 2)), "IonBeamSequence"),
    "gantry far": (put("GantryAngle", "1000", point), "GantryAngle"),
}


@pytest.mark.requirement("OIS-DICOM")
@pytest.mark.parametrize("name", list(PLAN))
def test_defects_of_plans(name: str) -> None:
    damage, keyword = PLAN[name]
    ds = plan()
    damage(ds)
    assert_found(ds, keyword)


@pytest.mark.requirement("OIS-DICOM")
def test_doubts_about_plans_are_warnings() -> None:
    layers = small_plan().beams[0].layers
    rising = dataclasses.replace(small_plan().beams[0], layers=layers[::-1])
    ds = ion_plan.to_dataset(
        dataclasses.replace(small_plan(), beams=(rising,), rbe_model="", prescription=0.0)
    )
    assert [finding.keyword for finding in require_good(ds)] == [
        "DoseReferenceSequence",
        "NominalBeamEnergy",
        "PrescriptionDescription",
    ]
    assert {finding.severity for finding in check(ds)} == {WARNING}


RECORD = {
    "no plan": (remove("ReferencedRTPlanSequence"), "ReferencedRTPlanSequence"),
    "no beams": (remove("TreatmentSessionIonBeamSequence"), "TreatmentSessionIonBeamSequence"),
    "no date": (put("TreatmentDate", ""), "TreatmentDate"),
    "no machine": (
        lambda ds: setattr(ds.TreatmentMachineSequence[0], "TreatmentMachineName", ""),
        "TreatmentMachineName",
    ),
    "fraction": (put("CurrentFractionNumber", 0, beam), "CurrentFractionNumber"),
    "termination": (put("TreatmentTerminationStatus", "STOPPED", beam), "TreatmentTerminationStatus"),
    "delivery type": (put("TreatmentDeliveryType", "SETUP", beam), "TreatmentDeliveryType"),
    "point count": (put("NumberOfControlPoints", 5, beam), "NumberOfControlPoints"),
    "delivered meterset": (put("DeliveredPrimaryMeterset", "1.5", beam), "DeliveredPrimaryMeterset"),
    "negative spot": (change("ScanSpotMetersetsDelivered", 0, -1.0, point), "ScanSpotMetersetsDelivered"),
    "map length": (lambda ds: point(ds).ScanSpotPositionMap.pop(), "ScanSpotPositionMap"),
    "point order": (put("ReferencedControlPointIndex", 0, lambda ds: point(ds, 0, 2)),
                    "ReferencedControlPointIndex"),
    "time order": (put("TreatmentControlPointDate", "20200101", lambda ds: point(ds, 0, 2)),
                   "TreatmentControlPointTime"),
    "bad time": (put("TreatmentControlPointTime", "noon", point), "TreatmentControlPointTime"),
    "doubled beam": (put("ReferencedBeamNumber", 2, beam), "ReferencedBeamNumber"),
    "moved spot": (change("ScanSpotPositionMap", 0, 3.0, point), "TreatmentSessionIonBeamSequence"),
}  # fmt: skip


@pytest.mark.requirement("TCS-RECORD")
@pytest.mark.parametrize("name", list(RECORD))
def test_defects_of_records(name: str) -> None:
    damage, keyword = RECORD[name]
    ds = record()
    damage(ds)
    assert_found(ds, keyword)


@pytest.mark.requirement("OIS-DICOM")
def test_defects_of_images_and_regions() -> None:
    volume = small_ct()

    def slice_() -> Dataset:
        return ct.to_datasets(volume)[0]

    def dose() -> Dataset:
        return rt_dose.to_dataset(small_dose())

    def regions() -> Dataset:
        return structures.to_dataset(small_structures(), volume)

    cases: list[tuple[Callable[[], Dataset], Damage, str]] = [
        (slice_, lambda ds: setattr(ds, "PixelData", ds.PixelData[:-2]), "PixelData"),
        (slice_, put("ImageOrientationPatient", [1, 0, 0, 0, 0.8, -0.6]), "ImageOrientationPatient"),
        (slice_, remove("RescaleSlope"), "RescaleSlope"),
        (slice_, put("RescaleType", "US"), "RescaleType"),
        (slice_, put("PixelSpacing", [0, 3]), "PixelSpacing"),
        (slice_, remove("ImagePositionPatient"), "ImagePositionPatient"),
        (dose, put("DoseUnits", "RELATIVE"), "DoseUnits"),
        (dose, put("DoseGridScaling", "0"), "DoseGridScaling"),
        (dose, put("DoseType", "ERROR"), "DoseType"),
        (dose, remove("ReferencedRTPlanSequence"), "ReferencedRTPlanSequence"),
        (dose, lambda ds: ds.GridFrameOffsetVector.pop(), "GridFrameOffsetVector"),
        (dose, put("GridFrameOffsetVector", [0, 3, 7, 9, 12]), "PixelData"),
        (dose, lambda ds: setattr(ds, "PixelData", ds.PixelData[:-2]), "PixelData"),
        (regions, put("StructureSetLabel", ""), "StructureSetLabel"),
        (regions, lambda ds: setattr(ds.StructureSetROISequence[1], "ROINumber", 1), "ROINumber"),
        (
            regions,
            lambda ds: setattr(ds.ROIContourSequence[0], "ReferencedROINumber", 9),
            "ReferencedROINumber",
        ),
        (
            regions,
            lambda ds: setattr(ds.ROIContourSequence[0].ContourSequence[0], "NumberOfContourPoints", 9),
            "ROIContourSequence",
        ),
    ]
    for make, damage, keyword in cases:
        ds = make()
        damage(ds)
        assert_found(ds, keyword)
    assert_found(regions(), "RTROIInterpretedType", WARNING)
    assert_found(regions(), "ContourSequence", WARNING)
    stranger = slice_()
    stranger.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    assert_found(stranger, "SOPClassUID")


@pytest.mark.requirement("OIS-DICOM")
def test_real_objects_make_sense(shared_data: Path) -> None:
    for path in sorted((shared_data / "ct_abdomen_pelvis_real" / "dicom").glob("*.dcm"))[::40]:
        assert [finding for finding in check(files.read_file(path)) if finding.severity == ERROR] == []
    for path in sorted(shared_data.glob("ion_plans_dcpt/*/*.dcm")):
        assert [finding for finding in check(files.read_file(path)) if finding.severity == ERROR] == [], path
    aperture = files.read_file(shared_data / "topas_rtion" / "rtip_demo.dcm")
    assert {"IonBlockSequence", "PrimaryDosimeterUnit"} <= {finding.keyword for finding in check(aperture)}


@pytest.mark.requirement("OIS-DICOM")
def test_missing_elements_break_neither_checker_nor_readers() -> None:
    """Whatever single element is taken away, at any depth: findings or none; read, or refused by name."""

    def holders(ds: Dataset) -> list[Dataset]:
        found = [ds]
        for element in ds:
            if element.VR == "SQ":
                for item in list(element.value)[:1]:
                    found += holders(item)
        return found

    cases: list[tuple[Callable[[], Dataset], Callable[[Dataset], object]]] = [
        (plan, ion_plan.from_dataset),
        (record, ion_record.from_dataset),
        (lambda: rt_dose.to_dataset(small_dose()), rt_dose.from_dataset),
        (lambda: structures.to_dataset(small_structures(), small_ct()), structures.from_dataset),
    ]
    for make, read in cases:
        count = len(holders(make()))
        for place in range(count):
            for tag in list(holders(make())[place].keys()):
                ds = make()
                del holders(ds)[place][tag]
                assert all(finding.text for finding in check(ds))
                with contextlib.suppress(BadDicom):
                    read(ds)
