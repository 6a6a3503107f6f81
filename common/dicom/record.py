"""What a treatment record is, as data: what the hardware counted, never what the plan wished.

One `TreatmentRecord` becomes one RT Ion Beams Treatment Record instance. A fraction that was
interrupted and continued has several, with the same fraction number; each holds only its own part.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import PatientIdentity


@dataclass(frozen=True)
class LayerRecord:
    """Delivered spots of one layer in this part. All arrays are (n,) over the layer's planned spots.

    x, y: measured positions, mm, mean over this part (planned position where nothing was delivered).
    mu: delivered meterset of this part by the primary monitor. secondary_mu: by the secondary.
    size_x, size_y: measured spot sigma, mm. prescribed_mu: what the plan asks of the whole fraction.
    start_ns, end_ns: wall time of the layer's first and last beam, ns since the epoch (0: none).
    """

    energy: float
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    mu: NDArray[np.float32]
    secondary_mu: NDArray[np.float32]
    size_x: NDArray[np.float32]
    size_y: NDArray[np.float32]
    prescribed_mu: NDArray[np.float32]
    start_ns: int
    end_ns: int
    tune_id: str = ""
    paintings: int = 1


@dataclass(frozen=True)
class BeamRecord:
    """One beam's part.

    termination: NORMAL, OPERATOR, MACHINE or UNKNOWN (Treatment Termination Status).
    delivery_type: TREATMENT for a first part, CONTINUATION for a later one.
    cause: text of what ended it, empty for NORMAL.
    """

    number: int
    name: str
    gantry: float
    couch: float
    couch_position: tuple[float, float, float]
    snout_position: float
    planned_mu: float
    layers: tuple[LayerRecord, ...]
    termination: str
    delivery_type: str
    cause: str = ""
    range_shifter: str | None = None

    @property
    def delivered_mu(self) -> float:
        """Primary meterset of this part, MU."""
        return float(sum(layer.mu.sum(dtype=np.float64) for layer in self.layers))


@dataclass(frozen=True)
class TreatmentRecord:
    """One part of a fraction.

    part: 1 for the first, 2 for its continuation, ... verified_by: user who confirmed the set-up.
    clock_factor: tick seconds per wall second at delivery. monitor: raw-count context
    (counts_per_mu, k_tp, temperature_c, pressure_hpa).
    """

    patient: PatientIdentity
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    plan_sop_instance_uid: str
    fraction: int
    fractions_planned: int
    part: int
    machine: str
    beams: tuple[BeamRecord, ...]
    start_ns: int
    end_ns: int
    operators: tuple[str, ...]
    verified_by: str
    clock_factor: float
    monitor: dict[str, float] = field(default_factory=dict)
    radiation: str = "PROTON"
