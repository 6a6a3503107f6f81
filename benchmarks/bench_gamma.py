"""Gamma 2 %/2 mm of two smooth 3-D doses: ours against pymedphys where it is installed, else numpy and scipy.

The plain peer searches shells of offsets of distance / 10 with scipy's trilinear interpolation, at once for
all points that a nearer shell has not settled: the algorithm of the usual Python packages. The JSON line
names the peer and the difference of the two pass rates, in percent points.
"""

import importlib.util
import json
import time

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from tps_engine.evaluate.gamma import GammaCriteria, gamma

SPACING = (2.5, 2.5, 2.5)
SHAPE = (50, 60, 70)
Dose = NDArray[np.float64]


def doses() -> tuple[Dose, Dose]:
    """A target of 2 Gy with an entrance plateau, and the same 1 mm aside, 1 % hotter and noisy."""
    z, y, x = np.indices(SHAPE) * 2.5
    plan = 2.0 * ((abs(z - 62) < 25) & (abs(y - 75) < 25) & (abs(x - 87) < 25))
    plan = plan + 0.8 * ((abs(z - 62) < 25) & (abs(y - 75) < 25) & (x < 62))
    plan = gaussian_filter(plan.astype(np.float64), 1.6)
    aside = map_coordinates(plan, np.indices(SHAPE) - np.array([0.0, 0.4, 0.0]).reshape(3, 1, 1, 1), order=1)
    noise = gaussian_filter(np.random.default_rng(1).normal(0.0, 0.25, SHAPE), 1.0)
    return plan, np.maximum(1.01 * aside + noise * (plan > 0.1), 0.0)


def shells(plan: Dose, given: Dose, criteria: GammaCriteria) -> Dose:
    """Gamma of the points above the threshold, in numpy and scipy."""
    places = np.argwhere(plan >= plan.max() * criteria.threshold_percent / 100.0).astype(np.float64)
    wanted = plan[tuple(places.astype(int).T)]
    tolerance = plan.max() * criteria.dose_percent / 100.0
    step = criteria.distance_mm / 10.0
    count = round(criteria.max_gamma * 10)
    axis = np.arange(-count, count + 1)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    shell = np.ceil(np.sqrt((grid**2).sum(axis=1))).astype(int)
    best = np.full(len(places), criteria.max_gamma**2)
    for radius in range(count + 1):
        open_points = np.flatnonzero(best > (max(radius - 1, 0) / 10.0) ** 2)
        for offset in grid[shell == radius] * step:
            where = (places[open_points] + offset / np.asarray(SPACING[::-1])).T
            here = map_coordinates(given, where, order=1, mode="constant", cval=np.nan)
            value = (offset @ offset) / criteria.distance_mm**2 + (
                (here - wanted[open_points]) / tolerance
            ) ** 2
            best[open_points] = np.fmin(best[open_points], value)
    return np.sqrt(best)


def pymedphys_gamma(plan: Dose, given: Dose, criteria: GammaCriteria) -> Dose:
    """The same by pymedphys, with its usual ten samples a distance."""
    from pymedphys import gamma as peer  # noqa: PLC0415

    axes = tuple(2.5 * np.arange(n) for n in SHAPE)
    found = peer(
        axes, plan, axes, given, criteria.dose_percent, criteria.distance_mm,
        lower_percent_dose_cutoff=criteria.threshold_percent, interp_fraction=10,
        max_gamma=criteria.max_gamma, quiet=True,
    )  # fmt: skip
    return np.asarray(found[np.isfinite(found)])


def main() -> None:
    plan, given = doses()
    criteria = GammaCriteria()
    started = time.perf_counter()
    gamma(plan, given, SPACING, criteria)
    warm = time.perf_counter() - started
    times = []
    for _ in range(3):
        started = time.perf_counter()
        ours = gamma(plan, given, SPACING, criteria)
        times.append(time.perf_counter() - started)
    installed = importlib.util.find_spec("pymedphys") is not None
    name, peer = ("pymedphys", pymedphys_gamma) if installed else ("plain numpy and scipy", shells)
    started = time.perf_counter()
    theirs = peer(plan, given, criteria)
    taken = time.perf_counter() - started
    difference = abs(ours.pass_rate - 100.0 * float(np.mean(theirs <= 1.0)))
    print(
        json.dumps(
            {"name": "gamma-3d", "ours": round(min(times), 4), "peer": round(taken, 4), "unit": "s",
             "ratio": round(taken / min(times), 1), "n": ours.points, "warm": round(warm, 2),
             "peer_is": name, "pass_rate": round(ours.pass_rate, 3),
             "pass_rate_differs": round(difference, 3)}
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
