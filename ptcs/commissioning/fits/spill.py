"""How even a spill is, and how much of the ring's beam arrives."""

from dataclasses import dataclass

import numpy as np

from common.errors import BadInput
from common.text import _
from ptcs.commissioning.bench import Floats


@dataclass(frozen=True)
class Spill:
    """duty: <I>^2 / <I^2>, one sigma. ripple: relative rms. uniformity: least over greatest quarter's mean.

    length: s of beam time with more than a tenth of the mean. current: mean in nA with one sigma.
    """

    duty: float
    duty_error: float
    ripple: float
    uniformity: float
    length: float
    current: float
    current_error: float


def spill(times: Floats, current: Floats) -> Spill:
    """Quality of a spill: times (n,) s of beam time, rising, current (n,) nA; NaN is left out.

    Duty factor as for slow extraction (PIMMS, CERN-PS-99-010); its error is the bootstrap's over eight
    blocks. Raises BadInput for fewer than 16 values.
    """
    good = np.isfinite(current) & np.isfinite(times)
    times, current = times[good], current[good]
    if len(current) < 16 or not current.mean() > 0:
        raise BadInput(_("a spill needs 16 readings with beam"))
    blocks = np.array_split(current, 8)
    mean = float(current.mean())
    drawn = np.random.default_rng(8).integers(0, 8, size=(200, 8))
    duties = [_duty(np.concatenate([blocks[i] for i in row])) for row in drawn]
    quarters = [float(part.mean()) for part in np.array_split(current, 4)]
    on = current > 0.1 * mean
    return Spill(
        duty=_duty(current),
        duty_error=float(np.std(duties)),
        ripple=float(current.std() / mean),
        uniformity=min(quarters) / max(quarters),
        length=float(np.ptp(times[on])),
        current=mean,
        current_error=float(current.std(ddof=1) / np.sqrt(len(current))),
    )


def _duty(current: Floats) -> float:
    return float(current.mean() ** 2 / np.mean(current**2))
