"""Spots of an ion machine, and the voxels that a field of them sees."""

import numpy as np
from numpy.typing import NDArray

from tps_engine.beamdata.ion_machine import IonMachine
from tps_engine.beamdata.water import Floats
from tps_engine.dose.field import BIN_MM, FieldVoxels, prepare
from tps_engine.dose.ions.tables import CUTOFF
from tps_engine.dose.raytrace import project
from tps_engine.dose.spots import Spots, check_reach
from tps_engine.dose.upstream import Upstream
from tps_engine.patient.grid import Grid
from tps_engine.plan.geometry import BeamFrame

SURFACE_STEP_MM = 10.0

_ENTRIES = 65


def nominal(machine: IonMachine, energy: Floats, x: Floats, y: Floats) -> Spots:
    """Spots of energies in MeV per nucleon at x, y mm, with the machine's widths in air at the isocentre.

    Raises BadInput for energies or positions that the machine lacks.
    """
    check_reach(machine.scan_limits, x, y)
    used, which = energy_rows(machine, np.asarray(energy, dtype=np.float64))
    sigma = np.array([float(machine.focus(int(row), 0.0)) for row in used])[which]
    return Spots(
        machine.energies[used][which],
        np.asarray(x, dtype=np.float64),
        np.asarray(y, dtype=np.float64),
        sigma,
        sigma,
    )


def energy_rows(machine: IonMachine, energy: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Machine rows of the different energies, and for each spot (n,) which of them. Raises BadInput."""
    different, which = np.unique(energy, return_inverse=True)
    rows = [machine.index_of(float(one)) for one in different]
    return np.asarray(rows, dtype=np.int64), which.astype(np.int64)


def field_of(
    machine: IonMachine,
    rsp: NDArray[np.float32],
    grid: Grid,
    frame: BeamFrame,
    points: Floats,
    spots: Spots | None = None,
    cutoff: float = CUTOFF,
) -> FieldVoxels:
    """Points (n, 3) patient mm as a field of the machine sees them; rsp (nz, ny, nx) on `grid`.

    spots: points that none of these reaches within `cutoff` (as `influence` takes it) are left out.
    """
    projected = project(frame, points)
    heights = projected[:, 2] if len(points) else np.zeros(1)
    window = None
    if spots is not None and len(spots):
        nearest = 1.0 - max(float(heights.max()), 0.0) / min(frame.sad)
        window = (np.column_stack([spots.x, spots.y]), _reach(machine, spots, cutoff, heights) / nearest)
    upstream = None if machine.nozzle is None else Upstream(machine.nozzle, float(heights.max()))
    return prepare(rsp, grid, frame, points, window, upstream, around=False, projected=projected)


def _reach(machine: IonMachine, spots: Spots, cutoff: float, heights: Floats) -> float:
    """Distance in mm from its axis beyond which no spot gives dose, wherever in `heights` it enters."""
    used, _which = energy_rows(machine, spots.energy)
    spread = max(float(machine.curves[row].sigma.max()) ** 2 for row in used)
    own = max(float(spots.sigma_x.max()), float(spots.sigma_y.max())) ** 2
    ends = np.linspace(heights.min() - SURFACE_STEP_MM, heights.max() + SURFACE_STEP_MM, _ENTRIES)
    grown = max(
        float((machine.focus(int(row), ends) ** 2 - machine.focus(int(row), 0.0) ** 2).max()) for row in used
    )
    return float(np.sqrt(-2.0 * np.log1p(-cutoff) * (spread + own + max(grown, 0.0))))


def variances(machine: IonMachine, voxels: FieldVoxels, spots: Spots) -> Floats:
    """(n, 2) variance in mm2 of each spot in air where it enters the patient.

    The width at the isocentre is the spot's own; from there to the surface it changes as the machine's focus.
    Surfaces are rounded to SURFACE_STEP_MM, which leaves few different widths.
    """
    own = np.column_stack([spots.sigma_x, spots.sigma_y]) ** 2
    if np.ptp(machine.focus_sigma, axis=1).max() == 0.0 or not len(voxels.voxels):
        return own
    used, which = energy_rows(machine, spots.energy)
    heights = SURFACE_STEP_MM * np.rint(_surface(voxels, spots) / SURFACE_STEP_MM)
    for number, row in enumerate(used):
        mine = which == number
        change = machine.focus(int(row), heights[mine]) ** 2 - machine.focus(int(row), 0.0) ** 2
        own[mine] = np.maximum(own[mine] + change[:, None], 1e-6)
    return own


def _surface(voxels: FieldVoxels, spots: Spots) -> Floats:
    """Height in mm of the highest voxel in the bin of each spot; of all voxels where that bin is empty."""
    highest = float(voxels.voxels[:, 2].max())
    filled = np.flatnonzero(np.diff(voxels.start) > 0)
    tops = np.full(int(voxels.bins.prod()), highest)
    tops[filled] = np.maximum.reduceat(voxels.voxels[:, 2], voxels.start[filled])
    cell = np.floor((np.column_stack([spots.x, spots.y]) - voxels.low) / BIN_MM).astype(np.int64)
    inside = ((cell >= 0) & (cell < voxels.bins)).all(axis=1)
    flat = np.clip(cell, 0, voxels.bins - 1) @ np.array([voxels.bins[1], 1])
    return np.where(inside, tops[flat], highest)
