"""The beam catalogue that follows from the optics: what part of its nominal current each supply has.

Every element stands at its nominal strength, a room's switch only for its room, and the correctors bring the
orbit of the shifted elements back to the axis at the monitors and at the isocentre.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from simulation.plant.optics import Floats, Track
from simulation.plant.optics_data import OpticsData
from simulation.plant.ring import Ring

ANGLE_M = 5.0
"""Lever that weighs an angle at the isocentre against positions in m."""
SMALLEST = 1e-3
"""Directions of the response smaller than this share of the largest one are left alone."""
ROUNDS = 2


def shares(data: OpticsData, supplies: Sequence[str], ring: Ring | None, rooms: int) -> Floats:
    """(rooms + 1, supplies): part of its nominal current for each supply by room; row 0 is for no room."""
    elements = [*data.injector, *(e for line in data.lines for e in line.elements)]
    if ring is not None:
        elements += ring.data.elements
    moving = {e.supply for e in elements if e.kind in ("corrector", "scanner")}
    table = np.ones((rooms + 1, len(supplies)))
    table[:, [supplies.index(name) for name in moving]] = 0.0
    table[:, [supplies.index(line.switch) for line in data.lines if line.switch]] = 0.0
    if ring is not None:
        _steer(ring.path, table, lambda ratio: _closed_orbit(ring, ratio))
    if data.injector:
        path = Track(data.injector, supplies)
        _steer(path, table, lambda ratio: _orbit(path, ratio))
    for line in data.lines:
        path = Track(line.elements, supplies)
        row = table[line.room : line.room + 1]
        if line.switch:
            row[:, supplies.index(line.switch)] = 1.0
        _steer(path, row, lambda ratio, path=path: _orbit(path, ratio))  # type: ignore[misc]
    return table


def _monitors(path: Track) -> list[int]:
    return [i for i, name in enumerate(path.names) if "-bpm" in name]


def _orbit(path: Track, ratio: Floats) -> Floats:
    """Positions at the monitors and at the end, and there the angles; m."""
    path.set(ratio)
    orbit = path.track().orbit
    last = orbit[-1] * np.array([3.0, ANGLE_M, 3.0, ANGLE_M])
    return np.concatenate([orbit[_monitors(path)][:, (0, 2)].ravel(), last])


def _closed_orbit(ring: Ring, ratio: Floats) -> Floats:
    ring.path.set(ratio)
    optics = ring.optics(ring.path.track())
    if optics is None:
        raise ValueError("the ring's nominal lattice is unstable")
    return optics.orbit[_monitors(ring.path)][:, (0, 2)].ravel()


def _steer(path: Track, rows: Floats, orbit: Callable[[Floats], Floats]) -> None:
    """Set the correctors of a way in `rows` (in place): least squares on the measured response."""
    named = {e.supply: path.supply[i] for i, e in enumerate(path.elements) if e.kind == "corrector"}
    which: NDArray[np.intp] = np.array(list(named.values()), dtype=np.intp)
    ratio = rows[-1].copy()
    for _ in range(ROUNDS):
        found = orbit(ratio)
        response = np.empty((len(found), len(which)))
        for column, k in enumerate(which):
            tried = ratio.copy()
            tried[k] += 1.0
            response[:, column] = orbit(tried) - found
        ratio[which] -= np.linalg.lstsq(response, found, rcond=SMALLEST)[0]
    rows[:, which] = ratio[which]
