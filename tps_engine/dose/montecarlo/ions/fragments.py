"""Break-up of a projectile: which nuclei, how fast, in which directions.

A simplified abrasion-ablation. The heaviest fragment follows measured shares (`species`), the rest leaves as
helium and hydrogen, what charge and mass then lack as neutrons: charge and mass numbers add up. In the
projectile's frame each momentum is Gaussian with Goldhaber's width (Phys Lett B 53 (1974) 306). Energies are
then scaled so that kinetic energy, binding energy and what the target takes add up. Part of the free nucleons
share their energy with a nucleon of the target, isotropically in the centre of mass.
"""

import numpy as np
from numba import njit

from tps_engine.dose.montecarlo import nuclear
from tps_engine.dose.montecarlo.rng import normal, uniform

MOST = 24
"""Particles of one break-up at most."""

KIND, KINETIC, U, V, W = range(5)
PARTICLE = 5
"""Columns of a particle: number of its nucleus (-1 neutron), kinetic energy MeV, direction in the frame in
which the projectile flies along the third axis."""

MOMENTUM_MEV = 90.0
"""Goldhaber's width of a nucleon's momentum, MeV/c; 85 to 95 is measured for carbon."""

STRUCK = 0.5
"""Part of the projectile's free nucleons that have struck one of the target: those that were abraded."""

EVAPORATED_MEV, SEPARATION_MEV, NEUTRAL_MEV = 10.0, 8.0, 6.0
"""What a nucleus of the target takes: fragments that stop on the spot, the separation of a struck nucleon,
neutrons and photons."""

_NUCLEON = 931.494
_TRIES = 40


@njit(nogil=True, cache=True)
def _chosen(state, shares):  # type: ignore[no-untyped-def]
    """The first entry of cumulative shares above a random number; their count where there is none."""
    draw = uniform(state)
    for k in range(len(shares)):
        if draw < shares[k]:
            return k
    return len(shares)


@njit(nogil=True, cache=True)
def _isotope(state, shares, charge):  # type: ignore[no-untyped-def]
    """A nucleus of a charge, by the shares of its isotopes."""
    return min(_chosen(state, shares[charge]), shares.shape[1] - 1)


@njit(nogil=True, cache=True)
def _heaviest(state, chances, parent, target):  # type: ignore[no-untyped-def]
    """The heaviest fragment, lighter than its parent; -1 where all breaks up into helium and hydrogen."""
    charge, mass, _binding, isotopes, heaviest, _helium = chances
    protons, neutrons = charge[parent], mass[parent] - charge[parent]
    chosen = _chosen(state, heaviest[target, protons])
    if chosen == heaviest.shape[2]:
        return -1
    for _k in range(_TRIES):
        kind = _isotope(state, isotopes, heaviest.shape[2] - 1 - chosen)
        if mass[kind] < mass[parent] and mass[kind] - charge[kind] <= neutrons:
            return kind
    return -1


@njit(nogil=True, cache=True)
def _light(state, chances, protons, neutrons, kinds, first):  # type: ignore[no-untyped-def]
    """Fill kinds from `first` on with helium, hydrogen and neutrons; their end, -1 where neutrons lack."""
    charge, mass, _binding, isotopes, _heaviest_shares, helium = chances
    count = first
    if protons > 0:
        alphas = _chosen(state, helium[protons])
        for k in range(protons - alphas):
            kinds[count] = _isotope(state, isotopes, 2 if k < alphas else 1)
            neutrons -= mass[kinds[count]] - charge[kinds[count]]
            count += 1
    if neutrons < 0:
        return -1
    for _k in range(neutrons):
        kinds[count] = -1
        count += 1
    return count


