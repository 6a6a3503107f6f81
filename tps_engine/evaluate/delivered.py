"""What a fraction delivered: all parts of its record, summed per planned spot."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonBeam, IonLayer, IonPlan
from common.dicom.record import BeamRecord, LayerRecord, TreatmentRecord
from common.errors import BadInput

Floats = NDArray[np.float64]
ENERGY_TOLERANCE = 1e-3
"""MeV: energies closer than this name the same layer (float32 of DICOM)."""
_COUNTED = ("x", "y", "size_x", "size_y")


@dataclass(frozen=True)
class DeliveredBeam:
    """One beam of a fraction. All arrays are (n,) over the planned spots, in plan order.

    layer: index into `energies`. planned_x, planned_y, x, y: mm. planned_mu, mu: MU, `mu` of all parts.
    size_x, size_y: measured sigma, mm. Positions and sizes are means weighted by MU over the parts;
    NaN where nothing was delivered. quantum: MU of one count of the primary monitor. gantry, couch: deg, as
    recorded by the part that delivered most of the beam (as planned where no part did).
    """

    number: int
    name: str
    energies: Floats
    layer: NDArray[np.int64]
    planned_x: Floats
    planned_y: Floats
    planned_mu: Floats
    x: Floats
    y: Floats
    mu: Floats
    size_x: Floats
    size_y: Floats
    quantum: float
    gantry: float
    couch: float

    @property
    def hit(self) -> NDArray[np.bool_]:
        """(n,) spots that received any beam."""
        return self.mu > 0.0


def combine(plan: IonPlan, records: Sequence[TreatmentRecord]) -> tuple[DeliveredBeam, ...]:
    """All beams of the plan with what the parts delivered, in plan order; a beam without record has mu 0.

    Raises BadInput when a record belongs to another patient, plan, machine or fraction, when a part is
    given twice, or when a beam, layer or spot count is not the plan's.
    """
    _check_belonging(plan, records)
    numbers = {beam.number for beam in plan.beams}
    for record in records:
        strange = sorted({beam.number for beam in record.beams} - numbers)
        if strange:
            raise BadInput(f"record part {record.part} holds beam {strange[0]}, which the plan lacks")
    return tuple(_combine_beam(beam, records) for beam in plan.beams)


def _check_belonging(plan: IonPlan, records: Sequence[TreatmentRecord]) -> None:
    if not records:
        raise BadInput("no treatment record given; name the records of one fraction")
    if len({record.sop_instance_uid for record in records}) != len(records):
        raise BadInput("a treatment record is given twice; name each part once")
    for record in records:
        if record.patient.patient_id != plan.patient.patient_id:
            raise BadInput("the record's patient is not the plan's patient; nothing was computed")
        if record.plan_sop_instance_uid != plan.sop_instance_uid:
            raise BadInput("the record was delivered from another plan; name the plan that it refers to")
        if record.machine != plan.machine:
            raise BadInput(f"the record is of machine {record.machine}, the plan of {plan.machine}")
    fractions = sorted({record.fraction for record in records})
    if len(fractions) > 1:
        raise BadInput(f"records of fractions {fractions}: name the parts of one fraction only")


def _combine_beam(beam: IonBeam, records: Sequence[TreatmentRecord]) -> DeliveredBeam:
    total = {name: np.zeros(beam.spot_count) for name in ("mu", *_COUNTED)}
    parts = [part for record in records for part in record.beams if part.number == beam.number]
    for part in parts:
        _add_part(total, beam, part)
    most = max(parts, key=lambda part: part.delivered_mu, default=beam)
    quantum = max((_quantum(record) for record in records), default=0.0)
    with np.errstate(invalid="ignore"):
        means = {name: total[name] / np.where(total["mu"] > 0, total["mu"], np.nan) for name in _COUNTED}
    sizes = [layer.spot_count for layer in beam.layers]
    return DeliveredBeam(
        number=beam.number,
        name=beam.name,
        energies=np.array([layer.energy for layer in beam.layers], np.float64),
        layer=np.repeat(np.arange(len(sizes)), sizes),
        planned_x=_joined(beam.layers, "x"),
        planned_y=_joined(beam.layers, "y"),
        planned_mu=_joined(beam.layers, "mu"),
        mu=total["mu"],
        quantum=quantum,
        gantry=most.gantry,
        couch=most.couch,
        **means,
    )


def _joined(layers: Sequence[IonLayer], name: str) -> Floats:
    parts = [np.asarray(getattr(layer, name), np.float64) for layer in layers]
    return np.concatenate(parts) if parts else np.zeros(0)


def _add_part(total: dict[str, Floats], beam: IonBeam, part: BeamRecord) -> None:
    """Add one part's layers; each belongs to the next planned layer of its energy."""
    start = np.concatenate([[0], np.cumsum([layer.spot_count for layer in beam.layers])])
    following = 0
    for given in part.layers:
        index = _planned_index(beam, given, following)
        following = index + 1
        here = slice(int(start[index]), int(start[index + 1]))
        mu = np.asarray(given.mu, np.float64)
        if not np.isfinite(mu).all() or (mu < 0).any():
            raise BadInput(f"beam {beam.number}, {given.energy:.2f} MeV: a delivered meterset is not valid")
        total["mu"][here] += mu
        for name in _COUNTED:
            values = np.asarray(getattr(given, name), np.float64)
            if not np.isfinite(values[mu > 0]).all():
                raise BadInput(f"beam {beam.number}, {given.energy:.2f} MeV: a measured {name} is missing")
            total[name][here] += np.where(mu > 0, mu * values, 0.0)


def _planned_index(beam: IonBeam, given: LayerRecord, following: int) -> int:
    for index in range(following, len(beam.layers)):
        layer = beam.layers[index]
        if abs(layer.energy - given.energy) < ENERGY_TOLERANCE:
            if layer.spot_count != len(given.mu):
                raise BadInput(
                    f"beam {beam.number}, {given.energy:.2f} MeV: the record has {len(given.mu)} spots, "
                    f"the plan {layer.spot_count}"
                )
            return index
    raise BadInput(f"beam {beam.number}: the plan has no (further) layer of {given.energy:.2f} MeV")


def _quantum(record: TreatmentRecord) -> float:
    """MU of one count: k_TP / counts per MU; 0 where the record does not say."""
    counts = record.monitor.get("counts_per_mu", 0.0)
    return record.monitor.get("k_tp", 1.0) / counts if counts > 0 else 0.0
