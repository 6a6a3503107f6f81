"""What calibrations with beam need besides a bench: instruments, and somebody who delivers spots."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from common.errors import LinkLost
from common.text import _
from ptcs.commissioning.beam import Aborted, Delivered, Spot
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


SEE_S, SEE_LIMIT_S = 0.3, 30.0
"""How long a charge must stand for all of a delivery to be in it, and how long that may take."""
STANDS = 1e-3
"""Share by which a standing charge may move between two looks: a leak is no delivery."""
TRIES = 3


def collect(station: Station, instrument: str) -> None:
    """Have an instrument collect anew."""
    station.command(instrument, "On")
    station.pause(0.2)
    station.command(instrument, "Zero")
    station.pause(0.2)


def delivered(
    station: Station,
    beam: Deliverer,
    instrument: str,
    energy: float,
    spots: Sequence[Spot],
    charge: Callable[[], Floats],
) -> tuple[Delivered, Floats]:
    """Deliver spots into an instrument that collects anew; what came, and the charge (n,) nC once it stands.

    A delivery that somebody ended is made anew, from zero: a part of it says nothing. Raises LinkLost when
    none came to its end, or the instrument saw none of it.
    """
    for left in reversed(range(TRIES)):
        collect(station, instrument)
        try:
            seen = beam.deliver([energy], spots)
        except Aborted:
            if not left:
                raise
            continue
        return seen, _standing(station, instrument, charge)
    raise AssertionError("unreachable")


def _standing(station: Station, instrument: str, charge: Callable[[], Floats]) -> Floats:
    """The charge when it no longer grows: it comes behind the beam, by as much as everybody is busy."""
    end, before = station.now() + SEE_LIMIT_S, np.zeros(1)
    while True:
        station.pause(SEE_S)
        now = charge()
        total = float(now.sum())
        if total > 0.0 and abs(total - float(before.sum())) <= STANDS * total:
            return now
        if station.now() > end:
            text = _("{name} has seen nothing of the delivery: is it on, and in the beam?")
            unsettled = _("{name}: the charge still grows {limit:.0f} s after the delivery")
            said = unsettled if total > 0.0 else text
            raise LinkLost(said.format(name=instrument, limit=SEE_LIMIT_S))
        before = now
