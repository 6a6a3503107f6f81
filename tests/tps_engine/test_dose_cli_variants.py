"""`ptcs dose` on what RT Ion Plans may hold: variants of a clinical plan, right or refused.

The variants keep two layers of each of the plan's two fields and the spots of one side, so that dose lies
there. Gantry 0 enters at minimum y; spot map: x = X, z = Y (patient HFS).
"""

import copy
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from pydicom import dcmread
from pydicom.dataset import Dataset

from common.dicom import files, rt_dose
from ptcs.cli import main
from tps_engine.beamdata.bragg import distal_depth
from tps_engine.dose import engines

pytestmark = pytest.mark.requirement("TPS-DOSE")
LAYERS = (0, 24)
BOX = {
    "format": 1, "name": "slab", "spacing_mm": [5.0, 2.5, 5.0],
    "boxes": [{"material": "water", "centre_mm": [0, 0, 0], "size_mm": [240, 205, 240]}],
}  # fmt: skip


@pytest.fixture(scope="module")
def source(shared_data, tmp_path_factory):
    """The machine, and the plan cut down; tests change copies of it."""
    place, data = tmp_path_factory.mktemp("variants"), shared_data / "ion_plans_dcpt"
    table = data / "dcpt_beam_model" / "DCPT_beam_model__v5.csv"
    done = CliRunner().invoke(
        main, ["beam-model", "import", str(table), "--format", "dcpt", "--out", str(place / "dcpt.yaml")]
    )
    assert done.exit_code == 0, done.output
    plan = dcmread(next((data / "plan03_ramp_full").glob("ramped*.dcm")))
    for beam in plan.IonBeamSequence:
        _cut(beam)
        _complete(plan, beam)
    return place / "dcpt.yaml", plan


def _cut(beam):
    """Two layers, and of each the spots of one side in x."""
    points = [beam.IonControlPointSequence[k + step] for k in LAYERS for step in (0, 1)]
    for point in points:
        place = np.asarray(point.ScanSpotPositionMap).reshape(-1, 2)
        kept = (place[:, 0] > 10.0) & (np.abs(place[:, 1]) < 25.0)
        point.ScanSpotPositionMap = place[kept].ravel().tolist()
        point.ScanSpotMetersetWeights = np.asarray(point.ScanSpotMetersetWeights)[kept].tolist()
        point.NumberOfScanSpotPositions = int(kept.sum())
    beam.IonControlPointSequence = points


def _complete(plan, beam, factor=1.0):
    """Make cumulative weights, their end, the number of control points and the meterset agree."""
    total = 0.0
    for index, point in enumerate(beam.IonControlPointSequence):
        point.ControlPointIndex = index
        point.CumulativeMetersetWeight = total
        total += float(np.sum(np.asarray(point.ScanSpotMetersetWeights, dtype=np.float64)))
    beam.NumberOfControlPoints = len(beam.IonControlPointSequence)
    beam.FinalCumulativeMetersetWeight = total
    _reference(plan, beam).BeamMeterset = factor * total


def _reference(plan, beam):
    references = plan.FractionGroupSequence[0].ReferencedBeamSequence
    return next(one for one in references if one.ReferencedBeamNumber == beam.BeamNumber)


@pytest.fixture
def place(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "box.yaml").write_text(yaml.safe_dump(BOX))
    return tmp_path


def run(source, plan, *more):
    files.write_file(plan, Path("RP.dcm"))
    words = ["dose", "--plan", "RP.dcm", "--machine", source[0], "--out", "RD.dcm", "--phantom", "box.yaml",
             "--spacing", "5", "--per-beam", "--gantry", "b1=0", "--gantry", "b2=180", *more]  # fmt: skip
    return CliRunner().invoke(main, [str(word) for word in words])


def doses(source, plan, *more):
    """The two fields, physical or not as `more` says."""
    done = run(source, plan, *more)
    assert done.exit_code == 0, done.output
    return [rt_dose.from_dataset(files.read_file(Path(f"RD-beam{number}.dcm"))) for number in (1, 2)]


def centroid(dose):
    """(x, y, z) mm."""
    found = []
    for axis in range(3):
        at = dose.origin[axis] + dose.spacing[axis] * np.arange(dose.dose.shape[2 - axis])
        line = dose.dose.sum(axis=tuple(k for k in range(3) if k != 2 - axis), dtype=np.float64)
        found.append(float(line @ at / line.sum()))
    return np.array(found)


