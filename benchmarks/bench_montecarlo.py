"""Protons a second of the Monte Carlo engine at 150 MeV in water, all cores: dose, LET, uncertainty.

One JSON line: `ours` is protons per second of wall time, `per_cpu_second` per second of processor time of all
cores. No peer runs here, so `peer` and `ratio` are null; `anchor` is MCsquare's speed on such a core as
measured once elsewhere. First-call compilation, or loading what an earlier run compiled, is apart in `warm`.
"""

import json
import time
from dataclasses import replace

import numpy as np

from tps_engine.beamdata import model
from tps_engine.dose import spots
from tps_engine.dose.montecarlo import engine, media
from tps_engine.dose.parallel import workers
from tps_engine.patient.grid import Grid
from tps_engine.plan.geometry import beam_frame

COUNT = 200_000
ENERGY = 150.0
ANCHOR = "MCsquare: 12000 protons per CPU-second at 150 MeV in water"


def main() -> None:
    generic = model.load("proton-generic")
    beam = replace(generic, spread=0.0 * generic.spread)
    grid = Grid((-50.0, 1.0, -50.0), (2.0, 2.0, 2.0), (51, 90, 51))
    frame = beam_frame(0.0, 0.0, (0.0, 0.0, 0.0), beam.virtual_sad)
    one = spots.nominal(beam, np.array([ENERGY]), np.zeros(1), np.zeros(1))
    water = media.uniform(grid)

    def run(count: int) -> engine.MonteCarloDose:
        return engine.spot_dose(water, frame, beam, one, np.ones(1), engine.Histories(count))

    started = time.perf_counter()
    run(100)
    warm = time.perf_counter() - started
    started, cpu = time.perf_counter(), time.process_time()
    found = run(COUNT)
    taken, cpu = time.perf_counter() - started, time.process_time() - cpu
    line = {
        "name": "mc-proton",
        "ours": round(COUNT / taken),
        "peer": None,
        "unit": "protons/s",
        "ratio": None,
        "n": COUNT,
        "warm": round(warm, 2),
        "per_cpu_second": round(COUNT / cpu),
        "cores": workers(),
        "uncertainty": round(found.mean_uncertainty(), 4),
        "anchor": ANCHOR,
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
