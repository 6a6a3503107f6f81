"""Tables out of the archive: every sample, exact, whole or not at all."""

import csv
import errno
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import BadInput, Refused
from device_servers.services.archive import tables
from device_servers.services.archive.answer import from_json, to_json
from device_servers.services.archive.layout import TEXT
from device_servers.services.archive.protocols import Overview
from device_servers.services.archive.query import FolderReader
from device_servers.services.archive.store import Store
from device_servers.services.archive.tables import export_table, iso, pieces

pytestmark = pytest.mark.requirement("ACS-ARCHIVE")

T0 = 1.8e9
CURRENT, SIZE = "acs/magnet/ring-dipole/Current", "room1/beam/nozzle/SizeX"
CAUSE = "room1/treatment/session/Cause"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of two attributes and a text."""
    made = tmp_path_factory.mktemp("tables") / "archive"
    store = Store(made, T0)
    numbers = store.channels([CURRENT, SIZE])
    steps = np.arange(4000.0)
    values = np.where(steps % 500 == 7, np.nan, np.where(steps == 8, np.inf, np.sin(steps) / 3))
    store.write(T0 + steps / 8, np.repeat(numbers[:1], 4000), values)
    store.write(np.array([T0 - 50.0]), numbers[1:], np.array([0.1]))
    rows = np.zeros(3, TEXT)
    rows["time"], rows["known"] = T0 + np.array([-1.0, 100.0, 200.0]), [True, False, True]
    rows["name"] = CAUSE.encode()
    rows["text"] = ['束流,"关"\n'.encode(), b"", b"door"]
    store.write_texts(rows)
    store.commit(T0)
    store.close()
    return made


@pytest.fixture
def reader(folder: Path) -> FolderReader:
    return FolderReader(folder)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tables, "MOST_ROWS", 150)
    monkeypatch.setattr(tables, "BINS", 60)
    yield


def rows_of(path: Path) -> list[tuple[float, str, float, str]]:
    """Seconds, attribute, value (NaN: empty), text of a table of either kind; times are checked."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            found = list(csv.DictReader(file))
        assert all(row["time"] == iso(np.array([float(row["seconds"])]))[0] for row in found)
        return [(float(r["seconds"]), r["attribute"], float(r["value"] or "nan"), r["text"]) for r in found]
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    table = parquet.read_table(path).to_pydict()
    stamps = np.array([time.timestamp() for time in table["time"]])
    assert np.allclose(stamps, table["seconds"], rtol=0, atol=1e-6)
    values = [math.nan if value is None else value for value in table["value"]]
    texts = [text or "" for text in table["text"]]
    return list(zip(table["seconds"], table["attribute"], values, texts, strict=True))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_every_sample_is_in_the_table(
    reader: FolderReader, tmp_path: Path, small_pieces: None, ending: str
) -> None:
    """In many pieces; what held when the range began comes first, unknown is empty, texts are quoted."""
    path = tmp_path / f"out.{ending}"
    span = (T0 + 1.0, T0 + 400.0)
    count = export_table(reader, [CURRENT, CAUSE, SIZE, CURRENT], *span, path)
    found = rows_of(path)
    assert count == len(found)
    series = reader.read(CURRENT, *span)
    assert series.before is not None
    currents = [row for row in found if row[1] == CURRENT]
    assert [row[0] for row in currents] == [series.before[0], *series.times]
    values = np.array([row[2] for row in currents])
    assert np.array_equal(values, [series.before[1], *series.values], equal_nan=True)
    assert np.isinf(values).sum() == 1
    assert np.isnan(values).sum() == 7
    assert [(row[0], row[3]) for row in found if row[1] == CAUSE] == [
        (T0 - 1, '束流,"关"\n'),
        (T0 + 100, ""),
        (T0 + 200, "door"),
    ]
    assert [(row[0], row[2]) for row in found if row[1] == SIZE] == [(T0 - 50, 0.1)]
    assert [path.name for path in tmp_path.iterdir()] == [path.name]


