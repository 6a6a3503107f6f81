"""The scanner: anatomy to CT voxels with partial volumes, texture and noise, and to drawn contours."""

from dataclasses import dataclass

import contourpy
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from common.dicom import ct, structures
from common.dicom.ct import CtVolume
from common.dicom.modules import new_uid
from common.dicom.plan import PatientIdentity
from common.dicom.structures import Roi, StructureSet
from simulation.scanner.anatomy import Organ, Tissue
from simulation.scanner.anatomy import pelvis as pelvis_anatomy
from simulation.scanner.shapes import Array, Shape

PATIENT = PatientIdentity("PTCS-DEMO-01", "Demo^Pelvis", "19550301", "M")
SHAPE = (70, 92, 126)
"""Voxels along z, y, x."""
SPACING = (3.0, 3.0, 3.0)
ORIGIN = (-187.5, -130.5, -103.5)
"""Centre of the first voxel (x, y, z), mm; the prostate lies around (0, 0, 0)."""
NOISE_HU = 12.0
OVERSAMPLING = 2
CREATED = "20260105093000"


@dataclass(frozen=True)
class Grid:
    """Sample points of a volume: x, y, z as float32 arrays that broadcast to (nz, ny, nx)."""

    x: Array
    y: Array
    z: Array

    @classmethod
    def fine(cls) -> "Grid":
        """The CT grid with each voxel split into OVERSAMPLING points along each axis."""
        axes = []
        for start, step, count in zip(ORIGIN, SPACING, SHAPE[::-1], strict=True):
            first = start - step / 2 + step / OVERSAMPLING / 2
            axes.append((first + step / OVERSAMPLING * np.arange(count * OVERSAMPLING)).astype(np.float32))
        return cls(axes[0][None, None, :], axes[1][None, :, None], axes[2][:, None, None])

    def box(self, shape: Shape) -> tuple[slice, slice, slice]:
        """The part of the grid (z, y, x) that a shape's box touches."""
        parts = []
        for axis, low, high in zip((self.x, self.y, self.z), shape.low, shape.high, strict=True):
            line = axis.ravel()
            parts.append(slice(int(np.searchsorted(line, low)), int(np.searchsorted(line, high, "right"))))
        return parts[2], parts[1], parts[0]

    def inside(self, shape: Shape, box: tuple[slice, slice, slice]) -> NDArray[np.bool_]:
        """Which points of a box lie in a shape."""
        in_z, in_y, in_x = box
        return np.asarray(shape.field(self.x[:, :, in_x], self.y[:, in_y, :], self.z[in_z, :, :]) < 0)


def phantom(seed: int = 1) -> tuple[CtVolume, StructureSet]:
    """The synthetic patient as data; the same seed gives the same patient, UIDs included."""
    random = np.random.default_rng(seed)
    anatomy = pelvis_anatomy(fill=float(random.uniform(0.9, 1.1)))
    hu = _scan(anatomy.tissues, random)
    uids = {
        name: new_uid("synthetic pelvis", str(seed), name) for name in ("study", "ct", "frame", "set", "rois")
    }
    volume = CtVolume(
        hu=hu,
        origin=ORIGIN,
        spacing=SPACING,
        patient=PATIENT,
        study_instance_uid=uids["study"],
        series_instance_uid=uids["ct"],
        frame_of_reference_uid=uids["frame"],
        sop_instance_uids=tuple(
            new_uid("synthetic pelvis", str(seed), f"slice {i}") for i in range(SHAPE[0])
        ),
        description="Synthetic pelvis",
        created=CREATED,
    )
    rois = {organ.name: _draw(index, organ) for index, organ in enumerate(anatomy.organs, 1)}
    drawn = StructureSet(
        patient=PATIENT,
        sop_instance_uid=uids["rois"],
        study_instance_uid=uids["study"],
        series_instance_uid=uids["set"],
        frame_of_reference_uid=uids["frame"],
        referenced_series_uid=uids["ct"],
        label="Pelvis",
        rois=rois,
        created=CREATED,
    )
    return volume, drawn


def pelvis(seed: int = 1) -> tuple[list[Dataset], Dataset]:
    """The synthetic patient as DICOM: the CT series, and its RT Structure Set."""
    volume, drawn = phantom(seed)
    return ct.to_datasets(volume), structures.to_dataset(drawn, volume)


def _scan(tissues: tuple[Tissue, ...], random: np.random.Generator) -> NDArray[np.float32]:
    """(nz, ny, nx) HU, whole numbers."""
    grid = Grid.fine()
    fine = np.full([count * OVERSAMPLING for count in SHAPE], -1000.0, np.float32)
    texture = _texture(random)
    for tissue in tissues:
        box = grid.box(tissue.shape)
        inside = grid.inside(tissue.shape, box)
        fine[box][inside] = tissue.hu + tissue.texture * texture[box][inside]
    nz, ny, nx = SHAPE
    blocks = fine.reshape(nz, OVERSAMPLING, ny, OVERSAMPLING, nx, OVERSAMPLING)
    noise = random.normal(0.0, NOISE_HU, SHAPE)
    seen = blocks.mean(axis=(1, 3, 5)) + noise
    return np.asarray(np.clip(np.rint(seen), -1024, 3071), np.float32)


def _texture(random: np.random.Generator) -> NDArray[np.float32]:
    """Smooth noise of unit variance on the fine grid: lumps of about 9 mm."""
    coarse = random.normal(0.0, 1.0, [count * OVERSAMPLING // 6 + 2 for count in SHAPE])
    smooth = coarse.astype(np.float32)
    for axis, count in enumerate(SHAPE):
        places = np.arange(count * OVERSAMPLING) / 6
        lower = places.astype(int)
        weight = (places - lower).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        smooth = smooth.take(lower, axis) * (1 - weight) + smooth.take(lower + 1, axis) * weight
    return np.asarray(smooth / smooth.std(), np.float32)


def _draw(number: int, organ: Organ) -> Roi:
    """The outlines of an organ on every slice that it crosses, to a fraction of a voxel."""
    nz, ny, nx = SHAPE
    x = (ORIGIN[0] + SPACING[0] * np.arange(nx)).astype(np.float32)
    y = (ORIGIN[1] + SPACING[1] * np.arange(ny)).astype(np.float32)
    contours = []
    for index in range(nz):
        z = ORIGIN[2] + SPACING[2] * index
        if not organ.shape.low[2] <= z <= organ.shape.high[2]:
            continue
        field = organ.shape.field(x[None, None, :], y[None, :, None], np.full((1, 1, 1), z, np.float32))[0]
        for line in contourpy.contour_generator(x, y, field).lines(0.0):
            outline = np.asarray(line)[:-1]  # closed: the last point repeats the first
            if len(outline) >= 3:
                contours.append(np.column_stack([outline, np.full(len(outline), z)]).astype(np.float64))
    return Roi(number, organ.name, organ.kind, tuple(contours), organ.colour)
