"""What a commit has acknowledged is in PostgreSQL, once, whoever is killed when. PTCS_KILLS: how often."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from device_servers.services.archive.hdbpp.reader import HdbReader
from device_servers.services.archive.hdbpp.writer import HdbWriter
from tests.postgres import Postgres

pytestmark = pytest.mark.requirement("ACS-ARCHIVE")

KILLS = int(os.environ.get("PTCS_KILLS", "3"))
NAMES = [f"acs/test/d{number}/Current" for number in range(20)]
T0 = 1.8e9
VICTIM = """
import sys
import numpy as np
from device_servers.services.archive.hdbpp.writer import HdbWriter
url, step = sys.argv[1], int(sys.argv[2])
names = [f"acs/test/d{number}/Current" for number in range(20)]
writer = HdbWriter(url)
numbers = writer.channels(names)
while True:
    for _ in range(5):
        writer.write(np.full(20, 1.8e9 + step), numbers, np.full(20, float(step)))
        step += 1
    writer.commit(0.0)
    print(step, flush=True)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    running = Postgres()
    yield running
    running.stop()


def written(url: str) -> list[list[float]]:
    """Values of every attribute; times must tell the same steps."""
    reader = HdbReader(url)
    found = [reader.read(name, T0, T0 + 1e7) for name in NAMES]
    reader.close()
    for series in found:
        assert np.array_equal(np.floor(series.times - T0 + 1e-4), series.values)
    return [series.values.tolist() for series in found]


def collect(lines: IO[bytes], into: list[int]) -> None:
    into.extend(int(line) for line in lines)


def test_a_killed_writer_loses_nothing_acknowledged(server: Postgres) -> None:
    url, reached = server.new_database(), 0
    dice = random.Random(7)
    for _kill in range(KILLS):
        command = [sys.executable, "-c", VICTIM, url, str(reached)]
        victim = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parents[2])
        assert victim.stdout is not None
        acknowledged = [int(victim.stdout.readline())]
        thread = threading.Thread(target=collect, args=(victim.stdout, acknowledged))
        thread.start()
        time.sleep(dice.uniform(0.0, 0.4))
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        thread.join()
        victim.stdout.close()
        found = written(url)
        assert all(values == list(range(len(values))) for values in found)
        assert {len(values) for values in found} == {len(found[0])}  # a commit is there whole or not
        assert len(found[0]) >= acknowledged[-1]
        # it begins again with what it was not told of: what stands there already is no second sample
        reached = acknowledged[-1]


def test_a_killed_database_loses_nothing(server: Postgres) -> None:
    """The writer goes on, and what could not be committed comes later, once."""
    url = server.new_database()
    writer = HdbWriter(url)
    numbers = writer.channels(NAMES)
    dice, step = random.Random(8), 0
    for _kill in range(KILLS):
        timer = threading.Timer(dice.uniform(0.0, 0.3), server.halt)
        timer.start()
        lives = True
        while lives:
            lives = timer.is_alive()
            writer.write(np.full(20, T0 + step), numbers, np.full(20, float(step)))
            step += 1
            with contextlib.suppress(OSError):
                writer.commit(0.0)
        timer.join()
        assert writer.waiting > 0
        server.go()
    writer.commit(0.0)
    assert writer.waiting == 0
    writer.close()
    assert written(url) == [list(map(float, range(step)))] * len(NAMES)
