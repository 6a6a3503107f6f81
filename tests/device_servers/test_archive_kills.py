"""The archive's processes killed at random moments, and read all the while.

`PTCS_KILLS` says how often they are killed, `PTCS_READS` how often the archive is read meanwhile.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import h5py
import numpy as np
import pytest

from device_servers.services.archive.catalogue import Catalogue
from device_servers.services.archive.layout import CLOSED_PREFIX
from device_servers.services.archive.manifest import read_manifest
from device_servers.services.archive.query import query
from device_servers.services.archive.reader import extract, read
from device_servers.services.archive.segment import load_open
from device_servers.services.archive.store import Store
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.requirement("ACS-ARCHIVE")

KILLS = int(os.environ.get("PTCS_KILLS", "8"))
READS = int(os.environ.get("PTCS_READS", "200"))
T0 = 1_798_761_600.0
STEP_S = 200.0
NAME = "acs/test/device/N7"
EVER = (T0 - 1e6, T0 + 1e9)

WRITER = """
import sys
from pathlib import Path
import numpy as np
from device_servers.services.archive.keeper import Retention
from device_servers.services.archive.keeping import Keeping
from device_servers.services.archive.layout import Limits
from device_servers.services.archive.store import Store

folder, step = Path(sys.argv[1]), int(sys.argv[2])
T0, STEP_S = 1_798_761_600.0, 200.0
keeping = Keeping(folder, Retention())
limits = Limits(seconds=600.0, values=30_000, spots=5_000, channels=100)
store = Store(folder, T0 + step * STEP_S, limits, keeping.full)
names = [f"acs/test/device/N{n}" for n in range(100)]
numbers = store.channels(names)
for _line in sys.stdin:
    for _step in range(5):
        step += 1
        now = T0 + step * STEP_S
        store.write(np.full(100, now), numbers, np.arange(100.0) + step)
        store.write_spots(np.full((1, 10), now))
    store.commit(now)
    keeping.tick(now)
    sys.stdout.write(f"{step}\\n")
    sys.stdout.flush()
"""
"""Writes and commits five steps for each line it is told; 200 s pass in each, so that hours and days pass."""


@contextmanager
def writing(folder: Path, step: int) -> Iterator["subprocess.Popen[str]"]:
    """A writer and its housekeeping, in a session of their own."""
    command = [sys.executable, "-c", WRITER, str(folder), str(step)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        start_new_session=True,
    ) as writer:
        try:
            yield writer
        finally:
            with suppress(ProcessLookupError):
                os.killpg(writer.pid, signal.SIGKILL)
            writer.wait()


def check(folder: Path, committed: int) -> int:
    """Every committed step is there once, in all that can be read; the last step that is."""
    series = read(folder, NAME, *EVER)
    steps = np.round((series.times - T0) / STEP_S).astype(int)
    assert len(set(steps)) == len(steps)
    assert set(range(1, committed + 1)) <= set(steps)
    assert np.array_equal(series.values, steps + 7)
    assert set(series.times[:committed]) <= set(extract(folder, *EVER).spots[:, 0])
    overview = query(folder, NAME, T0, series.times[-1], 50)
    assert overview.count.sum() == len(steps)
    return int(steps[-1])


def test_kill_9_loses_nothing_committed(tmp_path: Path) -> None:
    """Writer alone, its housekeeping alone, or both; the next start mends what is left."""
    rng = np.random.default_rng(5)
    committed = 0
    for turn in range(KILLS):
        with writing(tmp_path, committed) as writer:
            for _line in range(int(rng.integers(1, 8))):
                committed = advance(writer)
            if turn % 3 == 1:
                time.sleep(rng.uniform(0.0, 3.0))
                kill_children(writer.pid)
                committed = advance(writer)
            committed = max(committed, kill_while_busy(writer, rng, alone=turn % 3 == 0))
        for path in tmp_path.glob("open-*.h5"):
            load_open(path)
        for path in tmp_path.glob(f"{CLOSED_PREFIX}*.h5"):
            with h5py.File(path) as file:
                assert len(file["values"]) > 0
        committed = check(tmp_path, committed)
    assert {entry.file.split("-")[0] for entry in read_manifest(tmp_path).segments} >= {"hour"}
    store = Store(tmp_path, T0 + committed * STEP_S)
    assert store.damaged == 0
    assert not list(tmp_path.glob("damaged-*"))
    store.close()
    check(tmp_path, committed)
    assert Catalogue(tmp_path).recover(T0 + committed * STEP_S) is not None
    assert {path.name for path in tmp_path.glob("*.h5")} == read_manifest(tmp_path).files()


def advance(writer: "subprocess.Popen[str]") -> int:
    """Have it commit once; the last step that is safe then."""
    assert writer.stdin is not None and writer.stdout is not None
    writer.stdin.write("go\n")
    writer.stdin.flush()
    return int(writer.stdout.readline())


def kill_while_busy(writer: "subprocess.Popen[str]", rng: np.random.Generator, alone: bool) -> int:
    """Kill it, alone or with its housekeeping, at a random moment of some commits; the last step it told."""
    assert writer.stdin is not None and writer.stdout is not None
    writer.stdin.write("go\n" * 5)
    writer.stdin.flush()
    time.sleep(rng.uniform(0.0, 0.5))
    if alone:
        writer.kill()
    else:
        os.killpg(writer.pid, signal.SIGKILL)
    writer.wait()
    return max((int(line) for line in writer.stdout.read().split()), default=0)


def kill_children(pid: int) -> None:
    """Kill the housekeeping of a writer, if it runs."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)


def test_readers_beside_the_writer(tmp_path: Path) -> None:
    """Segments open, close, and are merged while four readers read: never an error, never a gap."""
    done, errors = [0] * 4, []
    merged = threading.Event()

    def reading(place: int) -> None:
        rng = np.random.default_rng(place)
        try:
            while done[place] < READS // 4 or not merged.is_set():
                series = read(tmp_path, NAME, *EVER)
                steps = np.round((series.times - T0) / STEP_S).astype(int)
                assert np.array_equal(steps, np.arange(1, len(steps) + 1))
                overview = query(tmp_path, NAME, T0, series.times[-1], int(rng.integers(2, 100)))
                assert overview.count.sum() >= len(steps)
                plain(tmp_path)
                done[place] += 3
        except (OSError, AssertionError, ValueError, KeyError, RuntimeError, IndexError) as why:
            errors.append(why)

    with writing(tmp_path, 0) as writer:
        advance(writer)
        readers = [threading.Thread(target=reading, args=(place,)) for place in range(4)]
        for reader in readers:
            reader.start()
        while any(reader.is_alive() for reader in readers):
            advance(writer)
            time.sleep(0.2 + 0.002 * len(list(tmp_path.glob("*.h5"))) ** 2)
            if any(entry.file.startswith(("hour", "day")) for entry in read_manifest(tmp_path).segments):
                merged.set()
        for reader in readers:
            reader.join()
    assert not errors
    assert sum(done) >= READS
    assert merged.is_set()


def plain(folder: Path) -> None:
    """Any listed file, with h5py alone; one that was merged meanwhile is gone, not broken.

    Within one process all who have a file open must want the same locking.
    """
    for entry in read_manifest(folder).segments[:2]:
        try:
            with h5py.File(folder / entry.file, locking=False) as file:
                assert len(file["values"][:]) == entry.values
        except OSError:
            assert not (folder / entry.file).exists()
