"""One history: a proton and the protons it makes, followed through voxels until all are at rest or outside.

Between events protons fly straight and lose energy continuously. Multiple scattering is a random hinge:
deflections stand at random places with a mean distance, each with the scattering of that distance, so that
widths do not depend on voxels or steps. Soft straggling collects between hinges and is applied there.
"""

import numpy as np
from numba import njit

from tps_engine.dose.montecarlo import nuclear
from tps_engine.dose.montecarlo.rng import normal, uniform
from tps_engine.dose.montecarlo.tables import (
    DELTA,
    DELTA_CUT_MEV,
    ELASTIC,
    ENERGY,
    HINGE,
    HYDROGEN,
    INELASTIC,
    LET_SUM,
    PV2,
    SCATTER,
    SCATTER_LOG,
    SOFT,
    STEP,
    STOPPING,
    STRAGGLING,
)  # fmt: skip

STACK, PLACES, EMITTED = 64, 8, 8
"""Protons that wait at most; numbers of each: x, y, z mm from the low corner, direction, range mm, pv0^2;
protons that one reaction gives off at most."""

DEPOSITED, ESCAPED, NEUTRAL, SPENT, STARTED, UPSTREAM = range(6)
BALANCE = 6
"""Rows of the energy balance, MeV."""

MEDIUM, WATER, LET, PROTON = range(4)
TALLIES = 4
"""Columns of a tally: MeV in the medium, the same as of water, MeV keV/um of protons, MeV of protons."""

_PER = 1.0 / STEP
_AT_REST_MM, _NEAR_REST_MM, _LONGEST = 0.005, 0.3, 0.2
_ELECTRON_RATIO = 0.51099895 / 938.2720813


@njit(nogil=True, cache=True, fastmath=True)
def at(water, column, residual):  # type: ignore[no-untyped-def]
    """A column at a residual range, linear in its square root."""
    place = np.sqrt(residual) * _PER
    row = min(int(place), len(water) - 2)
    low = water[row, column]
    return low + (place - row) * (water[row + 1, column] - low)


@njit(nogil=True, cache=True, fastmath=True)
def score(tally, voxel, column, value):  # type: ignore[no-untyped-def]
    """Add to a tally (voxels, TALLIES). Another kind of processor replaces this one function."""
    tally[voxel, column] += value


@njit(nogil=True, cache=True)
def take(target, source):  # type: ignore[no-untyped-def]
    """Copy a proton, (PLACES,)."""
    for k in range(PLACES):
        target[k] = source[k]


@njit(nogil=True, cache=True, fastmath=True)
def _lose(water, tally, voxel, stopping, before, after):  # type: ignore[no-untyped-def]
    """Score in a voxel what a proton loses between two residual ranges; returns MeV."""
    place = np.sqrt(before) * _PER
    row = min(int(place), len(water) - 2)
    part = place - row
    lost = water[row, ENERGY] + part * (water[row + 1, ENERGY] - water[row, ENERGY])
    let = water[row, LET_SUM] + part * (water[row + 1, LET_SUM] - water[row, LET_SUM])
    place = np.sqrt(after) * _PER
    row = min(int(place), len(water) - 2)
    part = place - row
    lost -= water[row, ENERGY] + part * (water[row + 1, ENERGY] - water[row, ENERGY])
    let -= water[row, LET_SUM] + part * (water[row + 1, LET_SUM] - water[row, LET_SUM])
    score(tally, voxel, MEDIUM, lost)
    score(tally, voxel, WATER, lost / stopping)
    score(tally, voxel, LET, let)
    score(tally, voxel, PROTON, lost)
    return lost


@njit(nogil=True, cache=True, fastmath=True)
def _push(stack, waiting, p, residual, cosine, azimuth, water):  # type: ignore[no-untyped-def]
    """Put a new proton of a residual range, at an angle to p, onto the stack."""
    new = stack[waiting]
    new[0], new[1], new[2] = p[0], p[1], p[2]
    new[3], new[4], new[5] = nuclear.turned(p[3], p[4], p[5], cosine, azimuth)
    new[6] = residual
    new[7] = at(water, PV2, residual)
    return waiting + 1


@njit(nogil=True, cache=True, fastmath=True)
def _range_of(water, energy):  # type: ignore[no-untyped-def]
    """Residual range of an energy in MeV: bisection in the table."""
    low, high = 0, len(water) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if water[middle, ENERGY] > energy:
            high = middle
        else:
            low = middle
    step = water[low + 1, ENERGY] - water[low, ENERGY]
    root = (low + (energy - water[low, ENERGY]) / step) * STEP
    return root * root


