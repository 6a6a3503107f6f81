"""Where spots go: energy layers through the depth of the target, a hexagonal lattice across the beam."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from common.errors import BadInput
from common.text import _
from tps_engine.patient.grid import Floats


class Reach(Protocol):
    """Which depths a machine reaches."""

    @property
    def name(self) -> str:
        """Of the machine."""

    @property
    def energies(self) -> Floats:
        """(e,) rising."""

    def peaks(self) -> tuple[Floats, Floats]:
        """Depth of each energy's Bragg peak and its standard deviation, mm of water."""


@dataclass(frozen=True)
class LayoutOptions:
    """Spacing of spots.

    lateral: between neighbours, mm. width_factor: layer distance in units of the standard deviation of the
    Bragg peak's depth, at least `least_step` mm. beyond: spots lie this much farther beside the target, mm;
    range_part: and this part of the depth before and behind it.
    """

    lateral: float = 6.0
    width_factor: float = 2.8
    least_step: float = 4.0
    beyond: float = 0.0
    range_part: float = 0.0

    def __post_init__(self) -> None:
        if not 1.0 <= self.lateral <= 50.0 or not self.width_factor > 0.0 or not self.least_step > 0.0:
            raise BadInput(_("spots lie 1 to 50 mm apart, layers more than 0"))


@dataclass(frozen=True)
class Layout:
    """Spots of one field in order of delivery: energy falls, each layer is a serpentine. Arrays (n,)."""

    energy: Floats
    x: Floats
    y: Floats

    def __len__(self) -> int:
        return len(self.x)


def choose_layers(
    model: Reach, shallowest: float, deepest: float, options: LayoutOptions
) -> tuple[Floats, Floats]:
    """Machine energies (k,), falling, and their peak depths, mm, that cover a span of depths in water.

    The first layer's peak lies at or just behind `deepest`; each next one is the nearest that lies
    `width_factor` peak widths shallower. Raises BadInput when the machine does not reach so deep, or
    when all of the span is shallower than its lowest energy.
    """
    peaks, widths = model.peaks()
    if deepest > peaks[-1]:
        raise BadInput(
            _(
                "the target lies {depth} mm of water deep: machine {name} reaches {reach} mm; "
                "choose another angle"
            ).format(depth=f"{deepest:.0f}", name=model.name, reach=f"{peaks[-1]:.0f}")
        )
    if deepest < peaks[0]:
        raise BadInput(
            _(
                "the target lies {depth} mm of water deep: the lowest energy of machine {name} ends at "
                "{reach} mm; a range shifter is needed"
            ).format(depth=f"{deepest:.0f}", name=model.name, reach=f"{peaks[0]:.0f}")
        )
    row = int(np.searchsorted(peaks, deepest))
    chosen = [row]
    while peaks[row] > shallowest and row > 0:
        step = max(options.width_factor * widths[row], options.least_step)
        row = min(int(np.argmin(np.abs(peaks - (peaks[row] - step)))), row - 1)
        chosen.append(row)
    return model.energies[chosen], peaks[chosen]


def place_spots(
    model: Reach, projected: Floats, depth: NDArray[np.float32], options: LayoutOptions
) -> Layout:
    """Spots whose Bragg peak lies in a target, or one lattice distance beside it.

    projected: (n, 3) target voxels on the isocentric plane (u, v) and their height; depth: (n,) their
    water-equivalent depth, mm. Raises BadInput for an empty target or one out of the machine's range.
    """
    if not len(depth):
        raise BadInput(_("the target is empty: there is nothing to plan on"))
    first, last = (
        float(depth.min()) * (1.0 - options.range_part),
        float(depth.max()) * (1.0 + options.range_part),
    )
    energies, peaks = choose_layers(model, first, last, options)
    reach = options.lateral + options.beyond
    lattice = _hexagonal(projected[:, :2], options.lateral, reach)
    gaps = np.abs(np.diff(peaks)) if len(peaks) > 1 else np.array([options.least_step])
    thickness = np.r_[gaps, gaps[-1]]
    found: list[tuple[float, Floats]] = []
    for energy, peak, gap in zip(energies, peaks, thickness, strict=True):
        near = np.abs(depth - peak) <= 0.5 * gap + options.least_step + options.range_part * depth
        if not near.any():
            continue
        distance, _nearest = cKDTree(projected[near, :2]).query(lattice, distance_upper_bound=reach)
        spots = lattice[np.isfinite(distance)]
        if len(spots):
            found.append((float(energy), spots[serpentine(spots)]))
    if not found:
        raise BadInput(_("no spot fits the target; take a closer spot spacing or another angle"))
    return Layout(
        np.concatenate([np.full(len(spots), energy) for energy, spots in found]),
        np.concatenate([spots[:, 0] for _energy, spots in found]),
        np.concatenate([spots[:, 1] for _energy, spots in found]),
    )


def _hexagonal(points: Floats, spacing: float, around: float) -> Floats:
    """(m, 2) lattice through the origin that covers points (n, 2) and `around` mm about them."""
    low, high = points.min(axis=0) - around, points.max(axis=0) + around
    row_step = spacing * np.sqrt(3.0) / 2.0
    rows = np.arange(np.floor(low[1] / row_step), np.ceil(high[1] / row_step) + 1)
    columns = np.arange(np.floor(low[0] / spacing) - 1, np.ceil(high[0] / spacing) + 1)
    row, column = np.meshgrid(rows, columns, indexing="ij")
    x = (column + 0.5 * np.mod(row, 2)) * spacing
    return np.stack([x.ravel(), (row * row_step).ravel()], axis=1)


def serpentine(spots: Floats) -> NDArray[np.int64]:
    """Order (n,) of spots (n, 2): rows of rising y, x to and fro."""
    rows = np.unique(np.round(spots[:, 1], 3), return_inverse=True)[1]
    across = np.where(rows % 2 == 0, spots[:, 0], -spots[:, 0])
    return np.lexsort((across, rows))
