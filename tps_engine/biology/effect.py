"""Linear-quadratic effect of mixed fields, RBE-weighted dose, and their derivatives.

effect = alpha d + beta d^2, with alpha d and sqrt(beta) d summed over spots (Zaider and Rossi, Radiat Res 83
(1980) 732; in planning: Kraemer and Scholz, Phys Med Biol 45 (2000) 3319). The RBE-weighted dose is the
photon dose of the same effect: (sqrt(alpha_x^2 + 4 beta_x effect) - alpha_x) / (2 beta_x).
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _

Array = NDArray[np.float64]


def effect(alpha_dose: Array, root_beta_dose: Array) -> Array:
    """Effect (n,) of the sums over spots of alpha x dose and sqrt(beta) x dose, pure numbers."""
    return np.asarray(alpha_dose + root_beta_dose**2)


@dataclass(frozen=True)
class Photons:
    """Radiosensitivity of voxels (n,), or of all, for photons: alpha 1/Gy, beta 1/Gy2, both above 0."""

    alpha: Array | float = field(repr=False)
    beta: Array | float = field(repr=False)

    def __post_init__(self) -> None:
        values = (np.asarray(self.alpha), np.asarray(self.beta))
        if not all(np.isfinite(value).all() and (value > 0.0).all() for value in values):
            raise BadInput(_("alpha and beta of photons must be numbers above 0"))

    def dose_of(self, effect_value: Array) -> Array:
        """Photon dose in Gy of an effect (n,) that is not negative: the RBE-weighted dose, Gy (RBE)."""
        # the same as the textbook root, without its cancellation at small effects
        root = np.sqrt(np.square(self.alpha) + 4.0 * np.asarray(self.beta) * effect_value)
        return np.asarray(2.0 * effect_value / (root + self.alpha))

    def effect_of(self, dose: Array) -> Array:
        """Effect (n,) of a photon dose in Gy: the inverse of `dose_of`."""
        return np.asarray((self.alpha + np.asarray(self.beta) * dose) * dose)

    def slope(self, effect_value: Array) -> Array:
        """Derivative (n,) of `dose_of` by the effect, Gy."""
        return np.asarray(1.0 / np.sqrt(np.square(self.alpha) + 4.0 * np.asarray(self.beta) * effect_value))


def weighted_dose(dose: Array, alpha: Array, beta: Array, photons: Photons) -> NDArray[np.float32]:
    """RBE-weighted dose in Gy (RBE), float32, of a dose in Gy with the field's alpha 1/Gy and beta 1/Gy2.

    Raises BadInput for values that are negative or no numbers.
    """
    values = [np.asarray(value, dtype=np.float64) for value in (dose, alpha, beta)]
    if not all(np.isfinite(value).all() and (value >= 0.0).all() for value in values):
        raise BadInput(_("dose, alpha and beta must be numbers, and not negative"))
    physical, linear, square = values
    found = effect(linear * physical, np.sqrt(square) * physical)
    return photons.dose_of(found).astype(np.float32)


def rbe(dose: Array, alpha: Array, beta: Array, photons: Photons) -> Array:
    """RBE (n,) of a dose; at dose 0 its limit alpha / alpha_x. Errors as `weighted_dose`."""
    weighted = weighted_dose(dose, alpha, beta, photons).astype(np.float64)
    limit = np.broadcast_to(np.asarray(alpha / np.asarray(photons.alpha)), weighted.shape).astype(np.float64)
    return np.divide(weighted, dose, out=limit.copy(), where=np.asarray(dose) > 1e-6)
