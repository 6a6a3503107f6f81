"""The lines of a site: which one the switches make, and the beam in each, kept until something moves."""

from collections.abc import Sequence

import numpy as np

from simulation.plant.optics import Floats, Line, Seen
from simulation.plant.optics_data import OpticsData, Start
from simulation.plant.ring_beam import relative
from simulation.plant.world import World

SWITCHED = 0.5
"""Part of its nominal field from which a switching magnet sends the beam into its room."""
Gaps = dict[str, tuple[float, float]]


class Ways:
    """The data's lines by number; INJECTOR is the way from the source to the ring."""

    INJECTOR = -1

    def __init__(self, data: OpticsData, wires: Sequence[str], table: Floats, world: World) -> None:
        """`table`: shares of the nominal currents by room, as `optics_settings.shares` gives them."""
        self.data, self._table, self._world = data, table, world
        self._wires = list(wires)
        self.lines = {i: Line(way.elements, wires, data.start) for i, way in enumerate(data.lines)}
        if data.injector_start is not None:
            self.lines[self.INJECTOR] = Line(data.injector, wires, data.injector_start)
        self._nominal = [self._nominal_size(i) for i in range(len(data.lines))]
        self._seen: dict[int, tuple[object, Seen]] = {}
        self._usual: tuple[object, float] = (None, 1.0)
        self._gaps: Gaps = {}

    def room(self, place: int) -> int:
        """The room that a line leads to, from 1; 0 for none."""
        return self.data.lines[place].room

    def chosen(self, ratio: Floats) -> int:
        """Which line the switches make: the first whose magnet has half its field, else the last."""
        for place, way in enumerate(self.data.lines):
            if way.switch and ratio[self._wires.index(way.switch)] >= SWITCHED:
                return place
        return len(self.data.lines) - 1

    def look(self, place: int, ratio: Floats, rho: float, start: Start, offset: Floats | None = None) -> Seen:
        """The beam in a line; computed anew when a current, the energy, a slit or a stopper has moved."""
        world, line = self._world, self.lines[place]
        moved = line.path.moved(ratio)
        beside = () if offset is None else tuple(np.round(offset, 7))
        standing = (tuple(world.blocked.items()), tuple(world.gaps.items()))
        key = (world.ion, round(rho, 6), start, beside, standing)
        if not moved and place in self._seen and self._seen[place][0] == key:
            return self._seen[place][1]
        line.path.set(ratio)
        rays = line.path.track(offset)
        geometric = self._geometric(start, rho)
        seen = line.beam(rays, geometric, start.momentum_spread, world.blocked, world.gaps)
        self._seen[place] = (key, seen)
        return seen

    def usual_through(self, place: int, rho: float, start: Start) -> float:
        """Share of this beam that the line with nominal settings and its first slits brings to its end."""
        line = self.lines[place]
        gaps = self._gaps = self._gaps or dict(self._world.gaps)
        if (place, start) != self._usual[0]:
            line.path.set(self._row(place))
            seen = line.beam(line.path.track(), self._geometric(start, rho), start.momentum_spread, {}, gaps)
            self._usual = ((place, start), max(float(seen.alive[-1]), 1e-6))
        return self._usual[1]

    def relative_size(self, place: int, seen: Seen, rho: float, start: Start) -> float:
        """Geometric mean of the sizes at the end, relative to nominal settings for the same emittances."""
        nominal = self._nominal[place] * np.prod(self._geometric(start, rho)) ** 0.25
        return float(np.sqrt(seen.size_x[-1] * seen.size_y[-1]) / nominal)

    def _nominal_size(self, place: int) -> float:
        """The same mean in m for unit emittances; where dispersion ends the momentum adds nothing."""
        line = self.lines[place]
        line.path.set(self._row(place))
        emittance = line.start.emittance
        seen = line.beam(line.path.track(), emittance, line.start.momentum_spread, {}, {})
        return float(np.sqrt(seen.size_x[-1] * seen.size_y[-1]) / np.prod(emittance) ** 0.25)

    def _row(self, place: int) -> Floats:
        row: Floats = self._table[min(self.room(place), len(self._table) - 1)]
        return row

    def _geometric(self, start: Start, rho: float) -> tuple[float, float]:
        """Emittances in m rad at a rigidity in T m: normalised ones over beta gamma."""
        scale = relative(self._world.ion, rho)
        return start.emittance[0] / scale, start.emittance[1] / scale
