"""Checks of the CUDA kernels in numba's simulator (NUMBA_ENABLE_CUDASIM=1), run by test_cuda_kernels.

Simulated threads are slow, so cases are small; every one is compared with the compiled code of the cores.
"""

import sys
import warnings

import numpy as np
import pytest
from numba import config, cuda

from common.errors import BadInput
from tests.tps_engine.montecarlo_beams import GENERIC, pencil
from tps_engine.beamdata.optics import RangeShifter
from tps_engine.device import choice
from tps_engine.dose import engine as pencil_engine
from tps_engine.dose import field, spots
from tps_engine.dose.engine import Influence
from tps_engine.dose.montecarlo import engine, media, work
from tps_engine.dose.montecarlo.transport import BALANCE, TALLIES, WATER
from tps_engine.dose.upstream import Upstream
from tps_engine.evaluate.gamma import GammaCriteria, gamma
from tps_engine.optimise import solver
from tps_engine.optimise.functions import Term
from tps_engine.optimise.objectives import Overdose, SquaredDeviation
from tps_engine.optimise.quantities import LinearDose
from tps_engine.patient.grid import Grid
from tps_engine.plan.geometry import beam_frame

FRAME = beam_frame(0.0, 0.0, (0.0, 0.0, 0.0), GENERIC.virtual_sad)


def montecarlo() -> None:
    """The same histories, in water and behind a range shifter; whole numbers lose less than 1e-8 MeV each."""
    from tps_engine.device import montecarlo as device

    device.THREADS = 1
    grid = Grid((-28.0, 2.0, -28.0), (4.0, 4.0, 4.0), (15, 30, 15))
    medium = media.uniform(grid)
    two = spots.nominal(GENERIC, np.array([75.0, 90.0]), np.array([-8.0, 8.0]), np.zeros(2))
    edges = np.array([0.4, 1.0])
    shifted = Upstream(300.0, 0.0, RangeShifter("RS", 20.0, 18.0), 150.0)
    for upstream, count, batches in ((None, 8, 2), (shifted, 5, 1)):
        ready = work.prepare(medium, FRAME, GENERIC, two, upstream)
        ends: list[int] = []
        device.HISTORIES_A_LAUNCH = 6  # more than one launch a batch
        total, squares, balance = device.OnDevice(ready).round(3, 100, count, batches, edges, ends.append)
        wanted, wanted_squares = np.zeros((grid.size, TALLIES)), np.zeros(grid.size)
        wanted_balance = np.zeros(BALANCE)
        for k in range(batches):
            tally, gone = ready.batch(3, 100 + k * count, count, edges)
            wanted += tally
            wanted_squares += tally[:, WATER] ** 2
            wanted_balance += gone
        assert ends == list(range(1, batches + 1))
        assert wanted[:, WATER].sum() > 50.0 * count * batches * 0.5
        np.testing.assert_allclose(total, wanted, rtol=0.0, atol=1e-6)
        np.testing.assert_allclose(squares, wanted_squares, rtol=0.0, atol=1e-4)
        np.testing.assert_allclose(balance, wanted_balance, rtol=0.0, atol=1e-6)
    asked = {"count": 6, "seed": 2, "batches": 2, "threads": 1}
    here, there = (
        engine.spot_dose(
            medium, FRAME, GENERIC, pencil(75.0, 4.0), np.ones(1), engine.Histories(**asked, device=name)
        )
        for name in ("cpu", "cuda")
    )
    for name in ("dose_to_water", "dose_to_medium", "sigma", "let"):
        np.testing.assert_allclose(getattr(there, name), getattr(here, name), rtol=1e-5, atol=1e-12)
    assert here.dose_to_water.max() > 0.0


