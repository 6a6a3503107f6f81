"""RT Ion Plan Storage to IonPlan: our own plans, and those of other planning systems.

Tolerant in form (single or paired control points, weights in any unit, absent optional attributes), strict
in meaning: a plan that this model cannot hold whole, such as an arc, is refused, never simplified.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from common.dicom import accessories as hardware
from common.dicom import modules, private
from common.dicom import range_shifters as shifters
from common.dicom.modules import RT_ION_PLAN, integer, items, number, numbers, text
from common.dicom.plan import IonBeam, IonLayer, IonPlan
from common.errors import BadDicom

NO_TUNE = "UNSPECIFIED"
"""Scan Spot Tune ID where the plan names none: the attribute may not be empty."""

WEIGHT_TOLERANCE = 1e-4
"""Largest relative difference between spot weights and cumulative meterset weight."""

_ACCESSORIES = (
    ("NumberOfWedges", "wedge"),
    ("NumberOfCompensators", "compensator"),
    ("NumberOfBoli", "bolus"),
    ("NumberOfBlocks", "block"),
    ("NumberOfRangeModulators", "range modulator"),
)
_FIXED = ("GantryAngle", "PatientSupportAngle", "IsocenterPosition", "SnoutPosition")
_ZERO = ("TableTopPitchAngle", "TableTopRollAngle", "TableTopEccentricAngle", "GantryPitchAngle")

NUCLIDES = {(12, 6): "carbon-12", (4, 2): "helium-4"}
"""Ions by mass and atomic number that plans may be for."""


def from_dataset(ds: Dataset) -> IonPlan:
    """Read an RT Ion Plan. Raises BadDicom, naming the attribute and the beam, for what cannot be held."""
    modules.check_class(ds, RT_ION_PLAN, "RT Ion Plan Storage")
    groups = items(ds, "FractionGroupSequence")
    if len(groups) != 1:
        raise BadDicom(
            f"plan has {len(groups)} fraction groups (FractionGroupSequence): allowed is 1; "
            "export one fraction group as a plan of its own"
        )
    metersets = {
        integer(item, "ReferencedBeamNumber"): number(item, "BeamMeterset")
        for item in items(groups[0], "ReferencedBeamSequence")
        if text(item, "BeamMeterset")
    }
    sources = [
        item for item in items(ds, "IonBeamSequence") if text(item, "TreatmentDeliveryType") != "SETUP"
    ]
    if not sources:
        raise BadDicom("plan has no treatment beam (IonBeamSequence)")
    _check_numbers(items(ds, "IonBeamSequence"), set(metersets))
    fractions = integer(groups[0], "NumberOfFractionsPlanned")
    if fractions < 1:
        raise BadDicom(f"NumberOfFractionsPlanned is {fractions}: allowed is 1 or more")
    target, prescription = _prescription(ds)
    beams = tuple(_beam(item, metersets) for item in sources)
    structures, doses = items(ds, "ReferencedStructureSetSequence"), items(ds, "ReferencedDoseSequence")
    return IonPlan(
        patient=modules.patient_of(ds),
        sop_instance_uid=str(modules.require(ds, "SOPInstanceUID")),
        study_instance_uid=str(modules.require(ds, "StudyInstanceUID")),
        series_instance_uid=str(modules.require(ds, "SeriesInstanceUID")),
        frame_of_reference_uid=text(ds, "FrameOfReferenceUID"),
        structure_set_uid=text(structures[0], "ReferencedSOPInstanceUID") if structures else "",
        label=text(ds, "RTPlanLabel"),
        machine=_common(sources, "TreatmentMachineName"),
        beams=beams,
        fractions=fractions,
        prescription=round(prescription / fractions, 9),
        target=target,
        rbe_model=private.get_text(ds, private.PLAN_GROUP, private.RBE_MODEL) or "",
        radiation=_radiation(sources),
        nuclide=_nuclide(sources[0]),
        patient_position=_position(ds, sources),
        dose_sop_instance_uid=text(doses[0], "ReferencedSOPInstanceUID") if doses else "",
        meterset_unit=_common(sources, "PrimaryDosimeterUnit"),
        created=modules.moment(ds, "RTPlanDate", "RTPlanTime"),
    )


def _check_numbers(beams: list[Dataset], treated: set[int]) -> None:
    """Refuse two beams of one number, and a fraction group with a beam that is not there."""
    known = [integer(beam, "BeamNumber") for beam in beams]
    if len(set(known)) != len(known):
        raise BadDicom(f"beam numbers {', '.join(map(str, known))}: allowed is each number once")
    lost = sorted(treated - set(known))
    if lost:
        raise BadDicom(
            f"the fraction group has beam {', '.join(map(str, lost))}, IonBeamSequence has not: "
            "a beam is missing; export the whole plan"
        )


def _common(beams: list[Dataset], keyword: str) -> str:
    found = {text(beam, keyword) for beam in beams}
    if len(found) > 1:
        raise BadDicom(f"beams differ in {keyword} ({', '.join(sorted(found))}): allowed is one")
    return found.pop()


def _radiation(beams: list[Dataset]) -> str:
    radiation = _common(beams, "RadiationType")
    if radiation not in ("PROTON", "ION"):
        raise BadDicom(f"RadiationType is {radiation or 'empty'}: allowed are PROTON and ION")
    if radiation == "ION":
        for beam in beams:
            kind = (integer(beam, "RadiationMassNumber"), integer(beam, "RadiationAtomicNumber"))
            if kind not in NUCLIDES:
                allowed = ", ".join(f"{name} {one}" for one, name in NUCLIDES.items())
                raise BadDicom(f"ion of mass {kind[0]}, charge {kind[1]}: allowed are {allowed}")
    return radiation


def _nuclide(beam: Dataset) -> tuple[int, int]:
    """Mass and atomic number of an ion; carbon where the beam is of protons and needs none."""
    if text(beam, "RadiationType") != "ION":
        return 12, 6
    return integer(beam, "RadiationMassNumber"), integer(beam, "RadiationAtomicNumber")


def _prescription(ds: Dataset) -> tuple[str, float]:
    """Target name and dose of all fractions, Gy; 0 when the plan does not say."""
    for item in items(ds, "DoseReferenceSequence"):
        if text(item, "DoseReferenceType") == "TARGET":
            return text(item, "DoseReferenceDescription"), number(item, "TargetPrescriptionDose", 0.0)
    return "", 0.0


def _position(ds: Dataset, beams: list[Dataset]) -> str:
    setups = {integer(item, "PatientSetupNumber"): item for item in items(ds, "PatientSetupSequence")}
    key = "ReferencedPatientSetupNumber"
    # a beam that names none (it is optional) has any of the plan's: then all must agree
    used = {integer(beam, key) for beam in beams if modules.has(beam, key)}
    if not all(modules.has(beam, key) for beam in beams):
        used |= set(setups)
    if not used <= set(setups):
        raise BadDicom("a beam refers to a patient setup that the plan does not hold (PatientSetupSequence)")
    found = {text(setups[index], "PatientPosition") for index in used}
    if len(found) != 1:
        raise BadDicom(f"beams have {len(found)} different patient positions: allowed is one a plan")
    return found.pop()


def _beam(ds: Dataset, metersets: dict[int, float]) -> IonBeam:
    beam_number = integer(ds, "BeamNumber")
    where = f"beam {beam_number}"
    try:
        return _read_beam(ds, beam_number, metersets)
    except BadDicom as why:
        raise BadDicom(f"{where}: {why}") from why


def _read_beam(ds: Dataset, beam_number: int, metersets: dict[int, float]) -> IonBeam:
    if text(ds, "TreatmentDeliveryType", "TREATMENT") not in ("TREATMENT", "CONTINUATION"):
        raise BadDicom(f"TreatmentDeliveryType is {text(ds, 'TreatmentDeliveryType')}: allowed is TREATMENT")
    mode, kind = text(ds, "ScanMode"), text(ds, "ModulatedScanModeType")
    if mode != "MODULATED" and (mode, kind) != ("MODULATED_SPEC", "STATIONARY"):
        raise BadDicom(f"ScanMode is {mode or 'empty'}: allowed is MODULATED (spot scanning)")
    if beam_number not in metersets:
        raise BadDicom("no BeamMeterset in FractionGroupSequence; export the plan with absolute metersets")
    points = items(ds, "IonControlPointSequence")
    if len(points) < 2 or len(points) != integer(ds, "NumberOfControlPoints"):
        raise BadDicom(
            f"{len(points)} control points, NumberOfControlPoints says {text(ds, 'NumberOfControlPoints')}"
        )
    _check_still(points)
    settings = shifters.settings_of(ds, points)
    final = number(ds, "FinalCumulativeMetersetWeight")
    if final <= 0 or metersets[beam_number] <= 0:
        raise BadDicom(
            "FinalCumulativeMetersetWeight or BeamMeterset is not positive; allowed is more than 0"
        )
    shifter, accessories = _modifiers(ds, settings)
    own = settings.get(shifter) if shifter is not None else None
    x, y, z = numbers(points[0], "IsocenterPosition", 3)
    sad_x, sad_y = numbers(ds, "VirtualSourceAxisDistances", 2)
    return IonBeam(
        number=beam_number,
        name=text(ds, "BeamName"),
        gantry=number(points[0], "GantryAngle"),
        couch=number(points[0], "PatientSupportAngle"),
        isocentre=(x, y, z),
        layers=_layers(points, final, metersets[beam_number] / final),
        virtual_sad=(sad_x, sad_y),
        snout_position=number(points[0], "SnoutPosition", 0.0),
        range_shifter=None if own is None else own.name,
        accessories=accessories,
        range_shifter_wet=None if own is None else own.wet,
        range_shifter_distance=None if own is None else own.distance,
        aperture=hardware.aperture_of(ds, points[0]),
        compensator=hardware.compensator_of(ds, points[0]),
        ripple_filter=_ripple_filter(ds),
    )


def _ripple_filter(ds: Dataset) -> str | None:
    """The id of a beam's one fixed range modulator, as a ripple filter is exported; else None."""
    found = items(ds, "RangeModulatorSequence")
    if len(found) != 1 or text(found[0], "RangeModulatorType") != "FIXED":
        return None
    return text(found[0], "RangeModulatorID") or None


