"""The nuclei that are followed, and how likely a projectile breaks up into which of them.

Shares of the heaviest fragment of carbon: isotopic production cross-sections of 12C on hydrogen and carbon at
1 to 2 GeV/u (Lindstrom et al., LBL-3650 (1975); Olson et al., Phys Rev C 28 (1983) 1602) as parts of the
reaction cross-section, used at all energies (limiting fragmentation), those on carbon also for every heavier
target. Shares of lighter projectiles, of helium in a full break-up, and of hydrogen isotopes are this
module's estimates: about one helium per reaction of carbon.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Nucleus:
    """Charge, mass number, binding energy in MeV (AME 2020) and rms charge radius in fm."""

    name: str
    charge: int
    mass: int
    binding: float
    radius: float


NUCLEI = (
    Nucleus("p", 1, 1, 0.0, 0.85), Nucleus("d", 1, 2, 2.225, 2.13), Nucleus("t", 1, 3, 8.482, 1.76),
    Nucleus("3He", 2, 3, 7.718, 1.97), Nucleus("4He", 2, 4, 28.296, 1.68),
    Nucleus("6Li", 3, 6, 31.994, 2.59), Nucleus("7Li", 3, 7, 39.245, 2.44),
    Nucleus("7Be", 4, 7, 37.600, 2.65), Nucleus("9Be", 4, 9, 58.164, 2.52),
    Nucleus("10Be", 4, 10, 64.977, 2.36),
    Nucleus("10B", 5, 10, 64.751, 2.43), Nucleus("11B", 5, 11, 76.205, 2.41),
    Nucleus("10C", 6, 10, 60.320, 2.64), Nucleus("11C", 6, 11, 73.441, 2.55),
    Nucleus("12C", 6, 12, 92.162, 2.47),
)  # fmt: skip
"""By number. Neutrons have the number NEUTRON."""

PROTON, NEUTRON = 0, -1
LARGEST = 6

_HEAVIEST = {
    # projectile: heaviest fragment's share by charge 6, 5, 4, 3; the rest breaks up into helium and hydrogen
    "hydrogen": {6: (0.12, 0.19, 0.08, 0.09), 5: (0.0, 0.12, 0.11, 0.12), 4: (0.0, 0.0, 0.10, 0.15),
                 3: (0.0, 0.0, 0.0, 0.12)},
    "nuclei": {6: (0.06, 0.107, 0.041, 0.063), 5: (0.0, 0.07, 0.07, 0.09), 4: (0.0, 0.0, 0.06, 0.10),
               3: (0.0, 0.0, 0.0, 0.07)},
}  # fmt: skip

_HELIUM = {6: (0.20, 0.45, 0.30, 0.05), 5: (0.20, 0.50, 0.30), 4: (0.15, 0.40, 0.45), 3: (0.35, 0.65),
           2: (0.31, 0.69), 1: (1.0,)}  # fmt: skip
"""Shares of 0, 1, 2, 3 helium nuclei of what breaks up into helium and hydrogen, by charge. That of charge 2
counts the draws of 4He from 4He, which are no break-up and are drawn again: 3He remains in 0.3."""

_ISOTOPES = {"p": 0.62, "d": 0.27, "t": 0.11, "3He": 0.18, "4He": 0.82, "6Li": 0.58, "7Li": 0.42,
             "7Be": 0.53, "9Be": 0.30, "10Be": 0.17, "10B": 0.39, "11B": 0.61, "10C": 0.08, "11C": 0.92,
             "12C": 0.0}  # fmt: skip
"""Shares of the isotopes of each charge."""


@dataclass(frozen=True)
class Chances:
    """What the kernel of fragmentation reads.

    charge, mass (n,) i8, binding (n,) MeV. isotopes: (7, n) cumulative shares by charge. heaviest: (2, 7, 7)
    cumulative by target (0 hydrogen, 1 other), projectile's charge and charge of the heaviest fragment, from
    6 down. helium: (7, 4) cumulative by charge and number of helium nuclei.
    """

    charge: NDArray[np.int64] = field(repr=False)
    mass: NDArray[np.int64] = field(repr=False)
    binding: NDArray[np.float64] = field(repr=False)
    isotopes: NDArray[np.float64] = field(repr=False)
    heaviest: NDArray[np.float64] = field(repr=False)
    helium: NDArray[np.float64] = field(repr=False)

    @property
    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """In the order in which the kernel takes them."""
        return (self.charge, self.mass, self.binding, self.isotopes, self.heaviest, self.helium)


def chances() -> Chances:
    """The shares of this module as arrays."""
    isotopes = np.zeros((LARGEST + 1, len(NUCLEI)))
    for number, nucleus in enumerate(NUCLEI):
        isotopes[nucleus.charge, number] = _ISOTOPES[nucleus.name]
    heaviest = np.zeros((2, LARGEST + 1, LARGEST + 1))
    for row, target in enumerate(("hydrogen", "nuclei")):
        for charge, shares in _HEAVIEST[target].items():
            heaviest[row, charge, : len(shares)] = shares
    helium = np.full((LARGEST + 1, 4), 2.0)
    for charge, parts in _HELIUM.items():
        helium[charge, : len(parts) - 1] = np.cumsum(parts[:-1])
    return Chances(
        np.array([nucleus.charge for nucleus in NUCLEI]),
        np.array([nucleus.mass for nucleus in NUCLEI]),
        np.array([nucleus.binding for nucleus in NUCLEI]),
        np.cumsum(isotopes, axis=1),
        np.cumsum(heaviest, axis=2),
        helium,
    )


def number_of(charge: int, mass: int) -> int:
    """The number of a nucleus; StopIteration where it is not followed."""
    return next(k for k, one in enumerate(NUCLEI) if (one.charge, one.mass) == (charge, mass))
