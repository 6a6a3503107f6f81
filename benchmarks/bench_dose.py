"""Dose influence, forward dose and matrix products of a proton field in water: ours against plain numpy.

One JSON line each. The peer is the same formula, vectorised in numpy spot by spot over all voxels that the
field sees; first-call compilation is reported apart, in `warm`. Against pyRadPlan: bench_tg119.
"""

import json
import time
from collections.abc import Callable

import numpy as np
import scipy.sparse

from tps_engine.beamdata import model
from tps_engine.beamdata.model import TABLE_STEP_MM, kernel_tables
from tps_engine.dose import engine, field, spots
from tps_engine.dose.rays import CUT
from tps_engine.optimise import products
from tps_engine.patient.grid import Grid
from tps_engine.plan.geometry import beam_frame

COUNT, PEER_COUNT = 2000, 60


def timed(work: Callable[[], object]) -> float:
    """Best of three wall times in s."""
    best = np.inf
    for _ in range(3):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return float(best)


def plain_numpy(
    voxels: field.FieldVoxels, beam: model.BeamModel, some: spots.Spots, mu: np.ndarray
) -> np.ndarray:
    """The kernel's formula over all voxels at once, one spot after the other."""
    tables = kernel_tables(beam, tuple(np.unique(some.energy).tolist()))
    axis = TABLE_STEP_MM * np.arange(tables.idd.shape[1])
    scale = spots.protons(beam, some, mu)
    u, v, z, depth = voxels.voxels.T.astype(np.float64)
    total = np.zeros(len(u))
    for k in range(len(some)):
        row = int(np.searchsorted(tables.energies, some.energy[k]))
        scatter = np.interp(depth, axis, tables.scatter[row])
        divergence = [np.interp(some.energy[k], beam.energies, beam.divergence[:, i]) * z for i in (0, 1)]
        var_x = some.sigma_x[k] ** 2 + divergence[0] ** 2 + scatter
        var_y = some.sigma_y[k] ** 2 + divergence[1] ** 2 + scatter
        x = (u - some.x[k]) * (1.0 - z / voxels.frame.sad[0])
        y = (v - some.y[k]) * (1.0 - z / voxels.frame.sad[1])
        far = x**2 / var_x + y**2 / var_y
        inside = (far <= CUT**2) & (depth <= tables.reach[row])
        dose = np.interp(depth, axis, tables.idd[row]) * np.exp(-0.5 * far) / np.sqrt(var_x * var_y)
        total += np.where(inside, dose, 0.0) * scale[k] / (2.0 * np.pi * (1.0 - np.exp(-0.5 * CUT**2)))
    out = np.zeros(voxels.count)
    out[voxels.order] = total
    return out


def line(name: str, ours: float, peer: float, count: int, warm: float) -> None:
    print(
        json.dumps(
            {"name": name, "ours": round(ours, 5), "peer": round(peer, 5), "unit": "s",
             "ratio": round(peer / ours, 1), "n": count, "warm": round(warm, 2)}
        )
    )  # fmt: skip


def main() -> None:
    beam = model.load("proton-generic")
    grid = Grid((-90.0, -120.0, -90.0), (3.0, 3.0, 3.0), (61, 81, 61))
    frame = beam_frame(30.0, 0.0, (0.0, 0.0, 0.0), beam.virtual_sad)
    water = np.ones(grid.shape, dtype=np.float32)
    points = grid.points(np.arange(grid.size))
    rng = np.random.default_rng(1)
    energy = rng.choice(beam.energies[20:60], COUNT)
    some = spots.nominal(beam, energy, rng.uniform(-40, 40, COUNT), rng.uniform(-40, 40, COUNT))
    mu = rng.uniform(0.02, 1.0, COUNT)
    few = spots.Spots(*(getattr(some, n)[:PEER_COUNT] for n in ("energy", "x", "y", "sigma_x", "sigma_y")))

    started = time.perf_counter()
    voxels = field.prepare(water, grid, frame, points)
    matrix = engine.influence(voxels, beam, some)
    engine.forward(voxels, beam, some, mu)
    products.back(matrix, products.dose(matrix, mu))
    warm = time.perf_counter() - started

    peer = timed(lambda: plain_numpy(voxels, beam, few, mu[:PEER_COUNT])) * COUNT / PEER_COUNT
    line("dij-water", timed(lambda: engine.influence(voxels, beam, some)), peer, COUNT, warm)
    line("forward-water", timed(lambda: engine.forward(voxels, beam, some, mu)), peer, COUNT, warm)
    sparse = scipy.sparse.csc_matrix(
        (matrix.data, matrix.indices, matrix.indptr), shape=(matrix.voxels, matrix.spots)
    )
    narrow = mu.astype(np.float32)
    both = timed(lambda: sparse.T @ (sparse @ narrow))
    ours = timed(lambda: products.back(matrix, products.dose(matrix, mu)))
    line("matrix-products", ours, both, int(matrix.indptr[-1]), warm)


if __name__ == "__main__":
    main()
