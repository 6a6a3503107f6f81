"""Rays of a field side by side: how deep, and how much scattering, at every height, and how uneven that is.

A proton that reaches a voxel came along a neighbouring ray as often as along the voxel's own. The lattice
holds the depths of all rays of the field, so that the kernel can look at those that a spot's protons took.
"""

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tps_engine.beamdata import scattering
from tps_engine.beamdata.water import WaterTable
from tps_engine.dose.montecarlo import materials
from tps_engine.dose.parallel import spread, workers
from tps_engine.dose.raytrace import trace_down
from tps_engine.dose.upstream import Upstream
from tps_engine.patient.grid import Floats, Grid
from tps_engine.patient.stopping_power import AIR
from tps_engine.plan.geometry import BeamFrame

STEP_MM = 1.0
"""Distance of neighbouring rays on the isocentric plane."""

THIN = 2
"""Scattering is followed along every second ray in either direction: it differs less from ray to ray."""

HEIGHT_MM = 1.0
"""Distance of the heights at which a ray's depth is kept."""

NEAR_MM = 10.0
"""How far around a voxel rays are looked at."""

_MARGIN_MM = 16.0
_MOST_CELLS = 30_000_000
_BODY = 0.05
_NODES = 40.0 * 1.35 ** np.arange(9)
_LEAST_VARIANCE = 1e-3
_PER_MM = 10.0  # of the tables along the depth of a node's beam


@dataclass(frozen=True)
class Lattice:
    """depth: (u, v, heights) f4 water-equivalent mm. strength: that weighted with scattering, of THIN rays.

    place: (5,) low u, v mm, low height mm, step across, step in height. stretch: f4 length of a THIN ray per
    mm of height.
    """

    depth: NDArray[np.float32] = field(repr=False)
    strength: NDArray[np.float32] = field(repr=False)
    place: Floats
    stretch: NDArray[np.float32] = field(repr=False)


def lattice_of(
    rsp: NDArray[np.float32], grid: Grid, frame: BeamFrame, projected: Floats, upstream: Upstream | None
) -> Lattice:
    """The rays through all projected points (n, 3) u, v, z and some around them, from the body on."""
    low, high = projected.min(axis=0), projected.max(axis=0)
    top = max(_top(rsp, grid, frame), float(high[2]))
    step, heights = STEP_MM, int(np.ceil((top - low[2]) / HEIGHT_MM)) + 2
    size = high[:2] - low[:2] + 2.0 * _MARGIN_MM
    while np.prod(size / step + 2.0) * heights > _MOST_CELLS:
        step *= 1.25
    counts = np.ceil(size / step).astype(int) + 1
    u, v = (low[k] - _MARGIN_MM + step * np.arange(counts[k]) for k in (0, 1))
    rays = np.stack(np.meshgrid(u, v, indexing="ij"), axis=-1).reshape(-1, 2)
    place = np.array([u[0], v[0], low[2] - 0.5 * HEIGHT_MM, step, HEIGHT_MM])
    air = upstream.air_from if upstream is not None else None
    more = rsp if air is None else rsp - AIR
    depth, strength = trace_down(more, more * _scattering_of(rsp), grid, frame, rays, place[2], heights)
    if air is not None:
        height = place[2] + HEIGHT_MM * np.arange(heights)
        depth += (AIR * np.maximum(air - height, 0.0)).astype(np.float32)
    stretch = np.sqrt(1.0 + (rays[:, 0] / frame.sad[0]) ** 2 + (rays[:, 1] / frame.sad[1]) ** 2)
    shape = (counts[0], counts[1])
    return Lattice(
        depth.reshape(*shape, heights), strength.reshape(*shape, heights)[::THIN, ::THIN].copy(), place,
        stretch.reshape(shape)[::THIN, ::THIN].astype(np.float32),
    )  # fmt: skip


def _top(rsp: NDArray[np.float32], grid: Grid, frame: BeamFrame) -> float:
    """Greatest height in mm of a corner of the box that holds everything denser than air."""
    dense = rsp > _BODY
    if not dense.any():
        return -np.inf
    ends = []
    for axis in range(3):
        used = np.flatnonzero(dense.any(axis=tuple(k for k in range(3) if k != 2 - axis)))
        half = 0.5 * grid.spacing[axis]
        ends.append((grid.axis(axis)[used[0]] - half, grid.axis(axis)[used[-1]] + half))
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3)
    return float(frame.to_gantry(corners)[:, 2].max())


