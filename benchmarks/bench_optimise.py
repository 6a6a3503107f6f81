"""Optimisation of TG119 with protons, ours against pyRadPlan (scipy's L-BFGS-B) in one run.

Same matrix (the peer's), same objectives, bounds w >= 0. `optimise-iteration` is one value with its gradient;
`optimise-converged` the time until our objective is at or below that of the peer's 500th iteration, from
uniform weights. `memory` is the peak of influence matrix and optimisation, each side in a process of its own
(its own imports included). Ratios of times are of processor time of all threads; `wall` has both.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import tg119
from benchmarks.peers import running
from tps_engine.dose.engine import Influence
from tps_engine.optimise import products, solver
from tps_engine.optimise.functions import on_dose
from tps_engine.optimise.objectives import Objective, Underdose
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


def iteration(case: tg119.Case, matrix: Influence, theirs: dict[str, Any]) -> dict[str, object]:
    """One value and gradient. At the peer's last weights our objective must be the peer's last value."""
    function = on_dose(matrix, tg119.peer_objectives(case))
    weights = case.peer["weights"]
    started = clocks()
    value = function.evaluate(weights)[0]
    warm = clocks()[1] - started[1]
    found = []
    for _ in range(ROUNDS):
        started = clocks()
        function.evaluate(weights)
        found.append(np.subtract(clocks(), started))
    cpu, wall = np.median(found, axis=0).tolist()
    count = theirs["evaluations"]
    return {
        "name": "optimise-iteration",
        "ours": round(1000.0 * cpu, 2),
        "peer": round(1000.0 * theirs["cpu"] / count, 2),
        "unit": "CPU ms",
        "ratio": round(theirs["cpu"] / count / cpu, 1),
        "n": int(matrix.indptr[-1]),
        "warm": round(warm, 2),
        "wall": [round(1000.0 * wall, 2), round(1000.0 * theirs["wall"] / count, 2)],
        "value_of_peer_weights": [round(value, 4), round(float(case.peer["history"][-1]), 4)],
    }


def converged(case: tg119.Case, matrix: Influence, theirs: dict[str, Any]) -> dict[str, object]:
    """Time to the peer's objective, and the value at which ours stops by itself."""
    objectives = tg119.peer_objectives(case)
    aim = float(np.min(case.peer["history"]))
    start, bounds = uniform(matrix, objectives), (np.zeros(matrix.spots), np.full(matrix.spots, np.inf))
    solver.minimise(matrix, objectives, start, bounds, tolerance=0.5)
    reached: list[tuple[int, Clocks]] = []
    started = clocks()

    def report(number: int, value: float) -> None:
        if value <= aim and not reached:
            reached.append((number, clocks()))

    found = solver.minimise(matrix, objectives, start, bounds, tolerance=1e-4, report=report)
    whole = np.subtract(clocks(), started).tolist()
    iterations, now = reached[0] if reached else (None, (np.nan, np.nan))
    cpu, wall = np.subtract(now, started).tolist()
    return {
        "name": "optimise-converged",
        "ours": round(cpu, 3) if reached else None,
        "peer": round(theirs["cpu"], 3),
        "unit": "CPU s",
        "ratio": round(theirs["cpu"] / cpu, 1) if reached else None,
        "n": ITERATIONS,
        "warm": None,
        "wall": [round(wall, 3) if reached else None, round(theirs["wall"], 3)],
        "iterations": iterations,
        "objective_aim": round(aim, 4),
        "ours_ends": {
            "iterations": len(found.values),
            "value": round(found.values[-1], 4),
            "converged": found.converged,
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
    """Peak of both sides."""
    command = [sys.executable, "-m", "benchmarks.bench_optimise", "--peak", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    ours = json.loads(done.stdout.splitlines()[-1])
    return {
        "name": "memory",
        "ours": round(ours["peak"]),
        "peer": round(theirs["peak"]),
        "unit": "MiB",
        "ratio": round(theirs["peak"] / ours["peak"], 2),
        "n": theirs["entries"],
        "warm": None,
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
