"""The dose engines by name: what `--engine` chooses from."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonBeam
from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.model import BeamModel
from tps_engine.dose.beam import beam_dose
from tps_engine.patient.grid import Grid
from tps_engine.patient.model import Patient

Engine = Callable[[Patient, Grid, IonBeam, BeamModel], NDArray[np.float32]]
"""Physical dose to water in Gy of one fraction of a beam, (nz, ny, nx) on a grid."""

ENGINES: Mapping[str, Engine | None] = {"pb": beam_dose, "mc": None}
"""None: known by name, not there yet."""


def engine_of(name: str) -> Engine:
    """The engine of a name. Raises BadInput naming those that there are."""
    found = ENGINES.get(name)
    if found is None:
        raise BadInput(
            _("dose engine {name} is not available: allowed are {allowed}").format(
                name=name, allowed=", ".join(key for key, engine in ENGINES.items() if engine)
            )
        )
    return found
