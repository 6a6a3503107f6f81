"""The archive in PostgreSQL: how many values a second its writer takes, and how fast it reads.

1000 attributes, one value of each per step, a commit every ten steps as the archiver does every half second.
A cluster of its own, on this computer's disk. Seconds are of the wall and of processors: `ours` is the
writing process, `server` PostgreSQL's process for it. One JSON line, `archive-hdbpp`.
`python -m benchmarks.bench_archive_hdbpp [SECONDS of data at 1000 values each]`
"""

import json
import sys
import time

import numpy as np
import psutil

from device_servers.services.archive.hdbpp.reader import HdbReader
from device_servers.services.archive.hdbpp.writer import HdbWriter
from tests.postgres import Postgres

ATTRIBUTES, STEPS_A_COMMIT = 1000, 10
T0 = 1.8e9


def server_seconds(name: str) -> float:
    """Processor time of the server's process for our connection, s."""
    running = psutil.process_iter(["cmdline", "cpu_times"])
    found = [p.info["cpu_times"] for p in running if name in " ".join(p.info["cmdline"] or ())]
    return float(sum(sum(times[:2]) for times in found if times is not None))


def measure(url: str, steps: int) -> dict[str, float | int]:
    names = [f"acs/test/d{number}/Current" for number in range(ATTRIBUTES)]
    writer = HdbWriter(url)
    numbers = writer.channels(names)
    ramp = np.arange(ATTRIBUTES, dtype=np.float64)
    spread = ramp * 1e-5
    session = f"ptcs {url.partition('@/')[2].partition('?')[0]}"
    before = server_seconds(session)
    wall, ours, sent = time.perf_counter(), time.process_time(), 0
    for step in range(steps):
        sent += writer.write(T0 + step + spread, numbers, ramp + 0.5 * step)
        if step % STEPS_A_COMMIT == STEPS_A_COMMIT - 1:
            writer.commit(0.0)
    writer.commit(0.0)
    wall, ours = time.perf_counter() - wall, time.process_time() - ours
    server = server_seconds(session) - before
    writer.close()
    reader = HdbReader(url)
    found = sum(len(reader.read(name, T0, T0 + steps).times) for name in names[::100])
    began = time.perf_counter()
    overview = reader.query(names[7], T0, T0 + steps, 100)
    query_ms = 1e3 * (time.perf_counter() - began)
    reader.close()
    return {
        "values": sent,
        "values_per_s": round(sent / wall),
        "values_per_processor_s_ours": round(sent / ours),
        "values_per_processor_s_server": round(sent / max(server, 1e-3)),
        "lost": len(names[::100]) * steps - found,
        "query_bins": len(overview.times),
        "query_ms": round(query_ms, 1),
    }


def main() -> None:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    server = Postgres()
    try:
        print(json.dumps({"name": "archive-hdbpp"} | measure(server.new_database(), steps)))
    finally:
        server.stop()


if __name__ == "__main__":
    main()
