"""The ions of a therapy machine, and the rigidity of their beams."""

import math

LIGHT_M_NS = 0.299792458

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
    momentum = mass * math.sqrt(energy * (energy + 2.0 * rest))
    return momentum / charge / 1000.0 / LIGHT_M_NS


def energy_of(ion: str, rho: float) -> float:
    """Kinetic energy in MeV per nucleon of an ion of that rigidity in T m."""
    mass, charge, rest = IONS[ion]
    momentum = rho * LIGHT_M_NS * 1000.0 * charge / mass
    return math.sqrt(momentum**2 + rest**2) - rest
