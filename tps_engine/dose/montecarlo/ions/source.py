"""Ions of scanned spots, as an ion machine's tables describe them.

Place and width in air are the machine's; the residual range and its spread follow from the distal edge of
the machine's own depth dose, which holds nozzle, ripple filter and energy spread: R80 is the mean range, and
what the edge is wider than straggling in water makes it is the beam's own.
"""

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.ion_machine import DepthCurve, IonMachine
from tps_engine.dose.ions.spots import energy_rows
from tps_engine.dose.montecarlo.ions import tables
from tps_engine.dose.montecarlo.ions.species import number_of
from tps_engine.dose.montecarlo.ions.transport import at
from tps_engine.dose.montecarlo.rng import normal
from tps_engine.dose.montecarlo.transport import STARTED
from tps_engine.dose.spots import Spots
from tps_engine.patient.grid import Grid
from tps_engine.patient.stopping_power import AIR
from tps_engine.plan.geometry import BeamFrame

PLACE_X, PLACE_Y, SIGMA_X, SIGMA_Y, SLOPE_X, SLOPE_Y, RANGE, SPREAD = range(8)
COLUMNS = 8
"""Columns of a spot: x, y mm, width mm at the isocentre, mean angle per mm of place (rad), mean residual
range and its spread, mm."""

_BEHIND_MM = 5.0  # behind R80 nothing but fragments is left
_ABOVE_MM = 100.0


@dataclass(frozen=True)
class Source:
    """spots: (n, COLUMNS). kind: number of the nucleus. rotation: (3, 3) gantry to patient.

    place: (9,) isocentre from the grid's low corner, the grid's size (x, y, z) mm, virtual source x, y mm,
    and the height above the isocentre from which air takes range, mm (negative: none does).
    """

    spots: NDArray[np.float64] = field(repr=False)
    kind: int
    rotation: NDArray[np.float64] = field(repr=False)
    place: NDArray[np.float64] = field(repr=False)


def kind_of(machine: IonMachine) -> int:
    """The number of a machine's ion. Raises BadInput for one that is not followed."""
    try:
        return number_of(machine.charge, machine.mass_number)
    except StopIteration:
        raise BadInput(
            _("machine {name}: the Monte Carlo engine follows ions up to carbon, not {ion}").format(
                name=machine.name, ion=machine.ion
            )
        ) from None


def of_spots(machine: IonMachine, spots: Spots, frame: BeamFrame, grid: Grid) -> Source:
    """The source of a beam's spots. Raises BadInput for energies or an ion outside the machine or engine."""
    kind = kind_of(machine)
    used, which = energy_rows(machine, spots.energy)
    ranges = np.array([mean_range(machine, int(row), kind) for row in used]).reshape(-1, 2)
    slope = np.array([_slope(machine, int(row)) for row in used])
    table = np.zeros((len(spots), COLUMNS))
    table[:, PLACE_X], table[:, PLACE_Y] = spots.x, spots.y
    table[:, SIGMA_X], table[:, SIGMA_Y] = spots.sigma_x, spots.sigma_y
    table[:, SLOPE_X] = table[:, SLOPE_Y] = slope[which]
    table[:, RANGE], table[:, SPREAD] = ranges[which].T
    spacing = np.asarray(grid.spacing)
    low = np.asarray(grid.origin) - 0.5 * spacing
    air = -1.0 if machine.nozzle is None else machine.nozzle
    place = np.concatenate([frame.isocentre - low, spacing * np.asarray(grid.shape[::-1]), frame.sad, [air]])
    return Source(table, kind, np.ascontiguousarray(frame.rotation.T), place)


def _slope(machine: IonMachine, row: int) -> float:
    """Mean angle per mm of place of a beam that widens or narrows in air as the machine's focus does."""
    middle = float(machine.focus(row, 0.0))
    return float(machine.focus(row, -_ABOVE_MM) - machine.focus(row, _ABOVE_MM)) / (2.0 * _ABOVE_MM * middle)


