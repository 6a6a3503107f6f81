"""What a made-up patient looks like to the scanner, and from where they are treated."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from simulation.scanner import bodies
from simulation.scanner.anatomy import Anatomy
from simulation.scanner.shapes import Point

SIZES = (0.95, 1.05)
ASIDE_MM = 4.0
"""How much patients differ in size, and in how they lie."""

Body = Callable[[str, random.Random], Anatomy]


@dataclass(frozen=True)
class Region:
    """Part of the body. frame: of the scan (`bodies.FRAMES`). gantry: of the two fields, deg.

    limits: region -> highest dose of the course as a part of the prescription.
    """

    frame: str
    title: str
    body: Body
    gantry: tuple[float, float]
    limits: Mapping[str, float]

    def patient(self, target: str, chance: random.Random) -> Anatomy:
        """One of them, with the prescription's target."""
        x, y = (chance.uniform(-ASIDE_MM, ASIDE_MM) for _axis in range(2))
        return bodies.larger(self.body(target, chance), chance.uniform(*SIZES), (x, y, 0.0))


def _glioma(target: str, chance: random.Random) -> Anatomy:
    side = chance.choice((-1, 1))
    return bodies.head(target, (side * 22.0, -4.0, 36.0), _varied(chance, (19.0, 20.0, 18.0)))


def _nasopharynx(target: str, chance: random.Random) -> Anatomy:
    return bodies.head(target, (0.0, 4.0, -30.0), _varied(chance, (20.0, 14.0, 16.0)))


def _lung(target: str, chance: random.Random) -> Anatomy:
    return bodies.chest(target, (-50.0, 12.0, 8.0), _varied(chance, (19.0, 19.0, 20.0)))


def _gullet(target: str, chance: random.Random) -> Anatomy:
    return bodies.chest(target, (2.0, 42.0, 0.0), _varied(chance, (14.0, 13.0, 32.0)))


def _prostate(target: str, chance: random.Random) -> Anatomy:
    return bodies.pelvis(target, chance.uniform(0.9, 1.1))


def _varied(chance: random.Random, size: Point) -> Point:
    factor = chance.uniform(0.88, 1.08)
    return (size[0] * factor, size[1] * factor, size[2] * factor)


REGIONS: Mapping[str, Region] = {
    "PROSTATE": Region(
        "pelvis", "Pelvis", _prostate, (90.0, 270.0),
        {"bladder": 1.0, "rectum": 1.0, "femur_left": 0.7, "femur_right": 0.7},
    ),
    "GLIOMA": Region(
        "head", "Head", _glioma, (150.0, 210.0), {"brainstem": 0.9, "eye_left": 0.15, "eye_right": 0.15}
    ),
    "NPC": Region(
        "head", "Head and neck", _nasopharynx, (150.0, 210.0),
        {"brainstem": 0.85, "spinal_cord": 0.65, "parotid_left": 0.6, "parotid_right": 0.6},
    ),
    "NSCLC-ADENO": Region("chest", "Chest", _lung, (225.0, 270.0), {"heart": 0.6, "spinal_cord": 0.7}),
    "OESOPHAGUS": Region("chest", "Chest", _gullet, (150.0, 210.0), {"heart": 1.0, "spinal_cord": 0.85}),
}  # fmt: skip
"""Department's diagnosis -> where it is; patients with others get no images."""
