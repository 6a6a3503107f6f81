"""What a material is to a proton, relative to water: stopping, scattering, electrons, nuclei.

Everything follows from the composition: electronic stopping by the ratio of Bethe's formula to water's
(without shell corrections, which nearly cancel in the ratio), scattering by Gottschalk's scattering length
(Med Phys 37 (2010) 352), nuclear reactions by A^(2/3) per nucleus.
"""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.errors import BadConfig, BadInput
from common.site import CONFIG, load_checked
from tps_engine.beamdata.scattering import PROTON_MEV
from tps_engine.beamdata.water import Floats

MATERIALS = CONFIG / "physics" / "materials.yaml"
ELECTRON_MEV = 0.51099895
REFERENCE_MEV = 100.0
"""Energy at which a stopping power relative to water is turned into a density."""

_LOWEST_MEV = 2.0
_OXYGEN = 15.999
_RADIATION = 3.4895e-4  # alpha N_A r_e^2, cm2/mol

ELEMENTS: dict[str, tuple[int, float]] = {
    "H": (1, 1.008), "C": (6, 12.011), "N": (7, 14.007), "O": (8, 15.999), "Na": (11, 22.990),
    "Mg": (12, 24.305), "Al": (13, 26.982), "P": (15, 30.974), "S": (16, 32.06), "Cl": (17, 35.45),
    "Ar": (18, 39.948), "K": (19, 39.098), "Ca": (20, 40.078), "Fe": (26, 55.845),
}  # fmt: skip
"""Atomic number and relative atomic mass."""


@dataclass(frozen=True)
class Material:
    """Numbers per mass, relative to water where nothing else is said.

    electrons: electron density. scattering: scattering power at equal energy. hydrogen: hydrogen nuclei.
    nuclei: cross-section of nuclei other than hydrogen. mean_excitation: eV. density: nominal, g/cm3.
    """

    name: str
    density: float
    mean_excitation: float
    electrons: float
    scattering: float
    hydrogen: float
    nuclei: float

    def stopping_ratio(self, energy: float | Floats, water_ev: float = 75.0) -> Floats:
        """Mass stopping power relative to water at kinetic energies in MeV; below 2 MeV its value there."""
        return np.asarray(self.electrons * _bethe(energy, self.mean_excitation) / _bethe(energy, water_ev))


@dataclass(frozen=True)
class MaterialTable:
    """Materials by number, and the tissue of a stopping power: `tissues` holds (upper limit, number)."""

    name: str
    version: str
    materials: tuple[Material, ...] = field(repr=False)
    tissues: tuple[tuple[float, int], ...] = field(repr=False)

    def index_of(self, name: str) -> int:
        """The number of a material. Raises BadInput listing the names there are."""
        names = [material.name for material in self.materials]
        if name not in names:
            raise BadInput(f"material {name}: table {self.name} has {', '.join(names)}")
        return names.index(name)

    def tissue_of(self, rsp: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Material numbers of stopping powers relative to water, any shape."""
        limits = np.asarray([limit for limit, _ in self.tissues[:-1]], dtype=np.float32)
        numbers = np.asarray([number for _, number in self.tissues], dtype=np.uint8)
        return numbers[np.searchsorted(limits, rsp, side="right")]


def _bethe(energy: float | Floats, mean_excitation: float) -> Floats:
    """The stopping number ln(2 m c2 beta2 gamma2 / I) - beta2."""
    tau = np.maximum(np.asarray(energy), _LOWEST_MEV) / PROTON_MEV
    momentum2 = tau * (tau + 2.0)
    beta2 = momentum2 / (tau + 1.0) ** 2
    return np.asarray(np.log(2e6 * ELECTRON_MEV * momentum2 / mean_excitation) - beta2)


def scattering_strength(fractions: dict[str, float]) -> float:
    """1 / X_S in cm2/g of a composition by mass (Gottschalk 2010, equation 16)."""
    total = 0.0
    for symbol, part in fractions.items():
        number, mass = ELEMENTS[symbol]
        log = 2.0 * np.log(33219.0 * (mass * number) ** (-1.0 / 3.0)) - 1.0
        total += part * _RADIATION * number**2 / mass * log
    return total


def _per_mass(fractions: dict[str, float]) -> tuple[float, float, float, float]:
    """Electrons, scattering, hydrogen and other nuclei per gram, in any one unit each."""
    electrons = sum(part * ELEMENTS[s][0] / ELEMENTS[s][1] for s, part in fractions.items())
    nuclei = sum(
        part * (ELEMENTS[s][1] / _OXYGEN) ** (-1.0 / 3.0) for s, part in fractions.items() if s != "H"
    )
    return electrons, scattering_strength(fractions), fractions.get("H", 0.0), nuclei


@cache
def load(path: Path = MATERIALS) -> MaterialTable:
    """Read and check a material table.

    Raises BadConfig for a file against its schema, fractions that do not add up to one, tissues that name no
    material or do not rise.
    """
    content = load_checked(path, "materials")
    water = _per_mass(content["materials"]["water"]["fractions"])
    found = []
    for name, entry in content["materials"].items():
        total = sum(entry["fractions"].values())
        if abs(total - 1.0) > 0.005:
            raise BadConfig(f"{path.name}: the mass fractions of {name} add up to {total:.4f}, not to 1")
        relative = [here / there for here, there in zip(_per_mass(entry["fractions"]), water, strict=True)]
        found.append(Material(name, float(entry["density"]), float(entry["mean_excitation_ev"]), *relative))
    numbers = {material.name: k for k, material in enumerate(found)}
    limits = [np.inf if limit is None else float(limit) for limit, _ in content["tissues"]]
    lost = [name for _, name in content["tissues"] if name not in numbers]
    if lost or limits[-1] != np.inf or (np.diff(limits) <= 0.0).any():
        raise BadConfig(
            f"{path.name}: tissues must name materials of the table, with rising limits, the last null; "
            f"unknown: {', '.join(lost) or 'none'}"
        )
    tissues = tuple(
        (limit, numbers[name]) for limit, (_, name) in zip(limits, content["tissues"], strict=True)
    )
    return MaterialTable(content["name"], content["version"], tuple(found), tissues)
