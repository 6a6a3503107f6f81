"""RT Ion Beams Treatment Record Storage to TreatmentRecord.

With our private block the record comes back whole, checked against the standard attributes beside it.
A foreign record has only its delivered control points; what it does not say (secondary meterset, sigma,
prescribed meterset of each spot) is NaN.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from common.dicom import modules, private
from common.dicom.ion_plan_read import NO_TUNE
from common.dicom.modules import RT_ION_RECORD, integer, items, number, numbers, text
from common.dicom.record import BeamRecord, LayerRecord, TreatmentRecord
from common.errors import BadDicom

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SIGMA = 1.0 / (2.0 * math.sqrt(2.0 * math.log(2.0)))


def from_dataset(ds: Dataset) -> TreatmentRecord:
    """Read one part of a fraction. Raises BadDicom for what is missing or contradicts itself."""
    modules.check_class(ds, RT_ION_RECORD, "RT Ion Beams Treatment Record Storage")
    plans = items(ds, "ReferencedRTPlanSequence")
    sources = items(ds, "TreatmentSessionIonBeamSequence")
    machines = items(ds, "TreatmentMachineSequence")
    if len(plans) != 1 or not sources or not machines:
        raise BadDicom("a treatment record needs one referenced plan, a machine and a beam")
    session = _json(ds, private.SESSION)
    beams = tuple(_beam(item) for item in sources)
    start = wall_ns(text(ds, "TreatmentDate"), text(ds, "TreatmentTime"))
    ends = [layer.end_ns for beam in beams for layer in beam.layers]
    operators = modules.text(ds, "OperatorsName")
    return TreatmentRecord(
        patient=modules.patient_of(ds),
        sop_instance_uid=str(modules.require(ds, "SOPInstanceUID")),
        study_instance_uid=str(modules.require(ds, "StudyInstanceUID")),
        series_instance_uid=str(modules.require(ds, "SeriesInstanceUID")),
        plan_sop_instance_uid=str(modules.require(plans[0], "ReferencedSOPInstanceUID")),
        fraction=_fraction(sources),
        fractions_planned=int(number(ds, "NumberOfFractionsPlanned", 0.0)),
        part=int(session.get("part", number(ds, "InstanceNumber", 1.0))),
        machine=text(machines[0], "TreatmentMachineName"),
        beams=beams,
        start_ns=int(session.get("start_ns", start)),
        end_ns=int(session.get("end_ns", max([start, *ends]))),
        operators=tuple(session.get("operators", [operators] if operators else [])),
        verified_by=str(session.get("verified_by", "")),
        clock_factor=float(session.get("clock_factor", 1.0)),
        monitor={str(key): float(value) for key, value in session.get("monitor", {}).items()},
        radiation=text(sources[0], "RadiationType"),
    )


def wall_ns(date: str, clock: str) -> int:
    """Nanoseconds since the epoch of a DA and a TM in UTC, to the microsecond; 0 when the date is empty."""
    if not date:
        return 0
    whole, _, fraction = clock.partition(".")
    try:
        moment = datetime.strptime(f"{date}{whole:0<6}", "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        micro = int(f"{fraction:0<6}"[:6])
    except ValueError as why:
        raise BadDicom(
            "a date or time of the record is none: allowed are YYYYMMDD and hhmmss.ffffff"
        ) from why
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000 + micro * 1000


def _fraction(beams: list[Dataset]) -> int:
    found = {integer(beam, "CurrentFractionNumber") for beam in beams}
    if len(found) != 1:
        raise BadDicom(f"record mixes fractions {sorted(found)}: allowed is one a record")
    return found.pop()


def _json(ds: Dataset, element: int) -> Mapping[str, Any]:
    content = private.get_text(ds, private.RECORD_GROUP, element)
    try:
        found = json.loads(content) if content else {}
    except ValueError as why:
        raise BadDicom(f"private element (3009,xx{element:02X}) is damaged") from why
    if not isinstance(found, dict):
        raise BadDicom(f"private element (3009,xx{element:02X}) is damaged")
    return found


@dataclass(frozen=True)
class _Point:
    """What a delivered layer's control points say."""

    layer: int
    source: Dataset
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    mu: NDArray[np.float32]
    end_ns: int


def _beam(ds: Dataset) -> BeamRecord:
    beam_number = integer(ds, "ReferencedBeamNumber")
    try:
        return _read_beam(ds, beam_number)
    except (KeyError, TypeError, ValueError) as why:
        raise BadDicom(f"beam {beam_number}: its private block is damaged") from why
    except BadDicom as why:
        raise BadDicom(f"beam {beam_number}: {why}") from why


def _read_beam(ds: Dataset, beam_number: int) -> BeamRecord:
    points = items(ds, "IonControlPointDeliverySequence")
    if not points or len(points) != integer(ds, "NumberOfControlPoints"):
        raise BadDicom(
            f"{len(points)} control points, NumberOfControlPoints says {text(ds, 'NumberOfControlPoints')}"
        )
    delivered = _delivered(points)
    texts = _json(ds, private.BEAM)
    layers = _own_layers(ds, delivered, texts["layers"]) if "layers" in texts else _foreign_layers(delivered)
    shifters = items(ds, "RecordedRangeShifterSequence")
    first = points[0]
    return BeamRecord(
        number=beam_number,
        name=text(ds, "BeamName"),
        gantry=number(first, "GantryAngle"),
        couch=number(first, "PatientSupportAngle"),
        couch_position=(
            number(first, "TableTopLateralPosition", 0.0),
            number(first, "TableTopLongitudinalPosition", 0.0),
            number(first, "TableTopVerticalPosition", 0.0),
        ),
        snout_position=number(first, "SnoutPosition", 0.0),
        planned_mu=number(ds, "SpecifiedPrimaryMeterset", float("nan")),
        layers=layers,
        termination=text(ds, "TreatmentTerminationStatus"),
        delivery_type=text(ds, "TreatmentDeliveryType"),
        cause=str(texts.get("cause", text(ds, "TreatmentTerminationDescription"))),
        range_shifter=text(shifters[0], "RangeShifterID") if shifters else None,
    )