@njit(nogil=True, cache=True)
def partition(state, chances, parent, target, kinds):  # type: ignore[no-untyped-def]
    """Fill kinds (MOST,) i8 with what a projectile breaks up into, -1 for neutrons; returns how many.

    target: 0 hydrogen, 1 another nucleus. The heaviest fragment keeps its share: only what is lighter is
    drawn again until charge and mass add up.
    """
    charge, mass = chances[0], chances[1]
    protons, neutrons, first = charge[parent], mass[parent] - charge[parent], 0
    heavy = _heaviest(state, chances, parent, target)
    if heavy >= 0:
        kinds[0], first = heavy, 1
        protons, neutrons = protons - charge[heavy], neutrons - mass[heavy] + charge[heavy]
    for _k in range(_TRIES):
        count = _light(state, chances, protons, neutrons, kinds, first)
        if count > 1:
            return count
    for k in range(protons + neutrons):  # nothing else fits: single nucleons
        kinds[first + k] = 0 if k < protons else -1
    return first + protons + neutrons


@njit(nogil=True, cache=True)
def _boosted(state, mass, parent_mass, gamma, beta, out):  # type: ignore[no-untyped-def]
    """Fill out (PARTICLE,) but for its kind with a fragment of a projectile's velocity."""
    spread = MOMENTUM_MEV
    if parent_mass > 1:
        spread *= np.sqrt(mass * (parent_mass - mass) / (parent_mass - 1.0))
    x, y, z = spread * normal(state), spread * normal(state), spread * normal(state)
    rest = mass * _NUCLEON
    whole = np.sqrt(rest * rest + x * x + y * y + z * z)
    along = gamma * (z + beta * whole)
    out[KINETIC] = max(gamma * (whole + beta * z) - rest, 1e-3)
    length = np.sqrt(x * x + y * y + along * along)
    out[U], out[V], out[W] = x / length, y / length, along / length


@njit(nogil=True, cache=True)
def _strike(state, out, row, count):  # type: ignore[no-untyped-def]
    """A nucleon of the projectile shares its energy with one of the target, which is out[count]."""
    one = out[row]
    first, cosine, second, other = nuclear.on_hydrogen(state, one[KINETIC])
    u, v, w, turn = one[U], one[V], one[W], nuclear.azimuth(state)
    one[KINETIC], out[count, KINETIC] = first, second
    one[U], one[V], one[W] = nuclear.turned(u, v, w, cosine, turn)
    out[count, U], out[count, V], out[count, W] = nuclear.turned(u, v, w, other, turn + np.pi)


@njit(nogil=True, cache=True)
def breakup(state, chances, parent, target, energy, kinds, out):  # type: ignore[no-untyped-def]
    """Break up a projectile of a kinetic energy in MeV; fill out (MOST, PARTICLE).

    chances: `Chances.arrays`. target: 0 hydrogen, 1 another nucleus. Returns the number of particles, and
    the energies in MeV that stay on the spot, that neutrals of the target carry off, and that are spent on
    separation. Where the energy is too small to break the projectile up, all of it stays on the spot.
    """
    mass, binding = chances[1], chances[2]
    count = partition(state, chances, parent, target, kinds)
    gamma = 1.0 + energy / (mass[parent] * _NUCLEON)
    beta = np.sqrt(1.0 - 1.0 / (gamma * gamma))
    spent, total = binding[parent], 0.0
    for k in range(count):
        own = 1 if kinds[k] < 0 else mass[kinds[k]]
        spent -= 0.0 if kinds[k] < 0 else binding[kinds[k]]
        out[k, KIND] = kinds[k]
        _boosted(state, own, mass[parent], gamma, beta, out[k])
        total += out[k, KINETIC]
    local = EVAPORATED_MEV if target == 1 else 0.0
    neutral = NEUTRAL_MEV if target == 1 else 0.0
    left = energy - spent - local - neutral
    if left < 0.2 * energy:
        return 0, energy, 0.0, 0.0
    for k in range(count):
        out[k, KINETIC] *= left / total
    emitted = count
    for k in range(count):
        single = kinds[k] < 1
        struck = emitted == count if target == 0 else uniform(state) < STRUCK
        if not single or not struck or emitted == len(out) or out[k, KINETIC] <= 3.0 * SEPARATION_MEV:
            continue
        if target == 1:
            out[k, KINETIC] -= SEPARATION_MEV
            spent += SEPARATION_MEV
        out[emitted, KIND] = 0 if target == 0 or uniform(state) < 0.5 else -1
        _strike(state, out, k, emitted)
        emitted += 1
    return emitted, local, neutral, spent