@njit(nogil=True, cache=True, fastmath=True)
def _hinge(state, p, variance):  # type: ignore[no-untyped-def]
    """Deflect p by two normal angles of a variance in rad2 each."""
    sigma = np.sqrt(variance)
    a, b = sigma * normal(state), sigma * normal(state)
    dx, dy, dz = p[3], p[4], p[5]
    sign = 1.0 if dz >= 0.0 else -1.0
    c = -1.0 / (sign + dz)
    d = dx * dy * c
    x = dx + a * (1.0 + sign * dx * dx * c) + b * d
    y = dy + a * sign * d + b * (sign + dy * dy * c)
    z = dz - a * sign * dx - b * dy
    norm = 1.0 / np.sqrt(x * x + y * y + z * z)
    p[3], p[4], p[5] = x * norm, y * norm, z * norm


@njit(nogil=True, cache=True, fastmath=True)
def _straggle(state, water, row, residual, variance):  # type: ignore[no-untyped-def]
    """The residual range after soft straggling of a variance in MeV2."""
    shift = np.sqrt(variance) * normal(state) / water[row, STOPPING]
    return min(max(residual - shift, 0.5 * residual), 1.5 * residual)


@njit(nogil=True, cache=True, fastmath=True)
def _electron(state, water, row, residual):  # type: ignore[no-untyped-def]
    """The residual range after a hard collision."""
    gamma = 1.0 + water[row, ENERGY] / 938.2720813
    beta2 = 1.0 - 1.0 / (gamma * gamma)
    largest = 2.0 * 0.51099895 * (gamma * gamma - 1.0) / (1.0 + 2.0 * gamma * _ELECTRON_RATIO)
    if largest <= DELTA_CUT_MEV:
        return residual
    return residual - nuclear.electron_energy(state, DELTA_CUT_MEV, largest, beta2) / water[row, STOPPING]


@njit(nogil=True, cache=True, fastmath=True)
def _react(state, water, p, which, stack, waiting, emitted, balance):  # type: ignore[no-untyped-def]
    """A nuclear event that ends or changes p. which: 0 on hydrogen, 1 elastic, 2 inelastic on other nuclei.

    Returns the number waiting, p's residual range after it (0: p is no more), and the energy left on the
    spot.
    """
    energy = at(water, ENERGY, p[6])
    azimuth = nuclear.azimuth(state)
    if which == 0:
        first, cosine, second, other = nuclear.on_hydrogen(state, energy)
        waiting = _push(stack, waiting, p, _range_of(water, second), other, azimuth + np.pi, water)
        p[3], p[4], p[5] = nuclear.turned(p[3], p[4], p[5], cosine, azimuth)
        return waiting, _range_of(water, first), 0.0
    if which == 1:
        recoil, cosine = nuclear.on_oxygen(state, energy)
        p[3], p[4], p[5] = nuclear.turned(p[3], p[4], p[5], cosine, azimuth)
        return waiting, _range_of(water, energy - recoil), recoil
    count, local, neutral, spent = nuclear.breakup(state, energy, emitted)
    for k in range(count):
        turn = nuclear.azimuth(state)
        waiting = _push(stack, waiting, p, _range_of(water, emitted[k, 0]), emitted[k, 1], turn, water)
    balance[NEUTRAL] += neutral
    balance[SPENT] += spent
    return waiting, 0.0, local


@njit(nogil=True, cache=True, fastmath=True)
def _face(index, place, direction, spacing):  # type: ignore[no-untyped-def]
    """Distance to the face of voxel `index` ahead on one axis."""
    if direction > 1e-9:
        return ((index + 1) * spacing - place) / direction
    if direction < -1e-9:
        return (index * spacing - place) / direction
    return 1e30


@njit(nogil=True, cache=True, fastmath=True)
def _nearest(p, cell, spacing):  # type: ignore[no-untyped-def]
    """Distance to the voxel's face ahead, and its axis."""
    tx = _face(cell[0], p[0], p[3], spacing[0])
    ty = _face(cell[1], p[1], p[4], spacing[1])
    tz = _face(cell[2], p[2], p[5], spacing[2])
    if tx <= ty and tx <= tz:
        return max(tx, 0.0), 0
    if ty <= tz:
        return max(ty, 0.0), 1
    return max(tz, 0.0), 2


@njit(nogil=True, cache=True, fastmath=True)
def _enter(p, cell, axis, shape):  # type: ignore[no-untyped-def]
    """Go to the next voxel along an axis; False outside the grid."""
    cell[axis] += 1 if p[3 + axis] > 0.0 else -1
    return 0 <= cell[axis] < shape[2 - axis]


