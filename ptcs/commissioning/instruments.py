"""What calibrations with beam need besides a bench: instruments, and somebody who delivers spots."""

from collections.abc import Sequence
from typing import Any, Protocol

from ptcs.commissioning.beam import Delivered, Spot
from ptcs.commissioning.bench import Bench, Floats


class Station(Bench, Protocol):
    """A bench whose devices take commands and show rows of numbers."""

    def command(self, device: str, name: str, argument: Any = None) -> Any:
        """Send a command. Raises Refused, LinkLost."""

    def spectrum(self, name: str) -> Floats:
        """A row of numbers, (n,). Raises LinkLost while it is unknown."""


class Deliverer(Protocol):
    """Who delivers spots in a room."""

    def k_tp(self) -> float:
        """Correction of vented chambers for the room's air now."""

    def deliver(self, energies: Sequence[float], spots: Sequence[Spot]) -> Delivered:
        """Deliver spots once and read the counters. Raises Refused, LinkLost."""


SEE_S = 1.0
"""Time in which an instrument has seen the last spot of a delivery."""


def collect(station: Station, instrument: str) -> None:
    """Have an instrument collect anew."""
    station.command(instrument, "On")
    station.pause(0.2)
    station.command(instrument, "Zero")
    station.pause(0.2)
