"""A pvAccess client process: runs the Python on stdin with p4p's `ctx` in scope; `say` prints JSON."""

import faulthandler
import json
import sys
import time
from typing import Any

from p4p.client.thread import Context, RemoteError

PRE = "PTCS:"
faulthandler.dump_traceback_later(45, exit=True)  # a client that hangs tells where


def say(value: Any) -> None:
    print("@" + json.dumps(value, default=str), flush=True)


def refused(name: str, value: Any) -> str:
    """Reason of a put that is refused; "" for one that is not."""
    try:
        ctx.put(name, value, timeout=10)
    except RemoteError as why:
        return str(why)
    return ""


def wait(true: Any, limit: float = 20.0) -> float:
    """Seconds until something is true."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < limit, "not so in time"
        time.sleep(0.02)
    return time.monotonic() - began


with Context("pva", nt=False) as ctx:
    exec(compile(sys.stdin.read(), "client", "exec"))
