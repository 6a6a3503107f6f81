"""Phantoms of boxes, described in a small file, as a patient that the dose engine can use.

Format: `config/schema/phantom.schema.json`. Coordinates are the patient's (DICOM), mm.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.site import load_checked
from common.text import _
from tps_engine.patient.grid import Floats, Grid
from tps_engine.patient.model import Patient
from tps_engine.patient.stopping_power import AIR

MATERIALS: Mapping[str, tuple[float, float]] = {
    "air": (0.0012, float(AIR)),
    "water": (1.0, 1.0),
    "solid-water": (1.02, 1.0),
    "pmma": (1.19, 1.159),
    "polycarbonate": (1.20, 1.143),
    "polystyrene": (1.05, 1.026),
    "adipose": (0.95, 0.970),
    "muscle": (1.05, 1.040),
    "lung": (0.26, 0.258),
    "cortical-bone": (1.92, 1.695),
    "aluminium": (2.70, 2.110),
}
"""Density in g/cm3 and proton stopping power relative to water at 150 MeV (Bethe, ICRU 44/49)."""

_MOST_VOXELS = 60_000_000
_BORDER = 2


@dataclass(frozen=True)
class Phantom:
    """A phantom on its grid. material: (nz, ny, nx) index into `names`. density: (nz, ny, nx) f4 g/cm3."""

    name: str
    patient: Patient
    names: tuple[str, ...]
    material: NDArray[np.uint8] = field(repr=False)
    density: NDArray[np.float32] = field(repr=False)


def load(path: Path) -> Phantom:
    """Read and build a phantom. Raises BadConfig for a bad file, BadInput for too many voxels."""
    content = load_checked(path, "phantom")
    grid = _grid(content)
    if grid.size > _MOST_VOXELS:
        raise BadInput(
            _(
                "phantom {name}: {count} million voxels: allowed are {most} million; take wider spacing"
            ).format(name=content["name"], count=grid.size // 10**6, most=_MOST_VOXELS // 10**6)
        )
    names = tuple(MATERIALS)
    rsp = np.full(grid.shape, AIR, dtype=np.float32)
    density = np.full(grid.shape, MATERIALS["air"][0], dtype=np.float32)
    material = np.full(grid.shape, names.index("air"), dtype=np.uint8)
    filled = np.zeros(grid.shape, dtype=np.float32)
    for box in content["boxes"]:
        share = _share(box, grid)
        mass, power = _of_box(box)
        rsp += share * (np.float32(power) - rsp)
        density += share * (np.float32(mass) - density)
        filled = np.maximum(filled, share)
        material[share >= 0.5] = names.index(box["material"])
    body = filled >= 0.5
    position = content.get("patient_position", "HFS")
    patient = Patient(grid, rsp, body, {"External": body}, position, ())
    return Phantom(content["name"], patient, names, material, density)


def _of_box(box: Mapping[str, Any]) -> tuple[float, float]:
    """Density and relative stopping power: the material's, or the file's; the latter goes with density."""
    density, power = MATERIALS[box["material"]]
    mass = float(box.get("density_g_cm3", density))
    return mass, float(box.get("relative_stopping_power", power * mass / density))


def _bounds(box: Mapping[str, Any]) -> tuple[Floats, Floats]:
    centre, half = np.asarray(box["centre_mm"], float), 0.5 * np.asarray(box["size_mm"], float)
    return centre - half, centre + half


def _grid(content: Mapping[str, Any]) -> Grid:
    """Voxels whose faces start at the lowest corner of all boxes, and a border of air around them."""
    spacing = np.asarray(content["spacing_mm"], dtype=float)
    bounds = [_bounds(box) for box in content["boxes"]]
    low, high = np.min([b[0] for b in bounds], axis=0), np.max([b[1] for b in bounds], axis=0)
    count = np.ceil((high - low) / spacing - 1e-6).astype(int) + 2 * _BORDER
    origin = low + (0.5 - _BORDER) * spacing
    return Grid(
        (float(origin[0]), float(origin[1]), float(origin[2])),
        (float(spacing[0]), float(spacing[1]), float(spacing[2])),
        (int(count[2]), int(count[1]), int(count[0])),
    )


def _share(box: Mapping[str, Any], grid: Grid) -> NDArray[np.float32]:
    """Part (0..1) of each voxel that a box fills, exact."""
    low, high = _bounds(box)
    parts = []
    for axis in range(3):
        centre, edge = grid.axis(axis), grid.spacing[axis]
        upper = np.minimum(centre + 0.5 * edge, high[axis])
        parts.append(np.clip((upper - np.maximum(centre - 0.5 * edge, low[axis])) / edge, 0.0, 1.0))
    return np.asarray(parts[2][:, None, None] * parts[1][:, None] * parts[0], dtype=np.float32)