def test_pieces_are_small_and_lose_nothing(reader: FolderReader, small_pieces: None) -> None:
    parts = list(pieces(reader, CURRENT, T0, T0 + 500))
    assert len(parts) > 10
    assert max(len(times) for times, _values in parts) <= 300
    whole = reader.read(CURRENT, T0, T0 + 500)
    assert np.array_equal(np.concatenate([times for times, _values in parts]), whole.times)
    assert np.array_equal(np.concatenate([values for _times, values in parts]), whole.values, equal_nan=True)


@pytest.mark.parametrize(
    ("name", "attribute", "start", "end", "words"),
    [
        ("out.txt", CURRENT, 0.0, 1.0, "must end in one of .csv, .parquet"),
        ("out.csv", CURRENT, 1.0, 0.0, "ends before it starts"),
        ("out.csv", CURRENT, math.nan, 0.0, "not finite"),
        ("out.csv", CURRENT, 0.0, math.inf, "not finite"),
        ("out.csv", "acs/no/such/Thing", T0, T0 + 1, "not archived"),
        ("out.parquet", "", T0, T0 + 1, "not archived"),
        ("nowhere/out.csv", CURRENT, T0, T0 + 1, "make it first"),
    ],
)
def test_bad_exports_leave_nothing(
    reader: FolderReader, tmp_path: Path, name: str, attribute: str, start: float, end: float, words: str
) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    with pytest.raises(BadInput, match=words):
        export_table(reader, [attribute], start, end, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_full_disk_leaves_the_old_file(reader: FolderReader, ending: str, small_pieces: None) -> None:
    """/dev/full takes nothing: what was there before stays, and no half of the new one."""
    if ending == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")

    kind = tables.TABLES[f".{ending}"]

    class Full(kind):  # type: ignore[valid-type,misc]
        def __init__(self, path: Path) -> None:
            path.write_bytes(b"half")
            super().__init__(Path("/dev/full"))

    folder = reader.folder.parent / f"full-{ending}"
    folder.mkdir()
    path = folder / f"out.{ending}"
    path.write_text("the old one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tables.TABLES, f".{ending}", Full)
        with pytest.raises(OSError, match="No space left") as why:
            export_table(reader, [CURRENT], T0, T0 + 500, path)
    assert why.value.errno in (errno.ENOSPC, None)
    assert path.read_text() == "the old one"
    assert [found.name for found in folder.iterdir()] == [path.name]


def test_a_stopped_export_leaves_nothing(reader: FolderReader, tmp_path: Path, small_pieces: None) -> None:
    answers = iter([False, False, True])
    with pytest.raises(Refused, match="stopped"):
        export_table(reader, [CURRENT], T0, T0 + 500, tmp_path / "out.csv", lambda: next(answers))
    assert list(tmp_path.iterdir()) == []


def test_an_overview_as_json_comes_back_equal() -> None:
    """Unknown values and infinities, which JSON has no numbers for."""
    floats: list[Any] = [np.array([1.5, np.nan, np.inf, -np.inf, 0.1 + 0.2]) for _ in range(4)]
    counts = np.array([3, 0, 2, 1, 9]), np.array([0, 4, 0, 0, 1])
    wanted = Overview(16.0, T0 + np.arange(5) * 16, *counts, *floats, before=(T0 - 1, np.nan))
    text = to_json(wanted, CURRENT, T0, T0 + 80)
    assert "NaN" not in text
    found = from_json(text)
    for name in ("times", "count", "unknown", "minimum", "maximum", "mean", "last"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name), equal_nan=name not in ("count",))
    assert found.width == 16.0
    assert found.before is not None and found.before[0] == T0 - 1 and math.isnan(found.before[1])
    empty = Overview(0.0, *(np.empty(0) for _ in range(7)))
    assert from_json(to_json(empty, CURRENT, 0, 1)).before is None
