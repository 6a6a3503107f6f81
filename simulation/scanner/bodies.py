"""Further parts of the body, simpler than the pelvis: head with neck, and chest; mm, supine, HU of 120 kV.

Each is described for an adult of average size; another patient is the same body some percent larger or
smaller, with the target elsewhere.
"""

from dataclasses import replace

import numpy as np

from simulation.scanner.anatomy import Anatomy, Organ, Tissue
from simulation.scanner.anatomy import pelvis as pelvis_of
from simulation.scanner.scan import Frame
from simulation.scanner.shapes import (
    Array,
    Point,
    Shape,
    capsule,
    column,
    ellipsoid,
    grown,
    moved,
    scaled,
    union,
)

RED, YELLOW, GREEN, BLUE, BROWN, CYAN = (
    (255, 0, 0), (255, 255, 0), (0, 200, 0), (0, 128, 255), (139, 69, 19), (0, 200, 200),
)  # fmt: skip
BOTH = (1, -1)
"""Left and right along x."""


def _even(width: float, depth: float, back: float, low: Point, high: Point, power: float = 2.0) -> Shape:
    """An upright column of one cross-section."""

    def centre(z: Array) -> tuple[Array, Array]:
        return np.zeros_like(z), np.full_like(z, back)

    def semi(z: Array) -> tuple[Array, Array]:
        return np.full_like(z, width), np.full_like(z, depth)

    return column(centre, semi, (low, high), power)


def head(target: str, at: Point, size: Point) -> Anatomy:
    """Head and upper neck around the middle of the skull; the target is an ellipsoid (semi-axes `size`)."""
    skull = ellipsoid((0, 0, 15), (76, 94, 88))
    neck = _even(58, 60, 22, (-60, -40, -140), (60, 84, -20))
    body = union(grown(skull, 5), neck)
    brain = grown(skull, -6)
    cord = capsule((0, 42, -140), (0, 34, -52), 5)
    stem = capsule((0, 30, -50), (0, 18, -16), 11, 13)
    spine = capsule((0, 40, -140), (0, 36, -58), 17)
    jaw = union(*(capsule((side * 46, 2, -42), (side * 14, -58, -72), 9) for side in BOTH))
    nose = union(capsule((0, -66, -28), (0, -22, -34), 9), capsule((0, -16, -36), (0, -4, -130), 9))
    sinuses = union(*(ellipsoid((side * 26, -56, -28), (11, 13, 14)) for side in BOTH))
    eyes = {side: ellipsoid((side * 31, -74, 0), (12, 12, 12)) for side in BOTH}
    glands = {side: ellipsoid((side * 52, 8, -48), (11, 16, 20)) for side in BOTH}
    wanted = ellipsoid(at, size)
    tissues = (
        Tissue(body, 20, 8),
        Tissue(grown(body, -3), 45, 10),
        Tissue(skull, 850, 60),
        Tissue(brain, 36, 5),
        Tissue(union(*glands.values()), 10, 8),
        Tissue(spine, 350, 40),
        Tissue(grown(cord, 4), 10, 4),
        Tissue(jaw, 800, 60),
        Tissue(wanted, 44, 4),
        Tissue(union(nose, sinuses), -950, 10),
        *(Tissue(eye, 12, 3) for eye in eyes.values()),
    )
    organs = (
        Organ("External", "EXTERNAL", body, GREEN),
        Organ(target, "PTV", wanted, RED),
        Organ("brainstem", "ORGAN", stem, YELLOW),
        Organ("spinal_cord", "ORGAN", cord, BROWN),
        Organ("eye_left", "ORGAN", eyes[1], BLUE),
        Organ("eye_right", "ORGAN", eyes[-1], CYAN),
        Organ("parotid_left", "ORGAN", glands[1], (0, 64, 160)),
        Organ("parotid_right", "ORGAN", glands[-1], (120, 80, 200)),
    )
    return Anatomy(tissues, organs)


def chest(target: str, at: Point, size: Point) -> Anatomy:
    """Chest around the heart's height; the target is an ellipsoid (semi-axes `size`)."""
    body = _even(165, 112, 0, (-170, -118, -120), (170, 118, 120), 2.6)
    lungs = {side: ellipsoid((side * 78, 4, 10), (56, 78, 115)) for side in BOTH}
    wall = union(*(grown(lung, 9) for lung in lungs.values()))
    heart = ellipsoid((24, -34, -26), (48, 42, 46))
    gullet = capsule((4, 44, -120), (0, 40, 120), 8)
    cord = capsule((0, 84, -120), (0, 84, 120), 5.5)
    wanted = ellipsoid(at, size)
    tissues = (
        Tissue(body, 20, 8),
        Tissue(grown(body, -3), -95, 10),
        Tissue(grown(body, -18), 50, 10),
        Tissue(wall, 320, 60),
        Tissue(grown(wall, -5), 45, 8),
        *(Tissue(lung, -760, 30) for lung in lungs.values()),
        Tissue(union(capsule((0, -6, -120), (0, -6, 120), 26)), 40, 8),
        Tissue(heart, 42, 5),
        Tissue(capsule((0, -2, 10), (0, -2, 120), 8), -950, 10),
        Tissue(gullet, 30, 8),
        Tissue(capsule((0, 62, -120), (0, 62, 120), 20), 280, 45),
        Tissue(capsule((0, 84, -120), (0, 84, 120), 14), 420, 50),
        Tissue(grown(cord, 3), 15, 4),
        Tissue(capsule((0, -100, -60), (0, -96, 90), 8), 300, 40),
        Tissue(wanted, 38, 5),
    )
    organs = (
        Organ("External", "EXTERNAL", body, GREEN),
        Organ(target, "PTV", wanted, RED),
        Organ("lung_left", "ORGAN", lungs[1], BLUE),
        Organ("lung_right", "ORGAN", lungs[-1], CYAN),
        Organ("heart", "ORGAN", heart, (200, 80, 160)),
        Organ("oesophagus", "ORGAN", gullet, BROWN),
        Organ("spinal_cord", "ORGAN", cord, YELLOW),
    )
    return Anatomy(tissues, organs)


def pelvis(target: str, fill: float) -> Anatomy:
    """The pelvis of anatomy.py; `target` names its planning target. fill: of the bladder, 0.8 to 1.2."""
    anatomy = pelvis_of(fill)
    named = (replace(organ, name=target) if organ.kind == "PTV" else organ for organ in anatomy.organs)
    return replace(anatomy, organs=tuple(named))


def larger(anatomy: Anatomy, factor: float, by: Point = (0.0, 0.0, 0.0)) -> Anatomy:
    """The same body of another size, lying elsewhere on the couch."""

    def fit(shape: Shape) -> Shape:
        return moved(scaled(shape, factor), by)

    return Anatomy(
        tuple(replace(tissue, shape=fit(tissue.shape)) for tissue in anatomy.tissues),
        tuple(replace(organ, shape=fit(organ.shape)) for organ in anatomy.organs),
    )


FRAMES = {
    "head": Frame.around((-96.0, -112.0, -132.0), (96.0, 116.0, 108.0), (3.0, 3.0, 6.0)),
    "chest": Frame.around((-188.0, -132.0, -84.0), (188.0, 132.0, 84.0), (4.0, 4.0, 6.0)),
    "pelvis": Frame.around((-192.0, -132.0, -84.0), (192.0, 132.0, 84.0), (4.0, 4.0, 6.0)),
}
"""A quick scan of each: all of a patient up to 5 % larger and 5 mm aside fits in."""
