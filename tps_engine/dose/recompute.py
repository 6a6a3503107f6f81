"""Any plan on any patient or phantom: what to calculate, checked before time is spent, then beam by beam."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from common import memory
from common.dicom.ct import CtVolume
from common.dicom.plan import IonBeam, IonPlan
from common.dicom.structures import StructureSet
from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.model import BeamModel
from tps_engine.dose import precheck, spots
from tps_engine.dose.engines import EngineDose, FullEngine, Options, Progress
from tps_engine.dose.hardware import parts, ripple
from tps_engine.dose.upstream import shifter_of
from tps_engine.patient import body, findings
from tps_engine.patient.contours import rasterise
from tps_engine.patient.grid import Grid
from tps_engine.patient.model import Patient, external_of
from tps_engine.patient.stopping_power import AIR, CtCalibration, refuse_not_finite

RBE_PROTON = 1.1
"""Constant relative biological effectiveness of protons, as clinical plans use it."""

_BYTES = 12  # of a CT voxel: numbers, stopping power, outline and what is made on the way


@dataclass(frozen=True)
class BeamDose:
    """One fraction of a beam. dose: physical, Gy, (nz, ny, nx). found: all that the engine gave."""

    beam: IonBeam
    found: EngineDose

    @property
    def dose(self) -> NDArray[np.float32]:
        """Physical dose in Gy, (nz, ny, nx)."""
        return self.found.dose


def total_let(parts: Sequence[BeamDose]) -> NDArray[np.float32] | None:
    """Dose-averaged LET in keV/um of all beams together: the mean weighted by dose; None: none is known."""
    weighted = np.zeros(parts[0].dose.shape, dtype=np.float64)
    dose = np.zeros_like(weighted)
    for part in parts:
        if part.found.let is None:
            return None
        weighted += part.dose * part.found.let.astype(np.float64)
        dose += part.dose
    return np.divide(weighted, dose, out=np.zeros_like(dose), where=dose > 0.0).astype(np.float32)


def total_sigma(parts: Sequence[BeamDose]) -> NDArray[np.float32] | None:
    """Standard deviation in Gy of the sum of all beams of one fraction; None: none is known."""
    variance = np.zeros(parts[0].dose.shape, dtype=np.float64)
    for part in parts:
        if part.found.sigma is None:
            return None
        variance += part.found.sigma.astype(np.float64) ** 2
    return np.sqrt(variance).astype(np.float32)


def patient_of(
    ct: CtVolume, structures: StructureSet | None, calibration: CtCalibration, outside: str = "clamp"
) -> Patient:
    """A CT as the dose engine sees it; what lies outside the body counts as air.

    The body is the External of the structure set; without a structure set it is found (`patient.body`).
    outside: clamp or refuse CT values in the body beyond the table. What was found is told in the warnings.
    Raises BadInput for another frame of reference, no External or one outside the image, no body, refused
    values and those that are no numbers, too little memory.
    """
    nz, ny, nx = ct.hu.shape
    grid = Grid(ct.origin, ct.spacing, (nz, ny, nx))
    memory.require(_BYTES * grid.size, _("the patient model"))
    refuse_not_finite(ct.hu)
    told: list[str] = []
    outline = body.find(ct.hu, grid) if structures is None else _drawn_body(ct, structures, grid, told)
    rsp = calibration.relative_stopping_power(ct.hu)
    rsp[~outline] = AIR
    scan = findings.Scan(ct.hu, outline, grid, structures, calibration)
    warnings = [
        *ct.warnings,
        *told,
        *findings.outside_table(scan, outside),
        *findings.metal(scan, rsp, "keep"),
    ]
    warnings += findings.matter_outside(scan, rsp)
    return Patient(grid, rsp, outline, {"External": outline}, ct.patient_position, tuple(warnings))


def _drawn_body(ct: CtVolume, structures: StructureSet, grid: Grid, told: list[str]) -> NDArray[np.bool_]:
    if structures.frame_of_reference_uid != ct.frame_of_reference_uid:
        raise BadInput(
            _("structure set and CT have different frames of reference; choose the CT it was drawn on")
        )
    drawn = external_of(structures)
    if drawn is None:
        raise BadInput(_("the structure set has no body outline (External); draw it first"))
    outline = rasterise(drawn.contours, grid)
    if not outline.any():
        raise BadInput(
            _("region {name} lies outside the image; choose the image that it was drawn on").format(
                name=drawn.name
            )
        )
    index = grid.index_of(np.concatenate(list(drawn.contours)))
    if (index < -0.5).any() or (index > np.asarray(grid.shape[::-1]) - 0.5).any():
        told.append(
            _("region {name} reaches beyond the image: only the part inside counts").format(name=drawn.name)
        )
    return outline


def turned(plan: IonPlan, angles: Mapping[str, float]) -> IonPlan:
    """The plan with other gantry angles in degrees, by beam number or name. Raises BadInput."""
    beams = list(plan.beams)
    for key, angle in angles.items():
        rows = [k for k, beam in enumerate(beams) if key in (str(beam.number), beam.name)]
        if len(rows) != 1:
            known = ", ".join(f"{beam.number} ({beam.name})" for beam in plan.beams)
            raise BadInput(
                _("no beam {key}: this plan has {known}; name a beam by its number").format(
                    key=key, known=known
                )
            )
        beams[rows[0]] = replace(beams[rows[0]], gantry=angle % 360.0)
    return replace(plan, beams=tuple(beams))


def check(plan: IonPlan, model: BeamModel) -> None:
    """Raise BadInput, before time is spent, for a plan that the beam model or the engine cannot calculate."""
    if plan.radiation != "PROTON":
        raise BadInput(
            _("the plan is for {ion}, the beam model {name} for protons").format(
                ion=plan.radiation, name=model.name
            )
        )
    if plan.meterset_unit not in ("MU", "NP"):
        raise BadInput(
            _("metersets are in {unit}: allowed are MU and NP").format(unit=plan.meterset_unit or "-")
        )
    for beam in plan.beams:
        if len(beam.accessories) > parts.modelled(beam):
            raise BadInput(
                _("beam {number} holds {what}, which the dose engine does not model").format(
                    number=beam.number, what=", ".join(beam.accessories)
                )
            )
        spots.of_beam(beam, model)
        ripple.for_beam(model, beam)
        shifter_of(beam, model)


def check_position(plan: IonPlan, patient: Patient) -> None:
    """Raise BadInput for an image of another patient position than the plan's."""
    if plan.patient_position != patient.position:
        raise BadInput(
            _("the plan is for patient position {plan}, the image shows {image}").format(
                plan=plan.patient_position or "-", image=patient.position or "-"
            )
        )


def recompute(
    patient: Patient,
    grid: Grid,
    plan: IonPlan,
    model: BeamModel,
    engine: FullEngine,
    options: Options | None = None,
    progress: Progress = lambda _done: None,
    tell: Callable[[str], object] = lambda _text: None,
) -> list[BeamDose]:
    """Dose of every beam of a checked plan. progress: called with the part (0..1) that is done.

    tell: called with each warning before time is spent. Raises BadInput for another patient position, what
    `precheck.check_setting` refuses, and a plan that gives no dose on the grid.

    Metersets in numbers of particles (NP) are taken as they are.
    """
    check_position(plan, patient)
    used = (
        replace(model, protons_per_mu=np.ones_like(model.energies)) if plan.meterset_unit == "NP" else model
    )
    for warning in precheck.check_setting(patient, grid, plan, used):
        tell(warning)
    doses = []
    count = len(plan.beams)
    for k, beam in enumerate(plan.beams):

        def part(done: float, k: int = k) -> None:
            progress((k + done) / count)

        doses.append(BeamDose(beam, engine(patient, grid, beam, used, options or Options(), part)))
    if not any(part.dose.any() for part in doses):
        raise BadInput(_("no beam gives any dose on the grid: check isocentre, gantry angles and image"))
    return doses
