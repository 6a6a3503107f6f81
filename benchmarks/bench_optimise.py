"""Optimisation of TG119 with protons, ours against pyRadPlan (scipy's L-BFGS-B) in one run.

Same matrix (the peer's), same objectives, bounds w >= 0. `optimise-iteration` is one value with its gradient
of the whole matrix, packed as the optimiser works on it (`exact`: by the matrix itself, on which it ends).
`optimise-converged` is the time from the matrix and uniform weights, packing included, to weights of which
our objective by the matrix itself is at or below that of the peer's 500th iteration. `memory` is the peak of
influence matrix and optimisation, each side in a process of its own (its own imports included). Ratios of
times are of processor time of all threads; `wall` has both.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from benchmarks import tg119
from benchmarks.peers import running
from tps_engine.dose.engine import Influence
from tps_engine.dose.parallel import spread
from tps_engine.optimise import products, solver
from tps_engine.optimise.functions import Term, on_dose
from tps_engine.optimise.objectives import Objective, Underdose
from tps_engine.optimise.packed import pack
from tps_engine.optimise.quantities import LinearDose
from tps_engine.optimise.solver import Solution
from tps_engine.patient.grid import Floats

ROUNDS = 21
ITERATIONS = 500
Clocks = tuple[float, float]


def clocks() -> Clocks:
    """Processor time of all threads, and wall time, s."""
    return time.process_time(), time.perf_counter()


def uniform(matrix: Influence, objectives: tuple[Objective, ...]) -> Floats:
    """Equal weights that give the first target its level on average."""
    ones = np.ones(matrix.spots)
    target = next(one for one in objectives if isinstance(one, Underdose))
    return np.asarray(ones * target.level / products.dose(matrix, ones)[target.voxels].mean())


def median(work: Callable[[], object]) -> Clocks:
    """Of ROUNDS calls: processor time and wall time, ms."""
    found = []
    for _ in range(ROUNDS):
        started = clocks()
        work()
        found.append(np.subtract(clocks(), started))
    cpu, wall = (1000.0 * np.median(found, axis=0)).tolist()
    return cpu, wall


@njit(nogil=True, cache=True, fastmath=True)
def _read(numbers):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    for number in numbers:
        total += number
    return total


def bandwidth() -> float:
    """GB/s at which all cores together read memory."""
    numbers = np.ones(2**25, dtype=np.int64)
    spread(lambda begin, behind: _read(numbers[begin:behind]), len(numbers))
    return (
        numbers.nbytes
        / 1e6
        / median(lambda: spread(lambda begin, behind: _read(numbers[begin:behind]), len(numbers)))[1]
    )


def iteration(case: tg119.Case, matrix: Influence, theirs: dict[str, Any]) -> dict[str, object]:
    """One value and gradient. At the peer's last weights our objective must be the peer's last value."""
    exact = on_dose(matrix, tg119.peer_objectives(case))
    weights = case.peer["weights"]
    pack(matrix)
    started = clocks()
    packed = pack(matrix)
    packing = clocks()[0] - started[0]
    function = Term(LinearDose(packed), exact.objectives)
    started = clocks()
    value = function.evaluate(weights)[0]
    warm = clocks()[1] - started[1]
    cpu, wall = median(lambda: function.evaluate(weights))
    slope = np.ones(matrix.voxels)
    products_wall = median(lambda: (packed.dose(weights), packed.back(slope)))[1]
    count = theirs["evaluations"]
    dose = products.dose(matrix, weights)
    return {
        "name": "optimise-iteration",
        "ours": round(cpu, 2),
        "peer": round(1000.0 * theirs["cpu"] / count, 2),
        "unit": "CPU ms",
        "ratio": round(1000.0 * theirs["cpu"] / count / cpu, 1),
        "n": int(matrix.indptr[-1]),
        "warm": round(warm, 2),
        "wall": [round(wall, 2), round(1000.0 * theirs["wall"] / count, 2)],
        "exact": [round(one, 2) for one in median(lambda: exact.evaluate(weights))],
        "packing": round(1000.0 * packing, 1),
        "bytes_an_entry": round(packed.nbytes / int(matrix.indptr[-1]), 2),
        "gb_per_s": [round(2.0 * packed.nbytes / 1e6 / products_wall, 1), round(bandwidth(), 1)],
        "dose_error_of_packing": float(f"{np.abs(packed.dose(weights) - dose).max() / dose.max():.1e}"),
        "value_of_peer_weights": [
            round(one, 4) for one in (value, exact.evaluate(weights)[0], float(case.peer["history"][-1]))
        ],
    }


def converged(case: tg119.Case, matrix: Influence, theirs: dict[str, Any]) -> dict[str, object]:
    """Time to the peer's objective, and the value at which ours stops by itself."""
    objectives = tg119.peer_objectives(case)
    aim = float(np.min(case.peer["history"]))
    start, bounds = uniform(matrix, objectives), (np.zeros(matrix.spots), np.full(matrix.spots, np.inf))

    def timed(enough: float) -> tuple[Solution, Clocks]:
        # another matrix of the same arrays: what is kept of the first one, packed, does not count
        another = replace(matrix)
        started = clocks()
        found = solver.minimise(another, objectives, start, bounds, tolerance=1e-4, enough=enough)
        cpu, wall = np.subtract(clocks(), started).tolist()
        return found, (cpu, wall)

    solver.minimise(replace(matrix), objectives, start, bounds, tolerance=0.5)
    found, (cpu, wall) = timed(aim)
    value = on_dose(matrix, objectives).evaluate(found.weights)[0]
    reached = value <= aim
    last, whole = timed(-np.inf)
    return {
        "name": "optimise-converged",
        "ours": round(cpu, 3) if reached else None,
        "peer": round(theirs["cpu"], 3),
        "unit": "CPU s",
        "ratio": round(theirs["cpu"] / cpu, 1) if reached else None,
        "n": ITERATIONS,
        "warm": None,
        "wall": [round(wall, 3) if reached else None, round(theirs["wall"], 3)],
        "iterations": len(found.values),
        "ms_an_iteration": [round(1000.0 * one / len(found.values), 2) for one in (cpu, wall)],
        "objective": [round(value, 4), round(aim, 4)],
        "ours_ends": {
            "iterations": len(last.values),
            "value": round(last.values[-1], 4),
            "converged": last.converged,
            "cpu": round(whole[0], 3),
        },
    }