def _scattering_of(rsp: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scattering power relative to water, per mm of water-equivalent depth, of the voxels' tissues."""
    table = materials.load()
    factors = [
        material.scattering / float(material.stopping_ratio(materials.REFERENCE_MEV))
        for material in table.materials
    ]
    return np.asarray(factors, dtype=np.float32)[table.tissue_of(rsp)]


def node_of(ranges: Floats) -> NDArray[np.int64]:
    """Which scattering node (n,) beams of ranges (n,) mm use: the first that goes as far."""
    return np.minimum(np.searchsorted(_NODES, ranges), len(_NODES) - 1)


def scattering_factor(
    lattice: Lattice,
    water: WaterTable,
    node: int,
    voxels: NDArray[np.float32],
    beside: NDArray[np.int32],
) -> tuple[NDArray[np.float32], float]:
    """Lateral variance in the media crossed over that of the same depth of water, (3, n) at voxels (n, 4).

    First of the voxel's own ray, then of the THIN rays beside it, (2, n) by number, at its height.
    Also the largest variance of any voxel that the beam reaches over the largest in water.

    Fermi-Eyges moments along each ray in true lengths, with the scattering power of the tissue crossed at the
    energy that the node's beam has at that depth (Gottschalk, Med Phys 37 (2010) 352): gaps widen a beam.
    Behind the end of range nothing scatters.
    """
    end = min(float(_NODES[node]), float(water.csda[-1]) - 1.0)
    energy = float(water.energy_of(end))
    depth = np.arange(int(_PER_MM * end) + 2, dtype=np.float64) / _PER_MM
    residual = np.maximum(water.energy_of(np.maximum(end - depth, 0.0)), 2.0)
    power = scattering.scattering_power(residual, energy)
    power[depth >= end] = 0.0
    plain = scattering.lateral_variance(water, energy, depth)
    thin = lattice.depth[::THIN, ::THIN]
    ratio = np.empty(thin.shape, dtype=np.float32)
    spread(
        lambda a, b: _moments(thin, lattice.strength, lattice.stretch, HEIGHT_MM, power, plain, ratio, a, b),
        len(ratio),
        parts=4 * workers(),
    )
    factor = np.asarray(_sampled(ratio, lattice.place, voxels, beside))
    there = factor[0] * np.interp(voxels[:, 3], depth, plain, right=0.0)
    return factor, float(there.max(initial=plain[-1]) / plain[-1])


@njit(nogil=True, cache=True, error_model="numpy")
def _moments(depth, strength, stretch, height, power, plain, ratio, first, behind):  # type: ignore[no-untyped-def]
    """Variance of scattering at each height of rays first.. over that of water, from the top down."""
    last = len(power) - 1
    for i in range(first, behind):
        for j in range(depth.shape[1]):
            length = height * stretch[i, j]
            angle, cross, variance = 0.0, 0.0, 0.0
            top = depth.shape[2] - 1
            ratio[i, j, top] = 1.0
            for k in range(top - 1, -1, -1):
                at = depth[i, j, k]
                row = min(int(0.5 * _PER_MM * (at + depth[i, j, k + 1]) + 0.5), last)
                more = power[row] * max(strength[i, j, k] - strength[i, j, k + 1], 0.0)
                variance += length * (2.0 * cross + length * (angle + more / 3.0))
                cross += length * (angle + 0.5 * more)
                angle += more
                row = min(int(_PER_MM * at), last - 1)
                part = min(_PER_MM * at - row, 1.0)
                there = plain[row] + part * (plain[row + 1] - plain[row])
                ratio[i, j, k] = variance / there if there > _LEAST_VARIANCE else 1.0


@njit(nogil=True, cache=True, error_model="numpy")
def _sampled(ratio, place, voxels, beside):  # type: ignore[no-untyped-def]
    """Values (3, n) of THIN rays at u, v, z, the nearest's, and at the same height those of rays (2, n)."""
    out = np.empty((3, len(voxels)), dtype=np.float32)
    for n in range(len(voxels)):
        i = min(max(int((voxels[n, 0] - place[0]) / (THIN * place[3]) + 0.5), 0), ratio.shape[0] - 1)
        j = min(max(int((voxels[n, 1] - place[1]) / (THIN * place[3]) + 0.5), 0), ratio.shape[1] - 1)
        k = min(max(int((voxels[n, 2] - place[2]) / place[4] + 0.5), 0), ratio.shape[2] - 1)
        out[0, n] = ratio[i, j, k]
        for c in range(2):
            out[1 + c, n] = ratio[beside[c, n] // ratio.shape[1], beside[c, n] % ratio.shape[1], k]
    return out


@njit(nogil=True, cache=True, error_model="numpy")
def unevenness(depth, place, voxels, around, beside):  # type: ignore[no-untyped-def]
    """The shallowest and the deepest of the rays up to NEAR_MM away at the height of each voxel.

    around: (2, n) f4, to be filled with their depths. beside: (2, n) i4, with their numbers among THIN rays.
    """
    places = np.zeros((17, 2))
    for corner in range(16):
        radius = NEAR_MM * (0.5 if corner < 8 else 1.0)
        angle = 0.25 * np.pi * (corner % 8 + (0.5 if corner < 8 else 0.0))
        places[corner + 1, 0], places[corner + 1, 1] = radius * np.cos(angle), radius * np.sin(angle)
    places /= THIN * place[3]
    last_u, last_v = (depth.shape[0] - 1) // THIN, (depth.shape[1] - 1) // THIN
    for n in range(len(voxels)):
        k = min(max(int((voxels[n, 2] - place[2]) / place[4] + 0.5), 0), depth.shape[2] - 1)
        shift = place[2] + place[4] * k - voxels[n, 2]
        u = (voxels[n, 0] - place[0]) / (THIN * place[3]) + 0.5
        v = (voxels[n, 1] - place[1]) / (THIN * place[3]) + 0.5
        low = high = voxels[n, 3] - shift
        for corner in range(17):
            i = min(max(int(u + places[corner, 0]), 0), last_u)
            j = min(max(int(v + places[corner, 1]), 0), last_v)
            here = depth[THIN * i, THIN * j, k]
            if corner == 0:
                beside[:, n] = i * (last_v + 1) + j  # the voxel's own ray
                continue
            if here < low:
                low, beside[0, n] = here, i * (last_v + 1) + j
            if here > high:
                high, beside[1, n] = here, i * (last_v + 1) + j
        around[0, n], around[1, n] = low + shift, high + shift
