"""RBE of protons from dose, LET and tissue.

With RBE_max and RBE_min, the limits at dose 0 and at high dose, and dose d a fraction (Carabe-Fernandez et
al., Int J Radiat Biol 83 (2007) 27; McNamara et al. 2015, equation 6):

    RBE = ( sqrt( ab^2 + 4 d ab RBE_max + 4 d^2 RBE_min^2 ) - ab ) / (2 d)

RBE_max is alpha / alpha_photon, and RBE_min is sqrt(beta / beta_photon).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.biology.parameters import Line, ParameterSet, RbeModel

Array = NDArray[np.float64]

_TINY_GY = 1e-6
"""Below this dose the limit for dose 0 is used."""


def rbe(
    model: RbeModel,
    dose: NDArray[np.floating],
    let: NDArray[np.floating],
    alpha_beta: NDArray[np.floating] | float,
) -> Array:
    """RBE of a physical dose in Gy of one fraction; let: dose-averaged keV/um; alpha_beta: Gy; one shape.

    Raises BadInput for values that are no numbers, negative doses or LET, alpha/beta that is not positive.
    """
    d, letd, ab = (np.asarray(value, dtype=np.float64) for value in (dose, let, alpha_beta))
    _check(d, letd, ab)
    if model.constant is not None:
        return np.full(np.broadcast_shapes(d.shape, letd.shape, ab.shape), model.constant)
    highest, lowest = limits(model, letd, ab)
    some = np.maximum(d, _TINY_GY)
    root = np.sqrt(ab**2 + 4.0 * some * ab * highest + 4.0 * some**2 * lowest**2)
    return np.asarray(np.where(d < _TINY_GY, highest, (root - ab) / (2.0 * some)))


def limits(model: RbeModel, let: Array, alpha_beta: Array) -> tuple[Array, Array]:
    """RBE at dose 0 and at high dose, not below zero."""
    return _line(model.rbe_max, let, alpha_beta), _line(model.rbe_min, let, alpha_beta)


def weighted_dose(
    model: RbeModel,
    dose: NDArray[np.floating],
    let: NDArray[np.floating],
    alpha_beta: NDArray[np.floating] | float,
) -> NDArray[np.float32]:
    """RBE-weighted dose in Gy (RBE), float32; arguments and errors as `rbe`."""
    return np.asarray(dose * rbe(model, dose, let, alpha_beta), dtype=np.float32)


def combine(
    doses: Sequence[NDArray[np.floating]], lets: Sequence[NDArray[np.floating]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Dose and dose-averaged LET of fields given together: LETd is averaged with the doses as weights.

    For proton models that are linear in LETd this is exact: alpha of the mixture is the dose average of alpha
    (Zaider and Rossi, Radiat Res 83 (1980) 732), beta too but for the square root of its average.
    Raises BadInput for no field or shapes that differ.
    """
    if not doses or len(doses) != len(lets) or len({np.shape(a) for a in (*doses, *lets)}) != 1:
        raise BadInput(_("fields to combine need a dose and a LET each, all on one grid"))
    total = np.sum([np.asarray(dose, dtype=np.float64) for dose in doses], axis=0)
    weighed = np.sum(
        [np.asarray(dose, dtype=np.float64) * let for dose, let in zip(doses, lets, strict=True)], axis=0
    )
    mean = np.divide(weighed, total, out=np.zeros_like(total), where=total > 0.0)
    return total.astype(np.float32), mean.astype(np.float32)


def alpha_beta_map(
    parameters: ParameterSet,
    shape: tuple[int, ...],
    regions: Mapping[str, NDArray[np.bool_]],
    tissues: Mapping[str, str | float],
) -> NDArray[np.float32]:
    """alpha/beta in Gy of every voxel.

    tissues: for a region either a tissue of the parameter set or a value in Gy; where regions overlap the
    last one named counts; elsewhere the set's default. Raises BadInput for a region or tissue that does not
    exist, a mask of another shape, a value that is not positive.
    """
    out = np.full(shape, parameters.alpha_beta("default"), dtype=np.float32)
    for region, tissue in tissues.items():
        if region not in regions or regions[region].shape != shape:
            raise BadInput(
                _("no region named {name} on this grid: it has {known}").format(
                    name=region, known=", ".join(sorted(regions)) or "-"
                )
            )
        value = parameters.alpha_beta(tissue) if isinstance(tissue, str) else float(tissue)
        if not value > 0.0:
            raise BadInput(
                _("alpha/beta {value} Gy of {name}: must be above 0").format(value=value, name=region)
            )
        out[regions[region]] = value
    return out


def _line(line: Line, let: Array, alpha_beta: Array) -> Array:
    return np.maximum(line.constant + line.per_let * let * alpha_beta**line.alpha_beta_power, 0.0)


def _check(dose: Array, let: Array, alpha_beta: Array) -> None:
    if not all(np.isfinite(value).all() for value in (dose, let, alpha_beta)):
        raise BadInput(_("dose, LET and alpha/beta must be numbers (no NaN or infinite values)"))
    if min(dose.min(initial=0.0), let.min(initial=0.0)) < 0.0 or alpha_beta.min(initial=1.0) <= 0.0:
        raise BadInput(_("dose and LET must not be negative, and alpha/beta must be above 0"))
