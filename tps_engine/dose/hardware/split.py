"""Spots behind an aperture or a compensator as many narrow sub-beams: a change of beam model and spots.

A spot is a Gaussian in place and angle. At the plane of the cut (the aperture's downstream face, or else
the compensator's) it is written as a sum of narrow Gaussians on a raster, each with the mean angle that the
spot has there and the angular spread that is left; the sum is the spot again. The sub-beams of a layer that
fall on one pixel become one, at their centre of charge; the spread of their angles is added as its mean over
the layer. An aperture weighs each sub-beam by the part of its pixel that is open; a compensator gives each
the water that stands on its path. A sub-beam's path runs through its place on the isocentric plane along
the fan of the virtual source: exact in that plane. A lone spot is z/SAD too narrow or wide at z mm from
it; in a field of overlapping spots, dose stays within 1 %.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from common.dicom.plan import Aperture
from tps_engine.beamdata.model import BeamModel
from tps_engine.beamdata.water import Floats
from tps_engine.dose.hardware import plates
from tps_engine.dose.hardware.plates import raster
from tps_engine.dose.spots import Spots

PITCH_MM = 1.5
"""Of sub-beams on the isocentric plane: an edge is blurred by 0.8 of it."""
_WIDTH = 0.8  # of a sub-beam in pixels: the sum of such Gaussians is smooth to 1e-5
_REACH = 4.0
_NEGLECTED = 1e-5


@dataclass(frozen=True)
class Gaussian:
    """One Gaussian of every spot: moments (e, 2, 3) A mm2, B mm rad, C rad2 at isocentre, share (e,)."""

    moments: Floats
    share: Floats


@dataclass(frozen=True)
class SubBeams:
    """n sub-beams. model: with their widths at each energy.

    place: (n, 2) mm at the height of the cut, projected onto the isocentric plane.
    """

    model: BeamModel
    spots: Spots
    mu: Floats
    place: Floats


def gaussians(model: BeamModel, energies: Floats, added: Floats) -> Iterator[Gaussian]:
    """The Gaussians of spots of energies (e,) widened by matter above the cut, (e, 3) m0, m1, m2."""
    second = model.second
    share = np.zeros(len(energies)) if second is None else model.at(energies, second.weight)
    yield Gaussian(
        _moments(model, energies, model.sigma, model.divergence, model.covariance, added), 1.0 - share
    )
    if second is not None:
        shape = _moments(model, energies, second.sigma, second.divergence, second.covariance, added)
        yield Gaussian(shape, share)


def _moments(
    model: BeamModel, energies: Floats, sigma: Floats, divergence: Floats, covariance: Floats, added: Floats
) -> Floats:
    found = np.empty((len(energies), 2, 3))
    for axis in (0, 1):
        found[:, axis, 0] = model.at(energies, sigma[:, axis]) ** 2
        found[:, axis, 1] = model.at(energies, covariance[:, axis])
        found[:, axis, 2] = model.at(energies, divergence[:, axis]) ** 2
    return found + added[:, None, :]


def split(
    model: BeamModel,
    energies: Floats,
    gaussian: Gaussian,
    spots: Spots,
    mu: Floats,
    sad: tuple[float, float],
    height: float,
    aperture: Aperture | None,
    pitch: float = PITCH_MM,
) -> SubBeams:
    """Sub-beams of one Gaussian of all spots. energies: (e,) those of the spots, rising.

    height: of the cut above the isocentre, mm. Metersets of sub-beams sum to those that pass.
    """
    rows = np.searchsorted(energies, spots.energy)
    axes = np.column_stack([spots.x, spots.y])
    scale = 1.0 - height / np.asarray(sad)
    sizes, found = np.empty((len(energies), 2, 3)), []
    for row in range(len(energies)):
        chosen = rows == row
        cut = _layer(
            gaussian.moments[row],
            axes[chosen],
            mu[chosen] * gaussian.share[row],
            height,
            scale,
            aperture,
            pitch,
        )
        sizes[row] = cut[0]
        found.append((np.full(len(cut[1]), energies[row]), *cut[1:]))
    energy, weight, place, centre = (np.concatenate(parts) for parts in zip(*found, strict=True))
    sigma = np.sqrt(sizes[:, :, 0])
    own = replace(
        model, energies=energies, mean_energy=model.at(energies, model.mean_energy),
        spread=model.at(energies, model.spread), protons_per_mu=model.at(energies, model.protons_per_mu),
        sigma=sigma, covariance=sizes[:, :, 1], divergence=np.sqrt(sizes[:, :, 2]), second=None,
    )  # fmt: skip
    which = np.searchsorted(energies, energy)
    placed = Spots(energy, centre[:, 0], centre[:, 1], sigma[which, 0], sigma[which, 1])
    return SubBeams(own, placed, weight, place)


def _layer(
    moments: Floats,
    spots: Floats,
    mu: Floats,
    height: float,
    scale: Floats,
    aperture: Aperture | None,
    pitch: float,
) -> tuple[Floats, Floats, Floats, Floats]:
    """Moments (2, 3) of sub-beams at isocentre, metersets (n,), places at the cut and at isocentre (n, 2)."""
    there = np.array([[a - 2.0 * b * height + c * height**2, b - c * height, c] for a, b, c in moments])
    pitch = min(pitch, float(np.sqrt(there[:, 0].min()) / (1.5 * scale.max())))
    narrow = (_WIDTH * pitch * scale) ** 2
    reach = _REACH * np.sqrt(there[:, 0]) / scale
    low, high = spots.min(axis=0) - reach, spots.max(axis=0) + reach
    lines = [raster(float(low[k]), float(high[k]), pitch) for k in (0, 1)]
    parts = []
    for axis in (0, 1):
        off = (lines[axis][None, :] - spots[:, axis, None]) * scale[axis]
        one = np.exp(-0.5 * off**2 / (there[axis, 0] - narrow[axis]))
        parts.append(one / one.sum(axis=1, keepdims=True))
    passed = plates.transmission(aperture, lines[0], lines[1]).T

    def laid(weights: Floats) -> Floats:
        return np.asarray(parts[0].T @ (weights[:, None] * parts[1]))

    total = laid(mu)
    kept = total * passed > _NEGLECTED * total.max()
    weight = (total * passed)[kept]
    weight *= float((total * passed).sum()) / max(float(weight.sum()), 1e-300)
    grid = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1)[kept]
    slope = 1.0 + height * there[:, 1] / there[:, 0]  # how a step at the cut moves the place at isocentre
    origin = np.column_stack([laid(mu * spots[:, axis])[kept] / total[kept] for axis in (0, 1)])
    squares = np.column_stack([laid(mu * spots[:, axis] ** 2)[kept] / total[kept] for axis in (0, 1)])
    stay = 1.0 - scale * slope
    centre = stay * origin + scale * slope * grid
    wander = np.maximum(squares - origin**2, 0.0) * stay**2
    extra = (wander * weight[:, None]).sum(axis=0) / max(float(weight.sum()), 1e-300)
    return _narrowed(there, narrow, extra, height), weight, grid, centre


def _narrowed(there: Floats, narrow: Floats, extra: Floats, height: float) -> Floats:
    """Moments (2, 3) at isocentre of a sub-beam: place cut to a narrow Gaussian, angles about their mean."""
    slope = there[:, 1] / there[:, 0]
    a = narrow
    b = slope * narrow
    c = there[:, 2] - there[:, 1] * slope + slope * b
    found = np.column_stack([a + 2.0 * b * height + c * height**2, b + c * height, c])
    if height > 1.0:  # angles that differ between the spots of a pixel: no width at the cut
        found += extra[:, None] * np.array([1.0, 1.0 / height, 1.0 / height**2])
    else:
        found[:, 0] += extra
    return found
