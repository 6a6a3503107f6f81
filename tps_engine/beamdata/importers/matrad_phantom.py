"""matRad phantoms (.mat): CT numbers and structures, on our grid."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.importers.common import lines_of, numbers
from tps_engine.beamdata.importers.matrad import read_mat
from tps_engine.beamdata.ion_machine import Tissue
from tps_engine.patient.grid import Floats, Grid
from tps_engine.patient.model import Patient
from tps_engine.patient.stopping_power import AIR

BODY = "BODY"


@dataclass(frozen=True)
class Phantom:
    """hu: (nz, ny, nx) f4 CT numbers on `grid`, head first supine. Masks, kinds and tissues by region name.

    kinds: TARGET or OAR.
    """

    grid: Grid
    hu: NDArray[np.float32] = field(repr=False)
    regions: Mapping[str, NDArray[np.bool_]] = field(repr=False)
    kinds: Mapping[str, str]
    tissues: Mapping[str, Tissue]

    def patient(self, table: Floats, outside: float = float(AIR)) -> Patient:
        """A patient with stopping powers from a table (n, 2) of CT number and relative stopping power.

        outside: the stopping power outside the body. Raises BadInput without a region BODY.
        """
        if BODY not in self.regions:
            raise BadInput(
                _("the phantom has no region {name}: it has {known}").format(
                    name=BODY, known=", ".join(self.regions) or "-"
                )
            )
        rsp = np.interp(self.hu, table[:, 0], table[:, 1]).astype(np.float32)
        rsp[~self.regions[BODY]] = outside
        return Patient(self.grid, rsp, self.regions[BODY], self.regions, "HFS", ())


def read(path: Path) -> Phantom:
    """Read a phantom. Its grid is centred on 0 where the file gives no coordinates. Raises BadInput."""
    ct = read_mat(path, "ct")
    cst = np.atleast_2d(read_mat(path, "cst"))
    try:
        hu = np.ascontiguousarray(np.transpose(np.asarray(ct.cubeHU, dtype=np.float32), (2, 0, 1)))
        grid = _grid(ct, hu.shape)
        regions = {str(row[1]): _mask(path, row, hu.shape) for row in cst}
        kinds = {str(row[1]): str(row[2]) for row in cst}
        tissues = {str(row[1]): Tissue(float(row[4].alphaX), float(row[4].betaX)) for row in cst}
    except (AttributeError, IndexError, TypeError, ValueError) as why:
        raise BadInput(
            _("{path}: not laid out as a matRad phantom: {why}").format(path=path.name, why=why)
        ) from why
    if not np.isfinite(hu).all():
        raise BadInput(_("{path}: a CT number is no number").format(path=path.name))
    return Phantom(grid, hu, regions, kinds, tissues)


def read_hlut(path: Path) -> Floats:
    """A matRad look-up table: (n, 2) CT number, rising, and relative stopping power. Raises BadInput."""
    rows = [
        numbers(path, number, line.split(), 2)
        for number, line in enumerate(lines_of(path), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    table = np.asarray(rows, dtype=np.float64).reshape(-1, 2)
    if len(table) < 2 or (np.diff(table[:, 0]) <= 0.0).any():
        raise BadInput(_("{path}: CT numbers must rise over two rows or more").format(path=path.name))
    return table


def _grid(ct: Any, shape: tuple[int, ...]) -> Grid:
    spacing = (float(ct.resolution.x), float(ct.resolution.y), float(ct.resolution.z))
    counts = (shape[2], shape[1], shape[0])
    if all(hasattr(ct, axis) for axis in "xyz"):
        origin = [float(np.atleast_1d(getattr(ct, axis))[0]) for axis in "xyz"]
    else:
        origin = [-0.5 * (count - 1) * step for count, step in zip(counts, spacing, strict=True)]
    return Grid((origin[0], origin[1], origin[2]), spacing, (shape[0], shape[1], shape[2]))


def _mask(path: Path, row: NDArray[np.object_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The voxels of a structure: MATLAB counts from 1, down the columns of (ny, nx, nz)."""
    nz, ny, nx = shape
    flat = row[3].flat[0] if row[3].dtype == object else row[3]
    index = np.atleast_1d(np.asarray(flat)).astype(np.int64) - 1
    if index.size and not 0 <= index.min() <= index.max() < nz * ny * nx:
        raise BadInput(_("{path}: region {name} leaves the image").format(path=path.name, name=row[1]))
    y, x, z = np.unravel_index(index, (ny, nx, nz), order="F")
    mask = np.zeros(shape, dtype=bool)
    mask[z, y, x] = True
    return mask
