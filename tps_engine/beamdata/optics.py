"""The beam in air: emittance at a plane, carried to the isocentre, and what stands before the patient.

At height z above the isocentre a spot has the variance A - 2 B z + C z^2: A and B are the variance and the
covariance of place and angle at the isocentre, C the variance of the angle (Fermi-Eyges without matter).
"""

from dataclasses import dataclass

import numpy as np

from tps_engine.beamdata.scattering import PLASTIC_SCATTERING
from tps_engine.beamdata.water import Floats


@dataclass(frozen=True)
class RangeShifter:
    """A slab before the patient.

    water_equivalent, thickness: mm. scattering: relative to that depth of water.
    """

    id: str
    water_equivalent: float
    thickness: float
    scattering: float = PLASTIC_SCATTERING


@dataclass(frozen=True)
class RippleFilter:
    """A plate of ridges that widens the peak. water_equivalent: mean, mm. sigma: of the range it adds, mm."""

    id: str
    water_equivalent: float
    sigma: float


@dataclass(frozen=True)
class SecondGaussian:
    """The part of a spot in air that a second Gaussian describes, at the isocentre.

    weight: (e,) of all protons. sigma: (e, 2) mm. divergence: (e, 2) rad. covariance: (e, 2) mm rad.
    """

    weight: Floats
    sigma: Floats
    divergence: Floats
    covariance: Floats


def at_isocentre(
    sigma: Floats, divergence: Floats, correlation: Floats, plane: float
) -> tuple[Floats, Floats]:
    """Spot sigma in mm, and covariance of place and angle in mm rad, at the isocentre.

    sigma mm, divergence rad and correlation (any one shape) hold `plane` mm upstream of it; positive
    correlation diverges downstream.
    """
    cross = correlation * sigma * divergence
    spread = (divergence * plane) ** 2
    return np.sqrt(sigma**2 + 2.0 * cross * plane + spread), np.asarray(cross + divergence**2 * plane)
