"""One contract for every store of the archive: what went in comes out, whatever keeps it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import BadInput, Refused
from device_servers.services.archive.export import export
from device_servers.services.archive.layout import SPOT_COLUMNS, TEXT
from device_servers.services.archive.protocols import ArchiveReader, Overview, Series, Word
from device_servers.services.archive.reader import read
from device_servers.services.archive.stores import StoreWriter, open_reader, open_writer
from tests.postgres import Postgres

pytestmark = pytest.mark.requirement("ACS-ARCHIVE")

T0 = 1.8e9
NAMES = [f"acs/test/d{number}/Current" for number in range(5)]
TEXTED, STATE = "room1/treatment/session/Cause", "room1/support/couch/State"


@dataclass
class Place:
    """One archive: opened as often as a test asks, let go of at its end."""

    url: str
    folder: Path
    opened: list[Any] = field(default_factory=list)

    def writer(self, now: float = T0) -> StoreWriter:
        self.opened.append(open_writer(self.url, self.folder, now))
        return self.opened[-1]

    def reader(self) -> ArchiveReader:
        self.opened.append(open_reader(self.url, self.folder))
        return self.opened[-1]

    def end(self, writer: StoreWriter) -> None:
        self.opened.remove(writer)
        writer.close()


@pytest.fixture(scope="module")
def database() -> Iterator[Callable[[], str]]:
    """Gives the URL of an empty database."""
    running = Postgres()
    url = running.new_database()
    yield lambda: running.emptied(url)
    running.stop()


@pytest.fixture(params=["hdf5", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    url = "hdf5" if request.param == "hdf5" else request.getfixturevalue("database")()
    made = Place(url, tmp_path / "archive")
    yield made
    for one in reversed(made.opened):
        getattr(one, "close", lambda: None)()


def put(writer: StoreWriter, name: str, times: Any, values: Any) -> int:
    numbers = writer.channels([name])
    times = np.asarray(times, float)
    return writer.write(times, np.repeat(numbers, len(times)), np.asarray(values, float))


def words(*rows: tuple[float, str, str, bool]) -> Any:
    table = np.zeros(len(rows), TEXT)
    for index, (time, name, text, known) in enumerate(rows):
        table[index] = (time, name.encode(), text.encode(), known)
    return table


def same(series: Series, times: Any, values: Any, before: tuple[float, float] | None = None) -> bool:
    held = series.before == before or (
        before is not None and series.before is not None and np.array_equal(series.before, before, True)
    )
    return held and np.array_equal(series.times, times) and np.array_equal(series.values, values, True)


def test_values_come_back_in_order_with_unknown_ones_and_infinities(place: Place) -> None:
    writer = place.writer()
    times, values = T0 + np.arange(6.0), [1.0, np.nan, -np.inf, 2.5, np.inf, -0.0]
    assert put(writer, NAMES[0], times[[3, 0, 5, 1, 4, 2]], np.array(values)[[3, 0, 5, 1, 4, 2]]) == 6
    put(writer, NAMES[1], times, values[::-1])
    writer.commit(T0 + 1)
    reader = place.reader()
    assert same(reader.read(NAMES[0], T0, T0 + 5), times, values)
    assert same(reader.read(NAMES[1], T0, T0 + 5), times, values[::-1])
    assert same(reader.read(NAMES[0], T0 + 2, T0 + 3), times[2:4], values[2:4], (T0 + 1, np.nan))
    assert same(reader.read(NAMES[0], T0 + 2.5, T0 + 2.75), [], [], (T0 + 2, -np.inf))
    assert same(reader.read(NAMES[0], 0, T0 - 1), [], [])
    assert same(reader.read("acs/test/nobody/Current", T0, T0 + 5), [], [])


def test_times_keep_their_microseconds(place: Place) -> None:
    writer = place.writer()
    times = T0 + np.array([1e-6, 0.000_123, 0.123_456, 0.999_999, 1.5])
    put(writer, NAMES[0], times, np.arange(5.0))
    writer.commit(T0)
    found = place.reader().read(NAMES[0], T0, T0 + 2)
    assert np.abs(found.times - times).max() < 5e-7
    assert found.values.tolist() == [0, 1, 2, 3, 4]


def test_what_comes_again_is_no_news(place: Place) -> None:
    """A subscriber is handed the whole picture whenever it subscribes; a restart changes nothing of that."""
    writer = place.writer()
    assert put(writer, NAMES[0], [T0], [4.0]) == 1
    assert put(writer, NAMES[0], [T0], [4.0]) == 0
    assert put(writer, NAMES[1], [T0], [np.nan]) == 1
    assert put(writer, NAMES[1], [T0], [np.nan]) == 0
    assert put(writer, NAMES[0], [np.nan, -1.0, 0.0, np.inf], [1.0] * 4) == 0
    spots = np.arange(30.0).reshape(3, 10) + T0
    assert (writer.write_spots(spots), writer.write_spots(spots[1:])) == (3, 0)
    place.end(writer)
    again = place.writer(T0 + 60)
    assert put(again, NAMES[0], [T0], [4.0]) == 0
    assert put(again, NAMES[1], [T0], [np.nan]) == 0
    assert again.write_spots(spots) == 0
    assert put(again, NAMES[0], [T0 + 1], [4.0]) == 1  # later: it was 4 then too
    again.commit(T0 + 60)
    assert same(place.reader().read(NAMES[0], T0, T0 + 9), [T0, T0 + 1], [4.0, 4.0])


def test_a_restart_goes_on(place: Place) -> None:
    for start in range(4):
        writer = place.writer(T0 + 100 * start)
        names = NAMES[: start + 2]
        numbers = writer.channels(names)
        assert len(set(numbers.tolist())) == len(names)
        writer.write(np.full(len(names), T0 + 100 * start), numbers, np.arange(len(names)) + 10.0 * start)
        place.end(writer)
    reader = place.reader()
    assert same(reader.read(NAMES[1], T0, T0 + 999), T0 + 100 * np.arange(4.0), [1, 11, 21, 31])
    assert same(reader.read(NAMES[4], T0, T0 + 999), [T0 + 300], [34])
    assert same(reader.read(NAMES[0], T0 + 250, T0 + 260), [], [], (T0 + 200, 20.0))


def test_a_clock_that_was_set_back_loses_nothing(place: Place) -> None:
    writer = place.writer()
    put(writer, NAMES[0], T0 + np.arange(10.0), np.arange(10.0))
    writer.commit(T0 + 10)
    put(writer, NAMES[0], T0 + np.arange(3.0, 6.0) + 0.5, [103.0, 104.0, 105.0])
    put(writer, NAMES[0], [T0 + 7], [107.0])  # the very time of another value
    writer.commit(T0 + 6)
    found = place.reader().read(NAMES[0], T0, T0 + 20)
    assert sorted(found.values.tolist()) == [*range(10), 103, 104, 105, 107]
    assert (np.diff(found.times) >= 0).all()


def test_texts_tell_what_held_and_what_changed(place: Place) -> None:
    writer = place.writer()
    rows = words(
        (T0, TEXTED, "", True),
        (T0 + 1, TEXTED, '梁,"关"', True),
        (T0 + 2, TEXTED, '梁,"关"', True),
        (T0 + 3, TEXTED, "", False),
        (T0 + 4, TEXTED, "beam on", True),
        (T0 + 1, STATE, "MOVING", True),
        (T0 + 2, STATE, "", False),
        (T0 + 3, STATE, "ON", True),
    )
    assert writer.write_texts(rows) == 7
    assert writer.write_texts(words((T0 + 9, TEXTED, "beam on", True))) == 0
    writer.commit(T0)
    reader = place.reader()
    assert reader.texts(TEXTED, T0 + 2.5, T0 + 9) == [
        Word(T0 + 1, TEXTED, '梁,"关"', True),
        Word(T0 + 3, TEXTED, "", False),
        Word(T0 + 4, TEXTED, "beam on", True),
    ]
    assert [(word.text, word.known) for word in reader.texts(STATE, 0, T0 + 9)] == [
        ("MOVING", True),
        ("", False),
        ("ON", True),
    ]
    assert reader.texts(NAMES[0], 0, T0 + 9) == []
    place.end(writer)
    again = place.writer(T0 + 20)
    assert again.write_texts(words((T0 + 21, TEXTED, "beam on", True))) == 0


def test_everything_of_a_range_comes_out_as_one_file(place: Place, tmp_path: Path) -> None:
    writer = place.writer()
    for number, name in enumerate(NAMES):
        put(writer, name, T0 + np.arange(10.0), np.arange(10.0) + number)
    put(writer, "acs/test/later/Current", [T0 + 50], [1.0])
    writer.write_spots(T0 + np.arange(8.0)[:, None] + np.arange(len(SPOT_COLUMNS)))
    rows = ((T0, STATE, "ON", True), (T0 + 1, TEXTED, "梁", True), (T0 + 4, STATE, "", False))
    writer.write_texts(words(*rows))
    writer.commit(T0)
    found = export(place.reader(), T0 + 2.5, T0 + 6, tmp_path / "range.h5")
    assert sorted(found.series) == NAMES
    for number, name in enumerate(NAMES):
        kept = read(tmp_path / "range.h5", name, T0 + 2.5, T0 + 6)
        assert same(kept, T0 + np.arange(3.0, 7.0), np.arange(3.0, 7.0) + number, (T0 + 2, 2.0 + number))
    assert found.spots[:, 0].tolist() == [T0 + 3, T0 + 4, T0 + 5, T0 + 6]
    assert found.texts.tolist() == words(*rows).tolist()


def test_names_are_found_by_pattern(place: Place) -> None:
    writer = place.writer()
    put(writer, "acs/magnet/q10/Current", [T0], [1.0])
    put(writer, "acs/magnet/q1/CurrentSetpoint", [T0], [1.0])
    put(writer, "acs/magnet/q1/Current", [T0], [1.0])
    writer.commit(T0)
    reader = place.reader()
    every = ["acs/magnet/q1/Current", "acs/magnet/q1/CurrentSetpoint", "acs/magnet/q10/Current"]
    assert reader.names() == every
    assert reader.names("*/Q1?/current") == [every[2]]
    assert reader.names("*setpoint") == [every[1]]
    assert reader.names("acs/magnet/q1/Current") == [every[0]]
    assert reader.names("nothing") == []


def expected(series: Series, width: float) -> list[tuple[Any, ...]]:
    """Bins by brute force, one after the other."""
    rows = []
    numbers = np.floor(series.times / width)
    for number in np.unique(numbers):
        values = series.values[numbers == number]
        known = values[~np.isnan(values)]
        told = (known.min(), known.max(), known.mean()) if len(known) else (np.nan,) * 3
        rows.append((number * width, len(known), len(values) - len(known), *told, values[-1]))
    return rows


def rows_of(found: Overview) -> list[tuple[Any, ...]]:
    columns = (found.times, found.count, found.unknown, found.minimum, found.maximum, found.mean, found.last)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_an_overview_is_what_brute_force_finds(place: Place, seed: int) -> None:
    random = np.random.default_rng(seed)
    count = 3000
    times = np.round(T0 + np.cumsum(random.exponential(random.choice([0.3, 3.0, 20.0]), count)), 6)
    values = np.where(random.random(count) < 0.05, np.nan, np.cumsum(random.normal(size=count)))
    values[1000:1100] = np.nan
    writer = place.writer()
    for part in np.array_split(np.arange(count), 3):
        put(writer, NAMES[0], times[part], values[part])
        writer.commit(float(times[part][-1]))
    reader = place.reader()
    for _case in range(6):
        start, end = np.sort(random.uniform(T0 - 50, times[-1] + 50, 2))
        points = int(random.choice([2, 10, 300, 2000]))
        found = reader.query(NAMES[0], start, end, points)
        assert len(found.times) <= points
        raw = reader.read(NAMES[0], start, end)
        if found.raw:
            assert len(raw.times) <= points
            assert np.array_equal(found.times, raw.times)
            assert np.array_equal(found.last, raw.values, True)
            assert np.array_equal(found.count + found.unknown, np.ones(len(raw.times)))
            continue
        low = np.floor(start / found.width) * found.width
        high = (np.floor(end / found.width) + 1) * found.width
        whole = reader.read(NAMES[0], low, np.nextafter(high, 0))
        assert len(whole.times) > points
        wanted = expected(whole, found.width)
        assert np.allclose(rows_of(found), wanted, rtol=1e-12, atol=1e-9, equal_nan=True)


BAD: list[tuple[float, float, int]] = [
    (T0 + 1, T0, 10),
    (np.nan, T0, 10),
    (T0, np.inf, 10),
    (T0, T0 + 1, 1),
    (T0, T0 + 1, 0),
    (T0, T0 + 1, -5),
]


@pytest.mark.parametrize(("start", "end", "points"), BAD)
def test_bad_questions_are_refused(place: Place, start: float, end: float, points: int) -> None:
    writer = place.writer()
    put(writer, NAMES[0], [T0], [1.0])
    writer.commit(T0)
    reader = place.reader()
    asked: list[Callable[[], object]] = [lambda: reader.query(NAMES[0], start, end, points)]
    if points == 10:
        asked += [lambda: reader.read(NAMES[0], start, end), lambda: reader.texts(TEXTED, start, end)]
    for ask in asked:
        with pytest.raises(BadInput):
            ask()


def test_the_future_and_the_distant_past_are_empty(place: Place) -> None:
    writer = place.writer()
    put(writer, NAMES[0], [T0], [1.0])
    writer.commit(T0)
    reader = place.reader()
    assert same(reader.read(NAMES[0], T0 + 1e9, T0 + 2e9), [], [], (T0, 1.0))
    assert same(reader.read(NAMES[0], 0.0, 1.0), [], [])
    assert len(reader.query(NAMES[0], T0 - 1e9, T0 + 1e9, 2).times) == 1


def test_one_process_writes_an_archive(place: Place) -> None:
    writer = place.writer()
    with pytest.raises(Refused):
        place.writer()
    place.end(writer)
    assert len(place.writer(T0 + 1).channels(NAMES)) == 5


def test_a_name_that_is_too_long_is_refused_and_nothing_else_lost(place: Place) -> None:
    writer = place.writer()
    put(writer, NAMES[0], [T0], [1.0])
    with pytest.raises(BadInput):
        writer.channels(["a/b/c/" + "x" * 200])
    put(writer, NAMES[0], [T0 + 1], [2.0])
    writer.commit(T0 + 1)
    assert same(place.reader().read(NAMES[0], T0, T0 + 1), [T0, T0 + 1], [1.0, 2.0])
