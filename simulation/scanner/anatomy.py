"""A male pelvis, supine, in mm around the centre of the prostate; sizes as in adult anatomy atlases, rounded.

Tissues are painted in order, each over the ones before. HU values are those of a 120 kV scan: fat -100,
muscle 50, urine 8, prostate 40, spongy bone 250-350, cortical bone 900-1100, gas -950.
"""

from dataclasses import dataclass

import numpy as np

from simulation.scanner.shapes import Array, Point, Shape, capsule, column, ellipsoid, grown, union, without

BOTTOM, TOP = -105.0, 105.0
"""Extent of the scan along z, mm."""


@dataclass(frozen=True)
class Tissue:
    """A shape filled with one HU value; `texture`: standard deviation of its natural variation, HU."""

    shape: Shape
    hu: float
    texture: float = 5.0


@dataclass(frozen=True)
class Organ:
    """A region that is drawn. kind: RT ROI Interpreted Type."""

    name: str
    kind: str
    shape: Shape
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class Anatomy:
    """Tissues in the order of painting, and the regions that a physician draws."""

    tissues: tuple[Tissue, ...]
    organs: tuple[Organ, ...]


def _mirror(point: Point, side: int) -> Point:
    return (side * point[0], point[1], point[2])


def _body(margin: float) -> Shape:
    """The outline of the trunk less a margin: wide at the hips, flatter at the back."""

    def semi(z: Array) -> tuple[Array, Array]:
        width = 170 + 6 * np.cos((z + 20) / 60) - margin
        depth = 106 + 5 * np.sin(z / 70) - margin
        return np.asarray(width, np.float32), np.asarray(depth, np.float32)

    def centre(z: Array) -> tuple[Array, Array]:
        return np.zeros_like(z), np.asarray(6 + 0.02 * z, np.float32)

    return column(centre, semi, ((-180, -115, BOTTOM - 10), (180, 125, TOP + 10)), power=2.4)


def _femur(side: int) -> Shape:
    """Head, neck, greater trochanter and shaft."""
    head = ellipsoid(_mirror((88, 4, 22), side), (24, 24, 24))
    neck = capsule(_mirror((92, 5, 18), side), _mirror((128, 14, -18), side), 14, 17)
    trochanter = ellipsoid(_mirror((138, 18, -12), side), (13, 18, 22))
    shaft = capsule(_mirror((130, 14, -22), side), _mirror((118, 10, BOTTOM - 10), side), 18, 15)
    return union(head, neck, trochanter, shaft)


def _hip_bone(side: int) -> Shape:
    """Acetabulum, ilium, ischium and pubis of one side, without the joint space."""
    femur_space = grown(ellipsoid(_mirror((88, 4, 22), side), (24, 24, 24)), 3)
    socket = ellipsoid(_mirror((80, 2, 27), side), (30, 31, 31))
    ilium = capsule(_mirror((84, 6, 50), side), _mirror((112, 34, TOP + 10), side), 13, 9)
    ilium_back = capsule(_mirror((92, 22, 70), side), _mirror((56, 68, TOP), side), 10, 11)
    ischium = capsule(_mirror((66, 34, 12), side), _mirror((56, 40, -52), side), 14, 16)
    upper_ramus = capsule(_mirror((70, -20, 14), side), _mirror((14, -50, -2), side), 11, 10)
    lower_ramus = capsule(_mirror((14, -46, -14), side), _mirror((50, 24, -58), side), 8, 10)
    bone = union(socket, ilium, ilium_back, ischium, upper_ramus, lower_ramus)
    return without(bone, femur_space)


