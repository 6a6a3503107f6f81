"""Where a beam is: IEC 61217 gantry and patient support against DICOM patient coordinates.

Fixed system f (IEC 61217): +x to the right seen by who faces the gantry, +y towards the gantry, +z up.
Patient support s: f turned about z by the couch angle, counter-clockwise seen from above.
Gantry g: f turned about y by the gantry angle, clockwise seen by who faces the gantry; the source
stands at +z_g. Spot positions (x, y) lie in the isocentric plane z_g = 0.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.patient.grid import Grid

Floats = NDArray[np.float64]

# rows: x, y, z of the patient support system in terms of DICOM patient x (left), y (posterior), z (head)
_POSITIONS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "HFS": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "HFP": ((-1, 0, 0), (0, 0, 1), (0, 1, 0)),
    "FFS": ((-1, 0, 0), (0, 0, -1), (0, -1, 0)),
    "FFP": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
}


def patient_to_gantry(gantry: float, couch: float, position: str = "HFS") -> Floats:
    """Rotation (3, 3) that takes a patient vector to the gantry system; angles in degrees.

    Raises BadInput for a patient position other than HFS, HFP, FFS, FFP.
    """
    if position not in _POSITIONS:
        raise BadInput(
            _("patient position {position}: allowed are {allowed}").format(
                position=position or "-", allowed=", ".join(_POSITIONS)
            )
        )
    phi, psi = np.deg2rad(gantry), np.deg2rad(couch)
    support_to_fixed = np.array(
        [[np.cos(psi), -np.sin(psi), 0.0], [np.sin(psi), np.cos(psi), 0.0], [0.0, 0.0, 1.0]]
    )
    fixed_to_gantry = np.array(
        [[np.cos(phi), 0.0, -np.sin(phi)], [0.0, 1.0, 0.0], [np.sin(phi), 0.0, np.cos(phi)]]
    )
    return np.asarray(fixed_to_gantry @ support_to_fixed @ np.asarray(_POSITIONS[position], dtype=float))


@dataclass(frozen=True)
class BeamFrame:
    """A beam's own coordinates.

    rotation: patient to gantry. isocentre: patient mm. sad: virtual source distances, x and y, mm.
    """

    rotation: Floats
    isocentre: Floats
    sad: tuple[float, float]

    def to_gantry(self, points: Floats) -> Floats:
        """(n, 3) patient mm to gantry mm, seen from the isocentre; z is positive towards the source."""
        return np.asarray((points - self.isocentre) @ self.rotation.T)

    def to_patient(self, points: Floats) -> Floats:
        """(n, 3) gantry mm to patient mm."""
        return np.asarray(points @ self.rotation + self.isocentre)

    def project(self, points: Floats) -> Floats:
        """(n, 3): u, v where the ray through each patient point crosses the isocentric plane, and its z_g."""
        local = self.to_gantry(points)
        height = local[:, 2]
        u = local[:, 0] * self.sad[0] / (self.sad[0] - height)
        v = local[:, 1] * self.sad[1] / (self.sad[1] - height)
        return np.stack([u, v, height], axis=1)

    def towards_source(self, projected: Floats) -> Floats:
        """(n, 3) unit vectors, patient system, along the rays through isocentric (u, v), against the beam."""
        local = np.stack(
            [-projected[:, 0] / self.sad[0], -projected[:, 1] / self.sad[1], np.ones(len(projected))], axis=1
        )
        local /= np.linalg.norm(local, axis=1, keepdims=True)
        return np.asarray(local @ self.rotation)


def beam_frame(
    gantry: float,
    couch: float,
    isocentre: tuple[float, float, float],
    sad: tuple[float, float],
    position: str = "HFS",
) -> BeamFrame:
    """The coordinates of a beam. Raises BadInput for an unknown patient position."""
    return BeamFrame(patient_to_gantry(gantry, couch, position), np.asarray(isocentre, dtype=float), sad)


@dataclass(frozen=True)
class Place:
    """Where a field is calculated. rsp: (nz, ny, nx) on `grid`. points: (n, 3) patient mm."""

    rsp: NDArray[np.float32] = field(repr=False)
    grid: Grid
    frame: BeamFrame
    points: Floats = field(repr=False)
