"""The EPICS gateway against a bare p4p server with the same values, each in a process of its own.

`epics-get`: median of gets one after another, taken in turns. `epics-monitor`: updates a second that arrive
at 1000 monitors while the server posts as fast as it can. `epics-cpu`: share of a core at 1000 monitors
and 1000 changes a second. The gateway is fed as its subscription to a device server would feed it.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
from p4p.client.thread import Context
from p4p.nt import NTScalar
from p4p.server import Server, StaticProvider
from p4p.server.thread import SharedPV

from device_servers.guard import Guard
from device_servers.services.archive.recorder import Batch
from device_servers.services.epics.board import Board
from device_servers.services.epics.ca import CaServer
from device_servers.services.epics.link import Link
from device_servers.services.epics.puts import Puts
from device_servers.services.epics.pv import Shape
from device_servers.services.epics.pva import PvaServer

COUNT = 1000
RATE = 1000.0
GETS = 3000
FLOOD_S = 2.0
FLOODS = 5
PACED_S = 8.0
NAMES = [f"PTCS:bench/magnet/supply-{i:04d}:Current" for i in range(COUNT)]
KEPT: list[Any] = []
"""Servers end when nobody holds them."""
Post = Callable[[int, int, float], None]
"""Post a value to PVs from .. to."""


def serve(kind: str) -> None:
    """A server that tells its addresses, then obeys lines `flood S` and `pace S`: posts and CPU share."""
    environment, post = {"bare": bare, "gateway": gateway}[kind]()
    print(json.dumps(environment), flush=True)
    for line in sys.stdin:
        word, seconds = line.split()
        before, began, posted = time.process_time(), time.perf_counter(), 0
        while (now := time.perf_counter() - began) < float(seconds):
            if word == "pace" and posted >= now * RATE:
                time.sleep(0.1)  # ten bursts a second, as device servers send them
                continue
            start = posted % COUNT
            post(start, start + 100, float(posted))
            posted += 100
        used = (time.process_time() - before) / (time.perf_counter() - began)
        print(json.dumps({"posted": posted, "cpu": used}), flush=True)


def bare() -> tuple[dict[str, Any], Post]:
    nt = NTScalar("d", display=True, control=True, valueAlarm=True, form=True)
    provider = StaticProvider("bare")
    pvs = [SharedPV(nt=nt, initial=0.0) for _name in NAMES]
    for name, pv in zip(NAMES, pvs, strict=True):
        provider.add(name, pv)
    server = Server([provider], isolate=True)

    def post(start: int, stop: int, value: float) -> None:
        now = time.time()
        for pv in pvs[start:stop]:
            pv.post(value, timestamp=now)

    KEPT.append(server)
    return {"pva": server.conf()}, post


def gateway() -> tuple[dict[str, Any], Post]:
    folder = Path(tempfile.mkdtemp(prefix="bench-epics-"))
    guard = Guard(folder / "no-key.pem", folder / "audit.log")  # nobody logs in
    devices = [name.split(":")[1] for name in NAMES]
    levels = {"limits": (0.0, 1500.0), "alarms": (-1e12, -1e11, 1e11, 1e12)}
    shapes = [Shape(device, "Current", "bench", block=True, unit="A", **levels) for device in devices]
    board, puts = Board(shapes), Puts(guard)
    pva, channel_access = PvaServer(board, puts, {}), CaServer(board, puts, {})
    link, sources = Link("bench", board), tuple(shape.source for shape in shapes)

    def post(start: int, stop: int, value: float) -> None:
        indices = np.arange(start, stop)
        times, values = np.full(len(indices), time.time()), np.full(len(indices), value)
        triples = np.column_stack((times, indices, values))
        link.take(Batch(sources, triples))

    post(0, COUNT, 0.0)
    return {"pva": pva.environment, "ca": channel_access.environment}, post


class Peer:
    """A server process and a p4p client of it."""

    def __init__(self, kind: str) -> None:
        command = [sys.executable, "-m", "benchmarks.bench_epics", kind]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.environment = json.loads(self._line())
        self.context = Context("pva", conf=self.environment["pva"], useenv=False, nt=False)

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def tell(self, order: str) -> dict[str, float]:
        """Have the server flood or pace, and wait until it is done."""
        assert self.process.stdin is not None
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        return dict(json.loads(self._line()))

    def memory_mb(self) -> float:
        return float(psutil.Process(self.process.pid).memory_full_info().pss / 1e6)

    def close(self) -> None:
        self.context.close()
        self.process.kill()
        self.process.wait()


@contextmanager
def monitors(peer: Peer) -> Iterator[Callable[[], int]]:
    """1000 monitors, connected; how many updates came so far."""
    lock, count = threading.Lock(), 0

    def hear(_value: Any) -> None:
        nonlocal count
        with lock:
            count += 1

    subscriptions = [peer.context.monitor(name, hear) for name in NAMES]
    ends = time.monotonic() + 10.0
    while count < COUNT and time.monotonic() < ends:
        time.sleep(0.05)
    yield lambda: count
    for subscription in subscriptions:
        subscription.close()


def get_s(peer: Peer, times: int) -> list[float]:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        peer.context.get(NAMES[0])
        taken.append(time.perf_counter() - began)
    return taken


def measure(ours: Peer, theirs: Peer) -> None:
    taken: dict[Peer, list[float]] = {ours: [], theirs: []}
    for turn in range(10):
        for peer in (ours, theirs) if turn % 2 else (theirs, ours):
            taken[peer] += get_s(peer, GETS // 10)[10:]
    mine, bare_ = median(taken[ours]) * 1e6, median(taken[theirs]) * 1e6
    say("epics-get", us_p50=round(mine, 1), bare_us_p50=round(bare_, 1), ratio=round(bare_ / mine, 3))
    rates: dict[Peer, list[float]] = {ours: [], theirs: []}
    paced, heard = {}, {}
    with monitors(theirs) as bare_count, monitors(ours) as our_count:
        counts = {theirs: bare_count, ours: our_count}
        for peer in (theirs, ours) * FLOODS:
            before = counts[peer]()
            peer.tell(f"flood {FLOOD_S}")
            rates[peer].append((counts[peer]() - before) / FLOOD_S)
            time.sleep(0.5)
        for peer in (theirs, ours):
            before = counts[peer]()
            paced[peer] = peer.tell(f"pace {PACED_S}")
            time.sleep(0.5)
            heard[peer] = counts[peer]() - before
    say(
        "epics-monitor",
        updates_s=round(median(rates[ours])),
        bare_updates_s=round(median(rates[theirs])),
        ratio=round(median(rates[ours]) / median(rates[theirs]), 3),
    )
    say(
        "epics-cpu",
        monitors=COUNT,
        changes_s=RATE,
        core=round(paced[ours]["cpu"], 3),
        bare_core=round(paced[theirs]["cpu"], 3),
        lost=paced[ours]["posted"] - heard[ours],
        pss_mb=round(ours.memory_mb(), 1),
    )


def channel_access(ours: Peer) -> None:
    """1000 monitors of libca (pyepics) at 1000 changes a second."""
    os.environ |= ours.environment["ca"] | {"PATH": f"{os.environ['PATH']}:{Path(sys.executable).parent}"}
    import epics  # noqa: PLC0415 - it reads the environment when it is imported

    count = 0

    def hear(**_news: Any) -> None:
        nonlocal count
        count += 1

    pvs = [epics.PV(name, callback=hear, auto_monitor=True) for name in NAMES]
    while count < COUNT:
        time.sleep(0.05)
    before = count
    paced = ours.tell(f"pace {PACED_S}")
    time.sleep(1.0)
    lost = paced["posted"] - (count - before)
    say("epics-ca-cpu", monitors=len(pvs), changes_s=RATE, core=round(paced["cpu"], 3), lost=lost)


def say(name: str, **figures: Any) -> None:
    print(json.dumps({"benchmark": name, **figures}), flush=True)


def main() -> None:
    if len(sys.argv) > 1:
        serve(sys.argv[1])
        return
    ours, theirs = Peer("gateway"), Peer("bare")
    try:
        measure(ours, theirs)
        channel_access(ours)
    finally:
        ours.close()
        theirs.close()


if __name__ == "__main__":
    main()
