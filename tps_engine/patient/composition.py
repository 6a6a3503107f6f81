"""Materials by their elements: electron density, mean excitation energy, stopping power, attenuation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import BadInput
from common.site import CONFIG, load_checked
from common.text import _

TISSUES = CONFIG / "physics" / "tissues.yaml"

ELECTRON_MEV = 0.51099895
PROTON_MEV = 938.2720813
REFERENCE_MEV = 150.0
"""Proton energy at which tables of relative stopping power are made; they hardly depend on it."""
WATER_EV = 75.0
"""Mean excitation energy of liquid water, ICRU Report 49; that of the range tables in config/physics."""

ELEMENTS: Mapping[str, tuple[int, float, float]] = {
    "H": (1, 1.008, 19.2), "C": (6, 12.011, 81.0), "N": (7, 14.007, 82.0), "O": (8, 15.999, 106.0),
    "F": (9, 18.998, 112.0), "Na": (11, 22.990, 168.4), "Mg": (12, 24.305, 176.3), "Al": (13, 26.982, 187.6),
    "Si": (14, 28.085, 195.5), "P": (15, 30.974, 195.5), "S": (16, 32.06, 203.4), "Cl": (17, 35.45, 180.0),
    "Ar": (18, 39.948, 212.4), "K": (19, 39.098, 214.7), "Ca": (20, 40.078, 215.8), "Ti": (22, 47.867, 263.3),
    "Cr": (24, 51.996, 290.4), "Fe": (26, 55.845, 323.2), "Co": (27, 58.933, 335.6),
    "Ni": (28, 58.693, 351.4), "Cu": (29, 63.546, 363.9), "Zn": (30, 65.38, 372.9),
    "I": (53, 126.904, 554.8), "Ba": (56, 137.327, 554.8), "W": (74, 183.84, 821.5),
    "Pt": (78, 195.084, 892.7), "Au": (79, 196.967, 892.7), "Pb": (82, 207.2, 930.0),
}  # fmt: skip
"""Atomic number, relative atomic mass, and mean excitation energy in eV in solid and liquid compounds (ICRU
Report 49, table 2.11; for elements that it does not list, as it says, 1.13 times that of the element)."""

PHOTO_POWER, COHERENT_POWER = 3.62, 1.86
"""Exponents of the atomic number in Schneider, Pedroni and Lomax, Phys Med Biol 41 (1996) 111, eq. 7."""
_ROUNDING = 0.02


@dataclass(frozen=True)
class Material:
    """A mixture. density: g/cm3. fractions: by mass, sum 1. excitation_ev: measured; None: Bragg's rule."""

    name: str
    density: float
    fractions: Mapping[str, float] = field(repr=False)
    excitation_ev: float | None = None

    @property
    def electrons(self) -> float:
        """Electrons per mass, mol/g: sum of w Z / A."""
        return sum(w * ELEMENTS[e][0] / ELEMENTS[e][1] for e, w in self.fractions.items())

    @property
    def mean_excitation_ev(self) -> float:
        """Mean excitation energy in eV by Bragg's additivity rule (ICRU 49, 2.8) unless measured."""
        if self.excitation_ev is not None:
            return self.excitation_ev
        total = sum(
            w * ELEMENTS[e][0] / ELEMENTS[e][1] * np.log(ELEMENTS[e][2]) for e, w in self.fractions.items()
        )
        return float(np.exp(total / self.electrons))

    def moment(self, power: float) -> float:
        """Sum over elements of their share of the electrons times Z to a power."""
        total = sum(w * ELEMENTS[e][0] ** (1.0 + power) / ELEMENTS[e][1] for e, w in self.fractions.items())
        return float(total / self.electrons)

    def relative_electron_density(self, density: float | None = None) -> float:
        """Electrons per volume relative to water of 1 g/cm3."""
        return (self.density if density is None else density) * self.electrons / water().electrons

    def relative_stopping_power(self, density: float | None = None, energy: float = REFERENCE_MEV) -> float:
        """Electronic stopping power for protons relative to water, at another density in g/cm3 if given.

        Bethe's formula without shell and density corrections (Schneider 1996, eq. 4): the relative electron
        density times the ratio of ln(2 m c^2 beta^2 gamma^2 / I) - beta^2. energy: MeV.
        """
        ratio = _bethe(self.mean_excitation_ev, energy) / _bethe(water().mean_excitation_ev, energy)
        return self.relative_electron_density(density) * ratio


def _bethe(excitation_ev: float, energy: float) -> float:
    gamma = 1.0 + energy / PROTON_MEV
    beta2 = 1.0 - 1.0 / gamma**2
    return float(np.log(2e6 * ELECTRON_MEV * beta2 * gamma**2 / excitation_ev) - beta2)


def material(name: str, density: float, fractions: Mapping[str, float]) -> Material:
    """A material from mass fractions, normalised when they miss 1 by less than 2 %. Raises BadInput."""
    unknown = [element for element in fractions if element not in ELEMENTS]
    if unknown:
        raise BadInput(
            _("material {name}: no element {element}; there are {known}").format(
                name=name, element=", ".join(unknown), known=", ".join(ELEMENTS)
            )
        )
    total = float(sum(fractions.values()))
    if not abs(total - 1.0) <= _ROUNDING or min(fractions.values()) < 0.0 or not density > 0.0:
        raise BadInput(
            _(
                "material {name}: density {density} g/cm3 and mass fractions of sum {total}: "
                "allowed are positive numbers and a sum of 1"
            ).format(name=name, density=f"{density:g}", total=f"{total:.4f}")
        )
    return Material(name, float(density), {e: float(w) / total for e, w in fractions.items()})


@cache
def water() -> Material:
    """Liquid water of 1 g/cm3."""
    return Material("water", 1.0, {"H": 0.111894, "O": 0.888106}, WATER_EV)


@dataclass(frozen=True)
class Library:
    """Materials by name; schneider: by rising lower limit in HU."""

    version: str
    tissues: Mapping[str, Material] = field(repr=False)
    substitutes: Mapping[str, Material] = field(repr=False)
    metals: Mapping[str, Material] = field(repr=False)
    schneider: tuple[tuple[float, Material], ...] = field(repr=False)

    def any(self, name: str) -> Material:
        """A material of any kind by name. Raises BadInput listing the names."""
        for group in (self.tissues, self.substitutes, self.metals):
            if name in group:
                return group[name]
        known = ", ".join([*self.tissues, *self.substitutes, *self.metals])
        raise BadInput(_("no material named {name}: there are {known}").format(name=name, known=known))


@cache
def library(path: Path = TISSUES) -> Library:
    """The materials of a file. Raises BadConfig when it breaks its schema, BadInput for wrong sums."""
    content = load_checked(path, "tissues")

    def group(key: str) -> dict[str, Material]:
        return {name: _checked(name, row) for name, row in content[key].items()}

    bins = [
        (float(row["from_hu"]), material(row["name"], 1.0, row["fractions"])) for row in content["schneider"]
    ]
    return Library(
        content["version"],
        group("tissues"),
        group("substitutes"),
        group("metals"),
        tuple(sorted(bins, key=lambda pair: pair[0])),
    )


def _checked(name: str, row: Mapping[str, Any]) -> Material:
    if name == "water":
        return water()
    return material(name, row["density"], row["fractions"])
