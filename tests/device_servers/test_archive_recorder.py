"""The recorder: bounded, counted, and alive again after the disk was full."""

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from common.errors import BadInput
from device_servers.services.archive import recorder as module
from device_servers.services.archive.layout import Limits
from device_servers.services.archive.reader import extract, read
from device_servers.services.archive.recorder import Batch, Recorder

pytestmark = pytest.mark.requirement("ACS-ARCHIVE")

NAMES = tuple(f"acs/test/d{n}/X" for n in range(50))
T0 = 1.8e9


def batch(step: int, names: tuple[str, ...] = NAMES) -> Batch:
    index = np.arange(len(names), dtype=float)
    return Batch(names, np.column_stack([np.full(len(names), T0 + step), index, index + step]))


def test_batches_from_many_threads_are_all_there(tmp_path: Path) -> None:
    """Roll-overs happen meanwhile; every value is read back, none is counted as lost."""
    recorder = Recorder(tmp_path, Limits(seconds=600, values=4000, spots=100, channels=400))
    recorder.start()

    def feed(source: int) -> None:
        names = tuple(f"acs/test/s{source}n{n}/X" for n in range(50))
        for step in range(100):
            recorder.take(batch(step, names))

    threads = [threading.Thread(target=feed, args=(source,)) for source in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.flush()
    recorder.stop()
    assert (recorder.values, recorder.lost) == (4 * 100 * 50, 0)
    found = extract(tmp_path, T0, T0 + 1e6).series
    assert len(found) == 200
    for name, series in found.items():
        number = int(name.split("n")[-1].split("/")[0])
        assert list(series.values) == [number + step for step in range(100)]


def test_what_finds_no_room_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 120)
    recorder = Recorder(tmp_path)
    for step in range(4):
        recorder.take(batch(step))
    recorder.missed()
    recorder.flush()
    assert (recorder.values, recorder.lost) == (100, 101)
    recorder.stop()


def test_a_full_disk_is_told_and_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(tmp_path)
    recorder.take(batch(0))
    recorder.flush()
    real = os.pwrite

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    recorder.take(batch(1))
    with pytest.raises(OSError, match="No space"):
        recorder.flush()
    recorder.take(batch(2))
    monkeypatch.setattr(os, "pwrite", real)
    recorder.flush()
    recorder.stop()
    assert (recorder.values, recorder.lost) == (150, 0)
    assert list(read(tmp_path, NAMES[3], T0, T0 + 9).values) == [3.0, 4.0, 5.0]


def test_a_batch_that_cannot_be_stored_does_not_stop_the_others(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, Limits(channels=60))
    recorder.take(batch(0))
    recorder.take(batch(1, tuple(f"too/many/n{n}/X" for n in range(20))))
    recorder.take(batch(2))
    with pytest.raises(BadInput, match="more than 60 channels"):
        recorder.flush()
    assert (recorder.values, recorder.lost) == (100, 20)
    recorder.flush()
    recorder.stop()


def test_a_batch_that_makes_no_sense_is_lost_alone(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.start()
    recorder.take(Batch(NAMES[:1], np.array([[T0, 5.0, 1.0]])))
    recorder.take(batch(1))
    deadline = time.monotonic() + 10
    while recorder.values < 50 and time.monotonic() < deadline:
        time.sleep(0.05)
    recorder.stop()
    assert (recorder.values, recorder.lost) == (50, 1)


def test_a_gap_reads_as_unknown(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.take(batch(0))
    recorder.gap(NAMES, T0 + 5)
    recorder.flush()
    series = read(tmp_path, NAMES[0], T0, T0 + 9)
    assert series.values[0] == 0.0
    assert np.isnan(series.values[1])
    assert list(series.times) == [T0, T0 + 5]
    recorder.stop()