def mean_range(machine: IonMachine, row: int, kind: int) -> tuple[float, float]:
    """Mean residual range and its spread in mm of the energy of a row, where air begins to count.

    Raises BadInput for a depth dose without a distal edge.
    """
    curve = machine.curves[row]
    edge, width = _edge(curve)
    if not np.isfinite(edge) or edge <= 1.0:
        raise BadInput(_("machine {name}: a depth dose has no distal edge").format(name=machine.name))
    per_sigma, straggled = _pristine(kind, round(edge, 1))
    spread = np.sqrt(max((width / per_sigma) ** 2 - straggled, 0.0))
    return edge + float(machine.offset[row]), float(spread)


def _edge(curve: DepthCurve) -> tuple[float, float]:
    """Depth of 80 %, and from there to 20 %, of the peak above the tail of fragments, mm."""
    peak = int(np.argmax(curve.dose))
    depth, dose = curve.depth[peak:], curve.dose[peak:]
    falls = np.flatnonzero(dose < 0.5 * dose[0])
    if not len(falls):
        return np.nan, np.nan
    tail = float(np.interp(depth[falls[0]] + _BEHIND_MM, depth, dose))
    above = (dose - tail) / (dose[0] - tail)
    last = int(np.argmax(above < 0.1)) + 1
    places = np.interp([-0.8, -0.2], -above[:last], depth[:last])
    return float(places[0]), float(places[1] - places[0])


@cache
def _pristine(kind: int, residual: float) -> tuple[float, float]:
    """Distance from 80 to 20 % per standard deviation of range, and variance of range by straggling, mm2."""
    water = tables.water_of(kind)
    root = tables.STEP * np.arange(len(water))
    reach = int(np.searchsorted(root, np.sqrt(residual)))
    steps = np.diff(root[: reach + 1] ** 2)
    over = water[:reach, tables.STRAGGLING] / water[:reach, tables.STOPPING] ** 2
    straggled = float((over * steps).sum())
    sigma = 1.0
    depth = np.arange(-8.0, 6.0, 0.05)
    shift = np.arange(-5.0, 5.0001, 0.02)
    left = np.maximum(shift[:, None] - depth, 0.0)
    weight = np.exp(-0.5 * (shift / sigma) ** 2)
    dose = weight @ np.where(left > 0.0, np.interp(np.sqrt(left), root, water[:, tables.STOPPING]), 0.0)
    peak = int(np.argmax(dose))
    places = np.interp([-0.8, -0.2], -dose[peak:] / dose[peak], depth[peak:])
    return float(places[1] - places[0]) / sigma, straggled


@njit(nogil=True, cache=True)
def emit(state, spot, kind, place, rotation, own, p, balance):  # type: ignore[no-untyped-def]
    """Make one ion of a spot and put it into p (PLACES,) where it meets the grid; False when it passes by.

    place, rotation: as in `Source`. own: the table of its nucleus. Air on its way takes range.
    """
    off_x, off_y = spot[SIGMA_X] * normal(state), spot[SIGMA_Y] * normal(state)
    residual = max(spot[RANGE] + spot[SPREAD] * normal(state), 0.1)
    x, y = spot[PLACE_X] + off_x, spot[PLACE_Y] + off_y
    a = -(spot[PLACE_X] / place[6] + spot[SLOPE_X] * off_x)
    b = -(spot[PLACE_Y] / place[7] + spot[SLOPE_Y] * off_y)
    balance[STARTED] += at(own, 0, residual)
    norm = 1.0 / np.sqrt(1.0 + a * a + b * b)
    dx, dy, dz = -a * norm, -b * norm, -norm
    first, last = -1e30, 1e30
    for axis in range(3):
        here = place[axis] + rotation[axis, 0] * x + rotation[axis, 1] * y
        way = rotation[axis, 0] * dx + rotation[axis, 1] * dy + rotation[axis, 2] * dz
        p[axis], p[3 + axis] = here, way
        if abs(way) < 1e-12:
            if here < 0.0 or here > place[3 + axis]:
                last = -1e31
        else:
            near, far = -here / way, (place[3 + axis] - here) / way
            first, last = max(first, min(near, far)), min(last, max(near, far))
    p[6], p[7], p[8] = residual, residual, kind
    if last <= first:
        return False
    for axis in range(3):
        p[axis] += first * p[3 + axis]
    height = first * dz
    if place[8] > height:
        p[6] = max(residual - AIR * (place[8] - height) / norm, 0.0)
    return True
