"""One history: an ion and the fragments that it makes, followed through voxels until all are at rest or out.

As for protons (`montecarlo.transport`): straight flights between random hinges, at which the scattering and
the straggling of the way are applied, continuous losses, and reactions as single events. All nuclei of
`species` are followed; neutrons leave with their energy.
"""

import numpy as np
from numba import njit

from tps_engine.dose.montecarlo import nuclear
from tps_engine.dose.montecarlo.ions import fragments
from tps_engine.dose.montecarlo.ions.tables import (
    ELASTIC,
    ENERGY,
    HINGE,
    HYDROGEN,
    INELASTIC,
    LET_SUM,
    RADIATION_MM,
    SCATTER,
    STAR_SUM,
    STEP,
    STOPPING,
    STRAGGLING,
)  # fmt: skip
from tps_engine.dose.montecarlo.rng import normal, uniform
from tps_engine.dose.montecarlo.transport import (
    DEPOSITED,
    ESCAPED,
    LET,
    MEDIUM,
    NEUTRAL,
    PROTON,
    SPENT,
    WATER,
    _enter,
    _hinge,
    _nearest,
)  # fmt: skip

STAR = PROTON + 1
TALLIES = STAR + 1
"""Columns of a tally: those of the protons' engine, PROTON for all nuclei, and MeV Gy of z*."""

STACK, PLACES = 128, 9
"""Ions that wait at most; numbers of each: x, y, z mm from the low corner, direction, residual range mm, the
range it began with, number of its nucleus."""

_PER = 1.0 / STEP
_AT_REST_MM, _NEAR_REST_MM, _LONGEST = 0.002, 0.3, 0.2
_PROTONS = 8  # protons that a reaction of a proton gives off at most
_THINNEST = 1e-6  # in radiation lengths


@njit(nogil=True, cache=True, fastmath=True)
def at(own, column, residual):  # type: ignore[no-untyped-def]
    """A column of one nucleus (rows, COLUMNS) at a residual range, linear in its square root."""
    place = np.sqrt(residual) * _PER
    row = min(int(place), len(own) - 2)
    return own[row, column] + (place - row) * (own[row + 1, column] - own[row, column])


@njit(nogil=True, cache=True, fastmath=True)
def range_of(own, energy):  # type: ignore[no-untyped-def]
    """Residual range of a kinetic energy in MeV: bisection in the table of one nucleus."""
    low, high = 0, len(own) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if own[middle, ENERGY] > energy:
            high = middle
        else:
            low = middle
    part = (energy - own[low, ENERGY]) / (own[low + 1, ENERGY] - own[low, ENERGY])
    root = (low + min(part, 1.0)) * STEP
    return root * root


@njit(nogil=True, cache=True, fastmath=True)
def _lose(own, tally, stopping, before, after):  # type: ignore[no-untyped-def]
    """Score in a voxel's tally what an ion loses between two residual ranges; returns MeV."""
    lost = at(own, ENERGY, before) - at(own, ENERGY, after)
    tally[MEDIUM] += lost
    tally[WATER] += lost / stopping
    tally[LET] += at(own, LET_SUM, before) - at(own, LET_SUM, after)
    tally[PROTON] += lost
    tally[STAR] += at(own, STAR_SUM, before) - at(own, STAR_SUM, after)
    return lost


@njit(nogil=True, cache=True, fastmath=True)
def _scatter(state, own, p, row, residual, strength):  # type: ignore[no-untyped-def]
    """A hinge: Kanematsu's differential Highland power over a hinge's mean distance."""
    depth = np.log(max((p[7] - residual) / RADIATION_MM, _THINNEST))
    factor = 0.970 * max(1.0 + depth / 20.7, 0.0) * max(1.0 + depth / 22.7, 0.0)
    _hinge(state, p, own[row, SCATTER] * factor * strength / own[row, HINGE])


@njit(nogil=True, cache=True, fastmath=True)
def _push(stack, waiting, p, kind, residual, cosine, azimuth):  # type: ignore[no-untyped-def]
    """Put a nucleus of a residual range, at an angle to p, onto the stack."""
    new = stack[waiting]
    new[0], new[1], new[2] = p[0], p[1], p[2]
    new[3], new[4], new[5] = nuclear.turned(p[3], p[4], p[5], cosine, azimuth)
    new[6], new[7], new[8] = residual, residual, kind
    return waiting + 1


@njit(nogil=True, cache=True, fastmath=True)
def _proton_reacts(state, own, p, which, stack, waiting, emitted, balance):  # type: ignore[no-untyped-def]
    """As the protons' engine does it. which: 0 on hydrogen, 1 elastic, 2 inelastic on other nuclei."""
    energy, turn = at(own, ENERGY, p[6]), nuclear.azimuth(state)
    if which == 0:
        first, cosine, second, other = nuclear.on_hydrogen(state, energy)
        waiting = _push(stack, waiting, p, 0, range_of(own, second), other, turn + np.pi)
        p[3], p[4], p[5] = nuclear.turned(p[3], p[4], p[5], cosine, turn)
        return waiting, range_of(own, first), 0.0
    if which == 1:
        recoil, cosine = nuclear.on_oxygen(state, energy)
        p[3], p[4], p[5] = nuclear.turned(p[3], p[4], p[5], cosine, turn)
        return waiting, range_of(own, energy - recoil), recoil
    count, local, neutral, spent = nuclear.breakup(state, energy, emitted)
    for k in range(count):
        waiting = _push(
            stack, waiting, p, 0, range_of(own, emitted[k, 0]), emitted[k, 1], nuclear.azimuth(state)
        )
    balance[NEUTRAL] += neutral
    balance[SPENT] += spent
    return waiting, 0.0, local