@pytest.fixture(scope="module")
def base(source, tmp_path_factory):
    """The plan as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("base"))
        Path("box.yaml").write_text(yaml.safe_dump(BOX))
        return doses(source, source[1])


def _paintings(plan, beam):
    for point in beam.IonControlPointSequence:
        point.NumberOfPaintings = 3
        for keyword in ("ScanSpotTuneID", "ScanningSpotSize", "ReferencedDoseReferenceSequence"):
            if keyword in point:
                delattr(point, keyword)
    plan.pop("DoseReferenceSequence", None)
    del beam.ReferencedPatientSetupNumber


def _other_unit(plan, beam):
    """Weights in another unit: the meterset says what they are in MU."""
    meterset = _reference(plan, beam).BeamMeterset
    for point in beam.IonControlPointSequence:
        point.ScanSpotMetersetWeights = [0.01 * float(value) for value in point.ScanSpotMetersetWeights]
    _complete(plan, beam)
    _reference(plan, beam).BeamMeterset = meterset


def _two_pairs(plan, beam):
    """Every layer in two halves, a pair of control points each; geometry stands in the first alone."""
    points = []
    for point in beam.IonControlPointSequence:
        point.ScanSpotMetersetWeights = [0.5 * float(value) for value in point.ScanSpotMetersetWeights]
    for first, second in zip(*[iter(beam.IonControlPointSequence)] * 2, strict=True):
        again = copy.deepcopy(first)
        for keyword in ("GantryAngle", "IsocenterPosition", "PatientSupportAngle", "SnoutPosition"):
            if keyword in again:
                delattr(again, keyword)
        points += [first, second, again, copy.deepcopy(second)]
    beam.IonControlPointSequence = points
    _complete(plan, beam)


def _empty_spots(plan, beam):
    """Spots and a whole pair of control points without meterset."""
    for point in beam.IonControlPointSequence:
        point.ScanSpotPositionMap = [*point.ScanSpotPositionMap, -90.0, 60.0]
        point.ScanSpotMetersetWeights = [*point.ScanSpotMetersetWeights, 0.0]
        point.NumberOfScanSpotPositions += 1
    last = beam.IonControlPointSequence[-1]
    beam.IonControlPointSequence = [*beam.IonControlPointSequence, copy.deepcopy(last), copy.deepcopy(last)]
    _complete(plan, beam)


def _setup_beam(plan, beam):
    if beam.BeamNumber == 1:
        extra = Dataset()
        extra.BeamNumber, extra.BeamName, extra.TreatmentDeliveryType = 9, "KV", "SETUP"
        plan.IonBeamSequence.append(extra)
        del plan.FractionGroupSequence[0].ReferencedBeamSequence[0].ReferencedDoseReferenceUID


@pytest.mark.parametrize("change", [_paintings, _other_unit, _two_pairs, _empty_spots, _setup_beam])
def test_the_same_plan_told_otherwise(source, place, base, change):
    plan = copy.deepcopy(source[1])
    for beam in list(plan.IonBeamSequence):
        change(plan, beam)
    for before, after in zip(base, doses(source, plan), strict=True):
        np.testing.assert_allclose(after.dose, before.dose, atol=2e-4 * before.dose.max())


def test_metersets_isocentres_and_single_spots(source, place, base):
    """Twice the meterset doubles dose; an isocentre of its own moves a beam; one spot is one number."""
    plan = copy.deepcopy(source[1])
    first, second = plan.IonBeamSequence
    _complete(plan, first, 2.0)
    second.IonControlPointSequence[0].IsocenterPosition = [-10.0, 0.0, 15.0]
    one, other = doses(source, plan)
    np.testing.assert_allclose(one.dose, 2.0 * base[0].dose, atol=4e-4 * base[0].dose.max())
    np.testing.assert_allclose(centroid(other) - centroid(base[1]), (-10.0, 0.0, 15.0), atol=0.1)
    for point in first.IonControlPointSequence:
        point.ScanSpotPositionMap, point.NumberOfScanSpotPositions = [20.0, -30.0], 1
    for point, weight in zip(first.IonControlPointSequence, (3.0, 0.0, 2.0, 0.0), strict=True):
        point.ScanSpotMetersetWeights = weight
    _complete(plan, first)
    single = doses(source, plan)[0]
    np.testing.assert_allclose(centroid(single)[[0, 2]], (20.0, -30.0), atol=1.0)  # the beam diverges


def test_couch_and_patient_position(source, place, base):
    """Couch 90 takes the map's x to the feet; prone, gantry 0 enters from behind and x changes sides."""
    plan = copy.deepcopy(source[1])
    plan.IonBeamSequence[0].IonControlPointSequence[0].PatientSupportAngle = 90.0
    turned, there = centroid(doses(source, plan)[0]), centroid(base[0])
    np.testing.assert_allclose(turned, (there[2], there[1], -there[0]), atol=0.1)
    (place / "box.yaml").write_text(yaml.safe_dump({**BOX, "patient_position": "HFP"}))
    plan = copy.deepcopy(source[1])
    for setup in plan.PatientSetupSequence:
        setup.PatientPosition = "HFP"
    prone = centroid(doses(source, plan)[0])
    np.testing.assert_allclose(prone[[0, 2]], (-there[0], there[2]), atol=0.1)
    assert prone[1] == pytest.approx(-there[1], abs=2.5)  # which surface voxels count differs by side