def _check_still(points: list[Dataset]) -> None:
    """Refuse an arc, a moving couch, and axes that the plan model does not have."""
    first = points[0]
    for keyword in _ZERO:
        for point in points:
            if abs(number(point, keyword, 0.0)) > 1e-6:
                raise BadDicom(f"{keyword} is {number(point, keyword):g}: allowed is 0")
    for keyword in _FIXED:
        for point in points[1:]:
            if text(point, keyword) and modules.require(point, keyword) != modules.require(first, keyword):
                raise BadDicom(f"{keyword} changes during the beam: allowed are fixed fields")


def _modifiers(ds: Dataset, settings: Mapping[int, shifters.Setting]) -> tuple[int | None, tuple[str, ...]]:
    """The number of the range shifter in the beam, and names of everything else that stands in it."""
    others = []
    for keyword, name in _ACCESSORIES:
        count = int(number(ds, keyword, 0.0))
        if count:
            others.append(f"{count} {name}" if count == 1 else f"{count} {name}s")
    spreaders = {
        text(item, "LateralSpreadingDeviceType") for item in items(ds, "LateralSpreadingDeviceSequence")
    }
    others.extend(sorted(f"lateral spreading device {kind}" for kind in spreaders - {"MAGNET"}))
    inside = [key for key, setting in settings.items() if setting.inside]
    others.extend(f"further range shifter {settings[key].name}" for key in inside[1:])
    return (inside[0] if inside else None), tuple(others)


