"""Dose accounting: what the counters say, against what was asked. Counts stay raw until the last step.

Nothing here reads a planned meterset to say what was delivered: delivered means counted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput, Refused
from common.text import _
from treatment.delivery_map import DeliveryMap
from treatment.monitor import Monitor


@dataclass(frozen=True)
class Counters:
    """What the hardware counted since a map was loaded; all arrays (n,) over the map's spots.

    primary, secondary: raw counts. x, y: charge-weighted mean positions, mm. size_x, size_y: sigma, mm.
    start_tick, end_tick: first and last beam of the spot (0: none). factor, origin_wall_ns: see ClockRate.
    """

    primary: NDArray[np.int64]
    secondary: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    size_x: NDArray[np.float64]
    size_y: NDArray[np.float64]
    start_tick: NDArray[np.int64]
    end_tick: NDArray[np.int64]
    factor: float
    origin_wall_ns: int

    @classmethod
    def empty(cls, spots: int) -> "Counters":
        """Counters of a map of which nothing was delivered."""
        zero = np.zeros(spots, dtype=np.int64)
        none = np.zeros(spots)
        return cls(zero, zero, none, none, none, none, zero, zero, 1.0, 0)

    def arrays(self) -> dict[str, NDArray[np.int64] | NDArray[np.float64]]:
        """The arrays by name."""
        names = [item.name for item in fields(self) if item.name not in ("factor", "origin_wall_ns")]
        return {name: getattr(self, name) for name in names}

    @property
    def spot_count(self) -> int:
        """Number of spots."""
        return len(self.primary)


def pack(counters: Counters) -> dict[str, Any]:
    """Counters as JSON: the spots that saw beam, and nothing of the others."""
    arrays = counters.arrays()
    seen = np.flatnonzero((counters.primary != 0) | (counters.secondary != 0) | (counters.end_tick != 0))
    packed: dict[str, Any] = {name: array[seen].tolist() for name, array in arrays.items()}
    return {
        "spots": counters.spot_count,
        "index": seen.tolist(),
        "factor": counters.factor,
        "origin_wall_ns": counters.origin_wall_ns,
        **packed,
    }


def unpack(packed: Mapping[str, Any]) -> Counters:
    """The counters that `pack` made JSON of; positions and sizes of unseen spots are 0."""
    spots = int(packed["spots"])
    index = np.asarray(packed["index"], dtype=np.int64)

    def integers(name: str) -> NDArray[np.int64]:
        full = np.zeros(spots, dtype=np.int64)
        full[index] = packed[name]
        return full

    def floats(name: str) -> NDArray[np.float64]:
        full = np.zeros(spots)
        full[index] = packed[name]
        return full

    primary, secondary, start_tick, end_tick = (
        integers(name) for name in ("primary", "secondary", "start_tick", "end_tick")
    )
    x, y, size_x, size_y = (floats(name) for name in ("x", "y", "size_x", "size_y"))
    return Counters(
        primary, secondary, x, y, size_x, size_y, start_tick, end_tick,
        float(packed["factor"]), int(packed["origin_wall_ns"]),
    )  # fmt: skip


@dataclass(frozen=True)
class Violation:
    """One value out of tolerance. spot: its index, or -1.

    kind: spot, twice, secondary, position, size, beam or overdose.
    """

    kind: str
    spot: int
    value: float
    limit: float

    def __str__(self) -> str:
        """The violation as one line for people."""
        where = _("spot {spot}").format(spot=self.spot) if self.spot >= 0 else _("beam")
        return _("{where}: {kind} {value:.4g}, allowed {limit:.4g}").format(
            where=where, kind=self.kind, value=self.value, limit=self.limit
        )


def delivered(runs: Iterable[tuple[Counters, float]], spots: int, k_tp: float) -> NDArray[np.int64]:
    """Primary counts that runs delivered, (spots,), in counts of the air density `k_tp`.

    runs: counters of each run and the k_TP frozen for it. Runs of the same k_TP are added as they were
    counted; others are scaled through MU. Raises BadInput for a run of another length.
    """
    total = np.zeros(spots, dtype=np.int64)
    for counters, run_k_tp in runs:
        if counters.spot_count != spots:
            raise BadInput(
                _("a run counted {got} spots, the beam has {want}").format(
                    got=counters.spot_count, want=spots
                )
            )
        if run_k_tp == k_tp:
            total += counters.primary
        else:
            total += np.rint(counters.primary * (run_k_tp / k_tp)).astype(np.int64)
    return total


def check_drift(frozen: float, now: float, monitor: Monitor) -> None:
    """Raise Refused if the air has changed by more than the tolerance since k_TP was frozen."""
    drift = abs(now / frozen - 1.0)
    if drift > monitor.tolerance.k_tp_drift:
        raise Refused(
            _(
                "air density has drifted by {drift:.2%} since k_TP was frozen, allowed is {limit:.2%}; "
                "check the station, or terminate and load the fraction anew"
            ).format(drift=drift, limit=monitor.tolerance.k_tp_drift)
        )


def finished(wanted: DeliveryMap, primary: NDArray[np.int64], monitor: Monitor) -> NDArray[np.bool_]:
    """Which spots have their preset to within one quantum, earlier runs included, (n,)."""
    ended: NDArray[np.bool_] = wanted.done + primary >= wanted.preset - monitor.quantum_counts
    return ended


def check_run(wanted: DeliveryMap, counted: Counters, monitor: Monitor) -> list[Violation]:
    """Everything out of tolerance in one run of a map; empty when all is well."""
    found = _check_counts(wanted, counted, monitor)
    found += _check_twice(wanted, counted, monitor)
    found += _check_secondary(counted, monitor)
    return found + _check_geometry(wanted, counted, monitor)


def check_beam(wanted: DeliveryMap, primary: NDArray[np.int64], monitor: Monitor) -> list[Violation]:
    """A beam that the hardware calls finished: every spot and the whole meterset against the preset.

    Earlier runs are included. A spot may be short of its preset by 0.5 % or one quantum, the beam by 0.1 %.
    """
    limits = np.maximum(monitor.tolerance.spot_mu_relative * wanted.preset, monitor.quantum_counts)
    short = wanted.preset - wanted.done - primary
    found = _violations("spot", short, limits, short > limits)
    asked = int(wanted.preset.sum())
    given = int((wanted.done + primary).sum())
    off = abs(given - asked) / max(asked, 1)
    limit = monitor.tolerance.beam_mu_relative
    return found + ([Violation("beam", -1, off, limit)] if off > limit else [])


def overdose_limit_mu(beam_mu: float, fraction_mu: float, fraction_gy: float, monitor: Monitor) -> float:
    """MU above a beam's preset that count as overdose: 5 % or 0.25 Gy, whichever is smaller.

    The dose of one MU is taken as prescribed dose / total meterset of the fraction, Gy/MU.
    """
    gy_per_mu = fraction_gy / max(fraction_mu, 1e-9)
    return min(0.05 * beam_mu, monitor.tolerance.overdose_gy / max(gy_per_mu, 1e-12))


def check_overdose(wanted: DeliveryMap, primary: NDArray[np.int64], limit_mu: float) -> list[Violation]:
    """Counts above preset, summed over the spots that exceed it, against a limit in MU."""
    above = np.maximum(wanted.done + primary - wanted.preset, 0).sum() * wanted.mu_per_count
    return [Violation("overdose", -1, float(above), limit_mu)] if above > limit_mu else []


def _check_counts(wanted: DeliveryMap, counted: Counters, monitor: Monitor) -> list[Violation]:
    """Spots above their preset by more than 0.5 % or one quantum, whichever is larger."""
    limit = np.maximum(monitor.tolerance.spot_mu_relative * wanted.preset, monitor.quantum_counts)
    above = wanted.done + counted.primary - wanted.preset
    return _violations("spot", above, limit, (above > limit) & (counted.primary > 0))


def _check_twice(wanted: DeliveryMap, counted: Counters, monitor: Monitor) -> list[Violation]:
    """Spots that had their preset before this run and got more than the quantum that may be left over."""
    quantum = monitor.quantum_counts
    again = (wanted.done >= wanted.preset - quantum) & (counted.primary > quantum)
    return _violations("twice", counted.primary, np.full(len(again), quantum), again)


def _check_secondary(counted: Counters, monitor: Monitor) -> list[Violation]:
    """Secondary against primary: the tolerance, or five sigma plus a quantum for small spots."""
    limit = np.maximum(
        monitor.tolerance.secondary_relative * counted.primary,
        5.0 * monitor.secondary_noise * counted.primary + monitor.quantum_counts,
    )
    off = np.abs(counted.secondary - counted.primary)
    return _violations("secondary", off, limit, off > limit)


def _check_geometry(wanted: DeliveryMap, counted: Counters, monitor: Monitor) -> list[Violation]:
    """Absolute position, position relative to the run's mean shift, and size, of spots with beam."""
    seen = counted.primary > 0
    if not seen.any():
        return []
    tolerance = monitor.tolerance
    dx, dy = counted.x - wanted.x, counted.y - wanted.y
    absolute = np.hypot(dx, dy)
    relative = np.hypot(dx - np.median(dx[seen]), dy - np.median(dy[seen]))
    size = np.maximum(np.abs(counted.size_x / wanted.size_x - 1), np.abs(counted.size_y / wanted.size_y - 1))
    found: list[Violation] = []
    for kind, value, limit in (
        ("position", absolute, tolerance.position_absolute_mm),
        ("position", relative, tolerance.position_relative_mm),
        ("size", size, tolerance.size_relative),
    ):
        found += _violations(kind, value, np.full(len(seen), limit), seen & (value > limit))
    return found


def _violations(
    kind: str,
    value: NDArray[np.int64] | NDArray[np.float64],
    limit: NDArray[np.int64] | NDArray[np.float64],
    bad: NDArray[np.bool_],
) -> list[Violation]:
    return [Violation(kind, int(i), float(value[i]), float(limit[i])) for i in np.flatnonzero(bad)]
