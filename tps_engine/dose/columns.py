"""What the compiled kernel takes for a set of Gaussians in a field."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tps_engine.beamdata.model import TABLE_STEP_MM, BeamModel, KernelTables, kernel_tables
from tps_engine.dose import kernel
from tps_engine.dose.components import Component, Part
from tps_engine.dose.field import BIN_MM, FieldVoxels
from tps_engine.dose.let import let_tables
from tps_engine.dose.paths import node_of, scattering_factor
from tps_engine.dose.upstream import Upstream, moments
from tps_engine.patient.grid import Floats


@dataclass(frozen=True)
class Columns:
    """What the kernel takes for a set of spots, in its order.

    in_air, scattered: (n,) the greatest lateral variance of a spot without scattering in the patient, and of
    that, mm2. magnified: what a distance grows by from the farthest voxel to the isocentric plane.
    """

    spots: NDArray[np.float64]
    rows: NDArray[np.int64]
    in_air: NDArray[np.float64]
    scattered: NDArray[np.float64]
    magnified: float
    ranges: NDArray[np.float64]
    tables: KernelTables
    let: NDArray[np.float32]
    part: Part

    def across(self, wider: float | Floats) -> NDArray[np.float64]:
        """Distance (n,) in mm on the isocentric plane that spots reach when scattering is so much wider."""
        return np.asarray(kernel.CUT * np.sqrt(self.in_air + wider * self.scattered) * self.magnified)


def columns_of(
    model: BeamModel,
    component: Component,
    sad: tuple[float, float],
    height: float,
    upstream: Upstream | None,
    let: bool = False,
) -> Columns:
    """Optics with what stands upstream, and tables, of a component.

    height: the greatest |z| in mm of any voxel. let: whether dose times LET is wanted. Raises BadInput for
    energies outside the machine.
    """
    energies, rows = np.unique(component.energy, return_inverse=True)
    before, gap = (0.0, 0.0) if upstream is None else (upstream.water, upstream.gap)
    axis = tuple(energies.tolist())
    tables = kernel_tables(model, axis, before, component.part, gap)
    table = component.optics.copy()
    if upstream is not None and len(component):
        added = moments(model, upstream, energies)[rows]
        table[:, 2:4] += added[:, :1]
        table[:, 4:6] += added[:, 2:]
        table[:, 6:8] += added[:, 1:2]
    scattered = tables.scatter.max(axis=1).astype(np.float64)[rows]
    ends = [table[:, 2:4] + (table[:, 4:6] * z - 2.0 * table[:, 6:8]) * z for z in (-height, height)]
    in_air = np.max(np.hstack(ends), axis=1) if len(component) else np.zeros(0)
    weighed = let_tables(model, axis, before, component.part, gap) if let else np.zeros((0, 0), np.float32)
    ranges = model.water.range_of(model.at(energies, model.mean_energy)) - before
    magnified = 1.0 / (1.0 - height / min(sad))
    return Columns(
        np.ascontiguousarray(table), rows.astype(np.int64), in_air, scattered, magnified, ranges, tables,
        weighed, component.part,
    )  # fmt: skip


def beams_of(
    voxels: FieldVoxels, model: BeamModel, columns: Columns, scale: Floats, rays: bool = True
) -> tuple[object, ...]:
    """What the kernels read of each spot; with rays, its node's scattering in the field's media."""
    needed, node = np.unique(node_of(columns.ranges), return_inverse=True)
    lattice = voxels.lattice
    factors = np.ones((len(needed), len(voxels.voxels)), dtype=np.float32)
    wider = np.ones(len(needed))
    if lattice is not None and rays:
        for place, number in enumerate(needed.tolist()):
            factors[place], wider[place] = scattering_factor(lattice, model.water, number, voxels.voxels)
    nodes = node.astype(np.int64)[columns.rows]
    limits = np.column_stack(
        [columns.tables.reach.astype(np.float64)[columns.rows], columns.across(wider[nodes])]
    )
    return (columns.spots, columns.rows, nodes, limits, scale, factors, rays and columns.part != "halo")


def geometry_of(voxels: FieldVoxels) -> tuple[object, ...]:
    """What the kernels read of the field."""
    lattice = voxels.lattice
    depth = np.zeros((2, 2, 2), np.float32) if lattice is None else lattice.depth
    place = np.ones(5) if lattice is None else lattice.place
    sad, low = np.asarray(voxels.frame.sad, dtype=np.float64), np.asarray(voxels.low, dtype=np.float64)
    return (
        voxels.voxels, voxels.uneven, voxels.slack, voxels.bins, voxels.start, sad, low, depth, place, BIN_MM
    )  # fmt: skip


def tables_of(columns: Columns) -> tuple[object, ...]:
    """Depth dose, that times LET, scattering, and the step of these tables."""
    return (columns.tables.idd, columns.let, columns.tables.scatter, TABLE_STEP_MM)