@njit(nogil=True, cache=True, fastmath=True)
def _deflect(state, water, p, row, strength):  # type: ignore[no-untyped-def]
    """A hinge: the scattering of a hinge's mean distance. strength: the material's relative to water."""
    slowed = np.log10(max(1.0 - water[row, PV2] / p[7], 1e-10))
    power = max(water[row, SCATTER] + water[row, SCATTER_LOG] * slowed, 0.0)
    _hinge(state, p, power * strength / water[row, HINGE])


@njit(nogil=True, cache=True, fastmath=True)
def _rates(water, relative, row):  # type: ignore[no-untyped-def]
    """Upper limits of the kinds of event per mm at 1 g/cm3: hinge, electron, hydrogen, elastic, inelastic."""
    hinge = water[row, HINGE]
    electron = hinge + relative[0] * water[row, DELTA]
    hydrogen = electron + relative[2] * water[row, HYDROGEN]
    elastic = hydrogen + relative[3] * water[row, ELASTIC]
    return hinge, electron, hydrogen, elastic, elastic + relative[3] * water[row, INELASTIC]


@njit(nogil=True, cache=True, fastmath=True)
def follow(physics, geometry, scratch, tally, balance, waiting):  # type: ignore[no-untyped-def]
    """Follow the proton p of `scratch` to its end; returns how many protons wait.

    One that leaves the grid keeps its place and direction in p, and `cell` lies outside the grid. Arguments
    as those of `history`.
    """
    water, ratio, relative = physics
    material, density, shape, spacing = geometry
    state, p, cell, stack, emitted = scratch
    for axis in range(3):
        cell[axis] = min(max(int(p[axis] / spacing[axis]), 0), shape[2 - axis] - 1)
    paths, straggling = -np.log(uniform(state)), 0.0
    while True:
        residual = p[6]
        voxel = (cell[2] * shape[1] + cell[1]) * shape[2] + cell[0]
        rho, here = density[voxel], relative[material[voxel]]
        row = min(int(np.sqrt(residual) * _PER + 0.5), len(water) - 1)
        stopping = ratio[material[voxel], row]
        face, axis = _nearest(p, cell, spacing)
        if residual < _AT_REST_MM or (residual < _NEAR_REST_MM and residual < face * rho * stopping):
            balance[DEPOSITED] += _lose(water, tally, voxel, stopping, residual, 0.0)
            return waiting
        hinge, electron, hydrogen, elastic, all_kinds = _rates(water, here, row)
        step = min(face, _LONGEST * residual / (rho * stopping + 1e-12))
        crosses = step == face
        event = paths < step * all_kinds * rho
        if event:
            step = paths / (all_kinds * rho)
        paths -= step * all_kinds * rho
        for axis_moved in range(3):
            p[axis_moved] += step * p[3 + axis_moved]
        after = residual - step * rho * stopping * water[row, SOFT]
        straggling += step * rho * here[0] * water[row, STRAGGLING]
        kind = 2.0 * all_kinds
        if event:
            row = min(int(np.sqrt(max(after, 0.0)) * _PER + 0.5), len(water) - 1)  # where it happens
            paths, kind = -np.log(uniform(state)), uniform(state) * all_kinds
            if kind < hinge:
                _deflect(state, water, p, row, here[1])
                after, straggling = _straggle(state, water, row, after, straggling), 0.0
            elif kind < electron:
                after = max(_electron(state, water, row, after), 0.5 * after)
        balance[DEPOSITED] += _lose(water, tally, voxel, stopping, residual, after)
        p[6] = after
        if event and kind >= electron and waiting + len(emitted) < STACK:
            which = 0 if kind < hydrogen else 1 if kind < elastic else 2
            waiting, p[6], local = _react(state, water, p, which, stack, waiting, emitted, balance)
            score(tally, voxel, MEDIUM, local)
            score(tally, voxel, WATER, local / stopping)
            balance[DEPOSITED] += local
            if p[6] <= 0.0:
                return waiting
        if crosses and not event and not _enter(p, cell, axis, shape):
            balance[ESCAPED] += at(water, ENERGY, p[6])
            return waiting


@njit(nogil=True, cache=True, fastmath=True)
def history(physics, geometry, scratch, tally, balance):  # type: ignore[no-untyped-def]
    """Follow the proton in stack[0] and all that it makes.

    physics: water, ratio, relative of `TransportTables`. geometry: material, density (flat), shape (z, y,
    x), spacing (x, y, z) mm. scratch: random state (2,) u8, a proton's PLACES, a cell (3,) i8, stack (STACK,
    PLACES), emitted (EMITTED, 2). tally: (voxels, TALLIES). balance: (BALANCE,). Both are added to.
    """
    p, stack = scratch[1], scratch[3]
    waiting = 1
    while waiting > 0:
        waiting -= 1
        take(p, stack[waiting])
        waiting = follow(physics, geometry, scratch, tally, balance, waiting)
