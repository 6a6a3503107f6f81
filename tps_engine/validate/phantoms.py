"""Phantoms of boxes in water or air, the same for both engines, and the beams that are sent into them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from common.dicom.plan import IonBeam, IonLayer
from tps_engine.beamdata.model import BeamModel
from tps_engine.dose.montecarlo import materials
from tps_engine.dose.montecarlo.materials import REFERENCE_MEV, MaterialTable
from tps_engine.dose.montecarlo.media import Medium
from tps_engine.patient.grid import Floats, Grid
from tps_engine.patient.model import Patient

FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))
"""Full width at half maximum of a Gaussian of unit standard deviation."""


@cache
def table() -> MaterialTable:
    """The materials of the Monte Carlo engine."""
    return materials.load()


def stopping_ratio(name: str) -> float:
    """Stopping power relative to water at the reference energy of a material at its nominal density."""
    one = table().materials[table().index_of(name)]
    return float(one.density * one.stopping_ratio(REFERENCE_MEV))


@dataclass(frozen=True)
class Box:
    """A material between two corners (x, y, z), mm; along an axis without limits use infinity."""

    material: str
    low: tuple[float, float, float]
    high: tuple[float, float, float]


def layer(material: str, begin: float, end: float) -> Box:
    """A slab across the beam between two depths y, mm."""
    big = np.inf
    return Box(material, (-big, begin, -big), (big, end, big))


@dataclass(frozen=True)
class Phantom:
    """A medium for Monte Carlo and the same stopping powers for the pencil beam."""

    medium: Medium = field(repr=False)
    patient: Patient = field(repr=False)

    @property
    def grid(self) -> Grid:
        """The grid of both."""
        return self.medium.grid


def build(grid: Grid, boxes: Sequence[Box] = (), background: str = "water") -> Phantom:
    """Boxes in a background; a voxel belongs to the last box that holds its centre. Air is no body."""
    number = np.full(grid.shape, table().index_of(background), dtype=np.uint8)
    z, y, x = np.meshgrid(grid.axis(2), grid.axis(1), grid.axis(0), indexing="ij")
    for box in boxes:
        inside = np.ones(grid.shape, dtype=bool)
        for axis, values in enumerate((x, y, z)):
            inside &= (values > box.low[axis]) & (values < box.high[axis])
        number[inside] = table().index_of(box.material)
    density = np.array([one.density for one in table().materials], dtype=np.float32)[number]
    powers = [one.density * float(one.stopping_ratio(REFERENCE_MEV)) for one in table().materials]
    rsp = np.array(powers, dtype=np.float32)[number]
    body = np.ones(grid.shape, dtype=bool)
    return Phantom(
        Medium(grid, number, density, table()), Patient(grid, rsp, body, {"External": body}, "HFS", ())
    )


def cube(step: float, width: float, depth: float) -> Grid:
    """Voxels of `step` mm, `width` mm across the beam and `depth` mm along it, centred on it, y from 0."""
    across, along = 2 * round(0.5 * width / step) + 1, round(depth / step)
    low = -0.5 * (across - 1) * step
    return Grid((low, 0.5 * step, low), (step, step, step), (across, along, across))


def beam(
    model: BeamModel,
    energy: float,
    places: Floats | None = None,
    gantry: float = 0.0,
    isocentre: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> IonBeam:
    """A beam of one layer of 1 MU spots at places (n, 2) mm, one on the axis when None."""
    at = np.zeros((1, 2)) if places is None else places
    sizes = [FWHM * float(model.at(np.array([energy]), model.sigma[:, axis])[0]) for axis in (0, 1)]
    x, y = at[:, 0].astype(np.float32), at[:, 1].astype(np.float32)
    one = IonLayer(energy, x, y, np.ones(len(at), dtype=np.float32), sizes[0], sizes[1])
    return IonBeam(1, "validation", gantry, 0.0, isocentre, (one,), virtual_sad=model.virtual_sad)


def square(half: int, spacing: float) -> Floats:
    """Places (n, 2) of a square of spots, (2 half + 1) a side, mm."""
    line = spacing * np.arange(-half, half + 1)
    return np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)


def machine_energy(model: BeamModel, wanted: float) -> float:
    """The machine's energy nearest to one in MeV."""
    return float(model.energies[int(np.argmin(np.abs(model.energies - wanted)))])