def _rectum() -> Shape:
    """From the anal canal behind the prostate up along the hollow of the sacrum."""

    def centre(z: Array) -> tuple[Array, Array]:
        back = 33 + 20 * np.clip((z - 5) / 70, 0, 1) ** 2 + 8 * np.clip((-z - 20) / 30, 0, 1)
        return np.asarray(4 * np.sin(z / 25), np.float32), np.asarray(back, np.float32)

    def semi(z: Array) -> tuple[Array, Array]:
        # closed at both ends: the section shrinks to nothing beyond them
        end = np.sqrt(np.clip(1 - ((z - 14) / 58) ** 4, 1e-4, 1))
        return np.asarray((15 + 2 * np.cos(z / 14)) * end, np.float32), np.asarray(13.5 * end, np.float32)

    return column(centre, semi, ((-28, 10, -45), (28, 80, 73)))


def _bones(femurs: dict[int, Shape]) -> list[Tissue]:
    """Cortical shells filled with spongy bone: sacrum with its canal, symphysis, hips and femurs."""
    sacrum = union(ellipsoid((0, 84, 84), (48, 17, 46)), capsule((0, 84, 50), (0, 70, 8), 13, 6))
    tissues = [
        Tissue(sacrum, 650, 60),
        Tissue(grown(sacrum, -3.5), 220, 40),
        Tissue(capsule((0, 86, 60), (0, 80, TOP + 10), 7), 25, 5),
        Tissue(ellipsoid((0, -50, -6), (5, 11, 20)), 120, 15),  # cartilage of the symphysis
    ]
    for side, femur in femurs.items():
        hip = _hip_bone(side)
        tissues += [Tissue(hip, 850, 70), Tissue(grown(hip, -3.5), 260, 50)]
        tissues += [Tissue(femur, 950, 70), Tissue(grown(femur, -4), 300, 40)]
    return tissues


def pelvis(fill: float = 1.0) -> Anatomy:
    """The anatomy. fill: relative size of the bladder, 0.8 to 1.2."""
    body, muscle_layer = _body(0), _body(20)
    cavity = ellipsoid((0, 8, 45), (66, 56, 82))
    bladder = ellipsoid((0, -20, 20 + 28 * fill), (40 * fill, 31 * fill, 27 * fill))
    prostate = ellipsoid((0, 0, 0), (25, 17, 20))
    rectum = _rectum()
    gas = union(ellipsoid((3, 31, 26), (8, 7, 14)), ellipsoid((0, 42, 55), (6, 6, 8)))
    vesicles = union(*(ellipsoid((side * 16, 8, 24), (14, 6, 6)) for side in (-1, 1)))
    femurs = {side: _femur(side) for side in (1, -1)}
    tissues = [
        Tissue(body, 20, 8),  # skin, where nothing else is painted
        Tissue(grown(body, -2.5), -100, 8),
        Tissue(muscle_layer, 50, 10),
        Tissue(union(*(capsule((s * 105, 52, -60), (s * 60, 84, 70), 9) for s in (1, -1))), -80, 12),
        Tissue(cavity, -95, 10),
        Tissue(union(*(capsule((s * 58, 6, -20), (s * 66, 22, 90), 12) for s in (1, -1))), 50, 8),
        Tissue(bladder, 35, 4),
        Tissue(grown(bladder, -3), 8, 3),
        Tissue(vesicles, 35, 5),
        Tissue(rectum, 40, 5),
        Tissue(grown(rectum, -3), 15, 25),
        Tissue(gas, -950, 10),
        Tissue(prostate, 40, 5),
    ]
    organs = (
        Organ("External", "EXTERNAL", body, (0, 200, 0)),
        Organ("PTV", "PTV", grown(prostate, 5), (255, 0, 0)),
        Organ("prostate", "CTV", prostate, (255, 128, 0)),
        Organ("bladder", "ORGAN", bladder, (255, 255, 0)),
        Organ("rectum", "ORGAN", rectum, (139, 69, 19)),
        Organ("femur_left", "ORGAN", femurs[1], (0, 128, 255)),
        Organ("femur_right", "ORGAN", femurs[-1], (0, 64, 160)),
    )
    return Anatomy((*tissues, *_bones(femurs)), organs)
