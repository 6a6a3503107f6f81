"""What the ring does with its beam in a cycle: fills, holds or loses it, and spills it."""

from collections.abc import Sequence

import numpy as np

from simulation.plant.optics import Floats, Seen
from simulation.plant.optics_data import RingData
from simulation.plant.ring import Extraction, Optics, Ring
from simulation.plant.world import INJECTION_MEV, IONS, World, rigidity
from timing.cycle import Phase

SPILL_S = 5.0
"""Beam time in which a flat-top empties (machine.md: spill of 5 s for protons)."""
FILL_PART = 0.25
"""Time constant of the multi-turn fill, in parts of the injection: each turn finds less free acceptance."""
DEAD_S = 0.02
"""Life of a beam without RF while it is captured or accelerated."""
GAS_S = 0.05
LIFE_S = 1000.0
"""Life of a beam in bad vacuum, and in good."""
NOISE = 0.12
"""Relative rms of the spill from the knock-out's own noise."""
TUNE_RIPPLE = 2.0
"""Shift of the tune per relative error of all quadrupoles."""
RIPPLE_GAIN = 8e3
"""Relative change of the spill per shift of the tune, for shifts of the size of usual ripple."""
LEFT = 0.02
"""A charge below this share of a fill gives no spill worth the name."""


def relative(ion: str, rho: float) -> float:
    """Beta times gamma of an ion of rigidity rho in T m: momentum over rest energy."""
    mass, charge, rest = IONS[ion]
    return rho * 299.792458 * charge / (mass * rest)


class RingBeam:
    """The stored beam. rate: of extraction, relative to nominal. offset: of the extracted beam, (4,)."""

    STORED_NA = 1.2e7
    """Circulating current of a nominal fill, nA."""
    PARTICLES = 1.25e10
    """Elementary charges of a nominal fill (2 nC)."""

    def __init__(self, data: RingData, supplies: Sequence[str]) -> None:
        self.ring = Ring(data, supplies)
        self.optics: Optics | None = None
        self.extraction = Extraction(0.0, 1.0, 0.0, 0.0, 0.0)
        count = len(data.elements)
        nothing = np.zeros(count + 1)
        self.seen = Seen(nothing, nothing, nothing, nothing, nothing, np.zeros(count))
        self.rate = 0.0
        self.offset: Floats = np.zeros(4)
        self._best = 1.0
        self._axis: Floats = np.zeros(4)
        self._key: tuple[object, ...] = ()

    def reference(self, ratio: Floats) -> None:
        """Take the machine at nominal settings as what extraction and orbit are compared with."""
        self.ring.path.set(ratio)
        self.optics = self.ring.optics(self.ring.path.track())
        self.extraction = self.ring.extraction(self.optics, ratio)
        if self.optics is None or not self.extraction.efficiency > 0:
            raise ValueError("the ring's nominal lattice is unstable or extracts nothing")
        self._axis, self._best = self.optics.orbit[self.ring.septum], self.extraction.efficiency

    def advance(self, dt: float, ratio: Floats, world: World, injected: float, ripple: float) -> float:
        """Let `dt` s of wall time pass; `injected`: share of a nominal fill on offer.

        Returns the charge lost. world.charge and world.picture.spill are written.
        """
        self._look(ratio, world)
        span, before = dt * world.clock_factor, world.charge
        kept = float(self.seen.alive[-1])
        if world.phase is Phase.INJECTION:
            offer = injected * world.intensity * world.bumped
            part = -np.expm1(-span / (FILL_PART * world.injection_s))
            world.charge += max(offer - world.charge, 0.0) * part
        elif world.phase not in (Phase.RAMP, Phase.FLAT_TOP):
            world.charge = 0.0
            self.rate = 0.0
            return 0.0
        stored = max(world.charge, before)
        world.charge *= kept * np.exp(-span / self._life(world))
        lost = stored - world.charge
        self._spill(span, world, ripple)
        return lost + self._wires(span, world)

    def _life(self, world: World) -> float:
        life = LIFE_S if world.vacuum_good else GAS_S
        bunched = world.phase in (Phase.INJECTION, Phase.RAMP)
        return min(life, DEAD_S) if bunched and not world.rf_good else life

    def _look(self, ratio: Floats, world: World) -> None:
        """Lattice and apertures, anew when a current, the energy or the scraper has moved."""
        scale = relative(world.ion, max(world.rho_now, rigidity(world.ion, INJECTION_MEV) / 2))
        key = (round(scale, 3), tuple(world.gaps.items()))
        moved = self.ring.path.moved(ratio)
        if moved:
            self.ring.path.set(ratio)
            self.optics = self.ring.optics(self.ring.path.track())
            self.extraction = self.ring.extraction(self.optics, ratio)
        if moved or key != self._key:
            x, y = self.ring.data.start.emittance
            self.seen = self.ring.beam(self.optics, (x / scale, y / scale), world.gaps)
            self._key = key
        orbit = self._axis if self.optics is None else self.optics.orbit[self.ring.septum]
        self.offset = orbit - self._axis

    def _spill(self, span: float, world: World, ripple: float) -> None:
        """The knock-out drives particles out of the triangle. With its gate closed nothing comes."""
        self.rate = 0.0
        world.picture.spill = 0.0
        if world.phase is not Phase.FLAT_TOP or world.charge < LEFT:
            return
        drive = min(world.knock_out, 2.0)
        self.rate = drive * self.extraction.efficiency / self._best
        swing = RIPPLE_GAIN * TUNE_RIPPLE * ripple
        depth = np.hypot(NOISE, min(swing, 1.5))
        world.picture.spill = float(max(depth * world.rng.standard_normal(), -1.0))
        out = drive * span / SPILL_S if self.extraction.efficiency > 0 else 0.0
        world.charge = max(world.charge - out, min(world.charge, LEFT + 0.03))

    def _wires(self, span: float, world: World) -> float:
        """Charge that the wires of the septum take in the span."""
        if not self.rate > 0:
            return 0.0
        return min(world.knock_out, 2.0) * span / SPILL_S * (1.0 - self.extraction.efficiency) * world.charge
