"""The archive at any scale: merged or not, an overview is what brute force over the samples gives."""

import os
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import BadInput
from device_servers.services.archive import query as archive_query
from device_servers.services.archive import reader as archive_reader
from device_servers.services.archive.indexed import IndexedFile
from device_servers.services.archive.keeper import Keeper, Retention
from device_servers.services.archive.layout import Limits
from device_servers.services.archive.manifest import read_manifest
from device_servers.services.archive.protocols import ArchiveReader, Overview
from device_servers.services.archive.query import FolderReader, query
from device_servers.services.archive.reader import extract, read
from device_servers.services.archive.store import Store

pytestmark = pytest.mark.requirement("ACS-ARCHIVE")

T0 = 1_798_761_600.0
"""2027-01-01T00:00:00Z"""
HOUR, DAY = 3600.0, 86400.0
NAMES = ["acs/magnet/a/Current", "acs/magnet/b/Current", "room1/support/couch/X"]
EVER = (T0 - 400 * DAY, T0 + 400 * DAY)
ALL = Retention()

Sample = tuple[float, str, float]


@pytest.fixture(scope="module", autouse=True)
def no_power_cut() -> Iterator[None]:
    """Nothing here waits for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _handle: None)
        patch.setattr(os, "fdatasync", lambda _handle: None)
        yield


def fill(folder: Path, samples: list[Sample], every: int = 20) -> None:
    """Write samples in order of arrival; a segment ends after `every` of them. The last one stays open."""
    store = Store(folder, samples[0][0], Limits(seconds=1e9, values=every, channels=50))
    for number, (when, name, value) in enumerate(samples):
        if number % every == 0:
            store.commit(when)
        store.write(np.array([when]), store.channels([name]), np.array([value]))
    store.close()


def brute(samples: list[Sample], name: str, width: float, low: float, high: float) -> dict[str, list[float]]:
    """What an overview must hold, one sample at a time."""
    mine = sorted((t, v) for t, n, v in samples if n == name and low <= t < high)
    bins: dict[float, list[float]] = {}
    for when, value in mine:
        bins.setdefault(when // width * width, []).append(value)
    known = [[v for v in values if v == v] for values in bins.values()]
    return {
        "times": list(bins),
        "count": [len(values) for values in known],
        "unknown": [len(values) - len(k) for values, k in zip(bins.values(), known, strict=True)],
        "minimum": [min(k, default=np.nan) for k in known],
        "maximum": [max(k, default=np.nan) for k in known],
        "mean": [np.sum(k) / len(k) if k else np.nan for k in known],
        "last": [values[-1] for values in bins.values()],
    }


def check(
    overview: Overview, samples: list[Sample], name: str, start: float, end: float, points: int
) -> None:
    assert len(overview.times) <= points
    if overview.raw:
        wanted = sorted((t, v) for t, n, v in samples if n == name and start <= t <= end)
        assert np.array_equal(overview.times, [t for t, _ in wanted])
        assert np.array_equal(overview.last, [v for _, v in wanted], equal_nan=True)
        return
    width = overview.width
    assert not (overview.times % width).any()
    low, high = start // width * width, (end // width + 1) * width
    with np.errstate(invalid="ignore"):
        wanted_columns = brute(samples, name, width, low, high)
    for column, wanted_values in wanted_columns.items():
        found = getattr(overview, column)
        if column == "mean":
            np.testing.assert_allclose(found, wanted_values, rtol=1e-9, atol=1e-9)
        else:
            assert np.array_equal(found, wanted_values, equal_nan=True), column


VALUES = st.floats(-1e6, 1e6) | st.sampled_from([float("nan"), float("inf"), float("-inf")])
HISTORY = st.lists(
    st.tuples(st.integers(0, 3 * 86400 * 4).map(lambda n: T0 + n / 4), st.sampled_from(NAMES), VALUES),
    min_size=1,
    max_size=120,
    unique_by=lambda sample: sample[:2],
)


@settings(max_examples=20, deadline=None)
@given(HISTORY, st.integers(0, 3), st.floats(0, 3 * DAY), st.floats(1, 3 * DAY), st.integers(2, 60))
def test_overview_equals_brute_force(
    tmp_path_factory: pytest.TempPathFactory,
    history: list[Sample],
    merged: int,
    begin: float,
    length: float,
    points: int,
) -> None:
    """Open and closed segments, hours, days, months and years, mixed, in any order of time."""
    folder = tmp_path_factory.mktemp("query")
    history.sort(key=lambda sample: sample[0] // DAY)
    fill(folder, history, every=7)
    Keeper(folder).keep(T0 + merged * DAY + DAY / 2, ALL)
    start, end = T0 + begin, T0 + begin + length
    for name in NAMES:
        check(query(folder, name, start, end, points), history, name, start, end, points)
        wanted = sorted((t, v) for t, n, v in history if n == name)
        found = read(folder, name, *EVER)
        assert np.array_equal(found.times, [t for t, _ in wanted])
        assert np.array_equal(found.values, [v for _, v in wanted], equal_nan=True)


def months(days: int, step: float = 600.0) -> list[Sample]:
    """Two attributes over many days."""
    rng = np.random.default_rng(1)
    times = np.arange(T0, T0 + days * DAY, step)
    values = np.cumsum(rng.normal(size=len(times)))
    return [(float(t), NAMES[i % 2], float(v)) for i, (t, v) in enumerate(zip(times, values, strict=True))]


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Sample]]:
    """40 days from the middle of December, merged but for the last one."""
    folder = tmp_path_factory.mktemp("months")
    history = [(t - 15 * DAY, n, v) for t, n, v in months(40, 2400.0)]
    fill(folder, history, every=12)
    Keeper(folder).keep(history[-1][0] + 60, ALL)
    return folder, history


def test_files_are_merged_and_rolled_up(merged: tuple[Path, list[Sample]]) -> None:
    folder, _history = merged
    manifest = read_manifest(folder)
    kinds = {entry.file.split("-")[0] for entry in manifest.segments}
    assert {"day", "hour"} <= kinds
    assert [entry.period for entry in manifest.rollups] == [
        "month-202612",
        "month-202701",
        "year-2026",
        "year-2027",
    ]
    assert sum(entry.is_day for entry in manifest.segments) == 39
    assert {path.name for path in folder.glob("[!o]*.h5")} == manifest.files()
    reader: ArchiveReader = FolderReader(folder)
    assert reader.names() == NAMES[:2]
    assert reader.names("*/B/*") == [NAMES[1]]
    day = next(entry for entry in manifest.segments if entry.is_day)
    with h5py.File(folder / day.file) as file:
        channels, values = file["channels"][:], file["values"][:]
        assert list(channels["name"]) == [name.encode() for name in NAMES[:2]]
        assert (np.diff(values["channel"]) >= 0).all()
        first, count = int(channels["first"][1]), int(channels["count"][1])
        assert (values["channel"][first : first + count] == 1).all()
        assert file["bins"].attrs["width"] == 16.0
        assert file["bin_bounds"][-1] == len(file["bins"])
        assert len(file["sources"]) >= 1


@pytest.mark.parametrize("points", [2, 30, 500, 2000, 5000])
@pytest.mark.parametrize("part", [(0.0, 40.0), (3.3, 31.7), (39.5, 40.5), (-5.0, 2.0), (12.25, 12.5)])
def test_overview_at_every_scale(
    merged: tuple[Path, list[Sample]], part: tuple[float, float], points: int
) -> None:
    folder, history = merged
    start, end = (history[0][0] + days * DAY for days in part)
    overview = query(folder, NAMES[0], start, end, points)
    check(overview, history, NAMES[0], start, end, points)
    held = [
        (t, v)
        for t, n, v in history
        if n == NAMES[0] and t < (overview.times[:1].min() if len(overview.times) else start)
    ]
    assert overview.before in (None, max(held, default=None))
    assert overview.before is not None or not held or not overview.raw


def test_export_of_a_merged_range_equals_the_samples(merged: tuple[Path, list[Sample]]) -> None:
    folder, history = merged
    start, end = history[0][0] + 1.5 * DAY, history[0][0] + 1.6 * DAY
    for name, series in extract(folder, start, end).series.items():
        wanted = [(t, v) for t, n, v in history if n == name and start <= t <= end]
        assert list(zip(series.times, series.values, strict=True)) == wanted
        assert series.before == max((t, v) for t, n, v in history if n == name and t < start)


def test_long_channels_are_searched_not_read(tmp_path: Path) -> None:
    """More rows than are read at once: the slice is the same."""
    times = T0 + np.arange(150_000) / 100.0
    store = Store(tmp_path, T0, Limits(seconds=1e9))
    numbers = np.repeat(store.channels(NAMES[:2]), 75_000)
    store.write(np.concatenate([times[:75_000]] * 2), numbers, np.arange(150_000.0))
    store.commit(T0)
    store.close()
    Store(tmp_path, T0 + 2 * DAY).close()
    for low, high in (
        (T0 + 100.005, T0 + 101.0),
        (T0 - 5, T0 + 0.01),
        (T0 + 749.98, T0 + 800),
        (T0 + 800, T0 + 900),
    ):
        series = read(tmp_path, NAMES[1], low, high)
        inside = (times[:75_000] >= low) & (times[:75_000] <= high)
        assert np.array_equal(series.times, times[:75_000][inside])
        assert np.array_equal(series.values, np.arange(75_000.0, 150_000.0)[inside])
        before = np.flatnonzero(times[:75_000] < low)
        assert series.before == ((times[before[-1]], 75_000.0 + before[-1]) if len(before) else None)


def test_bad_queries_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, [(T0, NAMES[0], 1.0)])
    with pytest.raises(BadInput, match="points"):
        query(tmp_path, NAMES[0], T0, T0 + 1, 1)
    with pytest.raises(BadInput, match="range"):
        query(tmp_path, NAMES[0], T0 + 1, T0, 10)
    empty = query(tmp_path, "no/such/one/X", T0, T0 + 1, 10)
    assert (len(empty.times), empty.before) == (0, None)


def test_what_is_read_does_not_grow_with_the_archive(
    merged: tuple[Path, list[Sample]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """40 days in 30 points touch two years and what is not merged; no day is opened."""
    folder, history = merged
    opened: list[str] = []

    def count(path: Path) -> IndexedFile:
        opened.append(path.name)
        return IndexedFile(path)

    for module in (archive_query, archive_reader):
        monkeypatch.setattr(module, "IndexedFile", count)
    overview = query(folder, NAMES[0], history[0][0], history[-1][0], 30)
    assert not overview.raw
    assert not [name for name in opened if name.startswith("day-")]
    assert {name for name in opened if name.startswith(("month", "year"))} == {"year-2026.h5", "year-2027.h5"}
