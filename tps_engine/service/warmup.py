"""Compiles and loads the numerical kernels by planning and comparing a water box, before the first job."""

import logging
import time

import numpy as np

from common.dicom.ct import CtVolume
from common.dicom.plan import PatientIdentity
from common.dicom.structures import Roi, StructureSet
from tps_engine.beamdata.model import BeamModel
from tps_engine.evaluate.gamma import gamma
from tps_engine.plan.planning import make_plan
from tps_engine.plan.request import FieldRequest, PlanOptions, Prescription

log = logging.getLogger("tps")

_NOBODY = PatientIdentity("WATER-BOX", "Water^Box", "", "O")


def warm_up(model: BeamModel) -> None:
    """Plan a sphere in a water box with one field, and compare its dose with itself."""
    started = time.monotonic()
    ct, structures = _water_box()
    wanted = Prescription("target", 2.0, 1)
    options = PlanOptions(margin=0.0, dose_spacing=6.0)
    plan = make_plan(ct, structures, wanted, [FieldRequest("A", 0.0)], model, options)
    gamma(plan.dose, plan.dose, plan.grid.spacing)
    log.info("kernels ready after %.1f s", time.monotonic() - started)


def _water_box() -> tuple[CtVolume, StructureSet]:
    spacing, size = 6.0, 34
    low = -spacing * (size - 1) / 2
    heights = low + spacing * np.arange(size)
    hu = np.full((size, size, size), -1000.0, np.float32)
    hu[1:-1, 1:-1, 1:-1] = 0.0
    ct = CtVolume(
        hu,
        (low, low, low),
        (spacing,) * 3,
        _NOBODY,
        "1.1",
        "1.2",
        "1.3",
        tuple(f"1.4.{n}" for n in range(size)),
    )
    edge = abs(low) - 0.5 * spacing
    body = tuple(_square(edge, z) for z in heights[1:-1])
    inner = tuple(_square(14.0, z) for z in heights if abs(z) < 14.0)
    rois = {"body": Roi(1, "body", "EXTERNAL", body), "target": Roi(2, "target", "PTV", inner)}
    return ct, StructureSet(_NOBODY, "1.5", "1.1", "1.6", "1.3", "1.2", "box", rois)


def _square(half: float, z: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    corners = [(-half, -half), (half, -half), (half, half), (-half, half)]
    return np.array([(x, y, z) for x, y in corners])
