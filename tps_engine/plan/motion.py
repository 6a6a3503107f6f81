"""Phases of breathing: a CT of each, and where the points of the reference image lie in it."""

from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import map_coordinates

from common.errors import BadInput
from common.text import _
from tps_engine.dose.recompute import patient_of
from tps_engine.patient.grid import Floats
from tps_engine.patient.model import Patient
from tps_engine.patient.stopping_power import CtCalibration
from tps_engine.plan.request import Displacement, Phase

_LARGEST_MM = 100.0


@dataclass(frozen=True)
class Moved:
    """A phase as the dose engine sees it."""

    name: str
    patient: Patient = field(repr=False)
    motion: tuple[float, float, float] | Displacement = field(repr=False)

    def of(self, points: Floats) -> Floats:
        """(n, 3) mm where points of the reference image lie in this phase."""
        if not isinstance(self.motion, Displacement):
            return np.asarray(points + np.asarray(self.motion))
        index = self.motion.grid.index_of(points)[:, ::-1].T
        parts = [
            map_coordinates(self.motion.vectors[..., axis], index, order=1, mode="nearest")
            for axis in range(3)
        ]
        return np.asarray(points + np.stack(parts, axis=1))


def moved(phase: Phase, reference: Patient, calibration: CtCalibration, outside: str = "clamp") -> Moved:
    """A phase made ready; its body is found in its own image.

    outside: clamp or refuse CT values in the body beyond the table. Raises BadInput for those that are
    refused, another patient position, CT values that are no numbers, and motion beyond 100 mm.
    """
    if phase.ct.patient_position != reference.position:
        raise BadInput(
            _("phase {name}: patient position {one}, the reference has {other}").format(
                name=phase.name, one=phase.ct.patient_position, other=reference.position
            )
        )
    if not np.isfinite(phase.ct.hu).all():
        raise BadInput(_("phase {name}: CT values are no numbers").format(name=phase.name))
    vectors = phase.motion.vectors if isinstance(phase.motion, Displacement) else np.asarray(phase.motion)
    if not np.isfinite(vectors).all() or float(np.abs(vectors).max()) > _LARGEST_MM:
        raise BadInput(_("phase {name}: motion is up to 100 mm along each axis").format(name=phase.name))
    return Moved(phase.name, patient_of(phase.ct, None, calibration, outside), phase.motion)
