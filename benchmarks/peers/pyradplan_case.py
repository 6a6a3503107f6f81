"""The peer's side of the dose benchmarks: pyRadPlan on TG119. Run by .venv-peers, which knows no PTCS.

`python pyradplan_case.py ION OUT.npz [--iterations N]` computes the dose influence of TG119 at gantry 90 and
270, 5 mm spots, 5 mm dose grid, and with iterations also optimises its own objectives. OUT.npz holds the
spots, the grid, the stopping power, the objectives and, under "sum", the dose of unit weights; OUT.matrix.npz
the matrix (CSC). The last line of the output is JSON with times in s and the peak memory in MiB.
"""

import argparse
import json
import logging
import time
import warnings
from pathlib import Path

import numpy as np
import SimpleITK
from pyRadPlan import IonPlan, calc_dose_influence, generate_stf, load_tg119
from pyRadPlan.core import np2sitk, resample_image
from pyRadPlan.ct import default_hlut
from pyRadPlan.optimization.problems import NonLinearFluencePlanningProblem
from pyRadPlan.optimization.solvers import OptimizerSciPy

MODES = {"proton": "protons", "carbon": "carbon", "helium": "helium"}


def plan_of(ion: str) -> IonPlan:
    plan = IonPlan(radiation_mode=MODES[ion], machine="Generic")
    plan.prop_stf = {"gantry_angles": [90.0, 270.0], "couch_angles": [0.0, 0.0], "bixel_width": 5.0}
    engine = {"dose_grid": {"resolution": {"x": 5.0, "y": 5.0, "z": 5.0}}, "calc_let": False}
    plan.prop_dose_calc = engine | {"calc_bio_dose": ion != "proton"}
    return plan


def spots_of(stf: object) -> dict[str, np.ndarray]:
    rows = [
        (number, *ray.ray_pos, beamlet.energy)
        for number, beam in enumerate(stf.beams)
        for ray in beam.rays
        for beamlet in ray.beamlets
    ]
    beams = stf.beams
    return {
        "spots": np.array(rows),
        "gantry": np.array([beam.gantry_angle for beam in beams]),
        "isocentre": np.array([beam.iso_center for beam in beams]),
        "sad": np.array([beam.sad for beam in beams]),
    }


def geometry_of(ct: object, cst: object, dij: object) -> dict[str, np.ndarray]:
    """The dose grid, the stopping power that the engine traced on it, and the voxels that it fills."""
    power, grid = ct.compute_wet(default_hlut()), dij.dose_grid
    inside = np2sitk.linear_indices_to_sitk_mask(cst.patient_voxels("numpy"), power, order="numpy")
    traced = resample_image(
        input_image=SimpleITK.Mask(power, inside, outsideValue=0),
        interpolator=SimpleITK.sitkLinear,
        target_grid=grid,
    )
    return {
        "grid": np.array([*grid.origin, *grid.resolution_vector, *grid.dimensions], dtype=float),
        "power": SimpleITK.GetArrayFromImage(traced).astype(np.float32),
        "voxels": cst.resample_on_new_ct(ct.resample_to_grid(grid)).patient_voxels("numpy"),
    }


def clock() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float]) -> dict[str, float]:
    now = clock()
    return {"wall": now[0] - start[0], "cpu": now[1] - start[1]}


def objectives_of(problem: object) -> list[dict[str, object]]:
    """The objectives as solved, with their voxels on the dose grid."""
    return [
        {
            "kind": type(objective).__name__,
            "weight": float(objective.priority),
            "level": float(getattr(objective, "d_ref", getattr(objective, "d_max", 0.0))),
            "voxels": np.flatnonzero(index) if index.dtype == bool else np.asarray(index),
        }
        for index, several in problem._objective_list
        for objective in several
    ]


def optimised(plan: IonPlan, ct: object, cst: object, stf: object, dij: object, count: int) -> dict:
    problem = NonLinearFluencePlanningProblem(plan)
    problem.obj_history = []
    solver = OptimizerSciPy()
    solver.max_iter = count
    solver.options = {"ftol": 0.0, "gtol": 0.0, "maxfun": 10 * count}
    problem.solver = solver
    start = clock()
    weights, info = problem.solve(ct, cst, stf, dij)
    taken = since(start)
    return {
        "weights": np.asarray(weights),
        "history": np.array(problem.obj_history),
        "iterations": int(info["nit"]),
        "evaluations": int(info["nfev"]),
        "objectives": objectives_of(problem),
        **taken,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("ion", choices=MODES)
    parser.add_argument("out", type=Path)
    parser.add_argument("--iterations", type=int, default=0)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)
    ct, cst = load_tg119()
    plan = plan_of(asked.ion)
    stf = generate_stf(ct, cst, plan)
    start = clock()
    dij = calc_dose_influence(ct, cst, stf, plan)
    line: dict[str, object] = {"ion": asked.ion, "dij": since(start)}
    matrix = dij.physical_dose.flat[0]
    keep = spots_of(stf) | geometry_of(ct, cst, dij)
    ones = np.ones(matrix.shape[1])
    for name in ("physical_dose", "alpha_dose", "sqrt_beta_dose"):
        if getattr(dij, name, None) is not None:
            keep[f"sum_{name}"] = np.asarray(getattr(dij, name).flat[0] @ ones)
    line |= {"spots": matrix.shape[1], "entries": int(matrix.nnz)}
    if asked.iterations:
        found = optimised(plan, ct, cst, stf, dij, asked.iterations)
        for number, objective in enumerate(found.pop("objectives")):
            keep[f"objective{number}"] = objective.pop("voxels")
            keep[f"objective{number}_is"] = np.array(json.dumps(objective))
        keep |= {"weights": found.pop("weights"), "history": found.pop("history")}
        line["optimise"] = found
    status = Path("/proc/self/status").read_text().splitlines()
    line["peak"] = next(float(one.split()[1]) for one in status if one.startswith("VmHWM")) / 1024.0
    np.savez(asked.out, **keep)
    np.savez(
        asked.out.with_suffix(".matrix.npz"),
        indptr=matrix.indptr,
        indices=matrix.indices.astype(np.int32),
        data=matrix.data,
        rows=matrix.shape[0],
    )
    print(json.dumps(line))


if __name__ == "__main__":
    main()
