"""Reaction cross-sections of light nuclei: Tripathi's universal parameterisation.

Tripathi, Cucinotta, Wilson: NASA TP-3621 (1997) for nuclei on nuclei; Nucl Instr Meth B 155 (1999) 349 for
light systems (a nucleon, deuteron or helium on either side). Two of their details are left out: D divided by
three for lithium, and the rise of D of 4He below 250 MeV/u, which takes off a quarter that measurements have
(Horst et al., Phys Rev C 99 (2019) 014603). Each nucleus is scaled by what was measured on carbon at
790 MeV/u, 2 to 19 % less: what leaves the projectile whole does not count here.
"""

from functools import cache

import numpy as np

from tps_engine.beamdata.water import Floats
from tps_engine.dose.montecarlo.ions.species import NUCLEI, Nucleus

NUCLEON_MEV = 931.494
HYDROGEN = Nucleus("p", 1, 1, 0.0, 0.85)
OXYGEN = Nucleus("16O", 8, 16, 127.619, 2.70)

MEASURED_MB = {
    (2, 3): 550.0, (2, 4): 503.0, (3, 6): 688.0, (3, 7): 736.0, (4, 7): 738.0, (4, 9): 806.0, (4, 10): 813.0,
    (6, 12): 856.0,
}  # fmt: skip
"""Interaction cross-sections on carbon at 790 MeV/u by charge and mass: Tanihata et al., Phys Rev Lett 55
(1985) 2676 and Phys Lett B 160 (1985) 380. Boron and carbon isotopes are scaled as 12C is."""

_LOWEST_MEV_U = 5.0
_MEASURED_MEV_U = 790.0
_CARBON_DENSITY = 12.0 / (1.29 * 2.47) ** 3


def reaction(projectile: Nucleus, target: Nucleus, energy: Floats) -> Floats:
    """Cross-section (n,) in mb of break-up at energies (n,) MeV per nucleon; 0 below 5 MeV per nucleon."""
    return np.asarray(_scale(projectile) * formula(projectile, target, energy))


@cache
def _scale(projectile: Nucleus) -> float:
    """Measured over calculated cross-section on carbon."""
    known = (6, 12) if projectile.charge >= 5 else (projectile.charge, projectile.mass)
    if known not in MEASURED_MB:
        return 1.0
    like = next(one for one in NUCLEI if (one.charge, one.mass) == known)
    return MEASURED_MB[known] / float(formula(like, NUCLEI[-1], np.array([_MEASURED_MEV_U]))[0])


def formula(projectile: Nucleus, target: Nucleus, energy: Floats) -> Floats:
    """Tripathi's cross-section (n,) in mb at energies (n,) MeV per nucleon; 0 below 5 MeV per nucleon."""
    e = np.maximum(np.asarray(energy, dtype=np.float64), _LOWEST_MEV_U)
    ap, at = float(projectile.mass), float(target.mass)
    zp, zt = float(projectile.charge), float(target.charge)
    mass_p, mass_t = ap * NUCLEON_MEV, at * NUCLEON_MEV
    whole = np.sqrt((mass_p + mass_t) ** 2 + 2.0 * ap * e * mass_t)
    centre = whole - mass_p - mass_t
    roots = ap ** (1.0 / 3.0) + at ** (1.0 / 3.0)
    radius = 1.29 * (projectile.radius + target.radius) + 1.2 * roots / np.cbrt(centre)
    barrier = 1.44 * zp * zt / radius
    transparency, begin, light = _transparency(projectile, target, e)
    saturation = transparency * (1.0 - np.exp(-e / begin)) - 0.292 * np.exp(-e / 792.0) * np.cos(
        0.229 * e**0.453
    )
    overlap = (ap * at) ** (1.0 / 3.0) / roots
    wide, narrow = (at, zt), (zp, ap)
    if at < ap:
        wide, narrow = (ap, zp), (zt, at)
    excess = 0.91 * (wide[0] - 2.0 * wide[1]) * narrow[0] / (at * ap)
    delta = 1.85 * overlap + 0.16 * overlap / np.cbrt(centre) - saturation + excess
    multiplier = np.ones_like(e)
    if light:
        heavy = max(at, ap)
        x1 = 2.83 - 3.1e-2 * heavy + 1.7e-4 * heavy**2
        multiplier = 1.0 - x1 * np.exp(-e / (x1 * (1.2 + 1.6 * (1.0 - np.exp(-e / 15.0)))))
    weight = _barrier_weight(projectile, target) if light else 1.0
    found = 10.0 * np.pi * 1.1**2 * (roots + delta) ** 2 * (1.0 - weight * barrier / centre) * multiplier
    return np.asarray(np.where(np.asarray(energy) >= _LOWEST_MEV_U, np.maximum(found, 0.0), 0.0))


def _transparency(projectile: Nucleus, target: Nucleus, e: Floats) -> tuple[Floats, float, bool]:
    """D, T1 of the papers, and whether the system is a light one."""
    light, other = sorted((projectile, target), key=lambda one: (one.mass, one.charge))
    same = np.ones_like(e)
    if light.mass == 1:
        return 1.85 + 0.16 / (1.0 + np.exp((500.0 - e) / 200.0)), 23.0, True
    if light.mass == 2:
        return 1.65 + 0.1 / (1.0 + np.exp((500.0 - e) / 200.0)), 23.0, True
    if light.mass == 3:
        return 1.55 * same, 40.0, True
    if light.mass == 4:
        heavy = float(other.mass)
        return (1.97 - 8e-3 * heavy + 1.8e-5 * heavy**2) * same, 40.0, True
    density = sum(one.mass / (1.29 * one.radius) ** 3 for one in (projectile, target))
    return 1.75 * density / (2.0 * _CARBON_DENSITY) * same, 40.0, False


def _barrier_weight(projectile: Nucleus, target: Nucleus) -> float:
    """R_C of the second paper for the systems met here."""
    light, other = sorted((projectile, target), key=lambda one: (one.mass, one.charge))
    if light.mass == 1:
        return {(1, 2): 13.5, (2, 3): 21.0, (2, 4): 27.0}.get(
            (other.charge, other.mass), 2.2 if other.charge == 3 else 1.0
        )
    if light.mass == 2 and (other.charge, other.mass) == (6, 12):
        return 6.0
    return 1.0
