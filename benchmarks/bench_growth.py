"""Time per spot and peak memory of the proton engine as fields grow, one JSON line.

Layers from 95 to 150 MeV, spots 5 mm apart, 3 mm grid, a box of water 300 x 200 x 300 mm with sticks of bone
and lung under its surface: a larger field has more spots and layers of the same kind, so that the work per
spot stays alike. Processor time of all threads, divided by spots, of the influence matrix and of the forward
dose, each with all that is done once a field; rays are traced before. `paging`: how much of the matrix's time
the operating system takes to hand out memory. `peak`: the greatest resident memory up to the end of the case
of 30 000 spots, with imports. `python -m benchmarks.bench_growth [LARGEST]`.
"""

import json
import os
import resource
import sys
import time

import numpy as np
from numpy.typing import NDArray

from tps_engine.beamdata import model
from tps_engine.dose import engine, field, spots
from tps_engine.patient.grid import Grid
from tps_engine.plan.geometry import beam_frame

CASES = ((10, 10), (10, 32), (12, 50), (40, 50))
"""Layers, and spots along each side of a layer: 1 000, 10 240, 30 000 and 100 000 spots."""

PEAK_AT = 30_000
LOWEST, HIGHEST, APART = 95.0, 150.0, 5.0


def phantom() -> tuple[NDArray[np.float32], Grid]:
    """Relative stopping power (nz, ny, nx), and its grid; the beam comes along +y."""
    grid = Grid((-150.0, -100.0, -150.0), (3.0, 3.0, 3.0), (101, 67, 101))
    power = np.ones(grid.shape, dtype=np.float32)
    power[::9, 6:9, :] = 1.6
    power[:, 6:9, ::8] = 0.3
    return power, grid


def field_of(beam: model.BeamModel, layers: int, side: int) -> spots.Spots:
    """Layers over the same energies, whatever their number, of side x side spots."""
    within = beam.energies[(beam.energies > LOWEST) & (beam.energies < HIGHEST)]
    energy = within[np.linspace(0, len(within) - 1, layers).astype(int)]
    axis = (np.arange(side) - 0.5 * (side - 1)) * APART
    x, y = (places.ravel() for places in np.meshgrid(axis, axis))
    return spots.nominal(beam, np.repeat(energy, side * side), np.tile(x, layers), np.tile(y, layers))


def main() -> None:
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    beam = model.load("proton-generic")
    power, grid = phantom()
    frame = beam_frame(0.0, 0.0, (0.0, 0.0, 0.0), beam.virtual_sad)
    voxels = field.prepare(power, grid, frame, grid.points(np.arange(grid.size)))
    first = field_of(beam, *CASES[0])
    engine.influence(voxels, beam, first)
    engine.forward(voxels, beam, first, np.ones(len(first)))
    counts: list[int] = []
    matrix_us: list[float] = []
    forward_us: list[float] = []
    paging: list[float] = []
    entries: list[int] = []
    peak = 0.0
    for layers, side in CASES:
        some = field_of(beam, layers, side)
        if len(some) > largest:
            break
        voxels.factors.clear()
        begun, system = time.process_time(), os.times().system
        matrix = engine.influence(voxels, beam, some)
        middle = time.process_time()
        paging.append(round(1e6 * (os.times().system - system) / len(some), 1))
        entries.append(round(int(matrix.indptr[-1]) / len(some)))
        del matrix
        again = time.process_time()
        engine.forward(voxels, beam, some, np.ones(len(some)))
        ended = time.process_time()
        counts.append(len(some))
        matrix_us.append(round(1e6 * (middle - begun) / len(some), 1))
        forward_us.append(round(1e6 * (ended - again) / len(some), 1))
        if len(some) <= PEAK_AT:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    line: dict[str, object] = {
        "name": "growth",
        "unit": "CPU us a spot",
        "n": counts,
        "entries_a_spot": entries,
    }
    line |= {"matrix": matrix_us, "paging": paging, "forward": forward_us, "peak": round(peak)}
    print(json.dumps(line))


if __name__ == "__main__":
    main()
