"""What a measurement needs of a facility: read, write, limits, time. Names are `device/attribute`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Readings:
    """values (n,): NaN where unknown. times (n,): when each was measured, s since the epoch."""

    values: Floats
    times: Floats


class Bench(Protocol):
    """A facility, or what stands in for one. `user`: who measures."""

    user: str

    def read(self, names: Sequence[str]) -> Readings:
        """Values of attributes that are numbers. Raises LinkLost for a device that does not answer."""

    def write(self, name: str, value: float) -> None:
        """Write an attribute. Raises Refused with the device's reason, LinkLost."""

    def limits(self, name: str) -> tuple[float, float] | None:
        """Lowest and highest value that may be written; None where the device names none."""

    def holders(self, names: Sequence[str]) -> dict[str, str]:
        """Names whose area somebody else has under control -> who. Empty where nobody keeps that."""

    def pause(self, seconds: float) -> None:
        """Wait."""

    def now(self) -> float:
        """Wall time in s since the epoch."""
