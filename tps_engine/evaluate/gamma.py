"""The gamma index of Low et al., Med Phys 25 (1998) 656, in three dimensions.

For each reference point r with dose D_r, the evaluated distribution D_e is searched for
min over e of sqrt(|e - r|^2 / distance^2 + (D_e(e) - D_r)^2 / dose^2). Candidates are visited in order of
distance (Wendling et al., Med Phys 34 (2007) 1647): the search ends where distance alone exceeds the
best value. Between grid points D_e is trilinear, sampled at steps of `distance / steps`; the best sample
is then moved towards the minimum of the linearised distribution. Every value is that of a real point of
the interpolated distribution, so that gamma is never too small.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from tps_engine.device import choice
from tps_engine.dose.parallel import spread
from tps_engine.evaluate.gamma_search import Floats, search

Values = NDArray[np.float32]


@dataclass(frozen=True)
class GammaCriteria:
    """What is compared with what.

    dose_percent: of the normalisation dose (global) or of each point's reference dose (local).
    threshold_percent: points whose reference dose is below this share of the normalisation are left out.
    normalisation_gy: a dose (the prescription); None: the maximum of the reference distribution.
    steps: samples per `distance_mm`. max_gamma: larger values are reported as this.
    """

    dose_percent: float = 2.0
    distance_mm: float = 2.0
    threshold_percent: float = 10.0
    mode: Literal["global", "local"] = "global"
    normalisation_gy: float | None = None
    steps: int = 5
    max_gamma: float = 2.0

    def __post_init__(self) -> None:
        if self.dose_percent <= 0 or self.distance_mm <= 0 or self.steps < 1 or self.max_gamma < 1:
            raise ValueError("gamma: dose %, distance and steps must be above 0 and max_gamma at least 1")


@dataclass(frozen=True)
class GammaResult:
    """values: (nz, ny, nx), NaN where not evaluated. pass_rate: percent of `points` with gamma <= 1."""

    values: NDArray[np.float32]
    pass_rate: float
    points: int
    criteria: GammaCriteria


def gamma(
    reference: NDArray[np.floating],
    evaluated: NDArray[np.floating],
    spacing: tuple[float, float, float],
    criteria: GammaCriteria | None = None,
    device: str = "cpu",
) -> GammaResult:
    """Compare two distributions (nz, ny, nx) on one grid; `spacing` (x, y, z) in mm.

    device: cpu, cuda or auto (`tps_engine.device.choice`). Raises BadInput when the shapes differ, a value is
    not finite, no point reaches the threshold, or cuda is asked for where there is none.
    """
    on_device = choice.chosen(device) == "cuda"
    chosen = criteria or GammaCriteria()
    planned, given = np.ascontiguousarray(reference, np.float64), np.ascontiguousarray(evaluated, np.float64)
    if planned.shape != given.shape or planned.ndim != 3:
        raise BadInput(f"gamma compares two 3-D doses on one grid, not {planned.shape} and {given.shape}")
    if not (np.isfinite(planned).all() and np.isfinite(given).all()):
        raise BadInput("gamma: a dose value is not finite")
    norm = float(planned.max()) if chosen.normalisation_gy is None else chosen.normalisation_gy
    points = np.argwhere(planned >= norm * chosen.threshold_percent / 100.0) if norm > 0 else np.empty((0, 3))
    if len(points) == 0:
        raise BadInput("gamma: no point of the reference dose reaches the threshold")
    doses = planned[tuple(points.T)]
    scale = doses if chosen.mode == "local" else np.full(len(points), norm)
    tolerance = np.maximum(scale * chosen.dose_percent / 100.0, 1e-12)
    asked = np.column_stack([doses, tolerance, np.full(len(points), chosen.max_gamma**2)])
    places, frame = points.astype(np.float64), _offsets(spacing, chosen)
    found = (_on_device if on_device else _on_cores)(given, places, asked, *frame)
    values = np.full(planned.shape, np.nan, np.float32)
    values[tuple(points.T)] = found
    return GammaResult(values, float(100.0 * np.mean(found <= 1.0)), len(points), chosen)


def _on_cores(dose: Floats, places: Floats, asked: Floats, offsets: Floats, step: Floats) -> Values:
    """Gamma of places (n,); many parts, as points that fail cost a hundred times more and lie together."""
    parts = spread(lambda a, b: search(dose, places[a:b], asked[a:b], offsets, step), len(places), parts=64)
    return np.concatenate(parts)


def _on_device(dose: Floats, places: Floats, asked: Floats, offsets: Floats, step: Floats) -> Values:
    """The same on the CUDA device."""
    from tps_engine.device import gamma as kernels  # noqa: PLC0415 - kernels that need a device

    return kernels.search(dose, places, asked, offsets, step)


def _offsets(spacing: tuple[float, float, float], criteria: GammaCriteria) -> tuple[Floats, Floats]:
    """Candidate displacements sorted by distance, (m, 7), and the half step and unit per axis (2, 3).

    Axes in the order (z, y, x). Columns: squared distance in units of the criterion, displacement in
    voxels, and the same in units of the criterion. A voxel edge that is a multiple of the step puts grid
    points among the samples.
    """
    edge = np.asarray(spacing[::-1], np.float64)
    per_voxel = np.maximum(1, np.ceil(edge * criteria.steps / criteria.distance_mm - 1e-9))
    step = edge / per_voxel
    reach = criteria.max_gamma * criteria.distance_mm
    axes = [np.arange(-int(reach / s), int(reach / s) + 1) for s in step]
    count = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float64)
    unit = count * step / criteria.distance_mm
    square = (unit**2).sum(axis=1)
    near = square <= criteria.max_gamma**2 + 1e-9
    order = np.argsort(square[near], kind="stable")
    rows = np.column_stack([square, count / per_voxel, unit])[near][order]
    return np.ascontiguousarray(rows), np.stack([1.0 / per_voxel, edge / criteria.distance_mm])
