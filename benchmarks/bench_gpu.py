"""The kernels on a CUDA device: absolute times, and how far the results are from those of the cores.

One JSON line each; without a device, one line that says so. `warm` is the first call, which compiles.
Protons: 150 MeV in water, 2 mm voxels, a spot of 5 mm, as in bench_montecarlo. `differs` is the largest
difference from the cores as a part of the largest value.
"""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tps_engine.beamdata import model
from tps_engine.device import choice
from tps_engine.dose import field, spots
from tps_engine.dose.engine import Influence, forward
from tps_engine.dose.montecarlo import engine, media
from tps_engine.dose.spots import Spots
from tps_engine.evaluate.gamma import gamma
from tps_engine.optimise.quantities import LinearDose
from tps_engine.patient.grid import Grid
from tps_engine.plan.geometry import beam_frame

PROTONS, FEW = 20_000_000, 40_000
GRID = Grid((-50.0, 1.0, -50.0), (2.0, 2.0, 2.0), (51, 90, 51))
SPOTS, VOXELS, ENTRIES = 10_000, 500_000, 1300
FORWARD_SPOTS = 2000

T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """A result, the time in s of the first call, and the best of three after it."""
    started = time.perf_counter()
    result = work()
    warm, best = time.perf_counter() - started, np.inf
    for _ in range(3):
        started = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - started)
    return result, warm, float(best)


def line(name: str, seconds: float, warm: float, differs: float, **more: object) -> None:
    print(
        json.dumps(
            {
                "name": name,
                "ours": round(seconds, 5),
                "unit": "s",
                "warm": round(warm, 2),
                "differs": float(f"{differs:.2g}"),
                "device": choice.name_of_device(),
                **more,
            }
        ),
        flush=True,
    )


def apart(found: NDArray[np.floating], wanted: NDArray[np.floating]) -> float:
    """Largest difference over the largest value."""
    return float(np.nanmax(np.abs(found - wanted)) / np.nanmax(np.abs(wanted)))


def protons() -> None:
    """Monte Carlo, and whether two runs give the same bits."""
    water, generic = media.uniform(GRID), model.load("proton-generic")
    beam = replace(generic, spread=0.0 * generic.spread, divergence=0.0 * generic.divergence)
    frame = beam_frame(0.0, 0.0, (0.0, 0.0, 0.0), (1e9, 1e9))
    one = Spots(*(np.array([value]) for value in (150.0, 0.0, 0.0, 5.0, 5.0)))

    def dose(count: int, device: str) -> engine.MonteCarloDose:
        asked = engine.Histories(count, device=device, threads=1)
        return engine.spot_dose(water, frame, beam, one, np.ones(1), asked)

    few, warm, _best = timed(lambda: dose(FEW, "cuda"))
    differs = apart(few.dose_to_water, dose(FEW, "cpu").dose_to_water)
    same = bool((dose(FEW, "cuda").dose_to_water == few.dose_to_water).all())
    found, _warm, seconds = timed(lambda: dose(PROTONS, "cuda"))
    line(
        "mc-proton-gpu", seconds, warm, differs,
        n=PROTONS, protons_per_second=round(PROTONS / seconds), same_bits=same,
        uncertainty=round(found.mean_uncertainty(), 5),
    )  # fmt: skip


def pencil_beam() -> None:
    """Forward dose of spots in water with an oblique block of bone, so that rays are looked at one by one."""
    machine, rng = model.load("proton-generic"), np.random.default_rng(1)
    grid = Grid((-90.0, -120.0, -90.0), (3.0, 3.0, 3.0), (61, 81, 61))
    rsp = np.ones(grid.shape, dtype=np.float32)
    rsp[20:40, 10:30, 25:] = 1.6
    frame = beam_frame(30.0, 0.0, (0.0, 0.0, 0.0), machine.virtual_sad)
    energy = rng.choice(machine.energies[20:60], FORWARD_SPOTS)
    some = spots.nominal(machine, energy, *rng.uniform(-40.0, 40.0, (2, FORWARD_SPOTS)))
    voxels = field.prepare(rsp, grid, frame, grid.points(np.arange(grid.size)))
    mu = rng.uniform(0.02, 1.0, FORWARD_SPOTS)
    found, warm, seconds = timed(lambda: forward(voxels, machine, some, mu, device="cuda"))
    differs = apart(found, forward(voxels, machine, some, mu))
    line("forward-gpu", seconds, warm, differs, n=FORWARD_SPOTS)


def products() -> None:
    """Dose and way back of a matrix with runs of voxels in each column, as the optimiser calls them."""
    from tps_engine.device.products import DoseOnDevice  # noqa: PLC0415 - kernels that need a device

    rng = np.random.default_rng(1)
    starts = rng.integers(0, VOXELS - ENTRIES, SPOTS)
    indices = (starts[:, None] + np.arange(ENTRIES)).ravel().astype(np.int32)
    data = rng.uniform(0.0, 1.0, len(indices)).astype(np.float32)
    matrix = Influence(VOXELS, ENTRIES * np.arange(SPOTS + 1), indices, data)
    held, weights, slope = DoseOnDevice(matrix), rng.uniform(0.0, 1.0, SPOTS), rng.normal(size=VOXELS)

    def both(quantity: LinearDose | DoseOnDevice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        dose, pull = quantity.evaluate(weights)
        return dose, pull(slope)

    found, warm, seconds = timed(lambda: both(held))
    differs = max(apart(a, b) for a, b in zip(found, both(LinearDose(matrix)), strict=True))
    line("optimise-products-gpu", seconds, warm, differs, n=len(data))


def gammas() -> None:
    """Gamma 2 %/2 mm of a shifted and noisy cube."""
    z, y, x = np.indices((100, 110, 120)).astype(np.float64)
    plan = 2.0 * np.exp(-(((x - 60) / 40) ** 6) - ((y - 55) / 40) ** 6 - ((z - 50) / 35) ** 6)
    given = np.roll(plan, 1, axis=2) + np.random.default_rng(2).normal(0.0, 0.03, plan.shape)
    spacing = (2.0, 2.0, 2.0)
    found, warm, seconds = timed(lambda: gamma(plan, given, spacing, device="cuda"))
    differs = apart(found.values, gamma(plan, given, spacing).values)
    line("gamma-gpu", seconds, warm, differs, n=found.points, pass_rate=round(found.pass_rate, 3))


def main() -> None:
    if not choice.has_cuda():
        print(json.dumps({"name": "gpu", "ours": None, "why": "no GPU that numba-cuda can use"}))
        return
    for part in (protons, pencil_beam, products, gammas):
        part()


if __name__ == "__main__":
    main()
