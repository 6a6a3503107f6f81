"""What the planner should know about a finished plan."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from common.text import _
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
    inside = dose[scene.target] / prescription.dose_per_fraction
    cold, hot = float(np.percentile(inside, 5.0)), float(np.percentile(inside, 98.0))
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
