"""What the planner should know about a finished plan."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from common.text import _
from tps_engine.evaluate.dvh import dvh
from tps_engine.plan.request import Prescription
from tps_engine.plan.scene import PlannedField, Scene

COVERAGE, HOTTEST = 0.95, 1.07
"""Parts of the prescription: 95 % of the target should get the first, 2 % no more than the second."""

_SHALLOW_SHARE = 0.01


def warnings(
    scene: Scene, planned: Sequence[PlannedField], dose: NDArray[np.float32], prescription: Prescription
) -> tuple[str, ...]:
    """Texts about the patient model, target parts out of reach, and goals that the target dose misses.

    dose: RBE-weighted Gy of one fraction, (nz, ny, nx) on the scene's grid.
    """
    found = list(scene.patient.warnings)
    for field in planned:
        if field.shallow > _SHALLOW_SHARE:
            found.append(
                _(
                    "field {name}: {percent} % of the target lies in front of the lowest energy's "
                    "Bragg peak; a range shifter is needed for full coverage"
                ).format(name=field.request.name, percent=f"{100.0 * field.shallow:.0f}")
            )
    inside = scene.fractions.get(scene.target_name, scene.target)
    found_dose = dvh(dose, inside, 1000.0 * scene.grid.voxel_cm3)
    cold, hot = (found_dose.dose_to(percent) / prescription.dose_per_fraction for percent in (95.0, 2.0))
    if cold < COVERAGE:
        found.append(
            _("target {name}: D95 is {dose} % of the prescription, below {goal} %").format(
                name=prescription.target, dose=f"{100.0 * cold:.1f}", goal=f"{100.0 * COVERAGE:.0f}"
            )
        )
    if hot > HOTTEST:
        found.append(
            _("target {name}: D2 is {dose} % of the prescription, above {goal} %").format(
                name=prescription.target, dose=f"{100.0 * hot:.1f}", goal=f"{100.0 * HOTTEST:.0f}"
            )
        )
    return tuple(found)
