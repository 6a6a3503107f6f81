"""The notebooks run: on the plant's physics in their own kernel, and (slow) on a whole facility."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from common.site import CONFIG
from ptcs.commissioning.store import Store
from ptcs.running import take_down
from tests.conftest import REPOSITORY

HERE = Path(__file__).parent
NOTEBOOKS = sorted((REPOSITORY / "docs" / "tutorials" / "commissioning").glob("*.ipynb"))
KINDS = {"scan-a-corrector": {"scan"}, "correct-the-orbit": {"response", "orbit"},
         "energy-and-dose": {"range", "monitor", "spots"}}  # fmt: skip
pytestmark = [
    pytest.mark.requirement("ACS-COMMISSION"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def run(path: Path) -> nbformat.NotebookNode:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(REPOSITORY)}}).execute()
    return notebook


def pictures(notebook: nbformat.NotebookNode) -> int:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return sum("image/png" in output.get("data", {}) for output in outputs)


def check(path: Path, state: Path) -> None:
    notebook = run(path)
    codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in codes) and pictures(notebook) >= 1
    store = Store(state)
    assert {store.load(number).plan.kind for number in store.ids()} >= KINDS[path.stem]
    assert store.pending() == []
    if out := os.environ.get("PTCS_NOTEBOOKS_OUT"):  # to look at the pictures
        nbformat.write(notebook, Path(out) / path.name)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_runs_on_the_plant(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [HERE / "kernel", HERE, REPOSITORY, os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(str(part) for part in parts if str(part)))
    monkeypatch.setenv("PTCS_PLANT_WORKPLACE", "1")
    monkeypatch.setenv("PTCS_STATE", str(tmp_path))
    monkeypatch.setenv("PTCS_SAMPLES", "4")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    check(path, tmp_path)


@pytest.fixture(scope="module")
def facility(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`ptcs up` of the big site, with everything."""
    state = tmp_path_factory.mktemp("commissioning") / "state"
    site = CONFIG / "synchrotron.yaml"
    command = [
        sys.executable,
        "-m",
        "ptcs.cli",
        "up",
        "--detach",
        "--state",
        state,
        "--site",
        site,
        "--seed",
        "3",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    try:
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        yield state
    finally:
        take_down(state)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not os.environ.get("PTCS_FACILITY"), reason="a whole facility: ./run commission-campaign")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_runs_on_a_facility(facility: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTCS_STATE", str(facility))
    monkeypatch.setenv("PTCS_SAMPLES", "5")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    check(path, facility)