def _layers(points: list[Dataset], final: float, scale: float) -> tuple[IonLayer, ...]:
    """Layers with metersets = weights x scale. A control point without attribute keeps the one before."""
    layers: list[IonLayer] = []
    energy, tune, paintings, size = 0.0, "", 1, (float("nan"), float("nan"))
    for index, point in enumerate(points):
        energy = number(point, "NominalBeamEnergy", energy)
        tune = text(point, "ScanSpotTuneID", tune)
        paintings = int(number(point, "NumberOfPaintings", paintings))
        if modules.has(point, "ScanningSpotSize"):
            fwhm_x, fwhm_y = numbers(point, "ScanningSpotSize", 2)
            size = (fwhm_x, fwhm_y)
        weights = _weights(point, index)
        after = number(points[index + 1], "CumulativeMetersetWeight") if index + 1 < len(points) else final
        step = after - number(point, "CumulativeMetersetWeight")
        if abs(step - weights.sum()) > WEIGHT_TOLERANCE * max(final, step):
            raise BadDicom(
                f"control point {index}: spot weights sum to {weights.sum():.6g}, "
                f"cumulative meterset weight rises by {step:.6g}; they must agree"
            )
        if weights.sum() > 0:
            if energy <= 0:
                raise BadDicom(f"control point {index} has spots and no NominalBeamEnergy before or in it")
            x, y = _positions(point, index, len(weights))
            mu = (weights * scale).astype(np.float32)
            layers.append(
                IonLayer(
                    energy, x, y, mu, *size, tune_id="" if tune == NO_TUNE else tune, paintings=paintings
                )
            )
    if not layers:
        raise BadDicom("no spot with a positive meterset: the beam gives no dose")
    return tuple(layers)


def _weights(point: Dataset, index: int) -> NDArray[np.float64]:
    if not modules.has(point, "ScanSpotMetersetWeights"):
        return np.zeros(0)
    weights = np.atleast_1d(np.asarray(modules.require(point, "ScanSpotMetersetWeights"), dtype=np.float64))
    count = integer(point, "NumberOfScanSpotPositions")
    if len(weights) != count:
        raise BadDicom(
            f"control point {index}: {len(weights)} spot weights, NumberOfScanSpotPositions is {count}"
        )
    if not np.isfinite(weights).all() or weights.min() < 0:
        raise BadDicom(f"control point {index}: a spot weight is negative or no number: allowed is 0 or more")
    return weights


def _positions(point: Dataset, index: int, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    flat = np.asarray(modules.require(point, "ScanSpotPositionMap"), dtype=np.float32).ravel()
    if flat.size != 2 * count or not np.isfinite(flat).all():
        raise BadDicom(f"control point {index}: {flat.size} values in ScanSpotPositionMap for {count} spots")
    return flat[0::2].copy(), flat[1::2].copy()
