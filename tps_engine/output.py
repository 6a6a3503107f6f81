"""What a job hands back: DICOM objects from arrays, and the numbers of a dose."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.dicom import modules
from common.dicom.ct import CtVolume
from common.dicom.plan import IonBeam, IonPlan
from common.dicom.rt_dose import DoseGrid
from common.dicom.structures import StructureSet
from tps_engine.evaluate.dvh import Dvh, dvh, organ_metrics, target_metrics
from tps_engine.patient.grid import Grid
from tps_engine.plan.request import Prescription

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """The images a plan is made on."""

    ct: CtVolume
    structures: StructureSet


def stamp() -> str:
    """Now as DICOM writes it, YYYYMMDDhhmmss, UTC."""
    return datetime.now(UTC).strftime("%Y%m%d%H%M%S")


def ion_plan(
    case: Case,
    wanted: Prescription,
    beams: tuple[IonBeam, ...],
    machine: str,
    uids: tuple[str, str],
    **what: Any,
) -> IonPlan:
    """A plan of beams. uids: its own and its dose's SOP Instance UID. what: RBE model, radiation, label."""
    return IonPlan(
        **{"rbe_model": wanted.rbe_model, "label": f"IMPT {wanted.target}"[:16], **what},
        patient=case.ct.patient,
        sop_instance_uid=uids[0],
        study_instance_uid=case.ct.study_instance_uid,
        series_instance_uid=modules.new_uid(),
        frame_of_reference_uid=case.ct.frame_of_reference_uid,
        structure_set_uid=case.structures.sop_instance_uid,
        machine=machine,
        beams=beams,
        fractions=wanted.fractions,
        prescription=wanted.dose_per_fraction,
        target=wanted.target,
        patient_position=case.ct.patient_position,
        dose_sop_instance_uid=uids[1],
        created=stamp(),
    )


def dose_grid(
    plan: IonPlan,
    dose: NDArray[np.floating],
    grid: Grid,
    uid: str,
    dose_type: str = "EFFECTIVE",
    **what: Any,
) -> DoseGrid:
    """A dose of `plan`, RBE-weighted Gy unless its type is PHYSICAL. what: summation, records, comment."""
    return DoseGrid(
        dose=np.ascontiguousarray(dose, dtype=np.float32),
        origin=grid.origin,
        spacing=grid.spacing,
        patient=plan.patient,
        sop_instance_uid=uid,
        study_instance_uid=plan.study_instance_uid,
        series_instance_uid=modules.new_uid(),
        frame_of_reference_uid=plan.frame_of_reference_uid,
        plan_sop_instance_uid=plan.sop_instance_uid,
        dose_type=dose_type,
        structure_set_uid=plan.structure_set_uid,
        created=stamp(),
        **what,
    )


def histograms(
    dose: NDArray[np.floating], regions: Mapping[str, Mask | NDArray[np.floating]], grid: Grid
) -> dict[str, Dvh]:
    """A histogram for every region that has a voxel on the dose grid, in the order given.

    regions: masks, or the parts (0..1) of voxels inside.
    """
    voxel = 1000.0 * grid.voxel_cm3
    return {name: dvh(dose, mask, voxel) for name, mask in regions.items() if mask.any()}


def metrics(found: Mapping[str, Dvh], target: str, prescription_gy: float) -> dict[str, Any]:
    """{target: {...}, organs: {NAME: {...}}}, Gy of one fraction."""
    organs = {name: organ_metrics(histogram) for name, histogram in found.items() if name != target}
    return {"target": target_metrics(found[target], prescription_gy), "organs": organs}
