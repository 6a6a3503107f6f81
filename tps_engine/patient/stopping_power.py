"""CT numbers to proton stopping power relative to water, by a versioned table."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.errors import BadConfig, BadInput
from common.site import CONFIG, load_checked
from common.text import _

AIR = np.float32(0.0011)
"""Relative stopping power outside the body."""


@dataclass(frozen=True)
class CtCalibration:
    """A piecewise linear table: hu (n,) increasing, rsp (n,). metal_hu: above it nothing is tissue."""

    name: str
    version: str
    hu: NDArray[np.float64]
    rsp: NDArray[np.float64]
    metal_hu: float

    def relative_stopping_power(self, hu: NDArray[np.float32]) -> NDArray[np.float32]:
        """RSP, float32, of CT numbers of any shape.

        Values beyond the ends of the table take its end values: below is air, above is metal, which the
        patient model reports. Raises BadInput for values that are no numbers.
        """
        if not np.isfinite(hu).all():
            raise BadInput(
                _("the CT holds values that are no numbers (NaN or infinite); send the series again")
            )
        return np.interp(hu, self.hu, self.rsp).astype(np.float32)


def load(name_or_path: str | Path = "generic-120kv") -> CtCalibration:
    """Read and check a table: a name in `config/ct_calibrations`, or a path. Raises BadConfig."""
    path = Path(name_or_path)
    if path.suffix != ".yaml":
        path = CONFIG / "ct_calibrations" / f"{name_or_path}.yaml"
    content = load_checked(path, "ct_calibration")
    table = np.asarray(content["table"], dtype=np.float64)
    if (np.diff(table[:, 0]) <= 0.0).any() or (np.diff(table[:, 1]) < 0.0).any():
        raise BadConfig(
            f"{path.name}: CT numbers must rise and stopping powers must not fall along the table"
        )
    return CtCalibration(
        content["name"], content["version"], table[:, 0], table[:, 1], float(content["metal_hu"])
    )