def products() -> None:
    """Dose and gradient to float32's rounding of the cores, and a descent that ends where theirs does."""
    from tps_engine.device import products as device

    device.THREADS = 4
    rng = np.random.default_rng(5)
    counts = rng.integers(0, 30, 12)
    counts[3] = 0
    indptr = np.r_[0, np.cumsum(counts)].astype(np.int64)
    indices = np.concatenate([rng.choice(60, n, replace=False) for n in counts]).astype(np.int32)
    matrix = Influence(60, indptr, indices, rng.uniform(0.01, 1.0, len(indices)).astype(np.float32))
    weights, slope = rng.uniform(0.0, 2.0, 12), rng.normal(size=60)
    held = device.DoseOnDevice(matrix, 1.1)
    dose, pull = held.evaluate(weights)
    wanted, pulled = LinearDose(matrix, 1.1).evaluate(weights)
    np.testing.assert_allclose(dose, wanted, rtol=1e-6)
    np.testing.assert_allclose(pull(slope), pulled(slope), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(held.evaluate(np.zeros(12))[0], np.zeros(60))
    aims = (SquaredDeviation(np.arange(30), 1.0, 1.0), Overdose(np.arange(30, 60), 0.5, 1.0))
    bounds = (np.zeros(12), np.full(12, 5.0))
    here, there = (
        solver.solve(Term(quantity, aims), np.ones(12), bounds, tolerance=1e-3)
        for quantity in (LinearDose(matrix), device.DoseOnDevice(matrix))
    )
    assert there.values[-1] < 0.5 * there.values[0]
    assert abs(there.values[-1] - here.values[-1]) < 0.02 * here.values[-1]


def gamma_index() -> None:
    """Gamma of a shifted, noisy cube: every point, at the edge of the grid too, as the cores have it."""
    from tps_engine.device import gamma as device

    device.THREADS = 2
    z, y, x = np.mgrid[0:6, 0:7, 0:8].astype(float)
    plan = 2.0 * np.exp(-(((x - 3.0) / 2.5) ** 4) - ((y - 3.0) / 2.5) ** 4 - ((z - 2.5) / 2.5) ** 4)
    given = np.roll(plan, 2, axis=2) + np.random.default_rng(3).normal(0.0, 0.1, plan.shape)
    for criteria in (GammaCriteria(3.0, 3.0, steps=2), GammaCriteria(2.0, 2.0, mode="local", steps=2)):
        here = gamma(plan, given, (2.0, 2.5, 3.0), criteria)
        there = gamma(plan, given, (2.0, 2.5, 3.0), criteria, device="cuda")
        assert here.points == there.points > 100
        np.testing.assert_allclose(there.values, here.values, rtol=1e-5, atol=1e-6)
        assert (here.values <= 1.0).sum() > 20
        assert (here.values > 1.0).sum() > 20


def memory() -> None:
    """What does not fit on the device is refused before time is spent."""
    type(cuda.current_context()).get_memory_info = lambda _self: (2.0**30, 2.0**32)
    choice.refuse_too_large(2.0**29)
    with pytest.raises(BadInput, match=r"has 1\.0 GiB free and 2\.0 GiB are needed"):
        choice.refuse_too_large(2.0**31)


def pencil_beam() -> None:
    """Forward dose and LET in slabs of three media, rays looked at one by one, halo too: single precision."""
    from tps_engine.device import pencil_beam as device

    device.THREADS = 1
    grid = Grid((-24.0, 3.0, -24.0), (8.0, 6.0, 8.0), (7, 12, 7))
    rsp = np.ones(grid.shape, dtype=np.float32)
    rsp[:, 2:5, :3], rsp[:, 4:7, 4:] = 0.3, 1.6
    voxels = field.prepare(rsp, grid, FRAME, grid.points(np.arange(grid.size)))
    four = spots.nominal(
        GENERIC, np.array([75.0, 75.0, 80.0, 80.0]), np.array([-6.0, 3.0, 0.0, 9.0]), np.zeros(4)
    )
    mu = np.array([1.0, 0.5, 2.0, 1.0])
    assert voxels.uneven.any()
    dose, let = pencil_engine.forward_with_let(voxels, GENERIC, four, mu)
    there, let_there = pencil_engine.forward_with_let(voxels, GENERIC, four, mu, device="cuda")
    assert dose.max() > 0.0
    np.testing.assert_allclose(there, dose, rtol=2e-5, atol=1e-6 * dose.max())
    near = dose > 1e-3 * dose.max()
    np.testing.assert_allclose(let_there[near], let[near], rtol=1e-4)
    np.testing.assert_allclose(
        pencil_engine.forward(voxels, GENERIC, four, mu, device="cuda"),
        dose,
        rtol=2e-5,
        atol=1e-6 * dose.max(),
    )


def plan() -> None:
    """A plan whose beams' doses the device calculates is the plan of the cores."""
    from tests.tps_engine.tps_phantoms import water_box
    from tps_engine.device import pencil_beam as device
    from tps_engine.plan.planning import make_plan
    from tps_engine.plan.request import FieldRequest, PlanOptions, Prescription

    calls: list[int] = []
    total = device.total
    device.total = lambda job: calls.append(1) or total(job)
    ct, structures = water_box()
    ct.hu[:, :3], ct.hu[:, -3:] = -1000.0, -1000.0
    doses = []
    for name in ("cpu", "cuda"):
        assert not calls
        options = PlanOptions(margin=0.0, dose_spacing=20.0, device=name)
        wanted = Prescription("cube", 2.0, 1)
        doses.append(make_plan(ct, structures, wanted, [FieldRequest("A", 0.0)], GENERIC, options).dose)
    assert calls and doses[0].max() > 1.5
    np.testing.assert_allclose(doses[1], doses[0], atol=2e-4 * doses[0].max())


CHECKS = {
    "pencil_beam": pencil_beam,
    "memory": memory,
    "gamma": gamma_index,
    "montecarlo": montecarlo,
    "plan": plan,
    "products": products,
}


def main(name: str) -> None:
    assert config.ENABLE_CUDASIM
    assert choice.chosen("auto") == "cuda"
    # whole numbers of the random generator wrap around, of which the simulator's plain Python warns
    warnings.filterwarnings("ignore", "overflow encountered in scalar", RuntimeWarning)
    CHECKS[name]()
    print(f"{name}: equal")


if __name__ == "__main__":
    main(sys.argv[1])