def _shifter(beam, wet=34.3, distance=150.0, **more):
    beam.NumberOfRangeShifters = 1
    item = Dataset()
    item.RangeShifterNumber, item.RangeShifterID, item.RangeShifterType = 0, "RS_3CM", "BINARY"
    beam.RangeShifterSequence = [item]
    setting = Dataset()
    setting.RangeShifterSetting, setting.ReferencedRangeShifterNumber = "IN", 0
    if distance is not None:
        setting.IsocenterToRangeShifterDistance = distance
    setting.RangeShifterWaterEquivalentThickness = wet
    for keyword, value in more.items():
        setattr(setting, keyword, value)
    beam.IonControlPointSequence[0].RangeShifterSettingsSequence = [setting]
    return setting


def test_a_range_shifter_in_one_beam(source, place, base):
    """It takes its thickness from the range of its own beam, and nothing from the other."""
    plan = copy.deepcopy(source[1])
    _shifter(plan.IonBeamSequence[0])
    one, other = doses(source, plan)
    np.testing.assert_array_equal(other.dose, base[1].dose)

    def range80(dose):
        y = dose.origin[1] + dose.spacing[1] * np.arange(dose.dose.shape[1])
        return distal_depth(y, dose.dose.sum(axis=(0, 2), dtype=np.float64), 0.5)

    assert range80(base[0]) - range80(one) == pytest.approx(34.3, abs=1.0)
    plan = copy.deepcopy(source[1])
    _shifter(plan.IonBeamSequence[0], RangeShifterSetting="OUT")
    np.testing.assert_array_equal(doses(source, plan)[0].dose, base[0].dose)


def _moving_shifter(plan, beam):
    out = copy.deepcopy(_shifter(beam))
    out.RangeShifterSetting = "OUT"
    beam.IonControlPointSequence[2].RangeShifterSettingsSequence = [out]


def _two_groups(plan, beam):
    plan.FractionGroupSequence.append(copy.deepcopy(plan.FractionGroupSequence[0]))


def _no_meterset(plan, beam):
    del _reference(plan, beam).BeamMeterset


def _no_shifter(plan, beam):
    beam.NumberOfRangeShifters = 1


def _lost_beam(plan, beam):
    del plan.IonBeamSequence[0]


def _twice(plan, beam):
    beam.BeamNumber = 2


def _weights(*values):
    def change(plan, beam):
        point = beam.IonControlPointSequence[0]
        point.ScanSpotMetersetWeights = [*point.ScanSpotMetersetWeights[: -len(values)], *values]

    return change


def _zero(plan, beam):
    for point in beam.IonControlPointSequence:
        point.ScanSpotMetersetWeights = [0.0] * point.NumberOfScanSpotPositions
        point.CumulativeMetersetWeight = 0.0


def _moved(place):
    def change(plan, beam):
        beam.IonControlPointSequence[0].IsocenterPosition = place

    return change


def _energy(value):
    def change(plan, beam):
        for point in beam.IonControlPointSequence[:2]:
            point.NominalBeamEnergy = value

    return change


def _arc(plan, beam):
    beam.IonControlPointSequence[2].GantryAngle = 30.0


def _far_spot(plan, beam):
    for point in beam.IonControlPointSequence[:2]:
        point.ScanSpotPositionMap = [900.0, 0.0, *point.ScanSpotPositionMap[2:]]


def _position(value):
    def change(plan, beam):
        for setup in plan.PatientSetupSequence:
            setup.PatientPosition = value

    return change


def _source(plan, beam):
    beam.VirtualSourceAxisDistances = [50.0, 60.0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_two_groups, "2 fraction groups"),
        (_no_meterset, "no BeamMeterset"),
        (_lost_beam, "a beam is missing"),
        (_twice, "each number once"),
        (_moving_shifter, "moves a range shifter"),
        (_no_shifter, "RangeShifterSequence holds 0"),
        (lambda plan, beam: _shifter(beam, distance=None), "does not say where its range shifter stands"),
        (lambda plan, beam: _shifter(beam, distance=60.0), "inside the patient"),
        (lambda plan, beam: _shifter(beam, wet=200.0), "ends in the range shifter"),
        (_weights(1e3), "must agree"),
        (_weights(-1.0), "negative"),
        (_weights(float("nan")), "no number"),
        (_zero, "they must agree"),
        (_moved([0.0, 0.0, 400.0]), "beam 1 passes beside the body"),
        (_energy(260.0), "70.0 .. 244.0 MeV"),
        (_arc, "GantryAngle changes"),
        (_far_spot, "the machine scans"),
        (_position("HFP"), "patient position HFP"),
        (_position("HFDR"), "patient position HFDR"),
        (_source, "virtual source"),
    ],
)
def test_refused_before_time_is_spent(source, place, monkeypatch, change, said):
    def late(*_all):
        raise AssertionError("the engine was called")

    monkeypatch.setattr(engines, "ENGINES", {"pb": late})
    plan = copy.deepcopy(source[1])
    change(plan, plan.IonBeamSequence[0])
    done = run(source, plan)
    assert done.exit_code == 1, done.output
    assert said in done.stderr
    assert not (place / "RD.dcm").exists()
