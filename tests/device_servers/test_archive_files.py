"""The archive on disk: written, closed, recovered after kill -9, read back, exported."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import BadInput, Refused
from common.files import read_json
from device_servers.services.archive.export import export
from device_servers.services.archive.layout import MANIFEST, SPOT_COLUMNS, TEXT, Limits
from device_servers.services.archive.query import FolderReader
from device_servers.services.archive.reader import extract, read
from device_servers.services.archive.store import Store

pytestmark = pytest.mark.requirement("ACS-ARCHIVE")

T0 = 1_800_000_000.0
NAMES = ["acs/magnet/a/Current", "acs/magnet/b/Current", "room1/support/couch/X"]
SMALL = Limits(seconds=10.0, values=50, spots=20, channels=8)


def put(store: Store, samples: list[tuple[float, str, float]]) -> int:
    numbers = store.channels([name for _, name, _ in samples])
    times, values = (np.array([sample[i] for sample in samples]) for i in (0, 2))
    return store.write(times, numbers, values)


def spots(start: int, count: int) -> np.ndarray:
    table = np.zeros((count, len(SPOT_COLUMNS)))
    table[:, 0] = T0 + 0.1 * np.arange(start, start + count)
    table[:, 1] = np.arange(start, start + count)
    table[:, 2:] = np.arange(count)[:, None] * 8 + np.arange(8) + start
    return table


def listing(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern))


def test_what_was_written_is_read_across_segments(tmp_path: Path) -> None:
    """Roll-over by age: closed segments and the open one give one series, sample for sample."""
    store = Store(tmp_path, T0, SMALL)
    truth = [(T0 + i * 0.9, NAMES[i % 2], float(i)) for i in range(100)]
    for sample in truth:
        assert put(store, [sample]) == 1
        store.commit(sample[0])
    closed, (opened,) = listing(tmp_path, "segment-*.h5"), listing(tmp_path, "open-*.h5")
    assert len(closed) >= 8
    assert store.segment_name == opened.name
    for name in NAMES[:2]:
        series = read(tmp_path, name, T0 + 5, T0 + 80)
        wanted = [(t, v) for t, n, v in truth if n == name and T0 + 5 <= t <= T0 + 80]
        assert list(zip(series.times, series.values, strict=True)) == wanted
        assert series.before == max((t, v) for t, n, v in truth if n == name and t < T0 + 5)
    assert not len(read(tmp_path, NAMES[2], T0, T0 + 99).times)
    store.close()


def test_manifest_and_closed_segments_say_what_they_hold(tmp_path: Path) -> None:
    store = Store(tmp_path, T0, SMALL)
    put(store, [(T0 + 2, NAMES[1], 2.0), (T0 + 1, NAMES[0], 1.0), (T0 + 3, NAMES[0], 3.0)])
    store.write_spots(spots(0, 5))
    store.commit(T0 + 11)
    (entry,) = read_json(tmp_path / MANIFEST)["segments"]
    assert (entry["values"], entry["spots"], entry["channels"]) == (3, 5, 2)
    assert (entry["start"], entry["end"]) == (T0, T0 + 3)
    with h5py.File(tmp_path / entry["file"]) as file:
        assert list(file["values"]["channel"]) == [0, 0, 1]
        assert list(file["values"]["time"]) == [T0 + 1, T0 + 3, T0 + 2]
        assert [name.decode() for name in file["channels"]["name"]] == [NAMES[0], NAMES[1]]
        assert list(file["channels"]["first"]) == [0, 2]
        assert list(file["channels"]["count"]) == [2, 1]
        assert list(file["channels"]["last_value"]) == [3.0, 2.0]
        assert np.array_equal(file["spots"][:], spots(0, 5))
    store.close()


def test_a_full_segment_is_closed_and_nothing_is_lost(tmp_path: Path) -> None:
    store = Store(tmp_path, T0, SMALL)
    for batch in range(10):
        samples = [(T0 + batch + i / 100, NAMES[0], float(batch * 17 + i)) for i in range(17)]
        assert put(store, samples) == 17
        assert store.write_spots(spots(batch * 7, 7)) == 7
    store.commit(T0 + 9.5)
    assert len(listing(tmp_path, "segment-*.h5")) >= 4
    assert list(read(tmp_path, NAMES[0], T0, T0 + 99).values) == list(range(170))
    assert np.array_equal(extract(tmp_path, T0, T0 + 99).spots[:, 1], np.arange(70))
    with pytest.raises(BadInput, match="at once"):
        put(store, [(T0 + 50 + i, NAMES[0], 0.5 + i) for i in range(51)])
    with pytest.raises(BadInput, match="more than 8 channels"):
        store.channels([f"a/b/c/N{n}" for n in range(9)])
    store.close()


def test_repetition_is_no_news(tmp_path: Path) -> None:
    """A subscription made anew brings the whole picture again: only what is new is written."""
    store = Store(tmp_path, T0)
    picture = [(T0 + 1, NAMES[0], 1.0), (T0 + 1, NAMES[1], float("nan")), (0.0, NAMES[2], float("nan"))]
    assert put(store, picture) == 2
    assert put(store, picture) == 0
    assert put(store, [(T0 + 2, NAMES[0], 1.0), (T0 + 1, NAMES[1], 4.0)]) == 2
    assert store.write_spots(spots(0, 3)) == 3
    assert store.write_spots(spots(0, 5)) == 2
    store.commit(T0 + 3)
    store.close()
    again = Store(tmp_path, T0 + 5)
    assert put(again, [(T0 + 2, NAMES[0], 1.0)]) == 0
    assert again.write_spots(spots(0, 5)) == 0
    again.close()


def test_unreadable_and_torn_leftovers_do_not_stop_the_archive(tmp_path: Path) -> None:
    store = Store(tmp_path, T0)
    put(store, [(T0 + 1, NAMES[0], 1.0)])
    store.commit(T0 + 1)
    store.close()
    (tmp_path / "open-19990101T000000.000000.h5").write_bytes(b"\x89HDF half a header")
    (tmp_path / ".open-x.h5.new").write_bytes(b"torn")
    (tmp_path / MANIFEST).write_text("{ torn", encoding="utf-8")
    again = Store(tmp_path, T0 + 9)
    assert again.damaged == 1
    assert len(listing(tmp_path, "damaged-*")) == 1
    assert not listing(tmp_path, ".*.new")
    assert list(read(tmp_path, NAMES[0], T0, T0 + 9).values) == [1.0]
    again.close()


def test_closing_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    """Killed between any two steps of a roll-over: the segment is there exactly once afterwards."""
    store = Store(tmp_path, T0, SMALL)
    put(store, [(T0 + 1, NAMES[0], 1.0)])
    store.commit(T0 + 1)
    left = (tmp_path / store.segment_name).read_bytes()
    name = store.segment_name
    store.commit(T0 + 20)
    store.close()
    (tmp_path / name).write_bytes(left)
    (tmp_path / MANIFEST).unlink()
    again = Store(tmp_path, T0 + 30, SMALL)
    assert list(read(tmp_path, NAMES[0], T0, T0 + 99).values) == [1.0]
    assert not (tmp_path / name).exists()
    again.close()


def test_a_failing_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path, T0, SMALL)
    put(store, [(T0 + 1, NAMES[0], 1.0)])
    real = os.pwrite

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        put(store, [(T0 + 2, NAMES[0], 2.0)])
    with pytest.raises(OSError, match="No space"):
        store.commit(T0 + 2)
    monkeypatch.setattr(os, "pwrite", real)
    assert put(store, [(T0 + 2, NAMES[0], 2.0)]) == 1
    store.commit(T0 + 3)
    assert list(read(tmp_path, NAMES[0], T0, T0 + 9).values) == [1.0, 2.0]
    store.close()


def test_two_writers_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path, T0)
    with pytest.raises(Refused, match="written by another process"):
        Store(tmp_path, T0)
    store.close()
    Store(tmp_path, T0 + 1).close()


def test_clock_set_back(tmp_path: Path) -> None:
    store = Store(tmp_path, T0, SMALL)
    for i, now in enumerate([T0 + 1, T0 - 1000, T0 - 999, T0 + 2, T0 + 2]):
        put(store, [(now, NAMES[0], float(i))])
        store.commit(now)
    store.close()
    assert sorted(read(tmp_path, NAMES[0], T0 - 2000, T0 + 99).values) == [0, 1, 2, 3, 4]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 60_000).map(lambda ms: ms / 1000),
            st.sampled_from(NAMES),
            st.floats(allow_nan=False, width=32) | st.just(float("inf")),
        ),
        max_size=80,
        unique_by=lambda sample: (sample[0], sample[1]),
    ),
    st.floats(-1, 61),
    st.floats(0, 30),
)
def test_export_equals_what_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    samples: list[tuple[float, str, float]],
    start: float,
    length: float,
) -> None:
    """Samples in any order over several segments; the export holds exactly those of the range."""
    folder = tmp_path_factory.mktemp("archive")
    store = Store(folder, T0, SMALL)
    written = [(T0 + t, name, value) for t, name, value in samples]
    for number, sample in enumerate(written):
        put(store, [sample])
        store.commit(T0 + number)
    low, high = T0 + start, T0 + start + length
    path = folder / "out.h5"
    export(FolderReader(folder), low, high, path)
    for name in NAMES:
        inside = sorted((t, v) for t, n, v in written if n == name and low <= t <= high)
        series = read(path, name, low, high)
        assert list(zip(series.times, series.values, strict=True)) == inside
        assert read(folder, name, low, high).before == series.before
        held = [(t, v) for t, n, v in written if n == name and t < low]
        assert (series.before is None) == (not held)
        assert series.before is None or series.before in held
    store.close()


def test_export_has_a_group_for_each_attribute_and_the_spots(tmp_path: Path) -> None:
    store = Store(tmp_path, T0)
    put(store, [(T0 + 1, NAMES[2], 7.0), (T0 + 5, NAMES[0], 1.0), (T0 + 9, NAMES[0], 2.0)])
    store.write_spots(spots(0, 90))
    store.commit(T0 + 9)
    export(FolderReader(tmp_path), T0 + 4, T0 + 6, tmp_path / "out.h5")
    store.close()
    with h5py.File(tmp_path / "out.h5") as file:
        assert file.attrs["start"] == T0 + 4
        current = file["attributes/acs/magnet/a/Current"]
        assert (list(current["time"]), list(current["value"])) == ([T0 + 5], [1.0])
        couch = file["attributes/room1/support/couch/X"]
        assert (list(couch["time"]), list(couch["value"])) == ([T0 + 1], [7.0])
        inside = [row for row in spots(0, 90) if T0 + 4 <= row[0] <= T0 + 6]
        assert len(inside) == 21
        assert np.array_equal(file["spots"][:], inside)
        assert list(file["spots"].attrs["columns"]) == list(SPOT_COLUMNS)


def word(now: float, name: str, text: str, known: bool = True) -> np.ndarray:
    return np.array([(now, name.encode(), text.encode(), known)], TEXT)


def told(rows: np.ndarray) -> list[tuple[float, str, str, bool]]:
    return [(float(r["time"]), r["name"].decode(), r["text"].decode(), bool(r["known"])) for r in rows]


def test_texts_are_kept_carried_and_exported(tmp_path: Path) -> None:
    """A state that does not change is known in every later segment, under its own time, once."""
    store = Store(tmp_path, T0, SMALL)
    state, fault = "room1/treatment/session/SessionState", "central/interlock/1/FirstFault"
    assert store.write_texts(word(T0 + 1, state, "IDLE")) == 1
    assert store.write_texts(word(T0 + 2, state, "IDLE")) == 0
    store.commit(T0 + 11)
    assert store.write_texts(word(T0 + 12, fault, "水")) == 1
    put(store, [(T0 + 13, NAMES[0], 1.0)])
    store.commit(T0 + 22)
    assert store.write_texts(word(T0 + 23, state, "LOADED")) == 1
    assert store.write_texts(word(T0 + 24, state, "", known=False)) == 1
    store.commit(T0 + 40)
    store.close()
    store = Store(tmp_path, T0 + 50, SMALL)
    assert store.write_texts(word(T0 + 51, state, "", known=False)) == 0
    whole = [
        (T0 + 1, state, "IDLE", True),
        (T0 + 12, fault, "水", True),
        (T0 + 23, state, "LOADED", True),
        (T0 + 24, state, "", False),
    ]
    assert told(extract(tmp_path, T0, T0 + 99).texts) == whole
    assert told(extract(tmp_path, T0 + 23, T0 + 23.5).texts) == whole[:3]
    assert told(extract(tmp_path, T0 + 60, T0 + 70).texts) == [whole[1], whole[3]]
    export(FolderReader(tmp_path), T0 + 11, T0 + 30, tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        assert told(file["texts"][:]) == whole
    assert sum(entry["texts"] for entry in read_json(tmp_path / MANIFEST)["segments"]) == 1 + 2 + 4
    store.close()


def test_bad_ranges_and_paths_are_refused(tmp_path: Path) -> None:
    Store(tmp_path, T0).close()
    for start, end in ((2.0, 1.0), (float("nan"), 1.0), (0.0, float("inf"))):
        with pytest.raises(BadInput, match="range"):
            read(tmp_path, NAMES[0], start, end)
    with pytest.raises(BadInput, match="make it first"):
        export(FolderReader(tmp_path), 0, 1, tmp_path / "nowhere" / "out.h5")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="no archive segment"):
        read(tmp_path / "empty", NAMES[0], 0, 1)
    (tmp_path / "other.h5").write_bytes(b"no HDF5")
    with pytest.raises(OSError):
        read(tmp_path / "other.h5", NAMES[0], 0, 1)
