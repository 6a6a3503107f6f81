"""The declared monitor model: counts and MU, the quantum, and the tolerances."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Tolerance:
    """What a delivery may differ by. Lengths in mm, the rest relative but `overdose_gy` (Gy)."""

    spot_mu_relative: float = 0.005
    beam_mu_relative: float = 0.001
    secondary_relative: float = 0.05
    position_relative_mm: float = 1.0
    position_absolute_mm: float = 2.0
    size_relative: float = 0.2
    overdose_gy: float = 0.25
    k_tp_drift: float = 0.005


@dataclass(frozen=True)
class Monitor:
    """Monitor chamber: `counts_per_mu` holds at 20 degC and 1013.25 hPa.

    quantum_counts: what one spot may exceed its preset by, because the beam goes on for the end
    latency: 1 + rate x (latency + 3 jitter), the rate with three sigma of ripple, in counts.
    secondary_noise: relative, one sigma, of the second chamber, per spot. position_noise_mm: one sigma.
    """

    counts_per_mu: float
    quantum_counts: int
    secondary_noise: float
    position_noise_mm: float
    tolerance: Tolerance

    @classmethod
    def from_site(cls, monitor: Mapping[str, Any], delivery: Mapping[str, Any]) -> "Monitor":
        """Read a site's sections `monitor` and `delivery`. Raises KeyError for a missing one."""
        rate = delivery["dose_rate_mu_s"] * monitor["counts_per_mu"] * (1 + 3 * monitor["spill_ripple"])
        late_s = (monitor["end_latency_us"] + 3 * monitor["end_latency_jitter_us"]) * 1e-6
        return cls(
            counts_per_mu=float(monitor["counts_per_mu"]),
            quantum_counts=1 + math.ceil(rate * late_s),
            secondary_noise=float(monitor["secondary_noise"]),
            position_noise_mm=float(monitor["position_noise_mm"]),
            tolerance=Tolerance(**monitor["tolerance"]),
        )

    def counts(self, mu: float, k_tp: float) -> int:
        """Whole raw counts that a meterset asks for: MU = counts x k_TP / counts_per_mu."""
        return round(mu * self.counts_per_mu / k_tp)

    def mu(self, counts: float, k_tp: float) -> float:
        """Meterset in MU of raw counts, at the reference air density."""
        return counts * k_tp / self.counts_per_mu
