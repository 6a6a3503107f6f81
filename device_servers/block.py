"""The one I/O path of a server: snapshots of all drivers -> numpy dead-band -> what moved.

Pure bookkeeping on arrays; the Crate's thread (crate.py) drives it and pushes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Place:
    """Where the values of one device stand in the block: `picks` of its driver's snapshot, from `start`."""

    device: str
    start: int
    picks: Indices

    @property
    def stop(self) -> int:
        """One past the last index."""
        return self.start + len(self.picks)


class Block:
    """The channels of a server, in a fixed order, and the dead-band memory of what was last pushed."""

    def __init__(self, devices: Sequence[Any]) -> None:
        """`devices` are PtcsDevice objects; those without channels take no place."""
        self.names: list[str] = []
        self.places: list[Place] = []
        deadbands: list[tuple[float, float]] = []
        for device in devices:
            if device.driver is None or not device.channels:
                continue
            order = {quantity: i for i, quantity in enumerate(device.driver.quantities)}
            picks = np.array([order[c.quantity] for c in device.channels.values()], dtype=np.intp)
            self.places.append(Place(device.site.name, len(self.names), picks))
            self.names += [f"{device.site.name}/{name}" for name in device.channels]
            deadbands += [(c.deadband, c.relative) for c in device.channels.values()]
        self._deadband, self._relative = np.array(deadbands).reshape(-1, 2).T
        self.values = np.full(len(self.names), np.nan)
        self.times = np.zeros(len(self.names))
        self._pushed = np.full(len(self.names), np.nan)
        self._pushed_once = np.zeros(len(self.names), dtype=bool)

    def take(self, devices: dict[str, Any]) -> None:
        """Copy the present snapshot of every device; NaN for one that is gone or not connected."""
        for place in self.places:
            device = devices.get(place.device)
            if device is None:
                self.values[place.start : place.stop] = np.nan
                continue
            snapshot = device.driver.read()
            self.values[place.start : place.stop] = snapshot.values[place.picks]
            self.times[place.start : place.stop] = snapshot.wall_ns / 1e9

    def moved(self) -> Indices:
        """Indices whose value left the dead-band around what was last pushed, or became (un)known."""
        with np.errstate(invalid="ignore"):
            band = np.maximum(self._deadband, self._relative * np.abs(self._pushed))
            moved = np.abs(self.values - self._pushed) > band
        moved |= np.isnan(self.values) != np.isnan(self._pushed)
        moved |= ~self._pushed_once
        return np.flatnonzero(moved)

    def pushed(self, indices: Indices) -> None:
        """Remember the present values as pushed; called after the push has succeeded."""
        self._pushed[indices] = self.values[indices]
        self._pushed_once[indices] = True

    def triples(self, indices: Indices) -> Floats:
        """Flat (time s, index, value) triples of some indices."""
        return np.column_stack((self.times[indices], indices, self.values[indices])).ravel()

    def all_triples(self) -> Floats:
        """Triples of every channel as last taken."""
        return self.triples(np.arange(len(self.names)))
