"""The peer's side of the gamma benchmark: pymedphys. Run by .venv-peers, which knows no PTCS.

`python pymedphys_gamma.py DOSES.npz`: reference, evaluated (nz, ny, nx) Gy, spacing (z, y, x) mm, criteria
(dose %, distance mm, threshold %, max gamma). Ten samples a distance, as its documentation advises. The last
line of the output is JSON.
"""

import json
import sys
import time

import numpy as np
from pymedphys import gamma


def main() -> None:
    case = np.load(sys.argv[1])
    axes = tuple(
        step * np.arange(count) for step, count in zip(case["spacing"], case["reference"].shape, strict=True)
    )
    dose, distance, threshold, largest = case["criteria"].tolist()
    wall, cpu = time.perf_counter(), time.process_time()
    found = gamma(
        axes, case["reference"], axes, case["evaluated"], dose, distance,
        lower_percent_dose_cutoff=threshold, interp_fraction=10, max_gamma=largest, quiet=True,
    )  # fmt: skip
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    values = found[np.isfinite(found)]
    passed = 100.0 * float(np.mean(values <= 1.0))
    print(json.dumps({"wall": wall, "cpu": cpu, "points": len(values), "pass_rate": passed}))


if __name__ == "__main__":
    main()
