"""The voxels that protons are followed through: a material and a density each."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from common.errors import BadInput
from tps_engine.dose.montecarlo import materials
from tps_engine.dose.montecarlo.materials import REFERENCE_MEV, MaterialTable
from tps_engine.patient.grid import Floats, Grid
from tps_engine.patient.stopping_power import AIR


@dataclass(frozen=True)
class Medium:
    """Arrays (nz, ny, nx) on `grid`. material: u1 number in `table`. density: f4 g/cm3, not negative."""

    grid: Grid
    material: NDArray[np.uint8] = field(repr=False)
    density: NDArray[np.float32] = field(repr=False)
    table: MaterialTable = field(default_factory=materials.load, repr=False)

    def __post_init__(self) -> None:
        if self.material.shape != self.grid.shape or self.density.shape != self.grid.shape:
            raise BadInput(
                f"materials {self.material.shape} and densities {self.density.shape} on a grid "
                f"{self.grid.shape}: allowed is one of each a voxel"
            )
        if not np.isfinite(self.density).all() or float(self.density.min()) < 0.0:
            raise BadInput("densities must be numbers and not negative; check the CT calibration")
        if int(self.material.max()) >= len(self.table.materials):
            raise BadInput(
                f"material number {self.material.max()}: the table has {len(self.table.materials)}"
            )

    @property
    def mass(self) -> Floats:
        """Mass of every voxel in kg, (nz, ny, nx)."""
        return self.density.astype(np.float64) * self.grid.voxel_cm3 * 1e-3


def uniform(grid: Grid, name: str = "water", density: float | None = None) -> Medium:
    """One material everywhere, of its nominal density unless one is given. Raises BadInput for its name."""
    table = materials.load()
    number = table.index_of(name)
    value = table.materials[number].density if density is None else density
    return Medium(
        grid, np.full(grid.shape, number, dtype=np.uint8), np.full(grid.shape, value, dtype=np.float32), table
    )


def from_rsp(rsp: NDArray[np.float32], grid: Grid, table: MaterialTable | None = None) -> Medium:
    """Tissues of stopping powers relative to water.

    The material follows from the stopping power by the table's limits, and the density is what gives that
    material this stopping power at 100 MeV: ranges are those of the pencil beam, whatever the tissue is
    called.
    """
    chosen = table or materials.load()
    number = chosen.tissue_of(rsp)
    ratio = np.asarray([float(m.stopping_ratio(REFERENCE_MEV)) for m in chosen.materials], dtype=np.float32)
    density = np.maximum(rsp, np.float32(0.0)) / ratio[number]
    return Medium(grid, number, density.astype(np.float32), chosen)


def on_grid(rsp: NDArray[np.float32], source: Grid, target: Grid) -> Medium:
    """Tissues on another grid; a stopping power is the mean over the voxel. Outside the source is air."""
    if source == target:
        return from_rsp(rsp, source)
    more = rsp - AIR
    for axis in range(3):
        # the axis comes first, is averaged and goes to the back: after three turns all are where they were
        share = _overlap(_edges(source, 2 - axis), _edges(target, 2 - axis))
        mean = share @ more.reshape(len(more), -1)
        more = np.moveaxis(mean.reshape(share.shape[0], *more.shape[1:]), 0, -1)
    return from_rsp(np.ascontiguousarray(more + AIR, dtype=np.float32), target)


def _edges(grid: Grid, axis: int) -> Floats:
    count = grid.shape[2 - axis]
    return np.asarray(grid.origin[axis] + grid.spacing[axis] * (np.arange(count + 1) - 0.5))


def _overlap(source: Floats, target: Floats) -> csr_array:
    """(targets, sources) part of each target interval that a source interval covers, both given by edges."""
    low = np.maximum(target[:-1, None], source[:-1])
    high = np.minimum(target[1:, None], source[1:])
    part = np.maximum(high - low, 0.0) / (target[1:, None] - target[:-1, None])
    return csr_array(part.astype(np.float32))
