"""Doses of the two engines on one phantom, the Monte Carlo one to a stated uncertainty."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonBeam
from common.text import _
from tps_engine.beamdata.model import BeamModel
from tps_engine.dose import beam as pencil_beam
from tps_engine.dose import spots
from tps_engine.dose.montecarlo import engine as montecarlo
from tps_engine.evaluate.gamma import GammaCriteria, GammaResult, gamma
from tps_engine.patient.grid import Floats, Grid
from tps_engine.plan.geometry import beam_frame
from tps_engine.validate.case import Check, at_least, at_most
from tps_engine.validate.phantoms import Phantom, beam, build

AnyFloats = NDArray[np.float32] | NDArray[np.float64]

_MOST = 60_000_000
_SEED = 20


@dataclass(frozen=True)
class Scored:
    """Physical dose to water in Gy, (nz, ny, nx) on `grid`. noise: percent, 0 for the pencil beam."""

    grid: Grid
    dose: NDArray[np.float32] = field(repr=False)
    noise: float


def pencil(phantom: Phantom, planned: IonBeam, model: BeamModel, grid: Grid | None = None) -> Scored:
    """The pencil beam's dose."""
    chosen = grid or phantom.grid
    return Scored(chosen, pencil_beam.beam_dose(phantom.patient, chosen, planned, model), 0.0)


def pencil_means(phantom: Phantom, planned: IonBeam, model: BeamModel, parts: int = 3) -> Scored:
    """The pencil beam's dose as Monte Carlo scores it: the mean of parts^3 points of every voxel."""
    grid = phantom.grid
    step = tuple(value / parts for value in grid.spacing)
    corner = tuple(o - 0.5 * (parts - 1) * s for o, s in zip(grid.origin, step, strict=True))
    nz, ny, nx = grid.shape
    fine = Grid(
        (corner[0], corner[1], corner[2]), (step[0], step[1], step[2]), (parts * nz, parts * ny, parts * nx)
    )
    dose = pencil(phantom, planned, model, fine).dose.reshape(nz, parts, ny, parts, nx, parts)
    return Scored(grid, dose.mean(axis=(1, 3, 5), dtype=np.float64).astype(np.float32), 0.0)


def histories(
    phantom: Phantom, planned: IonBeam, model: BeamModel, count: int, seed: int = _SEED
) -> montecarlo.MonteCarloDose:
    """The Monte Carlo dose of a number of protons."""
    placed, mu = spots.of_beam(planned, model)
    frame = beam_frame(planned.gantry, planned.couch, planned.isocentre, planned.virtual_sad)
    return montecarlo.spot_dose(
        phantom.medium, frame, model, placed, mu, montecarlo.Histories(count, seed=seed)
    )


Symmetry = Literal["none", "mirror", "square"]
"""Of a phantom and its field about the beam's axis: none, z to -z, or all eight images of a square."""

_EASED = {
    "none": 1.0,
    "mirror": 1.2,
    "square": 2.0,
}  # less than the root of the images: some voxels are their own


def symmetric_monte_carlo(
    phantom: Phantom, planned: IonBeam, model: BeamModel, noise: float, symmetry: Symmetry
) -> Scored:
    """The Monte Carlo dose to a mean uncertainty of `noise` percent after the mean of its mirror images.

    Where phantom and field are symmetric the mean is without bias, with the noise of as many more protons.
    """
    placed, mu = spots.of_beam(planned, model)
    frame = beam_frame(planned.gantry, planned.couch, planned.isocentre, planned.virtual_sad)
    asked = montecarlo.Histories(_MOST, seed=_SEED, noise=0.01 * noise * _EASED[symmetry])
    found = montecarlo.spot_dose(phantom.medium, frame, model, placed, mu, asked)
    return symmetric(phantom.grid, found.dose_to_water, found.sigma, symmetry)


def symmetric(grid: Grid, dose: AnyFloats, sigma: AnyFloats, symmetry: Symmetry) -> Scored:
    """The mean of a dose's mirror images, with its noise. dose, sigma: (nz, ny, nx) Gy."""
    mean, spread = mirrored(dose, sigma, symmetry)
    high = mean > 0.5 * mean.max()
    return Scored(grid, mean.astype(np.float32), 100.0 * float(np.mean(spread[high] / mean[high])))


