"""The numbers of the beam hardware, from the site file, in ticks and counts."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.clock import TICKS_PER_SECOND, ticks
from common.site import CONFIG, Site, load_checked

ELEMENTARY_CHARGE_NC = 1.602176634e-10

INDEPENDENT_PRESET = 1.05
"""The second preset ends the beam at this multiple of what is wanted, whatever the primary says."""

PRESET_QUANTUM = 8
"""Counts that the second preset allows on top, so that the quantum alone never trips a small spot."""

TIMER_FACTOR = 4.0
"""A spot that lasts this many times its nominal duration (and 0.1 s) runs into the delivery timer."""

SLOW_OFF_US = 500_000.0
"""Travel time of a beam stopper where the interlock matrix names none."""

ENERGY_TOLERANCE = 1e-3
"""Relative difference of the machine's energy from the layer's that still counts as the same."""

ENERGY_DRIFT = 5e-3
"""... and by which it may move while beam is delivered: as far as a degrader's setting is off at most."""


@dataclass(frozen=True)
class Model:
    """Durations are in ticks, speeds in mm per tick, rates in counts per tick at 20 degC and 1013.25 hPa.

    spill: energies MeV, and the counts that the charge of one spill makes at each in reference air.
    energy_wait: how long the machine may take to stand at a layer's energy after the cycle reached
    its first flat top; empty_wait: how long it tries with one flat-top.
    """

    counts_per_mu: float
    rate: float
    spill: tuple[tuple[float, ...], tuple[float, ...]]
    switch: int
    settle: int
    speed: tuple[float, float]
    hold_limit: int
    fast_off: int
    slow_off: int
    latency: float
    jitter: float
    ripple: float
    secondary_noise: float
    position_noise: float
    size_noise: float
    energy_wait: int
    empty_wait: int
    tolerance: Mapping[str, float]

    def spill_counts(self, energy: float) -> float:
        """Counts that one spill's charge makes at an energy in MeV, in reference air."""
        return float(np.interp(energy, *self.spill))


def spill_table(site: Site) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Energies of the site's beam model, MeV, and counts of one spill at each. Raises BadConfig."""
    table = load_checked(CONFIG / "beam_models" / f"{site.beam_model}.yaml", "beam_model")["energies"]
    protons = site.delivery["charge_per_spill_nc"] / ELEMENTARY_CHARGE_NC
    per_mu = float(site.monitor["counts_per_mu"])
    return tuple(float(row[0]) for row in table), tuple(protons / row[6] * per_mu for row in table)


def from_site(site: Site, slow_off_us: float = SLOW_OFF_US) -> Model:
    """The model of a site. slow_off_us: travel time of the actuator that backs up the fast one."""
    delivery, monitor = site.delivery, site.monitor
    per_mu = float(monitor["counts_per_mu"])
    vx, vy = delivery["scan_speed_mm_s"]
    return Model(
        counts_per_mu=per_mu,
        rate=delivery["dose_rate_mu_s"] * per_mu / TICKS_PER_SECOND,
        spill=spill_table(site),
        switch=ticks(delivery["layer_switch_s"]),
        settle=ticks(delivery["spot_settle_s"]),
        speed=(vx / TICKS_PER_SECOND, vy / TICKS_PER_SECOND),
        hold_limit=ticks(delivery["hold_limit_s"]),
        fast_off=ticks(delivery["fast_off_us"] * 1e-6),
        slow_off=ticks(slow_off_us * 1e-6),
        latency=monitor["end_latency_us"] * 1e-6 * TICKS_PER_SECOND,
        jitter=monitor["end_latency_jitter_us"] * 1e-6 * TICKS_PER_SECOND,
        ripple=float(monitor["spill_ripple"]),
        secondary_noise=float(monitor["secondary_noise"]),
        position_noise=float(monitor["position_noise_mm"]),
        size_noise=float(monitor["size_noise"]),
        # The plant follows in wall time, so the wait scales with the clock: 3 s of wall time.
        energy_wait=ticks(3.0 * site.clock_factor),
        empty_wait=ticks(0.6 * site.clock_factor),
        tolerance={key: float(value) for key, value in monitor["tolerance"].items()},
    )


@dataclass(frozen=True)
class BeamView:
    """What the plant says of the beam: energy MeV; offsets mm; intensity, size relative; k_tp of the air;
    ion ("": unknown).
    """

    ready: bool = False
    energy: float = 0.0
    intensity: float = 1.0
    offset_x: float = 0.0
    offset_y: float = 0.0
    size: float = 1.0
    k_tp: float = 1.0
    ion: str = "proton"


@dataclass(frozen=True)
class Faults:
    """Injected faults of the beam hardware, by the names that `fault` and `clear` use.

    position_offset: mm in x. monitor_mismatch: relative loss of the secondary monitor.
    primary_low: relative loss of the primary monitor (1: it counts nothing). size_error: relative.
    stuck_beam: the end of a spot does not end the beam. fast_off_fails: nor does a trip, until the
    slow actuator is in. unexpected_beam: beam seen while none is permitted. dose_rate_low: relative.
    timing_late: events of the machine come late, us. timing_missed: those of the flat-top get lost.
    timing_collision: another source sends on the ticks of the machine. timing_heartbeat: none is sent.
    """

    position_offset: float = 0.0
    monitor_mismatch: float = 0.0
    primary_low: float = 0.0
    size_error: float = 0.0
    stuck_beam: float = 0.0
    fast_off_fails: float = 0.0
    unexpected_beam: float = 0.0
    dose_rate_low: float = 0.0
    timing_late: float = 0.0
    timing_missed: float = 0.0
    timing_collision: float = 0.0
    timing_heartbeat: float = 0.0


FAULT_SIZES: Mapping[str, float] = {
    "position_offset": 3.0,
    "monitor_mismatch": 0.1,
    "primary_low": 1.0,
    "size_error": 0.3,
    "stuck_beam": 1.0,
    "fast_off_fails": 1.0,
    "unexpected_beam": 1.0,
    "dose_rate_low": 0.9,
    "timing_late": 10.0,
    "timing_missed": 1.0,
    "timing_collision": 1.0,
    "timing_heartbeat": 1.0,
}
"""What a fault is when its size is not given."""

FAULT_CHECKS: Mapping[str, tuple[str, ...]] = {
    "position_offset": ("spot.position",),
    "monitor_mismatch": ("monitor.mismatch",),
    "primary_low": ("monitor.mismatch", "monitor.overdose", "delivery.timer"),
    "size_error": ("spot.size",),
    "stuck_beam": ("monitor.overdose",),
    "fast_off_fails": (),
    "unexpected_beam": ("beam.unexpected",),
    "dose_rate_low": ("delivery.timer",),
    "timing_late": ("timing.good",),
    "timing_missed": ("timing.good",),
    "timing_collision": (),
    "timing_heartbeat": ("timing.good",),
}
"""Own checks that see a fault of the usual size while beam is delivered; one alone is enough. None: beam
stays right; a collision shows in the timing's findings, an actuator that fails at the next trip."""
