"""The beam as the diagnostics find it, element by element."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulation.plant.optics_data import Element

if TYPE_CHECKING:
    from simulation.plant.optics import Seen

Floats = NDArray[np.float64]

SPRAY_M = 1.5
"""Distance over which what a lost beam sets free falls to 1/e."""


@dataclass
class Picture:
    """One row for each named element of a machine, (n,).

    x, y, size_x, size_y: middle and rms size of the beam, m. flow: beam current that arrives, nA. lost:
    particles lost there, 1/s. spill: how far the spill is above its mean now, relative.
    """

    rows: dict[str, int] = field(default_factory=dict)
    near: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    """(n, n): share of what is lost at one element that a monitor at another sees."""
    x: Floats = field(default_factory=lambda: np.zeros(0))
    y: Floats = field(default_factory=lambda: np.zeros(0))
    size_x: Floats = field(default_factory=lambda: np.zeros(0))
    size_y: Floats = field(default_factory=lambda: np.zeros(0))
    flow: Floats = field(default_factory=lambda: np.zeros(0))
    lost: Floats = field(default_factory=lambda: np.zeros(0))
    spill: float = 0.0

    @classmethod
    def of(cls, ways: Iterable[Sequence[Element]]) -> "Picture":
        """Rows for the elements of these ways; elements of a common way are near each other by distance."""
        picture = cls()
        placed = [picture._place(way) for way in ways]
        count = len(picture.rows)
        picture.near = np.zeros((count, count))
        for rows, places in placed:
            apart = np.abs(places[:, None] - places[None, :])
            picture.near[np.ix_(rows, rows)] = np.exp(-apart / SPRAY_M)
        for name in ("x", "y", "size_x", "size_y", "flow", "lost"):
            setattr(picture, name, np.zeros(count))
        return picture

    def _place(self, way: Sequence[Element]) -> tuple[NDArray[np.intp], Floats]:
        middle = np.cumsum([e.length for e in way]) - np.array([e.length for e in way]) / 2.0
        named = [i for i, element in enumerate(way) if element.name]
        for i in named:
            self.rows.setdefault(way[i].name, len(self.rows))
        return np.array([self.rows[way[i].name] for i in named], dtype=np.intp), middle[named]

    def clear(self) -> None:
        """No beam anywhere."""
        self.flow[:] = 0.0
        self.lost[:] = 0.0

    def put(self, names: Sequence[str], seen: "Seen", flow: Floats, lost: Floats) -> None:
        """Show a beam at the elements of a way, (n,) each; elements without a name show nothing."""
        named = [i for i, name in enumerate(names) if name]
        rows = [self.rows[names[i]] for i in named]
        self.x[rows], self.y[rows] = seen.x[named], seen.y[named]
        self.size_x[rows], self.size_y[rows] = seen.size_x[named], seen.size_y[named]
        self.flow[rows], self.lost[rows] = flow[named], lost[named]
