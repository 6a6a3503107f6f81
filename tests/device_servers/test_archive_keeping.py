"""Merging, roll-up and retention: one complete truth at every moment, whatever is cut off."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from device_servers.services.archive import merge as merging
from device_servers.services.archive.catalogue import Catalogue
from device_servers.services.archive.keeper import Keeper, Retention
from device_servers.services.archive.layout import MANIFEST, SPOT_COLUMNS, TEXT, Limits
from device_servers.services.archive.manifest import read_manifest
from device_servers.services.archive.query import query
from device_servers.services.archive.reader import extract, read, texts
from device_servers.services.archive.store import Store

pytestmark = pytest.mark.requirement("ACS-ARCHIVE")

T0 = 1_798_761_600.0
"""2027-01-01T00:00:00Z"""
HOUR, DAY = 3600.0, 86400.0
NAMES = ["acs/magnet/a/Current", "acs/magnet/b/Current"]
STATE = "acs/magnet/a/State"
ALL = Retention()
STRIDE = 1 if int(os.environ.get("PTCS_KILLS", "4")) >= 50 else 7
"""Every step is cut off in a long run, every seventh otherwise."""


@pytest.fixture(autouse=True)
def no_power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed process leaves what the system has in memory: nothing here waits for the disk."""
    monkeypatch.setattr(os, "fsync", lambda _handle: None)
    monkeypatch.setattr(os, "fdatasync", lambda _handle: None)


def fill(folder: Path, begin: float, hours: float, first: int = 0) -> int:
    """Samples, spots and texts, one of each every 20 minutes, a segment each; the number after the last."""
    store = Store(folder, begin, Limits(seconds=1000.0, values=100, spots=20, channels=8))
    count = int(hours * 3)
    for number in range(first, first + count):
        now = begin + (number - first) * 1200.0
        store.commit(now)
        store.write(np.array([now + 1, now + 2]), store.channels(NAMES), np.full(2, float(number)))
        store.write_spots(np.full((1, len(SPOT_COLUMNS)), now + 3))
        store.write_texts(np.array([(now + 4, STATE.encode(), str(number).encode(), True)], TEXT))
    store.commit(begin + hours * HOUR + 1)
    store.close()
    return first + count