def mirrored(dose: AnyFloats, sigma: AnyFloats, symmetry: Symmetry) -> tuple[Floats, Floats]:
    """Mean of the images of a dose (nz, ny, nx) and its standard deviation.

    A voxel that n of g images put onto itself counts n times: the variance of its mean is n / g^2 times the
    sum of the images' variances. "square" needs nz = nx, and both a grid centred on the axis.
    """
    value, variance = dose.astype(np.float64), sigma.astype(np.float64) ** 2
    number = np.arange(dose.size).reshape(dose.shape)
    total, spread, own = (np.zeros(dose.shape) for _image in range(3))
    images = list(_images(symmetry))
    for image in images:
        total += image(value)
        spread += image(variance)
        own += image(number) == number
    return total / len(images), np.sqrt(own * spread) / len(images)


def _images(symmetry: Symmetry) -> Iterator[Callable[[NDArray[Any]], NDArray[Any]]]:
    turns = (False, True) if symmetry == "square" else (False,)
    flips: tuple[tuple[int, ...], ...] = ((),) if symmetry == "none" else ((), (0,))
    if symmetry == "square":
        flips = ((), (0,), (2,), (0, 2))
    for turn in turns:
        for axes in flips:
            yield partial(_image, turn, axes)


def _image(turn: bool, axes: tuple[int, ...], values: NDArray[Any]) -> NDArray[Any]:
    turned = np.swapaxes(values, 0, 2) if turn else values
    return np.flip(turned, axes) if axes else turned


def noise_check(scored: Scored, limit: float) -> Check:
    """That a Monte Carlo dose is as quiet as gamma needs it."""
    return at_most(_("Monte Carlo noise above half maximum"), scored.noise, 1.02 * limit, "%")


def compare(
    reference: Scored, evaluated: Scored, percent: float, distance: float, threshold: float = 10.0
) -> GammaResult:
    """Global gamma of two doses on one grid."""
    criteria = GammaCriteria(percent, distance, threshold)
    return gamma(reference.dose, evaluated.dose, reference.grid.spacing, criteria)


def gamma_check(found: GammaResult, limit: float, reference: str) -> Check:
    """A pass rate against what is required."""
    what = _("gamma {percent} %/{distance} mm, {points} points").format(
        percent=f"{found.criteria.dose_percent:g}", distance=f"{found.criteria.distance_mm:g}",
        points=found.points,
    )  # fmt: skip
    return at_least(what, found.pass_rate, limit, "%", reference)


def depth_curve(
    engine: str, model: BeamModel, energy: float, width: float, count: int = 40_000, step: float = 0.5
) -> tuple[Floats, Floats]:
    """Depth (n,) mm and dose (n,) of one spot in water integrated over a square of `width` mm, any unit."""
    depth = float(model.water.range_of(float(model.at(np.array([energy]), model.mean_energy)[0]))) + 20.0
    rows = round(depth / step)
    planned = beam(model, energy)
    if engine == "mc":
        grid = Grid((0.0, 0.5 * step, 0.0), (width, step, width), (1, rows, 1))
        found = histories(build(grid), planned, model, count).dose_to_water
        return grid.axis(1), found[0, :, 0].astype(np.float64)
    across = 2.0
    wide = 2 * round(0.5 * min(width, 140.0) / across) + 1
    low = -0.5 * across * (wide - 1)
    grid = Grid((low, 0.5 * step, low), (across, step, across), (wide, rows, wide))
    water = build(Grid((0.0, 2.5, 0.0), (width, 5.0, width), (1, round(depth / 5.0) + 2, 1)))
    return grid.axis(1), pencil(water, planned, model, grid).dose.sum(axis=(0, 2), dtype=np.float64)


def without_spread(model: BeamModel) -> BeamModel:
    """The machine with one exact energy a layer and parallel beams."""
    return replace(model, spread=0.0 * model.spread, divergence=0.0 * model.divergence)
