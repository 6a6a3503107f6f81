"""How long a plan takes to deliver, and that time as something to trade against dose.

Layer switches, spot settling, scanning and dose rate of a proton synchrotron: Shen et al., Med Phys 44 (2017)
5405 (97 energies; delivery-time model within -0.5 +- 1.4 s of 602 logs). Refilling the ring within a layer
and the way between fields are not in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonBeam
from common.errors import BadInput
from common.text import _
from tps_engine.optimise.objectives import Floats


@dataclass(frozen=True)
class Timing:
    """layer_switch, settle: s; speed_x, speed_y: scanning, mm/s; mu_rate: MU/s."""

    layer_switch: float = 1.91
    settle: float = 0.00193
    speed_x: float = 5900.0
    speed_y: float = 19300.0
    mu_rate: float = 8.7

    def __post_init__(self) -> None:
        if min(self.speed_x, self.speed_y, self.mu_rate) <= 0.0 or min(self.layer_switch, self.settle) < 0.0:
            raise BadInput(_("delivery times need speeds and dose rate above 0, and no negative time"))


@dataclass(frozen=True)
class DeliveryTime:
    """Seconds: switching energies, settling on spots, moving between spots, beam on."""

    switching: float
    settling: float
    moving: float
    beam_on: float

    @property
    def total(self) -> float:
        """All of it, s."""
        return self.switching + self.settling + self.moving + self.beam_on


def of_beams(beams: Sequence[IonBeam], timing: Timing | None = None) -> DeliveryTime:
    """Time of planned beams, layer after layer, spots in the order of the plan."""
    chosen = timing or Timing()
    switching = settling = moving = beam_on = 0.0
    for beam in beams:
        switching += chosen.layer_switch * max(len(beam.layers) - 1, 0)
        for layer in beam.layers:
            settling += chosen.settle * layer.spot_count
            across = np.abs(np.diff(layer.x.astype(np.float64))) / chosen.speed_x
            along = np.abs(np.diff(layer.y.astype(np.float64))) / chosen.speed_y
            moving += float(np.maximum(across, along).sum())
            beam_on += float(layer.mu.sum(dtype=np.float64)) / chosen.mu_rate
    return DeliveryTime(switching, settling, moving, beam_on)


@dataclass(frozen=True)
class TimeCost:
    """weight x estimated seconds, as a smooth function of metersets to add to objectives.

    group: (spots,) number of each spot's layer, 0 .. layers - 1, over all fields. A layer of m MU counts
    m / (m + little) of a switch, a spot w / (w + little / 100) of a settling: nearly all of it when in use,
    and a slope that presses small layers and spots to zero (a concave cost: local minima).
    """

    group: NDArray[np.int64] = field(repr=False)
    weight: float
    timing: Timing = Timing()
    little: float = 1.0

    @property
    def spots(self) -> int:
        """Number of weights."""
        return len(self.group)

    def evaluate(self, weights: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        timing, few = self.timing, 0.01 * self.little
        layers = np.bincount(self.group, weights)
        seconds = float(weights.sum()) / timing.mu_rate
        seconds += timing.layer_switch * float(np.sum(layers / (layers + self.little)))
        seconds += timing.settle * float(np.sum(weights / (weights + few)))
        by_layer = timing.layer_switch * self.little / (layers + self.little) ** 2
        slope = 1.0 / timing.mu_rate + by_layer[self.group] + timing.settle * few / (weights + few) ** 2
        return self.weight * seconds, self.weight * slope