def numbers(folder: Path) -> list[float]:
    """Everything that was written, read back by four ways that agree."""
    found = read(folder, NAMES[1], 0, 1e11)
    everything = extract(folder, T0 - 1e8, T0 + 1e8)
    assert np.array_equal(everything.series[NAMES[0]].values, found.values)
    assert np.array_equal(everything.spots[:, 0], found.times + 1)
    assert [float(word.text) for word in texts(folder, STATE, T0 - 1e8, T0 + 1e8)] == list(found.values)
    for points in (100_000, 40, 3):
        overview = query(folder, NAMES[1], T0 - 40 * DAY, T0 + 40 * DAY, points)
        assert overview.count.sum() == len(found.values)
        assert overview.maximum.max() == found.values.max()
    return sorted(found.values)


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Every change of a name or a flush counts as a step; at `step` and from then on nothing happens."""
    done = [0]

    def guard(name: str, owner: object) -> None:
        real = getattr(owner, name)

        def stepped(*arguments: object, **options: object) -> object:
            done[0] += 1
            if done[0] > step:
                raise Killed
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, stepped)

    with monkeypatch.context():
        for name, owner in (("replace", Path), ("unlink", Path), ("fsync", os)):
            guard(name, owner)
        try:
            yield done
        finally:
            monkeypatch.undo()


@pytest.mark.parametrize("lost", [False, True])
def test_killed_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: bool) -> None:
    """Closing, hours, days, months and years cut off after each step; also with the manifest lost then."""
    step, over, model = 0, False, tmp_path / "model"
    count = fill(model, T0 + 22 * HOUR, 3)
    count = fill(model, T0 + 25 * HOUR, 1, count)
    while not over:
        folder = tmp_path / str(step)
        shutil.copytree(model, folder)
        try:
            with killed_at(step, monkeypatch) as done:
                Keeper(folder).keep(T0 + 3 * DAY, ALL)
                over = done[0] <= step
        except Killed:
            pass
        if lost:
            (folder / MANIFEST).unlink()
        else:
            assert numbers(folder) == list(range(count))
        Catalogue(folder).recover(T0 + 3 * DAY)
        Keeper(folder).keep(T0 + 3 * DAY, ALL)
        assert numbers(folder) == list(range(count))
        kept = {path.name for path in folder.glob("*.h5")}
        assert kept == read_manifest(folder).files()
        assert {name.split("-")[0] for name in kept} == {"day", "month", "year"}
        shutil.rmtree(folder)
        step += STRIDE
    assert step > 10


def test_late_segments_of_a_merged_day(tmp_path: Path) -> None:
    """The clock was set back by a day: a second file of that day, counted once in month and year."""
    count = fill(tmp_path, T0, 2)
    Store(tmp_path, T0 + 2 * DAY).close()
    Keeper(tmp_path).keep(T0 + 2 * DAY, ALL)
    count = fill(tmp_path, T0 + 3 * HOUR, 2, count)
    Keeper(tmp_path).keep(T0 + 3 * DAY, ALL)
    Store(tmp_path, T0 + 3 * DAY).close()
    Keeper(tmp_path).keep(T0 + 4 * DAY, ALL)
    assert numbers(tmp_path) == list(range(count))
    files = read_manifest(tmp_path).files()
    assert {"day-20270101.h5", "day-20270101-2.h5"} <= files
    assert len(files) == 4


def test_clock_ahead_for_a_while(tmp_path: Path) -> None:
    """Samples of the year 2030 by mistake: kept, not in the way, and nothing is retired for them."""
    count = fill(tmp_path, T0, 2)
    count = fill(tmp_path, T0 + 3 * 365 * DAY, 1, count)
    count = fill(tmp_path, T0 + 3 * HOUR, 2, count)
    Keeper(tmp_path).keep(T0 + 4 * DAY, Retention(raw_days=3, levels_days=3))
    found = read(tmp_path, NAMES[0], T0, T0 + DAY)
    assert len(found.values) == count - 3
    assert len(read(tmp_path, NAMES[0], T0, T0 + 4 * 365 * DAY).values) == count


def test_retention_by_days_with_data(tmp_path: Path) -> None:
    """The oldest days go whole; their bins stay in months and years until these go."""
    count = 0
    begin = T0 + 26 * DAY
    for day in range(11):
        count = fill(tmp_path, begin + day * DAY, 1, count)
    Store(tmp_path, begin + 11 * DAY).close()
    Keeper(tmp_path).keep(begin + 13 * DAY, Retention(raw_days=5))
    manifest = read_manifest(tmp_path)
    assert sorted(entry.file for entry in manifest.segments if entry.is_day)[0] == "day-20270202.h5"
    overview = query(tmp_path, NAMES[0], begin, begin + DAY - 1, 2000)
    assert (overview.width, overview.count.sum()) == (256.0, 3)
    overview = query(tmp_path, NAMES[0], begin, begin + 11 * DAY, 2000)
    assert overview.count.sum() == count
    assert len(read(tmp_path, NAMES[0], T0, T0 + 50 * DAY).values) == 5 * 3
    Keeper(tmp_path).keep(begin + 13 * DAY, Retention(raw_days=3, levels_days=4))
    assert {r.file for r in read_manifest(tmp_path).rollups} == {"month-202702.h5", "year-2027.h5"}


def test_a_nearly_full_disk_takes_the_oldest_days(tmp_path: Path) -> None:
    """Only as many as needed, and only what is in a month and a year."""
    count = 0
    for day in range(6):
        count = fill(tmp_path, T0 + day * DAY, 2, count)

    def free(folder: Path) -> int:
        return 1000 - 100 * len(list(folder.glob("day-*.h5")))

    Keeper(tmp_path, free=free).keep(T0 + 5.5 * DAY, Retention(free_bytes=700))
    days = sorted(entry.file for entry in read_manifest(tmp_path).segments if entry.is_day)
    assert days == ["day-20270103.h5", "day-20270104.h5", "day-20270105.h5"]
    assert len([e for e in read_manifest(tmp_path).segments if not e.is_day]) > 0
    overview = query(tmp_path, NAMES[0], T0, T0 + 6 * DAY, 100)
    assert overview.count.sum() == count


def test_blocks_of_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Merged a few channels at a time: the same rows as at once."""
    rng = np.random.default_rng(3)
    names = [f"acs/test/d{n:02}/X" for n in range(30)]
    truth: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for part in range(3):
        store = Store(tmp_path, T0 + part * 700, Limits())
        some = list(rng.permutation(names)[:20])
        for step in range(40):
            when = T0 + part * 700 + step
            store.write(np.full(20, when), store.channels(some), np.arange(20.0) + step)
            for place, name in enumerate(some):
                truth[name].append((when, float(place + step)))
        store.commit(T0)
        store.close()
    Store(tmp_path, T0 + 2 * DAY).close()
    monkeypatch.setattr(merging, "BLOCK_BYTES", 5_000)
    Keeper(tmp_path).keep(T0 + 3 * DAY, ALL)
    assert [entry.file for entry in read_manifest(tmp_path).segments] == ["day-20270101.h5"]
    for name in names:
        found = read(tmp_path, name, T0, T0 + DAY)
        assert list(zip(found.times, found.values, strict=True)) == truth[name]
        assert query(tmp_path, name, T0, T0 + DAY, 50).count.sum() == len(truth[name])


def test_an_attribute_that_returns_as_a_text(tmp_path: Path) -> None:
    """A name is a number for a while, gone, and a word then: both histories stand side by side."""
    store = Store(tmp_path, T0)
    name = NAMES[0]
    store.write(np.array([T0 + 1, T0 + 2]), store.channels([name, name]), np.array([5.0, np.nan]))
    store.write_texts(np.array([(T0 + 3, name.encode(), b"OPEN", True)], TEXT))
    store.write(np.array([T0 + 4]), store.channels([name]), np.array([np.inf]))
    store.commit(T0 + 5)
    store.close()
    Store(tmp_path, T0 + 2 * DAY).close()
    Keeper(tmp_path).keep(T0 + 3 * DAY, ALL)
    found = read(tmp_path, name, T0, T0 + 9)
    assert np.array_equal(found.values, [5.0, np.nan, np.inf], equal_nan=True)
    assert [word.text for word in texts(tmp_path, name, T0, T0 + 9)] == ["OPEN"]
    overview = query(tmp_path, name, T0, T0 + DAY, 2)
    assert (overview.count.sum(), overview.unknown.sum(), overview.maximum.max()) == (2, 1, np.inf)
