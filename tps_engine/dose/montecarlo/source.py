"""Protons of scanned spots, as the beam model describes them, and where they meet the grid.

The beam model gives place and angle at the isocentre plane, as in vacuum: one or two Gaussians with a
covariance. A spot's axis runs from the virtual source through its isocentric position.
"""

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tps_engine.beamdata.model import BeamModel
from tps_engine.dose.montecarlo.rng import normal, uniform
from tps_engine.dose.montecarlo.tables import ENERGY, PV2, STEP
from tps_engine.dose.montecarlo.transport import STARTED
from tps_engine.dose.spots import Spots
from tps_engine.patient.grid import Floats, Grid
from tps_engine.plan.geometry import BeamFrame

ENERGY_MEV, SPREAD, PLACE_X, PLACE_Y, SECOND_WEIGHT, FIRST = range(6)
SECOND, COLUMNS = FIRST + 6, FIRST + 12
"""Columns of a spot: mean energy and spread MeV, x, y mm, second Gaussian's weight; then of each Gaussian
sigma x, y mm, and for x and y the mean angle per mm of place and the angle's own spread (rad)."""


@dataclass(frozen=True)
class Source:
    """spots: (n, COLUMNS). rotation: (3, 3) gantry to patient.

    place: (8,) isocentre from the grid's low corner, the grid's size (x, y, z) mm, virtual source x, y mm.
    """

    spots: NDArray[np.float64] = field(repr=False)
    rotation: NDArray[np.float64] = field(repr=False)
    place: NDArray[np.float64] = field(repr=False)


def of_spots(model: BeamModel, spots: Spots, frame: BeamFrame, grid: Grid) -> Source:
    """The source of a beam's spots. Raises BadInput for energies outside the machine."""
    energy = spots.energy
    table = np.zeros((len(spots), COLUMNS))
    table[:, ENERGY_MEV] = model.at(energy, model.mean_energy)
    table[:, SPREAD] = model.at(energy, model.spread)
    table[:, PLACE_X], table[:, PLACE_Y] = spots.x, spots.y
    sizes = np.column_stack([spots.sigma_x, spots.sigma_y])
    table[:, FIRST:SECOND] = _emittance(
        sizes, _columns(model, energy, model.divergence), _columns(model, energy, model.covariance)
    )
    second = model.second
    if second is not None:
        table[:, SECOND_WEIGHT] = model.at(energy, second.weight)
        shapes = (second.sigma, second.divergence, second.covariance)
        table[:, SECOND:] = _emittance(*(_columns(model, energy, shape) for shape in shapes))
    spacing = np.asarray(grid.spacing)
    low = np.asarray(grid.origin) - 0.5 * spacing
    size = spacing * np.asarray(grid.shape[::-1])
    place = np.concatenate([frame.isocentre - low, size, np.asarray(frame.sad, dtype=np.float64)])
    return Source(np.ascontiguousarray(table), np.ascontiguousarray(frame.rotation.T), place)


def _columns(model: BeamModel, energy: Floats, values: Floats) -> Floats:
    return np.column_stack([model.at(energy, values[:, axis]) for axis in (0, 1)])


def _emittance(sigma: Floats, divergence: Floats, covariance: Floats) -> Floats:
    """(n, 6) sigma x, y, mean angle per mm of place x, y, and the spread of angles about it x, y."""
    slope = covariance / sigma**2
    return np.hstack([sigma, slope, np.sqrt(np.maximum(divergence**2 - slope * covariance, 0.0))])


def cumulative(weights: Floats) -> Floats:
    """Upper edges (n,) of the shares of weights in (0, 1]."""
    edges = np.cumsum(weights)
    return np.asarray(edges / edges[-1])


@njit(nogil=True, cache=True)
def _energy_row(water, energy):  # type: ignore[no-untyped-def]
    low, high = 0, len(water) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if water[middle, ENERGY] > energy:
            high = middle
        else:
            low = middle
    return low


@njit(nogil=True, cache=True)
def emit(state, spot, place, water, p, balance):  # type: ignore[no-untyped-def]
    """Make one proton of a spot, in the gantry's axes, as if it passed the isocentre plane in vacuum.

    p: (8,) as in `transport`, its z at 0 and its direction against z. place: as in `Source`.
    """
    energy = min(max(spot[ENERGY_MEV] + spot[SPREAD] * normal(state), 1.0), water[len(water) - 2, ENERGY])
    one = SECOND if uniform(state) < spot[SECOND_WEIGHT] else FIRST
    off_x, off_y = spot[one] * normal(state), spot[one + 1] * normal(state)
    # angles along the beam, which runs against z
    a = -spot[PLACE_X] / place[6] - spot[one + 2] * off_x + spot[one + 4] * normal(state)
    b = -spot[PLACE_Y] / place[7] - spot[one + 3] * off_y + spot[one + 5] * normal(state)
    norm = 1.0 / np.sqrt(1.0 + a * a + b * b)
    p[0], p[1], p[2] = spot[PLACE_X] + off_x, spot[PLACE_Y] + off_y, 0.0
    p[3], p[4], p[5] = -a * norm, -b * norm, -norm
    row = _energy_row(water, energy)
    part = (energy - water[row, ENERGY]) / (water[row + 1, ENERGY] - water[row, ENERGY])
    p[6] = ((row + part) * STEP) ** 2
    p[7] = water[row, PV2] + part * (water[row + 1, PV2] - water[row, PV2])
    balance[STARTED] += energy


@njit(nogil=True, cache=True)
def enter(came, rotation, place, p):  # type: ignore[no-untyped-def]
    """Put a proton, (8,) in the gantry's axes, into p where it meets the grid.

    It comes from its place, or, when that is the isocentre plane as `emit` leaves it, from anywhere upstream.

    Returns the distance to the grid in mm, negative when it passes by.
    """
    first, last = (-1e30 if came[2] == 0.0 else 0.0), 1e30
    for axis in range(3):
        direction = rotation[axis, 0] * came[3] + rotation[axis, 1] * came[4] + rotation[axis, 2] * came[5]
        here = (
            place[axis]
            + rotation[axis, 0] * came[0] + rotation[axis, 1] * came[1] + rotation[axis, 2] * came[2]
        )  # fmt: skip
        p[axis], p[3 + axis] = here, direction
        if abs(direction) < 1e-12:
            if here < 0.0 or here > place[3 + axis]:
                last = -1e31
        else:
            near, far = -here / direction, (place[3 + axis] - here) / direction
            first, last = max(first, min(near, far)), min(last, max(near, far))
    if last <= first:
        return -1.0
    for axis in range(3):
        p[axis] += first * p[3 + axis]
    p[6], p[7] = came[6], came[7]
    return max(first, 0.0)
