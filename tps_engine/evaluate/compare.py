"""Two RT Doses by the gamma index: brought to one grid and one kind of dose, and why not when not."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from common import memory
from common.dicom.rt_dose import DoseGrid
from common.errors import BadInput
from common.text import _
from tps_engine.evaluate.gamma import GammaCriteria, GammaResult, gamma
from tps_engine.patient.contours import rasterise
from tps_engine.patient.grid import Floats, Grid

_BYTES = 160  # of a voxel of the reference: doses, places, tolerances and results in double precision


@dataclass(frozen=True)
class Comparison:
    """gamma: the result. mean_ratio: evaluated over reference dose where the reference is above half maximum.

    maximum: of reference and evaluated, Gy. outside: points above the threshold that the evaluated grid or
    the mask does not hold.
    """

    gamma: GammaResult
    mean_ratio: float
    maximum: tuple[float, float]
    outside: int


def grid_of(dose: DoseGrid) -> Grid:
    """The grid of a dose."""
    nz, ny, nx = dose.dose.shape
    return Grid(dose.origin, dose.spacing, (nz, ny, nx))


def compare(
    reference: DoseGrid,
    evaluated: DoseGrid,
    criteria: GammaCriteria,
    mask: NDArray[np.bool_] | None = None,
    factor: float = 1.0,
    device: str = "cpu",
) -> Comparison:
    """Gamma of the evaluated dose times `factor` against the reference, on the reference's grid.

    mask: (nz, ny, nx) on that grid, points outside are not evaluated. device: as `gamma` takes it. Raises
    BadInput for different frames of reference or kinds of dose (physical, effective), a mask of another
    shape, a dose that is zero, too little memory, or cuda where there is none.
    """
    _check(reference, evaluated)
    grid = grid_of(reference)
    planned = reference.dose.astype(np.float64)
    given, inside = resampled(evaluated, grid)
    given *= factor
    allowed = inside if mask is None else inside & _fitting(mask, planned)
    top = float(planned.max())
    norm = criteria.normalisation_gy or top
    wanted = planned >= norm * criteria.threshold_percent / 100.0
    if not (wanted & allowed).any():
        raise BadInput(
            _(
                "no point of the reference dose at {level} Gy or more lies in the evaluated dose and mask; "
                "its maximum is {top} Gy: check both grids, mask, threshold and normalisation"
            ).format(level=f"{norm * criteria.threshold_percent / 100.0:.3g}", top=f"{top:.3g}")
        )
    # a reference point that is not evaluated is set below the threshold
    result = gamma(np.where(allowed, planned, 0.0), given, grid.spacing, _normed(criteria, norm), device)
    high = allowed & (planned > 0.5 * top)
    ratio = float(given[high].sum() / planned[high].sum()) if high.any() else float("nan")
    return Comparison(result, ratio, (top, float(given.max())), int((wanted & ~allowed).sum()))


def _normed(criteria: GammaCriteria, norm: float) -> GammaCriteria:
    return GammaCriteria(
        criteria.dose_percent, criteria.distance_mm, criteria.threshold_percent, criteria.mode, norm,
        criteria.steps, criteria.max_gamma,
    )  # fmt: skip


def _check(reference: DoseGrid, evaluated: DoseGrid) -> None:
    if reference.frame_of_reference_uid != evaluated.frame_of_reference_uid:
        raise BadInput(
            _("reference and evaluated dose have different frames of reference; they cannot be compared")
        )
    if reference.dose_type != evaluated.dose_type:
        raise BadInput(
            _("reference dose is {one}, evaluated dose is {other}: compare doses of one type").format(
                one=reference.dose_type, other=evaluated.dose_type
            )
        )
    if not reference.dose.any():
        raise BadInput(_("the reference dose is zero everywhere"))
    if not evaluated.dose.any():
        raise BadInput(_("the evaluated dose is zero everywhere; there is nothing to compare"))
    memory.require(_BYTES * reference.dose.size, _("the comparison"))


def _fitting(mask: NDArray[np.bool_], dose: Floats) -> NDArray[np.bool_]:
    if mask.shape != dose.shape:
        raise BadInput(f"mask of shape {mask.shape}: the reference dose has {dose.shape}")
    if not mask.any():
        raise BadInput(_("the mask holds no point of the reference dose"))
    return mask


def resampled(dose: DoseGrid, grid: Grid) -> tuple[Floats, NDArray[np.bool_]]:
    """A dose on another grid, trilinear, (nz, ny, nx) Gy, and where it is known; 0 elsewhere."""
    source = grid_of(dose)
    axes = [source.axis(axis) for axis in (2, 1, 0)]
    wanted = [np.clip(grid.axis(axis), source.axis(axis)[0], source.axis(axis)[-1]) for axis in (2, 1, 0)]
    known = [np.abs(grid.axis(axis) - at) < 1e-3 for axis, at in zip((2, 1, 0), wanted, strict=True)]
    inside = known[0][:, None, None] & known[1][:, None] & known[2]
    if all(len(axis) > 1 for axis in axes):
        field = RegularGridInterpolator(axes, dose.dose.astype(np.float64))
        values = np.stack(
            [
                field(np.stack(np.meshgrid([z], wanted[1], wanted[2], indexing="ij"), axis=-1))[0]
                for z in wanted[0]
            ]
        )
    else:
        raise BadInput(_("a dose of a single plane cannot be compared in three dimensions"))
    return np.where(inside, values, 0.0), inside


def mask_of(contours: tuple[Floats, ...], reference: DoseGrid) -> NDArray[np.bool_]:
    """The region that contours enclose, on the grid of the reference dose."""
    return rasterise(contours, grid_of(reference))