def peak(path: Path) -> None:
    """In a process of its own: our matrix and our optimisation of the case; prints the peak in MiB."""
    imports = high_water()
    case = tg119.read(path)
    parts = [one.dose for one in tg119.matrices(case, tg119.machine("proton"), biology=False)]
    matrix = tg119.joined(parts)
    objectives = tg119.peer_objectives(case)
    bounds = (np.zeros(matrix.spots), np.full(matrix.spots, np.inf))
    found = solver.minimise(matrix, objectives, uniform(matrix, objectives), bounds, tolerance=1e-4)
    print(json.dumps({"peak": high_water(), "imports": imports, "value": found.values[-1]}))


def high_water() -> float:
    """Peak resident memory of this process, MiB. (ru_maxrss would count the parent.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024.0


def memory(path: Path, theirs: dict[str, Any]) -> dict[str, object]:
    """Peak of both sides; `warm` is that of our first process, which may have to compile."""
    command = [sys.executable, "-m", "benchmarks.bench_optimise", "--peak", str(path)]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True) for _ in range(2)]
    first, ours = (json.loads(done.stdout.splitlines()[-1]) for done in runs)
    return {
        "name": "memory",
        "ours": round(ours["peak"]),
        "peer": round(theirs["peak"]),
        "unit": "MiB",
        "ratio": round(theirs["peak"] / ours["peak"], 2),
        "n": theirs["entries"],
        "warm": round(first["peak"]),
        "imports_alone": round(ours["imports"]),
        "objective": round(ours["value"], 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peak", type=Path, help="only the memory of our side, for a case of the peer")
    parser.add_argument(
        "--keep", type=Path, help="folder of the peer's results; taken again when they are there"
    )
    asked = parser.parse_args()
    if asked.peak is not None:
        peak(asked.peak)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = asked.keep or Path(name)
        path, said = folder / "proton.npz", folder / "proton.json"
        if not said.exists():
            theirs = running.run("pyradplan_case.py", "proton", str(path), "--iterations", str(ITERATIONS))
            said.write_text(json.dumps(theirs))
        theirs = json.loads(said.read_text())
        case = tg119.read(path)
        matrix = tg119.peer_matrix(case, path)
        print(json.dumps(iteration(case, matrix, theirs["optimise"])), flush=True)
        print(json.dumps(converged(case, matrix, theirs["optimise"])), flush=True)
        del matrix
        print(json.dumps(memory(path, theirs)), flush=True)


if __name__ == "__main__":
    main()
