"""A record part from journal and counters: what the hardware counted, against what the plan asked."""

import numpy as np
from numpy.typing import NDArray

from common.clock import ClockRate
from common.dicom.plan import IonBeam, IonPlan
from common.dicom.record import BeamRecord, LayerRecord, TreatmentRecord
from common.errors import Refused
from common.text import _
from treatment.accounting import Counters
from treatment.delivery_map import FWHM_PER_SIGMA
from treatment.ledger import Course, History, Part, Run
from treatment.monitor import Monitor


def build(
    plan: IonPlan, course: Course, history: History, part: Part, monitor: Monitor, series_uid: str
) -> TreatmentRecord:
    """The record of one part: its own runs only, each beam's counts of this part and no other.

    Raises Refused when a run of the part has no counters yet or the part is empty.
    """
    runs = [run for run in history.runs if run.serial in part.runs]
    if not runs or any(run.counters is None for run in runs):
        raise Refused(_("part {part} has no counters read back yet").format(part=part.number))
    beams = tuple(
        _beam(beam, _of(runs, beam.number), _first_serial(history, beam.number), monitor)
        for beam in plan.beams
        if _of(runs, beam.number)
    )
    last = runs[-1]
    return TreatmentRecord(
        patient=plan.patient,
        sop_instance_uid=part.uid,
        study_instance_uid=plan.study_instance_uid,
        series_instance_uid=series_uid,
        plan_sop_instance_uid=plan.sop_instance_uid,
        fraction=course.fraction,
        fractions_planned=plan.fractions,
        part=part.number,
        machine=plan.machine,
        beams=beams,
        start_ns=runs[0].start_ns,
        end_ns=last.end_ns,
        operators=tuple(history.operators),
        verified_by=part.verified_by,
        clock_factor=last.counters.factor if last.counters else 1.0,
        monitor={
            "counts_per_mu": monitor.counts_per_mu,
            "k_tp": last.k_tp,
            "temperature_c": last.setup["temperature"],
            "pressure_hpa": last.setup["pressure"],
        },
        radiation=plan.radiation,
    )


def _of(runs: list[Run], beam: int) -> list[Run]:
    return [run for run in runs if run.beam == beam]


def _first_serial(history: History, beam: int) -> int:
    return min(run.serial for run in history.runs if run.beam == beam)


def _beam(beam: IonBeam, runs: list[Run], first_serial: int, monitor: Monitor) -> BeamRecord:
    last = runs[-1]
    setup = last.setup
    return BeamRecord(
        number=beam.number,
        name=beam.name,
        gantry=setup["gantry"],
        couch=setup["couch_yaw"],
        couch_position=(setup["couch_x"], setup["couch_y"], setup["couch_z"]),
        snout_position=beam.snout_position,
        planned_mu=beam.meterset,
        layers=_layers(beam, runs, monitor),
        termination=last.termination,
        delivery_type="TREATMENT" if runs[0].serial == first_serial else "CONTINUATION",
        cause=last.cause,
        range_shifter=beam.range_shifter,
    )


def _layers(beam: IonBeam, runs: list[Run], monitor: Monitor) -> tuple[LayerRecord, ...]:
    """Every layer of the plan; one that saw no beam in this part has zero meterset and times."""
    primary, secondary = _mu(runs, monitor)
    weights = [run.counters.primary for run in runs if run.counters is not None]
    layers, start = [], 0
    for layer in beam.layers:
        span = slice(start, start + layer.spot_count)
        start = span.stop
        begin, end = _times(runs, span)
        sigma_x, sigma_y = layer.fwhm_x / FWHM_PER_SIGMA, layer.fwhm_y / FWHM_PER_SIGMA
        layers.append(
            LayerRecord(
                energy=layer.energy,
                x=_mean(runs, weights, "x", span, layer.x),
                y=_mean(runs, weights, "y", span, layer.y),
                mu=primary[span].astype(np.float32),
                secondary_mu=secondary[span].astype(np.float32),
                size_x=_mean(runs, weights, "size_x", span, np.full(layer.spot_count, sigma_x, np.float32)),
                size_y=_mean(runs, weights, "size_y", span, np.full(layer.spot_count, sigma_y, np.float32)),
                prescribed_mu=layer.mu.astype(np.float32),
                start_ns=begin,
                end_ns=end,
                tune_id=layer.tune_id,
                paintings=layer.paintings,
            )
        )
    return tuple(layers)


def _mu(runs: list[Run], monitor: Monitor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    primary, secondary = np.zeros(runs[0].spots), np.zeros(runs[0].spots)
    for run in runs:
        if run.counters is not None:
            primary += run.counters.primary * (run.k_tp / monitor.counts_per_mu)
            secondary += run.counters.secondary * (run.k_tp / monitor.counts_per_mu)
    return primary, secondary


def _mean(
    runs: list[Run],
    weights: list[NDArray[np.int64]],
    name: str,
    span: slice,
    planned: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Charge-weighted mean of a measured quantity over the runs; the planned value where no beam was."""
    total = np.sum([weight[span] for weight in weights], axis=0)
    values = [getattr(run.counters, name)[span] for run in runs]
    weighted = np.sum([w[span] * v for w, v in zip(weights, values, strict=True)], axis=0)
    mean: NDArray[np.float32] = np.where(total > 0, weighted / np.maximum(total, 1), planned)
    return mean.astype(np.float32)


def _times(runs: list[Run], span: slice) -> tuple[int, int]:
    """Wall time in ns of the first and last beam of a layer in this part; (0, 0) without any."""
    begins: list[int] = []
    ends: list[int] = []
    for run in runs:
        counted = run.counters
        if counted is None or not (counted.end_tick[span] > 0).any():
            continue
        rate = _rate(counted)
        seen = counted.end_tick[span] > 0
        begins.append(rate.wall_ns_at(int(counted.start_tick[span][seen].min())))
        ends.append(rate.wall_ns_at(int(counted.end_tick[span][seen].max())))
    return (min(begins), max(ends)) if begins else (0, 0)


def _rate(counted: Counters) -> ClockRate:
    return ClockRate(counted.factor, counted.origin_wall_ns)
