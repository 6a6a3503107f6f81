"""Facilities for the loop tests: real processes, real links."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from common.files import read_json
from ptcs.child import alive
from ptcs.running import take_down

PTCS = [sys.executable, "-m", "ptcs.cli"]


def ptcs(*arguments: str | Path, timeout: float = 280.0) -> subprocess.CompletedProcess[str]:
    """Run a ptcs command as a user would; English messages."""
    environment = {**os.environ, "PTCS_LANG": "en"}
    command = [*PTCS, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, env=environment, check=False
    )


def status(state: Path) -> dict[str, Any]:
    """`ptcs status --json` of a facility."""
    result = ptcs("status", "--state", state, "--json")
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


def pids(facility: dict[str, Any]) -> list[int]:
    """Process ids of a facility, the supervisor's included."""
    return [facility["supervisor_pid"], *(row["pid"] for row in facility["servers"] if row["pid"])]


@dataclass(frozen=True)
class Treated:
    """A facility that stays up after the demo has treated fraction 1 of a plan."""

    state: Path
    out: Path
    output: str
    summary: dict[str, Any]
    facility: dict[str, Any]


@pytest.fixture(scope="session")
def treated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Treated]:
    """`ptcs demo --keep` on the synthetic patient."""
    root = tmp_path_factory.mktemp("loop")
    state, out = root / "state", root / "out"
    result = ptcs("demo", "--state", state, "--out", out, "--keep", "--seed", "7")
    try:
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        facility = status(state)
        yield Treated(state, out, result.stdout, read_json(out / "summary.json"), facility)
        facility = status(state)
    finally:
        take_down(state)
    assert [pid for pid in pids(facility) if alive(pid)] == []
