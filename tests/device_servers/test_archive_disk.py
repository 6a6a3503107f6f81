"""A disk that is really full: nothing accepted is lost, nothing unreadable is left, and it goes on alone."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from common.errors import PtcsError
from device_servers.services.archive.catalogue import Catalogue
from device_servers.services.archive.keeper import Keeper, Retention
from device_servers.services.archive.layout import Limits
from device_servers.services.archive.manifest import read_manifest
from device_servers.services.archive.reader import read
from device_servers.services.archive.recorder import Batch, Recorder
from device_servers.services.archive.store import Store

pytestmark = pytest.mark.requirement("ACS-ARCHIVE")

NAMES = tuple(f"acs/test/d{n}/X" for n in range(50))
T0 = 1_798_761_600.0
SMALL = Limits(seconds=1e9, values=4_000, spots=10, channels=60, texts=10)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1.5 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1536k", "tmpfs", place], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def occupy(disk: Path) -> Path:
    """Fill the disk to the last block."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        size = 65_536
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2
    return ballast


def batch(step: int) -> Batch:
    index = np.arange(float(len(NAMES)))
    return Batch(NAMES, np.column_stack([np.full(len(NAMES), T0 + step), index, index + step]))


def test_writing_goes_on_when_there_is_room_again(disk: Path) -> None:
    """Full in the middle of segments and of closing them, again and again."""
    recorder = Recorder(disk / "archive", SMALL)
    failed, step = 0, 0
    for _round in range(2):
        for _ in range(30):
            recorder.take(batch(step))
            step += 1
        recorder.flush()
        ballast = occupy(disk)
        for turn in range(90):
            recorder.take(batch(step))
            step += 1
            if turn % 6:
                continue
            try:
                recorder.flush()
            except (OSError, PtcsError):
                failed += 1
            known = read(disk / "archive", NAMES[3], T0, T0 + 1e6)
            assert np.array_equal(known.values, known.times - T0 + 3)
        ballast.unlink()
        recorder.flush()
        assert len(read(disk / "archive", NAMES[3], T0, T0 + 1e6).values) == step
    assert failed > 10
    assert (recorder.lost, recorder.values) == (0, step * len(NAMES))
    recorder.stop()
    Catalogue(disk / "archive").recover(T0)
    assert not list((disk / "archive").glob("damaged-*"))
    assert np.array_equal(read(disk / "archive", NAMES[3], T0, T0 + 1e6).values, np.arange(step) + 3.0)


def test_merging_on_a_full_disk_leaves_what_was(disk: Path) -> None:
    """It fails as a whole, and is done when there is room."""
    folder = disk / "archive"
    store = Store(folder, T0, SMALL)
    rng = np.random.default_rng(0)
    numbers = store.channels(NAMES)
    for step in range(200):
        store.write(np.full(50, T0 + step), numbers, rng.normal(size=50))
    store.commit(T0)
    store.close()
    Store(folder, T0 + 2 * 86400, SMALL).close()
    wanted = read(folder, NAMES[3], T0, T0 + 1e4)
    ballast = occupy(disk)
    with pytest.raises(OSError):
        Keeper(folder).keep(T0 + 3 * 86400, Retention())
    assert np.array_equal(read(folder, NAMES[3], T0, T0 + 1e4).values, wanted.values)
    ballast.unlink()
    Catalogue(folder).recover(T0 + 3 * 86400)
    Keeper(folder).keep(T0 + 4 * 86400, Retention())
    assert "day-20270101.h5" in read_manifest(folder).files()
    assert np.array_equal(read(folder, NAMES[3], T0, T0 + 1e4).values, wanted.values)
