"""What the archive takes in without a loss: a recorder fed as a flood of crates feeds it, and read back.

`archive-ingest`: 100 000 values a second for 60 s, then `archive-ingest-burst`: 300 000 a second for 5 s, in
a process of its own with its housekeeping beside it. Values are counted and added up where they go in, and
again in the files, read with h5py alone. `core`: processor time of the recorder's process; `keeping_core`:
that of closing and merging. `python -m benchmarks.bench_archive_ingest [SECONDS [BURST_SECONDS]]`.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil

from device_servers.services.archive.keeper import Retention
from device_servers.services.archive.keeping import Keeping
from device_servers.services.archive.reader import look
from device_servers.services.archive.recorder import Batch, Recorder

CHANNELS, CRATES, PERIOD_S = 3000, 5, 0.1
"""As many channels in as many crates as the larger facility has; each sends ten blocks a second."""


def feed(folder: Path, rate: float, seconds: float) -> dict[str, Any]:
    """Offer `rate` values a second in blocks; what was counted, and the processor time it took."""
    keeping = Keeping(folder, Retention())
    recorder = Recorder(folder, keeping=keeping)
    names = [tuple(f"acs/bench/c{crate}/n{n}" for n in range(CHANNELS // CRATES)) for crate in range(CRATES)]
    size = int(rate * PERIOD_S / CRATES)
    recorder.start()
    time.sleep(1.0)
    before, began, offered, late = time.process_time(), time.monotonic(), 0, 0.0
    total = 0.0
    for turn in range(int(seconds / PERIOD_S)):
        late = max(late, time.monotonic() - began - turn * PERIOD_S)
        time.sleep(max(0.0, began + turn * PERIOD_S - time.monotonic()))
        now, values = time.time(), np.arange(size) + float(turn)
        for crate in names:
            places = np.arange(size)
            times = now + places // len(crate) * 1e-4
            recorder.take(Batch(crate, np.column_stack([times, places % len(crate), values])))
        total += float(values.sum()) * CRATES
        offered += size * CRATES
    took = time.monotonic() - began
    recorder.flush()
    used = time.process_time() - before
    while keeping.busy:
        time.sleep(0.2)
        keeping.tick(time.time())
    files = [path for path in folder.glob("*.h5") if "open" not in path.name]
    figures = {
        "offered": offered,
        "total": total,
        "written": recorder.values,
        "lost": recorder.lost,
        "wall_s": round(took, 1),
        "core": round(used / seconds, 3),
        "keeping_core": round(sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) / seconds, 3),
        "rss_mb": round(psutil.Process().memory_full_info().uss / 1e6),
        "late_s": round(late, 2),
        "closed_files": len(files),
    }
    recorder.stop()
    return figures


def held(folder: Path) -> tuple[int, float]:
    """Values in the files, and their sum."""
    tables = [content.values["value"] for content in look(folder)[1]]
    for path in folder.glob("[!o]*.h5"):
        with h5py.File(path, "r", locking=False) as file:
            tables.append(file["values"]["value"])
    return sum(len(table) for table in tables), float(sum(table.sum() for table in tables))


def measure(name: str, rate: float, seconds: float) -> bool:
    with tempfile.TemporaryDirectory(prefix="bench-archive-") as place:
        order = ["feed", place, str(rate), str(seconds)]
        command = [sys.executable, "-m", "benchmarks.bench_archive_ingest", *order]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        figures = json.loads(done.stdout.splitlines()[-1])
        total = figures.pop("total")
        figures["read_back"], found = held(Path(place))
    whole = figures["offered"] == figures["written"] == figures["read_back"] and not figures["lost"]
    whole = whole and found == total
    told = {"name": name, "rate": rate, "seconds": seconds, "whole": whole, **figures}
    print(json.dumps(told), flush=True)
    return bool(whole)


def main() -> int:
    if sys.argv[1:2] == ["feed"]:
        place, rate, seconds = sys.argv[2:5]
        print(json.dumps(feed(Path(place), float(rate), float(seconds))), flush=True)
        return 0
    lengths = [float(word) for word in sys.argv[1:]]
    seconds, burst = [*lengths, *(60.0, 5.0)[len(lengths) :]]
    done = [measure("archive-ingest", 1e5, seconds), measure("archive-ingest-burst", 3e5, burst)]
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main())
