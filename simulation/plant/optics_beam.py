"""The beam of a site with an optics file: injected, stored, accelerated, extracted and led to a room."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, cast

import numpy as np

from simulation.plant.degrader import Degraders
from simulation.plant.family import Family, Floats
from simulation.plant.optics import Line, Seen
from simulation.plant.optics_data import OpticsData, Start
from simulation.plant.optics_settings import shares
from simulation.plant.picture import Picture
from simulation.plant.ring_beam import RingBeam, relative
from simulation.plant.scanning import Scanners
from simulation.plant.supplies import Supplies
from simulation.plant.world import INJECTION_MEV, IONS, World, energy_of, rigidity
from timing.cycle import Phase

INJECTED_NA = 50_000.0
SPILL_NA = 0.4
CYCLOTRON_NA = 200.0
"""Nominal currents: of the injector, of a spill of 2 nC in 5 s, and out of the cyclotron."""
PER_NA = 1e-9 / 1.602176634e-19
"""Elementary charges per second in a current of 1 nA."""
SWITCHED = 0.5
"""Part of its nominal field from which a switching magnet sends the beam into its room."""


class OpticalBeam:
    """The crate-wide channels of the beam, and the picture that the diagnostics look at."""

    channels: ClassVar[tuple[tuple[str, str], ...]] = (
        ("beam.energy", "MeV"),
        ("beam.ready", ""),
        ("beam.intensity", ""),
        ("beam.offset_x", "mm"),
        ("beam.offset_y", "mm"),
        ("beam.size", ""),
        ("beam.ion", ""),
        ("beam.room", ""),
        ("beam.transmission", ""),
        ("beam.charge", ""),
    )

    def __init__(self, data: OpticsData, rooms: int, families: Mapping[str, Family], world: World) -> None:
        self._data, self._world = data, world
        self._supplies = cast(Supplies, families["MagnetSupply"])
        self._scanners = cast(Scanners, families["ScanningSupply"])
        self._degraders = cast(Degraders, families["Degrader"])
        self._wires = [d.wire for d in (*self._supplies.devices, *self._scanners.devices)]
        self.ring = RingBeam(data.ring, self._wires) if data.ring is not None else None
        table = shares(data, self._wires, self.ring.ring if self.ring else None, rooms)
        self._table = table
        self._supplies.share, self._supplies.tracks = table[:, : self._supplies.count], self.ring is not None
        if self.ring is not None:
            self.ring.reference(table[0])
        self._lines = [(way, Line(way.elements, self._wires, data.start)) for way in data.lines]
        self._nominal = [self._nominal_size(way.room, line) for way, line in self._lines]
        self._injector = (
            Line(data.injector, self._wires, data.injector_start) if data.injector_start else None
        )
        ways = [way.elements for way in data.lines] + [data.injector]
        world.picture = Picture.of([*ways, data.ring.elements if data.ring else ()])
        self._state = np.zeros(len(self.channels))
        self._seen: dict[int, tuple[object, Seen]] = {}
        self._injected = 0.0
        self._first_gaps: dict[str, tuple[float, float]] = {}
        self._usual: tuple[object, float] = (None, 1.0)

    def follow(self) -> None:
        """A phase of the cycle begins: setpoints, and the degrader's thickness."""
        self._supplies.follow(self._world)
        self._degraders.follow(self._world)

    def advance(self, dt: float) -> None:
        """Let `dt` seconds of wall time pass; after all equipment has stepped."""
        world, picture = self._world, self._world.picture
        picture.clear()
        ratio = self._ratios()
        self._inject(ratio)
        loss = 0.0
        if self.ring is not None:
            loss = self.ring.advance(dt, ratio, world, self._injected, float(self._supplies.ripples.max()))
            self._draw_ring(loss / max(dt * world.clock_factor, 1e-6))
        self._extract(ratio)

    def values(self) -> Floats:
        """The values of `channels`."""
        return self._state.copy()

    def _ratios(self) -> Floats:
        """Strength of what each supply feeds, relative to nominal at the beam's rigidity, (supplies,)."""
        supplies, world = self._supplies, self._world
        rho = np.full(supplies.count, max(self._rigidity(), 1e-3))
        rho[supplies.fixed] = rigidity(world.ion, INJECTION_MEV)
        usual = np.where(supplies.per_tm > 0, supplies.per_tm, 1.0)
        return np.concatenate([supplies.field / (usual * rho), self._scanners.ratios(rho[:1])])

    def _rigidity(self) -> float:
        world = self._world
        if self.ring is not None:
            return world.rho_now
        return rigidity(world.ion, world.degraded) if world.degraded > 0 else 0.0

    def _inject(self, ratio: Floats) -> None:
        """What the injector delivers, relative; its solenoids and the way before it count by their error."""
        world, line = self._world, self._injector
        if line is None:
            return
        seen = self._look(-1, line, ratio, rigidity(world.ion, INJECTION_MEV), line.start)
        free = [i for i in np.flatnonzero(self._supplies.fixed) if i not in line.path.used]
        aim = self._table[0, free] * (self._supplies.per_tm[free] > 0)
        early = float(np.exp(-np.sum(((ratio[free] - aim) / 0.1) ** 2)))
        self._injected = early * float(seen.alive[-1])
        if world.phase is Phase.INJECTION:
            self._draw(line, seen, INJECTED_NA * world.intensity * early)

    def _extract(self, ratio: Floats) -> None:
        """From the ring, or the degrader, to where the switches send the beam."""
        world = self._world
        place = self._chosen(ratio)
        way, line = self._lines[place]
        rho, flat = self._rigidity(), world.phase is Phase.FLAT_TOP
        strength, passed, start, offset = self._source(line.start)
        flow = strength * passed * (CYCLOTRON_NA if self.ring is None else self._spill_na())
        energy = energy_of(world.ion, rho) if rho > 0 else 0.0
        self._state[:] = (energy, 0.0, 0.0, 0.0, 0.0, 1.0, list(IONS).index(world.ion), 0, 0, world.charge)
        if not (flat and rho > 0 and strength > 0):
            return
        seen = self._look(place, line, ratio, rho, start, offset)
        through = float(seen.alive[-1])
        usual = self._usual_through(place, line, rho, start)
        self._draw(line, seen, flow)
        size_x, size_y = self._nominal[place]
        emittance = relative(world.ion, rho)
        size = np.sqrt(seen.size_x[-1] * seen.size_y[-1] / (size_x * size_y)) * np.sqrt(emittance)
        size *= np.sqrt(np.prod(self._data.start.emittance) / np.prod(start.emittance)) ** 0.5
        if not np.all(np.isfinite([size, seen.x[-1], seen.y[-1]])):
            through, size = 0.0, 1.0
        there = through > 1e-3
        used = line.path.used[line.path.used < self._supplies.count]
        ready = self._supplies.settled(used) and world.vacuum_good and self._good_source()
        energy = energy_of(world.ion, rho * (1.0 + seen.shift))
        x, y = (1e3 * float(v) if there else 0.0 for v in (seen.x[-1], seen.y[-1]))
        self._state[:9] = (
            energy, ready and way.room == world.room, strength * through / usual, x, y,
            size if there else 1.0, list(IONS).index(world.ion), way.room if there else 0, through * passed,
        )  # fmt: skip

    def _spill_na(self) -> float:
        return SPILL_NA * (1.0 + self._world.picture.spill)

    def _source(self, start: Start) -> tuple[float, float, Start, Floats | None]:
        """Relative strength, share that passes the degrader, shape and place where the lines start."""
        world = self._world
        if self.ring is None:
            strength = world.intensity * float(world.degraded > 0)
            passed, shape = self._degraders.shape(self._data, start)
            return strength, passed, shape, None
        return self.ring.rate * world.intensity, 1.0, start, self.ring.offset

    def _good_source(self) -> bool:
        if self.ring is None:
            return self._degraders.settled(self._world)
        used = self.ring.ring.path.used
        return self._world.rf_good and self._supplies.settled(used[used < self._supplies.count])

    def _chosen(self, ratio: Floats) -> int:
        """Which line the switches make: the first whose magnet has half its field, else the last."""
        for place, (way, _) in enumerate(self._lines):
            if way.switch and ratio[self._wires.index(way.switch)] >= SWITCHED:
                return place
        return len(self._lines) - 1

    def _look(
        self, place: int, line: Line, ratio: Floats, rho: float, start: Start, offset: Floats | None = None
    ) -> Seen:
        """The beam in a line; computed anew when a current, the energy, a slit or a stopper has moved."""
        world = self._world
        moved = line.path.moved(ratio)
        key = (
            world.ion, round(rho, 6), start, tuple(np.round(offset, 7)) if offset is not None else (),
            tuple(world.blocked.items()), tuple(world.gaps.items()),
        )  # fmt: skip
        if not moved and place in self._seen and self._seen[place][0] == key:
            return self._seen[place][1]
        line.path.set(ratio)
        scale = relative(world.ion, rho)
        geometric = (start.emittance[0] / scale, start.emittance[1] / scale)
        rays = line.path.track(offset)
        seen = line.beam(rays, geometric, start.momentum_spread, world.blocked, world.gaps)
        self._seen[place] = (key, seen)
        return seen

    def _nominal_size(self, room: int, line: Line) -> tuple[float, float]:
        """Rms sizes at the end with nominal settings for the normalised emittances as they are, m."""
        line.path.set(self._table[min(room, len(self._table) - 1)])
        start = line.start
        seen = line.beam(line.path.track(), start.emittance, start.momentum_spread, {}, {})
        return float(seen.size_x[-1]), float(seen.size_y[-1])

    def _usual_through(self, place: int, line: Line, rho: float, start: Start) -> float:
        """Share of the beam behind the degrader that a line with nominal settings brings to its end.

        A cyclotron's dose rate is told relative to this; a ring's lines lose nothing.
        """
        if self.ring is not None:
            return 1.0
        gaps = self._first_gaps = self._first_gaps or dict(self._world.gaps)
        key = (place, start)
        if key != self._usual[0]:
            line.path.set(self._table[min(self._lines[place][0].room, len(self._table) - 1)])
            scale = relative(self._world.ion, rho)
            geometric = (start.emittance[0] / scale, start.emittance[1] / scale)
            seen = line.beam(line.path.track(), geometric, start.momentum_spread, {}, gaps)
            self._usual = (key, max(float(seen.alive[-1]), 1e-6))
        return self._usual[1]

    def _draw(self, line: Line, seen: Seen, flow: float) -> None:
        """Put a line's beam of so many nA into the picture."""
        self._put(line.path.names, seen, flow * seen.alive[:-1], flow * PER_NA * seen.lost)

    def _draw_ring(self, rate: float) -> None:
        """Put the stored beam into the picture; rate: nominal fills lost per second."""
        if self.ring is None:
            return
        seen, names = self.ring.seen, self.ring.ring.path.names
        lost = seen.lost / max(float(seen.lost.sum()), 1e-30)
        stored = self.ring.STORED_NA * self._world.charge
        self._put(names, seen, np.full(len(names), stored), rate * self.ring.PARTICLES * lost)

    def _put(self, names: Sequence[str], seen: Seen, flow: Floats, lost: Floats) -> None:
        picture = self._world.picture
        named = [i for i, name in enumerate(names) if name]
        rows = [picture.rows[names[i]] for i in named]
        for shown, source in ((picture.x, seen.x), (picture.y, seen.y)):
            shown[rows] = source[named]
        picture.size_x[rows], picture.size_y[rows] = seen.size_x[named], seen.size_y[named]
        picture.flow[rows], picture.lost[rows] = flow[named], lost[named]