def _delivered(points: list[Dataset]) -> list[_Point]:
    """One entry a control point that opens a layer (even plan index), from the standard attributes."""
    found = []
    for position, point in enumerate(points):
        index = integer(point, "ReferencedControlPointIndex")
        mu = _floats(point, "ScanSpotMetersetsDelivered")
        if index % 2 and not mu.any():
            continue
        flat = _floats(point, "ScanSpotPositionMap")
        if (
            flat.size != 2 * mu.size
            or not np.isfinite(flat).all()
            or not np.isfinite(mu).all()
            or mu.min() < 0
        ):
            raise BadDicom(
                f"control point {index}: {mu.size} metersets and {flat.size} coordinates do not fit"
            )
        after = points[position + 1] if position + 1 < len(points) else point
        end = wall_ns(text(after, "TreatmentControlPointDate"), text(after, "TreatmentControlPointTime"))
        found.append(_Point(index // 2, point, flat[0::2].copy(), flat[1::2].copy(), mu, end))
    return found


def _floats(point: Dataset, keyword: str) -> NDArray[np.float32]:
    return np.atleast_1d(np.asarray(modules.require(point, keyword), dtype=np.float32))


def _own_layers(ds: Dataset, delivered: list[_Point], table: list[dict[str, Any]]) -> tuple[LayerRecord, ...]:
    group = private.RECORD_GROUP
    spots = np.column_stack(
        [
            _same_length(private.get_array(ds, group, element, columns), table)
            for element, columns in (
                (private.SPOT_POSITION, 2),
                (private.SPOT_SECONDARY, 1),
                (private.SPOT_SIGMA, 2),
                (private.SPOT_PRESCRIBED, 1),
            )
        ]
    )
    measured = {point.layer: point for point in delivered}
    if not set(measured) <= set(range(len(table))):
        raise BadDicom(
            "control points name a layer that the private block does not hold; the record is damaged"
        )
    layers, begin = [], 0
    for index, row in enumerate(table):
        count = int(row["spots"])
        layers.append(_own_layer(index, row, spots[begin : begin + count], measured.get(index)))
        begin += count
    return tuple(layers)


def _same_length(array: NDArray[np.float32], table: list[dict[str, Any]]) -> NDArray[np.float32]:
    if len(array) != sum(int(row["spots"]) for row in table):
        raise BadDicom("private spot arrays differ in length from the layers; the record is damaged")
    return array


def _own_layer(
    index: int, row: Mapping[str, Any], spots: NDArray[np.float32], point: _Point | None
) -> LayerRecord:
    """A layer from columns x, y, secondary, sigma x, sigma y, prescribed; metersets of `point`, or 0."""
    x, y, secondary, size_x, size_y, prescribed = (column.copy() for column in spots.T)
    mu = np.zeros(len(spots), np.float32) if point is None else point.mu
    if point is not None and not (np.array_equal(point.x, x) and np.array_equal(point.y, y)):
        raise BadDicom(
            f"layer {index + 1}: ScanSpotPositionMap and private block differ; the record is damaged"
        )
    return LayerRecord(
        energy=float(row["energy"]),
        x=x,
        y=y,
        mu=mu,
        secondary_mu=secondary,
        size_x=size_x,
        size_y=size_y,
        prescribed_mu=prescribed,
        start_ns=int(row["start_ns"]),
        end_ns=int(row["end_ns"]),
        tune_id=str(row["tune"]),
        paintings=int(row["paintings"]),
    )


def _foreign_layers(delivered: list[_Point]) -> tuple[LayerRecord, ...]:
    return tuple(_foreign_layer(point) for point in delivered)


def _foreign_layer(point: _Point) -> LayerRecord:
    source = point.source
    unknown = np.full(len(point.mu), np.nan, np.float32)
    size_x = size_y = unknown
    if modules.has(source, "ScanSpotSizesDelivered"):
        sizes = np.array(numbers(source, "ScanSpotSizesDelivered", 2 * len(point.mu))) * _SIGMA
        size_x, size_y = sizes[0::2].astype(np.float32), sizes[1::2].astype(np.float32)
    tune = text(source, "ScanSpotTuneID")
    return LayerRecord(
        energy=number(source, "NominalBeamEnergy"),
        x=point.x,
        y=point.y,
        mu=point.mu,
        secondary_mu=unknown,
        size_x=size_x,
        size_y=size_y,
        prescribed_mu=unknown,
        start_ns=wall_ns(
            text(source, "TreatmentControlPointDate"), text(source, "TreatmentControlPointTime")
        ),
        end_ns=point.end_ns,
        tune_id="" if tune == NO_TUNE else tune,
        paintings=int(number(source, "NumberOfPaintings", 1.0)),
    )
