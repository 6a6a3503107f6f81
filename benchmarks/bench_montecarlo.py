"""The Monte Carlo engine and MCsquare on the same beam, in water, at equal uncertainty.

One JSON line: `ours` and `peer` are processor seconds to a mean sigma of 1 % of the voxels above half of the
maximum, on the same grid (2 mm, 150 MeV, a spot of 5 mm), one thread each; both scale with 1/sigma^2.
Sigma is the scatter of several runs with different seeds, for both alike (root mean square of the voxels).
MCsquare's start (reading tables) is taken off as the time of a run of few protons. Without .venv-peers peer
and ratio are null. First-call compilation, or loading what an earlier run compiled, is apart in `warm`.
"""

import json
import os
import resource
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ptcs import validate_mcsquare
from tps_engine.beamdata import model
from tps_engine.dose.montecarlo import engine, media
from tps_engine.dose.spots import Spots
from tps_engine.patient.grid import Grid
from tps_engine.plan.geometry import beam_frame

COUNT, RUNS, FEW = 60_000, 4, 200
ENERGY, SIGMA = 150.0, 5.0
GRID = Grid((-50.0, 1.0, -50.0), (2.0, 2.0, 2.0), (51, 90, 51))

Dose = NDArray[np.floating]


def main() -> None:
    water = media.uniform(GRID)
    generic = model.load("proton-generic")
    beam = replace(generic, spread=0.0 * generic.spread, divergence=0.0 * generic.divergence)
    frame = beam_frame(0.0, 0.0, (0.0, 0.0, 0.0), (1e9, 1e9))
    one = Spots(*(np.array([value]) for value in (ENERGY, 0.0, 0.0, SIGMA, SIGMA)))

    def ours(count: int, seed: int) -> Dose:
        asked = engine.Histories(count, seed, threads=1)
        return engine.spot_dose(water, frame, beam, one, np.ones(1), asked).dose_to_water

    started = time.perf_counter()
    ours(100, 1)
    warm = time.perf_counter() - started
    seconds, noise = _measured(ours, resource.RUSAGE_SELF)
    line = {
        "name": "mc-proton",
        "ours": round(seconds * (noise / 0.01) ** 2, 2),
        "peer": None,
        "unit": "CPU s to 1 %",
        "ratio": None,
        "n": COUNT,
        "warm": round(warm, 2),
        "protons_per_cpu_second": [round(COUNT / seconds), None],
        "uncertainty": [round(noise, 4), None],
    }
    peer = validate_mcsquare.find(None)
    if peer is not None:
        os.environ["OMP_NUM_THREADS"] = "1"

        def theirs(count: int, seed: int) -> Dose:
            return peer.dose(water, ENERGY, SIGMA, count, seed)

        other, other_noise = _measured(theirs, resource.RUSAGE_CHILDREN)
        line["peer"] = round(other * (other_noise / 0.01) ** 2, 2)
        line["ratio"] = round(other * other_noise**2 / (seconds * noise**2), 2)
        line["protons_per_cpu_second"] = [round(COUNT / seconds), round(COUNT / other)]
        line["uncertainty"] = [round(noise, 4), round(other_noise, 4)]
        line["peer_program"] = peer.name
    print(json.dumps(line))


def _measured(dose: Callable[[int, int], Dose], who: int) -> tuple[float, float]:
    """Processor seconds of COUNT protons without the start, and their sigma above half of the maximum."""
    start, runs, spent = np.inf, [], []
    for seed in range(1, RUNS + 1):
        before = _seconds(who)
        dose(FEW, seed)
        between = _seconds(who)
        runs.append(dose(COUNT, seed))
        start = min(start, between - before)
        spent.append(_seconds(who) - between)
    doses = np.stack(runs).astype(np.float64)
    mean = doses.mean(axis=0)
    high = mean > 0.5 * mean.max()
    sigma = np.sqrt(doses.var(axis=0, ddof=1)[high])
    return min(spent) - start, float(np.sqrt(np.mean((sigma / mean[high]) ** 2)))


def _seconds(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
