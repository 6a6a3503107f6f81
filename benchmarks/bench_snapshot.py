"""A snapshot of a whole machine and its comparisons: over 3000 attributes of a real facility.

The site is the synchrotron's with some devices twice (`larger_site`); plant, beam hardware, device servers
and services are real processes. `snapshot-3000`: from the command to the kept snapshot, median; peer: the
same attributes read one by one, each by its own call of a proxy that exists already. `snapshot-compare`:
two kept snapshots, median; peer: the limit asked for. Processor time of the service is given beside it.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import tango

from benchmarks.acs_campaign import processes
from benchmarks.larger_site import larger
from common.files import read_json
from common.site import CONFIG
from common.state import StateDir
from ptcs.client import connect
from ptcs.running import bring_up, take_down
from ptcs.service_calls import Service

SETTINGS = "services/settings/1"
CONFIGURATION = "machine"
ROUNDS = 7
IDLE_S = 5.0
COMPARE_LIMIT_S = 0.2
USER = "operator"


def say(name: str, ours: float, peer: float, **more: Any) -> None:
    """One JSON line; smaller is better."""
    ratio = round(peer / ours, 3) if ours else None
    head = {"name": name, "ours": round(ours, 5), "peer": round(peer, 5), "unit": "s", "ratio": ratio}
    print(json.dumps({**head, "warm": True, **more}), flush=True)


def timed(work: Callable[[], Any], rounds: int) -> tuple[list[float], Any]:
    """Seconds of each round, and the last answer."""
    taken, answer = [], None
    for _round in range(rounds):
        began = time.perf_counter()
        answer = work()
        taken.append(time.perf_counter() - began)
    return taken, answer


class Meter:
    """Processor time of a process less what it takes when nobody asks it anything."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self.idle = self._share(IDLE_S)
        """Cores."""

    def _share(self, seconds: float) -> float:
        before = sum(self._process.cpu_times()[:2])
        time.sleep(seconds)
        return (sum(self._process.cpu_times()[:2]) - before) / seconds

    def timed(self, work: Callable[[], Any]) -> tuple[list[float], float, Any]:
        """Seconds of each of ROUNDS, processor time of one round, and the last answer."""
        before, began = sum(self._process.cpu_times()[:2]), time.perf_counter()
        taken, answer = timed(work, ROUNDS)
        span = time.perf_counter() - began
        used = sum(self._process.cpu_times()[:2]) - before - self.idle * span
        return taken, max(used, 0.0) / ROUNDS, answer


def one_by_one(names: list[str]) -> float:
    """Seconds to read attributes each by a call of its own; those that fail count as well."""
    proxies = {name: tango.DeviceProxy(name.rpartition("/")[0]) for name in names}
    for proxy in set(proxies.values()):
        proxy.ping()
    began = time.perf_counter()
    for name in names:
        try:
            proxies[name].read_attribute(name.rpartition("/")[2])
        except tango.DevFailed:
            continue
    return time.perf_counter() - began


def measure(state: Path, service: Service) -> None:
    """Snapshots, comparisons, and the peer."""
    meter = Meter(psutil.Process(processes(state)["services"].pid))
    wish = {"configuration": CONFIGURATION, "comment": "benchmark"}
    cold, line = timed(lambda: service.job("Take", wish), 1)
    taken, cpu, line = meter.timed(lambda: service.job("Take", wish))
    columns = service.ask("Show", line["id"])["columns"]
    peer, load = one_by_one(columns["name"]), round(os.getloadavg()[0], 1)
    span = round(line["ended"] - line["started"], 4)
    facts = {"attributes": line["count"], "invalid": line["invalid"], "unreadable": line["unreadable"]}
    facts |= {"cold_s": round(cold[0], 4), "read_s": span, "cpu_s": round(cpu, 4), "n": ROUNDS, "load": load}
    say("snapshot-3000", median(taken), peer, idle_core=round(meter.idle, 3), **facts)
    first = service.ask("Find", {"limit": ROUNDS})[-1]["id"]
    pair = {"left": first, "right": line["id"]}
    compared, cpu, found = meter.timed(lambda: service.job("Compare", pair))
    facts = {
        "attributes": found["count"],
        "differences": len(found["differences"]),
        "n": ROUNDS,
        "load": load,
    }
    say("snapshot-compare", median(compared), COMPARE_LIMIT_S, cpu_s=round(cpu, 4), **facts)
    live, found = timed(lambda: service.job("Compare", {"left": line["id"]}), ROUNDS)
    say("snapshot-compare-live", median(live), peer, differences=len(found["differences"]), n=ROUNDS)


def main() -> None:
    """Bring a facility up, measure, take it down."""
    with tempfile.TemporaryDirectory(prefix="ptcs-snapshot-") as folder:
        site_file = larger(CONFIG / "synchrotron.yaml", Path(folder) / "site")
        state = Path(folder) / "state"
        try:
            facility = bring_up(state, site_file)
            os.environ["TANGO_HOST"] = facility["tango_host"]
            password = read_json(StateDir(state).demo_accounts)[USER]
            with connect(state, USER, password) as client:
                measure(state, Service(client.proxy(SETTINGS)))
        finally:
            take_down(state)


if __name__ == "__main__":
    main()
