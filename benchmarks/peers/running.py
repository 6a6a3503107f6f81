"""Starts a peer in its own virtual environment and reads the JSON line that it ends with."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from common.errors import BadInput

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PYTHON = ROOT / ".venv-peers" / "bin" / "python"


def run(script: str, *arguments: str, seconds: float = 3600.0) -> dict[str, Any]:
    """The last line that `script` of this folder writes, from JSON.

    Raises BadInput when .venv-peers is missing or the peer fails.
    """
    if not (PYTHON.parents[1] / "ready").exists():
        raise BadInput("the peers are not installed: run benchmarks/peers/setup.sh first")
    command = [str(PYTHON), str(HERE / script), *arguments]
    quiet = {**os.environ, "TQDM_DISABLE": "1"}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=seconds, env=quiet, cwd=ROOT
    )
    if done.returncode:
        tail = "\n".join(done.stderr.splitlines()[-5:])
        raise BadInput(f"{script} ended with {done.returncode}: {tail}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
