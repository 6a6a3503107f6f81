"""Single events of a proton: hard electron collisions, elastic and inelastic nuclear reactions.

After Fippel and Soukup, Med Phys 31 (2004) 2263. Approximations: protons on hydrogen scatter isotropically
in the centre of mass; every other nucleus reacts as oxygen does, its number scaled by A^(2/3); an inelastic
reaction gives off particles one after the other, each with a share of the energy that is left: protons are
followed, heavier fragments stop where they are made, neutrons and photons leave with their energy.
Parameters of the emission are this module's constants, set so that mean energies are near ICRU Report 63
for protons on oxygen (protons take 0.57 of 150 MeV) and depth doses near published Monte Carlo.
"""

import numpy as np
from numba import njit

from tps_engine.dose.montecarlo.rng import uniform

_PROTON, _OXYGEN = 938.2720813, 14895.08
_TWO_PI = 2.0 * np.pi

SEPARATION, SEPARATION_FALLS, LEAST_MEV = 5.0, 0.65, 3.0
"""Energy to separate the first particle, MeV; its factor for each next one; emission ends below the last."""

PROTONS, FRAGMENTS, SHARE_POWER, FORWARD = 0.63, 0.06, 0.6, 0.4
"""Parts of emitted particles that are protons and fragments (neutral: the rest); exponents of the share of
energy and of the cosine. The paper draws it uniformly from 2 share / energy - 1 to 1 (exponent 1)."""


@njit(nogil=True, cache=True)
def electron_energy(state, cut, largest, beta2):  # type: ignore[no-untyped-def]
    """Energy in MeV of an electron from a hard collision: 1/T^2 (1 - beta2 T/Tmax), from the cut to Tmax."""
    while True:
        energy = cut * largest / (largest - uniform(state) * (largest - cut))
        if uniform(state) <= 1.0 - beta2 * energy / largest:
            return energy


@njit(nogil=True, cache=True)
def turned(dx, dy, dz, cosine, azimuth):  # type: ignore[no-untyped-def]
    """The direction at a polar angle and azimuth about (dx, dy, dz)."""
    sine = np.sqrt(max(1.0 - cosine * cosine, 0.0))
    a, b = sine * np.cos(azimuth), sine * np.sin(azimuth)
    sign = 1.0 if dz >= 0.0 else -1.0
    c = -1.0 / (sign + dz)
    d = dx * dy * c
    x = dx * cosine + a * (1.0 + sign * dx * dx * c) + b * d
    y = dy * cosine + a * sign * d + b * (sign + dy * dy * c)
    z = dz * cosine - a * sign * dx - b * dy
    norm = 1.0 / np.sqrt(x * x + y * y + z * z)
    return x * norm, y * norm, z * norm


@njit(nogil=True, cache=True)
def on_hydrogen(state, energy):  # type: ignore[no-untyped-def]
    """Energies and cosines of the two protons: (first, cosine, second, cosine), azimuths opposite."""
    first = energy * uniform(state)
    second = energy - first
    return first, _two_body(energy, first), second, _two_body(energy, second)


@njit(nogil=True, cache=True)
def _two_body(energy, after):  # type: ignore[no-untyped-def]
    """Cosine of the angle at which one of two equal masses leaves with the energy `after`."""
    return min(np.sqrt(after * (energy + 2.0 * _PROTON) / (energy * (after + 2.0 * _PROTON))), 1.0)


@njit(nogil=True, cache=True)
def on_oxygen(state, energy):  # type: ignore[no-untyped-def]
    """Recoil energy in MeV of an oxygen nucleus and the cosine of the proton's angle."""
    mean = 0.65 * np.exp(-0.0013 * energy) - 0.71 * np.exp(-0.0177 * energy)
    gamma = 1.0 + energy / _PROTON
    mass = _OXYGEN / _PROTON
    largest = 2.0 * _OXYGEN * (gamma * gamma - 1.0) / (1.0 + 2.0 * gamma * mass + mass * mass)
    mean = max(mean, 0.02)
    recoil = -mean * np.log(1.0 - uniform(state) * (1.0 - np.exp(-largest / mean)))
    before = energy * (energy + 2.0 * _PROTON)
    behind = (energy - recoil) * (energy - recoil + 2.0 * _PROTON)
    cosine = (before + behind - recoil * (recoil + 2.0 * _OXYGEN)) / (2.0 * np.sqrt(before * behind))
    return recoil, min(max(cosine, -1.0), 1.0)


@njit(nogil=True, cache=True)
def breakup(state, energy, protons):  # type: ignore[no-untyped-def]
    """An inelastic reaction: fill protons (n, 2) with energies and cosines.

    Returns the number of protons, and the energies in MeV deposited on the spot, carried off by neutrals, and
    spent on separation.
    """
    left, separation = energy, SEPARATION
    count, local, neutral, spent = 0, 0.0, 0.0, 0.0
    while left - separation > LEAST_MEV and count < len(protons):
        left -= separation
        spent += separation
        share = LEAST_MEV + uniform(state) ** SHARE_POWER * (left - LEAST_MEV)
        left -= share
        kind = uniform(state)
        if kind < PROTONS:
            lowest = 2.0 * share / energy - 1.0
            protons[count, 0] = share
            protons[count, 1] = lowest + (1.0 - lowest) * uniform(state) ** FORWARD
            count += 1
        elif kind < PROTONS + FRAGMENTS:
            local += share
        else:
            neutral += share
        separation *= SEPARATION_FALLS
    return count, local + left, neutral, spent


@njit(nogil=True, cache=True)
def azimuth(state):  # type: ignore[no-untyped-def]
    """An angle in (0, 2 pi)."""
    return _TWO_PI * uniform(state)
