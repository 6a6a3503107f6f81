"""Dose influence of TG119, ours against pyRadPlan in one run: protons, and carbon ions with biology.

Gantry 90 and 270, 5 mm spots, 5 mm dose grid, the peer's base data, spots, stopping power and voxels; the
peer runs in its own virtual environment (benchmarks/peers/setup.sh). Ours goes from stopping power to filled
matrix, as the peer's time does. `ratio` is of processor time of all threads, which other work on the machine
stretches less than wall time; `wall` has both, and on an idle machine is what a user waits (the peer is
serial, ours is not). `dose_differs_percent` is of the sum of all spots, in percent of its maximum.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import tg119
from benchmarks.peers import running
from tps_engine.dose.engine import Influence
from tps_engine.dose.ions.engine import IonInfluence
from tps_engine.evaluate.gamma import GammaCriteria, gamma

ROUNDS = 7


def summed(matrices: list[Influence]) -> NDArray[np.float64]:
    """Dose of unit weights at the case's voxels."""
    total = np.zeros(matrices[0].voxels)
    for one in matrices:
        total += np.bincount(one.indices, weights=one.data, minlength=one.voxels)
    return total


def agreement(case: tg119.Case, found: list[IonInfluence]) -> dict[str, float]:
    """How the summed dose, and with biology alpha x dose, compare with the peer's."""
    ours = summed([one.dose for one in found])
    theirs = case.peer["sum_physical_dose"][case.voxels]
    tight = GammaCriteria(1.0, 1.0)
    rate = gamma(tg119.cube(case, theirs), tg119.cube(case, ours), case.grid.spacing, tight).pass_rate
    told = {
        "dose_differs_percent": round(100.0 * float(np.abs(ours - theirs).max() / theirs.max()), 3),
        "gamma_1_1": round(rate, 3),
    }
    alphas = [one.alpha for one in found if one.alpha is not None]
    if alphas and "sum_alpha_dose" in case.peer:
        effect, other = summed(alphas), case.peer["sum_alpha_dose"][case.voxels]
        told["alpha_differs_percent"] = round(100.0 * float(np.abs(effect - other).max() / other.max()), 3)
    return told


def measure(ion: str, folder: Path) -> dict[str, object]:
    """One line: peer and ours on the same case."""
    path = folder / f"{ion}.npz"
    theirs = running.run("pyradplan_case.py", ion, str(path))
    case, tables = tg119.read(path), tg119.machine(ion)
    biology = ion != "proton"
    started = time.perf_counter()
    found = tg119.matrices(case, tables, biology)
    warm = time.perf_counter() - started
    cpu, wall = [], []
    for _ in range(ROUNDS):
        clocks = time.process_time(), time.perf_counter()
        tg119.matrices(case, tables, biology)
        cpu.append(time.process_time() - clocks[0])
        wall.append(time.perf_counter() - clocks[1])
    ours = statistics.median(cpu)
    return {
        "name": f"dij-{ion}",
        "ours": round(ours, 3),
        "peer": round(theirs["dij"]["cpu"], 3),
        "unit": "CPU s",
        "ratio": round(theirs["dij"]["cpu"] / ours, 1),
        "n": theirs["spots"],
        "warm": round(warm, 2),
        "wall": [round(statistics.median(wall), 3), round(theirs["dij"]["wall"], 3)],
        "best": [round(min(cpu), 3), round(min(wall), 3)],
        "entries": [sum(int(one.dose.indptr[-1]) for one in found), theirs["entries"]],
        "peer_is": "pyRadPlan 0.5",
        **agreement(case, found),
    }


def own_engine(folder: Path) -> dict[str, object]:
    """The same spots by the house's proton engine and machine, by rays and media around voxels."""
    case = tg119.read(folder / "proton.npz")
    tg119.generic(case)
    cpu, wall = [], []
    for _ in range(3):
        clocks = time.process_time(), time.perf_counter()
        matrix = tg119.generic(case)
        cpu.append(time.process_time() - clocks[0])
        wall.append(time.perf_counter() - clocks[1])
    return {
        "name": "dij-proton-generic",
        "ours": round(statistics.median(cpu), 3),
        "peer": None,
        "unit": "CPU s",
        "ratio": None,
        "n": matrix.spots,
        "wall": round(statistics.median(wall), 3),
        "entries": int(matrix.indptr[-1]),
    }


def main() -> None:
    ions = sys.argv[1:] or ["proton", "carbon"]
    with tempfile.TemporaryDirectory() as name:
        for ion in ions:
            print(json.dumps(measure(ion, Path(name))), flush=True)
        if "proton" in ions:
            print(json.dumps(own_engine(Path(name))), flush=True)


if __name__ == "__main__":
    main()
