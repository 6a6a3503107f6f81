"""Processor time of a whole facility with all its services, on the largest site, with nobody doing anything.

Also what each process holds of memory (proportional, so that what forks share counts once).
"""

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.acs_campaign import cpu_seconds, line, processes
from common.site import CONFIG
from ptcs.running import bring_up, take_down

LIMIT_CORES = 1.2
SETTLE_S = 20.0


def main(seconds: float = 60.0) -> None:
    """Print one JSON line; peer is the limit asked for."""
    with tempfile.TemporaryDirectory(prefix="ptcs-facility-") as folder:
        state = Path(folder)
        try:
            bring_up(state, CONFIG / "synchrotron.yaml")
            time.sleep(SETTLE_S)
            members = processes(state)
            began, before = time.monotonic(), cpu_seconds(members)
            time.sleep(seconds)
            span, after = time.monotonic() - began, cpu_seconds(members)
            shares = {name: round((after[name] - before[name]) / span, 3) for name in members}
            sizes = {name: round(members[name].memory_full_info().pss / 1e6, 1) for name in members}
            line("facility", sum(shares.values()), LIMIT_CORES, "cores", 1, by=shares, by_mb=sizes)
        finally:
            take_down(state)


if __name__ == "__main__":
    main(*(float(word) for word in sys.argv[1:2]))
