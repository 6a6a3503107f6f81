"""Counts per MU from a reference chamber."""

from dataclasses import dataclass

import numpy as np

from common.errors import BadInput
from common.text import _
from ptcs.commissioning.bench import Floats


@dataclass(frozen=True)
class MonitorFit:
    """counts_per_mu and error: one sigma. measured, expected: dose-area product per MU, Gy mm2.

    repeatability: relative standard deviation of one delivery. linearity: greatest relative departure from
    proportional, where deliveries differ in size (0 where they do not).
    """

    counts_per_mu: float
    error: float
    measured: float
    expected: float
    repeatability: float
    linearity: float


def counts_per_mu(
    counts: Floats, charge: Floats, k_tp: float, coefficient: float, expected: float, declared: float
) -> MonitorFit:
    """Counts per MU at 20 degC and 1013.25 hPa that give one MU its dose; counts, charge nC (n,).

    D = N k_TP M (IAEA TRS-398) for the chamber's charge; the monitor's counts are corrected by the same k_TP.
    expected: dose-area product in Gy mm2 of one MU at the chamber's depth, by the planning system's beam
    model; coefficient: Gy mm2 per nC; declared: counts per MU in force. Raises BadInput for fewer than two.
    """
    counts, charge = np.asarray(counts, dtype=np.float64), np.asarray(charge, dtype=np.float64)
    if len(counts) < 2 or not (counts > 0).all() or not (charge > 0).all():
        raise BadInput(_("a monitor calibration needs two deliveries with counts and charge"))
    mu = counts * k_tp / declared
    dose = charge * k_tp * coefficient
    ratios = dose / mu
    mean = float(np.sum(dose) / np.sum(mu))
    scatter = float(np.std(ratios, ddof=1) / np.mean(ratios))
    found = declared * expected / mean
    linear = float(np.max(np.abs(ratios / mean - 1.0))) if np.ptp(counts) > 0.1 * counts.mean() else 0.0
    return MonitorFit(found, found * scatter / np.sqrt(len(counts)), mean, expected, scatter, linear)
