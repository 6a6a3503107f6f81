"""What all parts of the plant share at an instant, and the rigidity of the beam that ties them."""

from dataclasses import dataclass

import numpy as np

from timing.cycle import Phase

LIGHT_M_NS = 0.299792458
INJECTION_MEV = 7.0
"""Energy per nucleon at injection (machine.md: 7 MeV/u)."""

IONS: dict[str, tuple[int, int, float]] = {
    "proton": (1, 1, 938.27208816),
    "helium": (4, 2, 931.8447),
    "carbon": (12, 6, 931.2260),
}
"""Ion -> (mass number, charge, rest energy of the nucleus per nucleon in MeV; CODATA 2018)."""


def rigidity(ion: str, energy: float) -> float:
    """Magnetic rigidity B rho in T m of an ion with a kinetic energy in MeV per nucleon.

    B rho = p / q with pc = A sqrt(T (T + 2 E0)); 1 GeV/c per charge bends in 1 / 0.299792458 T m.
    """
    mass, charge, rest = IONS[ion]
    momentum = mass * np.sqrt(energy * (energy + 2.0 * rest))
    return float(momentum / charge / 1000.0 / LIGHT_M_NS)


def energy_of(ion: str, rho: float) -> float:
    """Kinetic energy in MeV per nucleon of an ion of that rigidity in T m."""
    mass, charge, rest = IONS[ion]
    momentum = rho * LIGHT_M_NS * 1000.0 * charge / mass
    return float(np.sqrt(momentum**2 + rest**2) - rest)


@dataclass
class World:
    """The instant. Written by the plant and by the families in the order in which they step.

    clock_factor: beam devices live faster than the wall by this. energy: of the cycle, MeV.
    phase_age: seconds of beam time since the phase began. heat_kw: what the magnets give off.
    vacuum_good: no gauge above its limit; valves close without it. intensity: of the source, relative.
    rho_now: rigidity that the ring's dipoles stand at, T m.
    """

    ion: str
    clock_factor: float
    rng: np.random.Generator
    phase: Phase = Phase.IDLE
    energy: float = 0.0
    phase_age: float = 0.0
    seconds: float = 0.0
    heat_kw: float = 0.0
    vacuum_good: bool = True
    intensity: float = 0.0
    rho_now: float = 0.0

    @property
    def rho(self) -> float:
        """Rigidity that transport and flat-top stand at, T m; 0 before the first cycle."""
        return rigidity(self.ion, self.energy) if self.energy > 0 else 0.0

    @property
    def ring_rho(self) -> float:
        """Rigidity that the ring is driven to in this phase, T m."""
        if self.energy <= 0 or self.phase is Phase.IDLE:
            return 0.0
        if self.phase in (Phase.RAMP, Phase.FLAT_TOP):
            return self.rho
        return rigidity(self.ion, INJECTION_MEV)
