"""Facilities for the loop tests: real processes, real links."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.files import read_json
from common.site import CONFIG, DEFAULT_SITE
from ptcs.child import alive
from ptcs.running import take_down

PTCS = [sys.executable, "-m", "ptcs.cli"]


def ptcs(
    *arguments: str | Path, timeout: float = 280.0, language: str = "en"
) -> subprocess.CompletedProcess[str]:
    """Run a ptcs command as a user of that language would."""
    environment = {**os.environ, "PTCS_LANG": language}
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


def still_air(folder: Path) -> Path:
    """The demonstration site with air that does not drift: presets are the same in every fraction."""
    for name in ("interlock.yaml", "roles.yaml"):
        shutil.copy(CONFIG / name, folder / name)
    content = yaml.safe_load(DEFAULT_SITE.read_text(encoding="utf-8"))
    station = next(row for row in content["devices"] if row["class"] == "EnvironmentStation")
    station["plant"]["swing"] = 0.0
    path = folder / "still-air.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def treated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Treated]:
    """`ptcs demo --keep` on the synthetic patient."""
    root = tmp_path_factory.mktemp("loop")
    state, out, site_file = root / "state", root / "out", still_air(root)
    result = ptcs("demo", "--state", state, "--site", site_file, "--out", out, "--keep", "--seed", "7")
    try:
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        facility = status(state)
        yield Treated(state, out, result.stdout, read_json(out / "summary.json"), facility)
        facility = status(state)
    finally:
        take_down(state)
    assert [pid for pid in pids(facility) if alive(pid)] == []
