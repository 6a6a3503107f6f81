"""The Gaussians that a spot is made of: the beam itself, its nuclear halo, a second Gaussian of the nozzle.

Wide Gaussians of many spots are laid together: spots of one energy within a cell about as wide as the
Gaussian become one at their centre of charge, with the variance of their positions added. Both moments of
the sum are exact; a wide Gaussian then costs less than the beam itself.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tps_engine.beamdata.bragg import HaloParameters
from tps_engine.beamdata.model import BeamModel
from tps_engine.dose.spots import Spots
from tps_engine.dose.upstream import Upstream
from tps_engine.patient.grid import Floats

_CELL = 2.0
"""Edge of the cell within which spots are laid together, in widths of the Gaussian."""

Part = Literal["all", "core", "halo"]


@dataclass(frozen=True)
class Component:
    """n Gaussians. energy: (n,) nominal MeV. protons: (n,). part: which part of the depth dose they carry.

    optics: (n, 8) x, y mm, variances mm2, squared divergences, covariances mm at isocentre, for the kernel.
    """

    energy: Floats
    optics: Floats
    protons: Floats
    part: Part

    def __len__(self) -> int:
        return len(self.energy)


def single(model: BeamModel, spots: Spots, protons: Floats) -> Component:
    """All of a spot's dose in one Gaussian, as the influence matrix takes it."""
    return Component(spots.energy, _optics(model, spots), protons, "all")


def all_of(
    model: BeamModel, spots: Spots, protons: Floats, upstream: Upstream | None = None
) -> list[Component]:
    """Every Gaussian that the beam model describes; the sum of their protons is that of the spots."""
    found = []
    core = _optics(model, spots)
    own = protons
    if model.second is not None and len(spots):
        share = model.at(spots.energy, model.second.weight)
        own = protons * (1.0 - share)
        wide = core.copy()
        for axis in (0, 1):
            wide[:, 2 + axis] = model.at(spots.energy, model.second.sigma[:, axis]) ** 2
            wide[:, 4 + axis] = model.at(spots.energy, model.second.divergence[:, axis]) ** 2
            wide[:, 6 + axis] = model.at(spots.energy, model.second.covariance[:, axis])
        cell = np.sqrt(wide[:, 2:4].min(axis=1))
        found.append(_laid_together(Component(spots.energy, wide, protons * share, "all"), cell))
    if model.halo is None:
        return [Component(spots.energy, core, own, "all"), *found]
    ranges = model.water.range_of(model.at(spots.energy, model.mean_energy)) if len(spots) else np.zeros(0)
    cell = _CELL * _halo_width(model.halo, ranges, upstream)
    halo = _laid_together(Component(spots.energy, core, own, "halo"), cell)
    return [Component(spots.energy, core, own, "core"), halo, *found]


def _halo_width(halo: HaloParameters, ranges: Floats, upstream: Upstream | None) -> Floats:
    """Width (n,) in mm of the halo half-way to the end of range, for beams of ranges in mm."""
    width = halo.sigma(ranges)
    if upstream is None or upstream.shifter is None:
        return width
    found, which = np.unique(ranges, return_inverse=True)
    half_way = 0.5 * (upstream.water + found)
    drift = [
        float(halo.drift(float(end), np.array([depth]), upstream.water, upstream.gap)[0])
        for end, depth in zip(found, half_way, strict=True)
    ]
    return np.asarray(np.sqrt(width**2 + np.asarray(drift)[which]))


def _optics(model: BeamModel, spots: Spots) -> Floats:
    divergence = [model.at(spots.energy, model.divergence[:, axis]) ** 2 for axis in (0, 1)]
    covariance = [model.at(spots.energy, model.covariance[:, axis]) for axis in (0, 1)]
    return np.column_stack([spots.x, spots.y, spots.sigma_x**2, spots.sigma_y**2, *divergence, *covariance])


def _laid_together(many: Component, cell: Floats) -> Component:
    """Fewer Gaussians with the same sum up to its second moments. cell: (n,) width in mm at each spot."""
    lit = many.protons > 0.0
    if not lit.any():
        return Component(many.energy[:0], many.optics[:0], many.protons[:0], many.part)
    energy, optics, protons, width = many.energy[lit], many.optics[lit], many.protons[lit], cell[lit]
    place = np.floor(optics[:, :2] / width[:, None] + 0.5)
    keys, group = np.unique(np.column_stack([energy, place]), axis=0, return_inverse=True)
    group = group.ravel()
    total = np.bincount(group, protons)

    def mean(values: Floats) -> NDArray[np.float64]:
        return np.asarray(np.bincount(group, protons * values) / total)

    merged = np.column_stack([mean(column) for column in optics.T])
    for axis in (0, 1):
        merged[:, 2 + axis] += mean((optics[:, axis] - merged[group, axis]) ** 2)
    return Component(keys[:, 0], merged, np.asarray(total, dtype=np.float64), many.part)
