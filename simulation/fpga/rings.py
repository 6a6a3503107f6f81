"""Ring buffers of the beam hardware: what changed, what the beam did, and which trips took it away.

They hold what a post-mortem needs: every change of an input or an output with its tick, and the beam's
signals at 50 Hz. Nothing here decides anything.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIGNALS: tuple[tuple[str, str], ...] = (
    ("tick", "tick"),
    ("beam", ""),
    ("state", ""),
    ("room", ""),
    ("energy", "MeV"),
    ("intensity", ""),
    ("offset_x", "mm"),
    ("offset_y", "mm"),
    ("size", ""),
    ("spot", ""),
    ("primary", "counts"),
    ("secondary", "counts"),
    ("spot_x", "mm"),
    ("spot_y", "mm"),
)
"""Columns of the beam's signals."""

SAMPLE_S = 0.02
MOST_CHANGES = 200_000
"""Changes kept at most, whatever the time they span."""
MOST_TRIPS = 64

UNKNOWN, BAD, GOOD = -1, 0, 1


class Changes:
    """The changes of some named bits, and what they were before the oldest one."""

    def __init__(self, names: Sequence[str], window: int) -> None:
        """window: ticks after which a change may be forgotten."""
        self.names = tuple(names)
        self._window = window
        self._now = [UNKNOWN] * len(self.names)
        self._base = list(self._now)
        self._seen = (0, 0)
        self._changes: deque[tuple[int, int, int]] = deque()
        self.since = 0
        """Tick from which on every change is here."""

    def note(self, tick: int, good: int, known: int) -> None:
        """The bits as they are at a tick, which never runs backwards."""
        changed = (good ^ self._seen[0]) | (known ^ self._seen[1])
        if not changed:
            return
        self._seen = (good, known)
        while changed:
            lowest = changed & -changed
            changed ^= lowest
            i = lowest.bit_length() - 1
            value = (GOOD if good & lowest else BAD) if known & lowest else UNKNOWN
            if value != self._now[i]:
                self._now[i] = value
                self._changes.append((tick, i, value))
        self._forget(tick - self._window)

    def _forget(self, before: int) -> None:
        changes = self._changes
        while changes and (changes[0][0] < before or len(changes) > MOST_CHANGES):
            tick, i, value = changes.popleft()
            self._base[i] = value
            self.since = tick + 1

    def between(self, begin: int, end: int) -> dict[str, NDArray[Any]]:
        """`initial` (names,) at `begin`, and the changes up to `end`: `tick`, `index`, `value` (n,)."""
        initial = list(self._base)
        found = []
        for change in self._changes:
            if change[0] < begin:
                initial[change[1]] = change[2]
            elif change[0] <= end:
                found.append(change)
        table = np.array(found, dtype="<i8").reshape(-1, 3)
        return {
            "initial": np.array(initial, dtype="<i4"),
            "tick": table[:, 0].copy(),
            "index": table[:, 1].astype("<i4"),
            "value": table[:, 2].astype("<i4"),
        }


class Samples:
    """Rows of signals at 50 Hz; the oldest one goes when there is no room."""

    def __init__(self, columns: int, capacity: int) -> None:
        self._rows = np.full((capacity, columns), np.nan)
        self._count = 0

    def add(self, row: Sequence[float]) -> None:
        """One row; its first value is its tick."""
        self._rows[self._count % len(self._rows)] = row
        self._count += 1

    def between(self, begin: int, end: int) -> NDArray[np.float64]:
        """Rows (n, columns) from one tick to another, in order."""
        capacity = len(self._rows)
        start = self._count % capacity
        rows = (
            self._rows[: self._count]
            if self._count <= capacity
            else np.concatenate([self._rows[start:], self._rows[:start]])
        )
        ticks = rows[:, 0]
        return np.ascontiguousarray(rows[(ticks >= begin) & (ticks <= end)])


@dataclass(frozen=True)
class Trip:
    """A trip, or a mark that somebody asked for (`beam_off_tick` None). wall_ns: when it was."""

    tick: int
    wall_ns: int
    cause: str
    beam_off_tick: int | None

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dict(vars(self))


@dataclass(frozen=True)
class Window:
    """How much wall time a post-mortem spans, s, and ticks of a second of wall time."""

    pre_s: float = 300.0
    post_s: float = 120.0
    per_s: float = 125e6

    @property
    def ticks(self) -> int:
        """Ticks that the rings hold: a whole post-mortem, and as long again as its end for reading it."""
        return int((self.pre_s + 2 * self.post_s) * self.per_s)

    @property
    def samples(self) -> int:
        """Rows of signals that the rings hold."""
        return int((self.pre_s + 2 * self.post_s) / SAMPLE_S) + 100


class Rings:
    """All of them."""

    def __init__(self, inputs: Sequence[str], outputs: Sequence[str], window: Window) -> None:
        self.window = window
        self.inputs = Changes(inputs, window.ticks)
        self.outputs = Changes(outputs, window.ticks)
        self.samples = Samples(len(SIGNALS), window.samples)
        self.trips: deque[Trip] = deque(maxlen=MOST_TRIPS)

    def body(self) -> Mapping[str, Any]:
        """Names and trips, as plain JSON values."""
        return {
            "inputs": list(self.inputs.names),
            "outputs": list(self.outputs.names),
            "signals": [list(column) for column in SIGNALS],
            "trips": [trip.as_dict() for trip in self.trips],
            "pre_s": self.window.pre_s,
            "post_s": self.window.post_s,
            "since": max(self.inputs.since, self.outputs.since),
        }

    def arrays(self, begin: int, end: int) -> dict[str, NDArray[Any]]:
        """`input_initial`, `input_tick`, `input_index`, `input_value`, the same of `output`, `signals`."""
        found = {"input": self.inputs.between(begin, end), "output": self.outputs.between(begin, end)}
        arrays = {f"{kind}_{name}": array for kind, table in found.items() for name, array in table.items()}
        return {**arrays, "signals": self.samples.between(begin, end)}
