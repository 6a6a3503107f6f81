"""The voxels that a beam's protons are followed through: those of the dose grid, and the body around it."""

import numpy as np
from numpy.typing import NDArray

from tps_engine.patient.grid import Floats, Grid
from tps_engine.patient.model import Patient
from tps_engine.plan.geometry import BeamFrame

_MOST_POINTS = 300_000


def region(patient: Patient, grid: Grid, frame: BeamFrame, window: tuple[Floats, Floats]) -> Grid:
    """A grid on the lattice of the dose grid that holds all of the body that a beam may meet.

    window: low and high (u, v) mm in the isocentric plane; the body beside it is left out, that before and
    behind the dose grid is not. Where no body lies in the window it is one voxel in the middle.
    """
    points, step = sampled(patient.body, patient.grid)
    projected = frame.project(points)[:, :2]
    inside = points[((projected >= window[0]) & (projected <= window[1])).all(axis=1)]
    if not len(inside):
        inside = grid.points(np.array([grid.size // 2]))
    index = grid.index_of(inside)
    slack = 1.0 + (1.0 + step) * np.asarray(patient.grid.spacing) / np.asarray(grid.spacing)
    low = np.floor(index.min(axis=0) - slack).astype(int)
    high = np.ceil(index.max(axis=0) + slack).astype(int)
    origin = np.asarray(grid.origin) + low * np.asarray(grid.spacing)
    count = high - low + 1
    return Grid(
        (float(origin[0]), float(origin[1]), float(origin[2])),
        grid.spacing,
        (int(count[2]), int(count[1]), int(count[0])),
    )


def moved(values: NDArray[np.float32], source: Grid, target: Grid) -> NDArray[np.float32]:
    """Values (nz, ny, nx) on another grid of the same lattice; 0 outside the source."""
    out = np.zeros(target.shape, dtype=values.dtype)
    shift = np.rint(target.index_of(np.asarray([source.origin]))[0]).astype(int)[::-1]  # z, y, x
    here, there = [], []
    for offset, size, room in zip(shift, source.shape, target.shape, strict=True):
        first, behind = max(offset, 0), min(offset + size, room)
        if first >= behind:
            return out
        here.append(slice(first, behind))
        there.append(slice(first - offset, behind - offset))
    out[tuple(here)] = values[tuple(there)]
    return out


def sampled(body: NDArray[np.bool_], grid: Grid) -> tuple[Floats, int]:
    """Points (n, 3) in mm of a mask, every so many voxels along each axis, and how many."""
    axes = [np.flatnonzero(body.any(axis=tuple(d for d in range(3) if d != axis))) for axis in range(3)]
    if not all(len(axis) for axis in axes):
        return np.zeros((0, 3)), 1
    step = max(1, round((np.prod([len(axis) for axis in axes]) / _MOST_POINTS) ** (1.0 / 3.0)))
    thin = [np.unique(np.r_[axis[::step], axis[-1]]) for axis in axes]
    found = np.argwhere(body[np.ix_(*thin)])
    index = np.column_stack([thin[axis][found[:, axis]] for axis in (2, 1, 0)])
    return np.asarray(np.asarray(grid.origin) + index * np.asarray(grid.spacing)), step
