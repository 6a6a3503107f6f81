"""Optics and tables of a set of Gaussians, as the compiled kernel takes them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tps_engine.beamdata.model import BeamModel, KernelTables, kernel_tables
from tps_engine.dose.components import Component, Part
from tps_engine.dose.let import let_tables
from tps_engine.dose.rays import CUT
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
        return np.asarray(CUT * np.sqrt(self.in_air + wider * self.scattered) * self.magnified)


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