@njit(nogil=True, cache=True, fastmath=True)
def _ion_reacts(state, water, chances, p, target, stack, waiting, kinds, out, balance):  # type: ignore[no-untyped-def]
    """A projectile heavier than a proton breaks up; returns the number waiting, and MeV left on the spot."""
    parent = int(p[8])
    energy = at(water[parent], ENERGY, p[6])
    count, local, neutral, spent = fragments.breakup(state, chances, parent, target, energy, kinds, out)
    balance[SPENT] += spent
    balance[NEUTRAL] += neutral
    for k in range(count):
        kind, own = int(out[k, fragments.KIND]), out[k, fragments.KINETIC]
        if kind < 0:
            balance[NEUTRAL] += own
            continue
        turn = np.arctan2(out[k, fragments.V], out[k, fragments.U])
        waiting = _push(stack, waiting, p, kind, range_of(water[kind], own), out[k, fragments.W], turn)
    return waiting, local


@njit(nogil=True, cache=True, fastmath=True)
def _react(physics, scratch, which, waiting, balance):  # type: ignore[no-untyped-def]
    """A reaction of the ion p of `scratch`; returns the number waiting, and MeV left on the spot.

    which: 0 on hydrogen, 1 elastic, 2 inelastic on other nuclei. Sets p's residual range, 0: it is no more.
    """
    tables, chances = physics
    state, p, _cell, stack, emitted, kinds, out = scratch
    if p[8] == 0.0:
        waiting, p[6], local = _proton_reacts(state, tables[0][0], p, which, stack, waiting, emitted, balance)
    else:
        target = min(which, 1)
        waiting, local = _ion_reacts(
            state, tables[0], chances, p, target, stack, waiting, kinds, out, balance
        )
        p[6] = 0.0
    return waiting, local


@njit(nogil=True, cache=True, fastmath=True)
def follow(physics, geometry, scratch, tally, balance, waiting):  # type: ignore[no-untyped-def]
    """Follow the ion p of `scratch` to its end; returns how many wait. Arguments as those of `history`."""
    water, ratio, relative = physics[0]
    material, density, shape, spacing = geometry
    state, p, cell = scratch[0], scratch[1], scratch[2]
    own = water[int(p[8])]
    ratios = ratio[:, int(p[8])]
    for axis in range(3):
        cell[axis] = min(max(int(p[axis] / spacing[axis]), 0), shape[2 - axis] - 1)
    paths, straggling = -np.log(uniform(state)), 0.0
    while True:
        residual = p[6]
        voxel = (cell[2] * shape[1] + cell[1]) * shape[2] + cell[0]
        rho, here = density[voxel], relative[material[voxel]]
        row = min(int(np.sqrt(residual) * _PER + 0.5), len(own) - 1)
        stopping = ratios[material[voxel], row]
        face, axis = _nearest(p, cell, spacing)
        if residual < _AT_REST_MM or (residual < _NEAR_REST_MM and residual < face * rho * stopping):
            balance[DEPOSITED] += _lose(own, tally[voxel], stopping, residual, 0.0)
            return waiting
        hinge = own[row, HINGE]
        hydrogen = hinge + here[2] * own[row, HYDROGEN]
        elastic = hydrogen + here[3] * own[row, ELASTIC]
        all_kinds = elastic + here[3] * own[row, INELASTIC]
        step = min(face, _LONGEST * residual / (rho * stopping + 1e-12))
        crosses = step == face
        event = paths < step * all_kinds * rho
        if event:
            step = paths / (all_kinds * rho)
        paths -= step * all_kinds * rho
        for axis_moved in range(3):
            p[axis_moved] += step * p[3 + axis_moved]
        after = residual - step * rho * stopping
        straggling += step * rho * here[0] * own[row, STRAGGLING]
        kind = 2.0 * all_kinds
        if event:
            row = min(int(np.sqrt(max(after, 0.0)) * _PER + 0.5), len(own) - 1)
            paths, kind = -np.log(uniform(state)), uniform(state) * all_kinds
            if kind < hinge:
                _scatter(state, own, p, row, after, here[1])
                shift = np.sqrt(straggling) * normal(state) / own[row, STOPPING]
                after, straggling = min(max(after - shift, 0.5 * after), 1.5 * after), 0.0
        balance[DEPOSITED] += _lose(own, tally[voxel], stopping, residual, after)
        p[6] = after
        if event and kind >= hinge and waiting + fragments.MOST < STACK:
            which = 0 if kind < hydrogen else 1 if kind < elastic else 2
            waiting, local = _react(physics, scratch, which, waiting, balance)
            tally[voxel, MEDIUM] += local
            tally[voxel, WATER] += local / stopping
            balance[DEPOSITED] += local
            if p[6] <= 0.0:
                return waiting
        if crosses and not event and not _enter(p, cell, axis, shape):
            balance[ESCAPED] += at(own, ENERGY, p[6])
            return waiting


@njit(nogil=True, cache=True, fastmath=True)
def history(physics, geometry, scratch, tally, balance):  # type: ignore[no-untyped-def]
    """Follow the ion in stack[0] and all that it makes.

    physics: `IonTables.arrays` and `Chances.arrays`. geometry: material, density (flat), shape (z, y, x),
    spacing (x, y, z) mm. scratch: random state, an ion's PLACES, a cell (3,) i8, stack (STACK, PLACES),
    emitted protons (n, 2), kinds (MOST,) i8 and particles (MOST, PARTICLE) of a break-up. tally: (voxels,
    TALLIES). balance: (BALANCE,). Both are added to.
    """
    p, stack = scratch[1], scratch[3]
    waiting = 1
    while waiting > 0:
        waiting -= 1
        p[:] = stack[waiting]
        waiting = follow(physics, geometry, scratch, tally, balance, waiting)
