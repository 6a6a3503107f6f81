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
from simulation.scanner.anatomy import Anatomy, Organ, Tissue
from simulation.scanner.anatomy import pelvis as pelvis_anatomy
from simulation.scanner.shapes import Array, Point, Shape

PATIENT = PatientIdentity("PTCS-DEMO-01", "Demo^Pelvis", "19550301", "M")
NOISE_HU = 12.0
OVERSAMPLING = 2
CREATED = "20260105093000"


@dataclass(frozen=True)
class Frame:
    """What a scan covers. shape: voxels along z, y, x; spacing and first voxel's centre: x, y, z mm."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]

    @classmethod
    def around(cls, low: Point, high: Point, spacing: tuple[float, float, float]) -> "Frame":
        """Covers a box, mm, by whole voxels."""
        counts = [round((top - bottom) / step) for bottom, top, step in zip(low, high, spacing, strict=True)]
        first = [bottom + step / 2 for bottom, step in zip(low, spacing, strict=True)]
        return cls((counts[2], counts[1], counts[0]), spacing, (first[0], first[1], first[2]))


PELVIS = Frame(shape=(70, 92, 126), spacing=(3.0, 3.0, 3.0), origin=(-187.5, -130.5, -103.5))
"""The prostate lies around (0, 0, 0)."""


@dataclass(frozen=True)
class Session:
    """Whose scan it is, and of when (YYYYMMDDhhmmss). label: of the structures; entropy: makes the UIDs."""

    patient: PatientIdentity
    description: str
    label: str
    created: str
    entropy: tuple[str, ...]

    def uid(self, name: str) -> str:
        """The UID of one of its objects."""
        return new_uid(*self.entropy, name)


@dataclass(frozen=True)
class Grid:
    """Sample points of a volume: x, y, z as float32 arrays that broadcast to (nz, ny, nx)."""

    x: Array
    y: Array
    z: Array

    @classmethod
    def fine(cls, frame: Frame) -> "Grid":
        """The CT grid with each voxel split into OVERSAMPLING points along each axis."""
        axes = []
        for start, step, count in zip(frame.origin, frame.spacing, frame.shape[::-1], strict=True):
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
    session = Session(PATIENT, "Synthetic pelvis", "Pelvis", CREATED, ("synthetic pelvis", str(seed)))
    return scanned(anatomy, PELVIS, session, random)


def scanned(
    anatomy: Anatomy, frame: Frame, session: Session, random: np.random.Generator
) -> tuple[CtVolume, StructureSet]:
    """The scan of a body, and its regions as drawn."""
    uids = {name: session.uid(name) for name in ("study", "ct", "frame", "set", "rois")}
    volume = CtVolume(
        hu=_scan(anatomy.tissues, frame, random),
        origin=frame.origin,
        spacing=frame.spacing,
        patient=session.patient,
        study_instance_uid=uids["study"],
        series_instance_uid=uids["ct"],
        frame_of_reference_uid=uids["frame"],
        sop_instance_uids=tuple(session.uid(f"slice {i}") for i in range(frame.shape[0])),
        description=session.description,
        created=session.created,
    )
    drawn = StructureSet(
        patient=session.patient,
        sop_instance_uid=uids["rois"],
        study_instance_uid=uids["study"],
        series_instance_uid=uids["set"],
        frame_of_reference_uid=uids["frame"],
        referenced_series_uid=uids["ct"],
        label=session.label,
        rois={organ.name: _draw(index, organ, frame) for index, organ in enumerate(anatomy.organs, 1)},
        created=session.created,
    )
    return volume, drawn


def pelvis(seed: int = 1) -> tuple[list[Dataset], Dataset]:
    """The synthetic patient as DICOM: the CT series, and its RT Structure Set."""
    volume, drawn = phantom(seed)
    return ct.to_datasets(volume), structures.to_dataset(drawn, volume)


def _scan(tissues: tuple[Tissue, ...], frame: Frame, random: np.random.Generator) -> NDArray[np.float32]:
    """(nz, ny, nx) HU, whole numbers."""
    grid = Grid.fine(frame)
    fine = np.full([count * OVERSAMPLING for count in frame.shape], -1000.0, np.float32)
    texture = _texture(frame, random)
    for tissue in tissues:
        box = grid.box(tissue.shape)
        inside = grid.inside(tissue.shape, box)
        fine[box][inside] = tissue.hu + tissue.texture * texture[box][inside]
    nz, ny, nx = frame.shape
    blocks = fine.reshape(nz, OVERSAMPLING, ny, OVERSAMPLING, nx, OVERSAMPLING)
    noise = random.normal(0.0, NOISE_HU, frame.shape)
    seen = blocks.mean(axis=(1, 3, 5)) + noise
    return np.asarray(np.clip(np.rint(seen), -1024, 3071), np.float32)


def _texture(frame: Frame, random: np.random.Generator) -> NDArray[np.float32]:
    """Smooth noise of unit variance on the fine grid: lumps of about 9 mm."""
    coarse = random.normal(0.0, 1.0, [count * OVERSAMPLING // 6 + 2 for count in frame.shape])
    smooth = coarse.astype(np.float32)
    for axis, count in enumerate(frame.shape):
        places = np.arange(count * OVERSAMPLING) / 6
        lower = places.astype(int)
        weight = (places - lower).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        smooth = smooth.take(lower, axis) * (1 - weight) + smooth.take(lower + 1, axis) * weight
    return np.asarray(smooth / smooth.std(), np.float32)


def _draw(number: int, organ: Organ, frame: Frame) -> Roi:
    """The outlines of an organ on every slice that it crosses, to a fraction of a voxel."""
    nz, ny, nx = frame.shape
    origin, spacing = frame.origin, frame.spacing
    x = (origin[0] + spacing[0] * np.arange(nx)).astype(np.float32)
    y = (origin[1] + spacing[1] * np.arange(ny)).astype(np.float32)
    contours = []
    for index in range(nz):
        z = origin[2] + spacing[2] * index
        if not organ.shape.low[2] <= z <= organ.shape.high[2]:
            continue
        field = organ.shape.field(x[None, None, :], y[None, :, None], np.full((1, 1, 1), z, np.float32))[0]
        for line in contourpy.contour_generator(x, y, field).lines(0.0):
            outline = np.asarray(line)[:-1]  # closed: the last point repeats the first
            if len(outline) >= 3:
                contours.append(np.column_stack([outline, np.full(len(outline), z)]).astype(np.float64))
    return Roi(number, organ.name, organ.kind, tuple(contours), organ.colour)
