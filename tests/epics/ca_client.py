"""A Channel Access client process: runs the Python on stdin with pyepics in scope; `say` prints JSON."""

import faulthandler
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ["PATH"] += os.pathsep + str(Path(sys.executable).parent)

import epics  # noqa: F401 - it reads the environment when it is imported

PRE = "PTCS:"
faulthandler.dump_traceback_later(45, exit=True)  # a client that hangs tells where


def say(value: Any) -> None:
    print("@" + json.dumps(value, default=str), flush=True)


def wait(true: Any, limit: float = 20.0) -> float:
    """Seconds until something is true."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < limit, "not so in time"
        time.sleep(0.02)
    return time.monotonic() - began


exec(compile(sys.stdin.read(), "client", "exec"))
