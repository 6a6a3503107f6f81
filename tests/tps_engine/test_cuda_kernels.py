"""CUDA kernels in numba's simulator against the processor cores; what is refused where no device is.

Every check runs in a process of its own: numba decides at its import whether CUDA is simulated.
"""

import os
import subprocess
import sys

import pytest

from common.errors import BadInput
from tests.conftest import REPOSITORY
from tps_engine.device import choice

pytestmark = pytest.mark.requirement("TPS-DOSE")


@pytest.mark.parametrize("check", ["gamma", "memory", "montecarlo", "pencil_beam", "plan", "products"])
def test_kernels_give_what_the_cores_give(check):
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.tps_engine.cuda_checks", check],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert f"{check}: equal" in done.stdout


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(choice, "has_cuda", lambda: False)
    assert choice.chosen("auto") == "cpu"
    assert choice.chosen("cpu") == "cpu"
    with pytest.raises(BadInput, match="no CUDA device"):
        choice.chosen("cuda")
    with pytest.raises(BadInput, match="allowed are cpu, cuda, auto"):
        choice.chosen("gpu")
    monkeypatch.setattr(choice, "has_cuda", lambda: True)
    assert choice.chosen("auto") == choice.chosen("cuda") == "cuda"
