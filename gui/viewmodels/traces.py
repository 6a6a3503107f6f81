"""Newest and recent values of all channels and of those chosen for a trend. No Qt, no Tango."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Samples = tuple[Floats, Floats]
"""Times (s since 1970) and values, in order of time; NaN is unknown."""
RING = 8192
"""Samples kept of a chosen attribute: 13 minutes at ten a second; what is older comes from the archive."""
_NONE = np.empty(0, np.int64)


@dataclass
class _Crate:
    """What stands in one crate's channels, and where the chosen ones go."""

    names: Sequence[str]
    times: Floats
    values: Floats
    slots: NDArray[np.int64] = field(default_factory=lambda: _NONE)
    """Channel -> row of the rings; -1: not chosen."""


class Traces:
    """Values by attribute. Everything is one array operation a block, however many channels it has."""

    def __init__(self, ring: int = RING) -> None:
        self.chosen: tuple[str, ...] = ()
        self._ring = ring
        self._crates: dict[str, _Crate] = {}
        self._times = np.empty((0, ring))
        self._values = np.empty((0, ring))
        self._count = _NONE
        self._since = np.empty(0)

    def names(self) -> list[str]:
        """All channels that were heard of."""
        return sorted({name for crate in self._crates.values() for name in crate.names})

    def channels(self) -> int:
        """How many channels were heard of."""
        return sum(len(crate.names) for crate in self._crates.values())

    def choose(self, names: Sequence[str], now: float) -> None:
        """Keep samples of these attributes from `now` on; those chosen before keep what they have."""
        old = {name: row for row, name in enumerate(self.chosen)}
        kept = [old.get(name, -1) for name in names]
        stay = np.array([row >= 0 for row in kept], bool)
        rows = np.array([row for row in kept if row >= 0], np.int64)
        times = np.zeros((len(names), self._ring))
        values = np.full((len(names), self._ring), np.nan)
        count, since = np.zeros(len(names), np.int64), np.full(len(names), now)
        if len(rows):
            times[stay], values[stay] = self._times[rows], self._values[rows]
            count[stay], since[stay] = self._count[rows], self._since[rows]
        self.chosen = tuple(names)
        self._times, self._values, self._count, self._since = times, values, count, since
        for crate in self._crates.values():
            self._map(crate)
            fresh = np.flatnonzero((crate.slots >= 0) & np.isfinite(crate.times))
            fresh = fresh[~stay[crate.slots[fresh]]]
            self._append(crate.slots[fresh], crate.times[fresh], crate.values[fresh])

    def take(self, key: str, names: Sequence[str], triples: Floats) -> None:
        """News of a crate, rows (n, 3) of time, index of the channel in `names`, value."""
        crate = self._crates.get(key)
        if crate is None or crate.names is not names:
            count = len(names)
            crate = _Crate(names, np.full(count, np.nan), np.full(count, np.nan))
            self._crates[key] = crate
            self._map(crate)
        index = triples[:, 1].astype(np.int64)
        good = (index >= 0) & (index < len(names))
        times, index, values = triples[good, 0], index[good], triples[good, 2]
        crate.times[index], crate.values[index] = times, values
        slots = crate.slots[index]
        mine = slots >= 0
        self._append(slots[mine], times[mine], values[mine])

    def newest(self, row: int) -> tuple[float, float]:
        """Time and value of the newest sample of a chosen attribute; NaN for none."""
        if not self._count[row]:
            return np.nan, np.nan
        place = (self._count[row] - 1) % self._ring
        return float(self._times[row, place]), float(self._values[row, place])

    def since(self, row: int) -> float:
        """From when on the samples here are all there are; what is older is the archive's.

        Infinity for an attribute that no crate sends.
        """
        if not self._count[row]:
            return np.inf
        full = self._count[row] > self._ring
        return max(float(self._since[row]), self._oldest(row)) if full else float(self._since[row])

    def samples(self, row: int) -> Samples:
        """The samples that are kept of a chosen attribute, in order of time."""
        count = int(self._count[row])
        if count <= self._ring:
            times, values = self._times[row, :count], self._values[row, :count]
        else:
            turn = np.r_[count % self._ring : self._ring, 0 : count % self._ring]
            times, values = self._times[row, turn], self._values[row, turn]
        if (times[1:] < times[:-1]).any():  # the clock was put back
            order = np.argsort(times, kind="stable")
            times, values = times[order], values[order]
        return times, values

    def _oldest(self, row: int) -> float:
        return float(self._times[row, self._count[row] % self._ring])

    def _map(self, crate: _Crate) -> None:
        place = {name: row for row, name in enumerate(self.chosen)}
        crate.slots = np.array([place.get(name, -1) for name in crate.names], np.int64)

    def _append(self, slots: NDArray[np.int64], times: Floats, values: Floats) -> None:
        """Put samples behind those of their rows; of one row they come in order."""
        if not len(slots):
            return
        order = np.argsort(slots, kind="stable")
        slots, times, values = slots[order], times[order], values[order]
        first = np.r_[True, slots[1:] != slots[:-1]]
        start = np.flatnonzero(first)
        rank = np.arange(len(slots)) - start[np.cumsum(first) - 1]
        place = (self._count[slots] + rank) % self._ring
        self._times[slots, place], self._values[slots, place] = times, values
        self._count[slots[start]] += np.diff(np.r_[start, len(slots)])
