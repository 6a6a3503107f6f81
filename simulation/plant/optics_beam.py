"""The beam of a site with an optics file: injected, stored, accelerated, extracted and led to a room."""

from collections.abc import Mapping
from typing import ClassVar, cast

import numpy as np

from simulation.plant.degrader import Degraders
from simulation.plant.family import Family, Floats
from simulation.plant.optics import Line, Seen, Track
from simulation.plant.optics_data import OpticsData, Start
from simulation.plant.optics_settings import shares
from simulation.plant.optics_ways import Ways
from simulation.plant.picture import Picture
from simulation.plant.ring_beam import RingBeam
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
LEAST = 1e-3
"""A share of the beam below which nothing arrives worth the name."""


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
            self._supplies.bend = self._wires.index(self.ring.ring.data.bend)
        self._ways = Ways(data, self._wires, table, world)
        ways = [way.elements for way in data.lines] + [data.injector]
        world.picture = Picture.of([*ways, data.ring.elements if data.ring else ()])
        self._state = np.zeros(len(self.channels))
        self._injected = 0.0

    def follow(self) -> None:
        """A phase of the cycle begins: setpoints, and the degrader's thickness."""
        if len(self._data.lines) == 1:
            self._world.room = self._data.lines[0].room
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
        world, place = self._world, self._ways.INJECTOR
        line = self._ways.lines.get(place)
        if line is None:
            return
        seen = self._ways.look(place, ratio, rigidity(world.ion, INJECTION_MEV), line.start)
        free = [i for i in np.flatnonzero(self._supplies.fixed) if i not in line.path.used]
        aim = self._table[0, free] * (self._supplies.per_tm[free] > 0)
        early = float(np.exp(-np.sum(((ratio[free] - aim) / 0.1) ** 2)))
        self._injected = early * float(seen.alive[-1])
        if world.phase is Phase.INJECTION:
            self._draw(line, seen, INJECTED_NA * world.intensity * early)

    def _extract(self, ratio: Floats) -> None:
        """From the ring, or the degrader, to where the switches send the beam."""
        world, ways = self._world, self._ways
        place = ways.chosen(ratio)
        line, room = ways.lines[place], ways.room(place)
        rho, ion = self._rigidity(), float(list(IONS).index(world.ion))
        strength, passed, start, offset = self._source(line.start)
        energy = energy_of(world.ion, rho) if rho > 0 else 0.0
        self._state[:] = (energy, 0.0, 0.0, 0.0, 0.0, 1.0, ion, 0.0, 0.0, world.charge)
        if not (world.phase is Phase.FLAT_TOP and rho > 0 and strength > 0):
            return
        usual = ways.usual_through(place, rho, start) if self.ring is None else 1.0
        seen = ways.look(place, ratio, rho, start, offset)
        self._draw(line, seen, strength * passed * self._nominal_na())
        through, x, y = float(seen.alive[-1]), 1e3 * float(seen.x[-1]), 1e3 * float(seen.y[-1])
        ready = room == world.room > 0 and self._settled(line.path) and world.vacuum_good
        ready = ready and through > LEAST  # behind a closed stopper nothing is ready
        self._state[0] = energy_of(world.ion, rho * (1.0 + seen.shift))
        self._state[1], self._state[2] = ready and self._good_source(), strength * through / usual
        if through > LEAST:
            self._state[3:6] = x, y, ways.relative_size(place, seen, rho, start)
            self._state[7:9] = room, through * passed

    def _settled(self, path: Track) -> bool:
        """Whether the supplies of a way stand where they were told to."""
        return self._supplies.settled(path.used[path.used < self._supplies.count])

    def _nominal_na(self) -> float:
        return CYCLOTRON_NA if self.ring is None else SPILL_NA * (1.0 + self._world.picture.spill)

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
        return self._world.rf_good and self._settled(self.ring.ring.path)

    def _draw(self, line: Line, seen: Seen, flow: float) -> None:
        """Put a line's beam of so many nA into the picture."""
        self._world.picture.put(line.path.names, seen, flow * seen.alive[:-1], flow * PER_NA * seen.lost)

    def _draw_ring(self, rate: float) -> None:
        """Put the stored beam into the picture; rate: nominal fills lost per second."""
        if self.ring is None:
            return
        seen, names = self.ring.seen, self.ring.ring.path.names
        lost = seen.lost / max(float(seen.lost.sum()), 1e-30)
        stored = self.ring.STORED_NA * self._world.charge
        self._world.picture.put(names, seen, np.full(len(names), stored), rate * self.ring.PARTICLES * lost)
