"""Attributes over a range as a table for people and other programs: CSV or Parquet.

One row a sample, by attribute and then in order of time:

    time       CSV: ISO 8601 in UTC with microseconds; Parquet: timestamp[us, UTC]
    seconds    the same as seconds since 1970-01-01T00:00:00Z, f8
    attribute  device/attribute
    value      empty (Parquet: null) where the value is unknown, and for texts
    text       of attributes that are words; empty (null) where it is unknown, and for values

The first row of an attribute may stand before the range: it is the value that held when the range began.
A table is written piece by piece under another name, and gets its own when it is whole.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput, Refused
from common.text import _
from device_servers.services.archive.closed import settle
from device_servers.services.archive.layout import Floats
from device_servers.services.archive.protocols import ArchiveReader, Word

COLUMNS = ("time", "seconds", "attribute", "value", "text")
MOST_ROWS, BINS = 500_000, 2000
"""Rows of a piece in memory, and bins of the overview that tells where pieces end."""
_QUOTED = ('"', ",", "\n", "\r")

Stop = Callable[[], bool]


class Table(Protocol):
    """A file being written. Leaving its block makes it durable."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def values(self, attribute: str, times: Floats, values: Floats) -> None:
        """Append samples; NaN is unknown."""

    def texts(self, attribute: str, words: Sequence[Word]) -> None:
        """Append texts."""


class CsvTable:
    """CSV with a header, UTF-8, lines end with a line feed. f8 in the fewest digits that read back equal."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        self._file = self._path.open("w", encoding="utf-8", newline="")
        self._write([",".join(COLUMNS)])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def values(self, attribute: str, times: Floats, values: Floats) -> None:
        """Append samples."""
        name = _cell(attribute)
        cells = ["" if value != value else repr(value) for value in values.tolist()]  # noqa: PLR0124 (NaN)
        rows = zip(iso(times), times.tolist(), cells, strict=True)
        self._write([f"{when},{second!r},{name},{cell}," for when, second, cell in rows])

    def texts(self, attribute: str, words: Sequence[Word]) -> None:
        """Append texts."""
        name, times = _cell(attribute), np.array([word.time for word in words])
        cells = [_cell(word.text) if word.known else "" for word in words]
        rows = zip(iso(times), times.tolist(), cells, strict=True)
        self._write([f"{when},{second!r},{name},,{cell}" for when, second, cell in rows])

    def _write(self, lines: Sequence[str]) -> None:
        if self._file is not None and lines:
            self._file.write("\n".join(lines) + "\n")


def _cell(text: str) -> str:
    """A text as a cell of CSV (RFC 4180)."""
    if any(sign in text for sign in _QUOTED):
        return '"' + text.replace('"', '""') + '"'
    return text


def iso(times: Floats) -> list[str]:
    """Times in ISO 8601, UTC, with microseconds."""
    stamps = np.rint(times * 1e6).astype("datetime64[us]")
    return [f"{text}Z" for text in np.datetime_as_string(stamps, unit="us").tolist()]


class ParquetTable:
    """Parquet by pyarrow, one row group a piece."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._arrow = _pyarrow()
        self._writer: Any = None

    def __enter__(self) -> Self:
        pa, parquet = self._arrow
        words = pa.dictionary(pa.int32(), pa.string())
        kinds = (pa.timestamp("us", "UTC"), pa.float64(), words, pa.float64(), pa.string())
        self._schema = pa.schema(list(zip(COLUMNS, kinds, strict=True)))
        self._writer = parquet.ParquetWriter(self._path, self._schema, compression="zstd")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def values(self, attribute: str, times: Floats, values: Floats) -> None:
        """Append samples."""
        pa, _parquet = self._arrow
        self._append(attribute, times, pa.array(values, from_pandas=True), pa.nulls(len(times), pa.string()))

    def texts(self, attribute: str, words: Sequence[Word]) -> None:
        """Append texts."""
        pa, _parquet = self._arrow
        texts = pa.array([word.text if word.known else None for word in words], pa.string())
        times = np.array([word.time for word in words], float)
        self._append(attribute, times, pa.nulls(len(words), pa.float64()), texts)

    def _append(self, attribute: str, times: Floats, values: Any, texts: Any) -> None:
        pa, _parquet = self._arrow
        if not len(times):
            return
        stamps = pa.array(np.rint(times * 1e6).astype(np.int64)).cast(self._schema.field("time").type)
        names = pa.DictionaryArray.from_arrays(np.zeros(len(times), np.int32), [attribute])
        columns = [stamps, pa.array(times), names, values, texts]
        self._writer.write_table(pa.table(columns, schema=self._schema))


def _pyarrow() -> tuple[Any, Any]:
    """Pyarrow and its Parquet part. Raises Refused where it is not installed."""
    try:
        import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415
        from pyarrow import parquet  # noqa: PLC0415
    except ModuleNotFoundError as why:
        raise Refused(_("Parquet needs pyarrow; install ptcs[archive], or write CSV")) from why
    return pa, parquet


TABLES: dict[str, type[CsvTable] | type[ParquetTable]] = {".csv": CsvTable, ".parquet": ParquetTable}
"""Ending of the file's name -> what writes it."""


def export_table(
    reader: ArchiveReader,
    attributes: Sequence[str],
    start: float,
    end: float,
    path: Path,
    stopped: Stop = lambda: False,
) -> int:
    """Write attributes over a range into a CSV or Parquet file, as its name ends; the number of rows.

    stopped: asked between pieces; True ends the export. Raises BadInput (range, attribute that is not
    archived, no folder, another ending), Refused (stopped, no pyarrow), OSError (disk full). Nothing is left
    under either name then, and a file that was there before stays.
    """
    kind = TABLES.get(path.suffix.lower())
    if kind is None:
        allowed = ", ".join(TABLES)
        raise BadInput(_("{path}: its name must end in one of {allowed}").format(path=path, allowed=allowed))
    if not path.parent.is_dir():
        raise BadInput(_("{folder} is no folder; make it first").format(folder=path.parent))
    if not (math.isfinite(start) and math.isfinite(end)) or start > end:
        raise BadInput(_("the range ends before it starts, or is not finite"))
    unfinished = path.with_name(f".{path.name}.new")
    try:
        with ExitStack() as open_files:
            table: Table = kind(unfinished)
            open_files.enter_context(table)
            rows = sum(_one(reader, table, name, (start, end), stopped) for name in dict.fromkeys(attributes))
        settle(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return rows


def _one(
    reader: ArchiveReader, table: Table, attribute: str, span: tuple[float, float], stopped: Stop
) -> int:
    """One attribute: its values and its texts. Raises BadInput when it was never archived."""
    rows = 0
    for times, values in pieces(reader, attribute, *span):
        if stopped():
            raise Refused(_("the export was stopped"))
        table.values(attribute, times, values)
        rows += len(times)
    words = reader.texts(attribute, *span)
    table.texts(attribute, words)
    if not rows and not words and attribute not in reader.names(attribute):
        raise BadInput(
            _("{attribute} is not archived; `ptcs archive list` shows what is").format(attribute=attribute)
        )
    return rows + len(words)


def pieces(
    reader: ArchiveReader, attribute: str, start: float, end: float
) -> Iterator[tuple[Floats, NDArray[np.float64]]]:
    """Times and values of a range in order, so much at a time that the memory stays bounded.

    The first piece begins with the sample ahead of the range, if there is one.
    """
    overview = reader.query(attribute, start, end, BINS)
    edges = [start]
    if not overview.raw:
        share = np.cumsum(overview.count + overview.unknown) // MOST_ROWS
        more = overview.times[1:][np.diff(share) > 0]
        edges += more[(more > start) & (more <= end)].tolist()
    for low, following in pairwise([*edges, math.inf]):
        found = reader.read(attribute, low, min(end, math.nextafter(following, -math.inf)))
        if low == start and found.before is not None:
            when, value = found.before
            yield np.r_[when, found.times], np.r_[value, found.values]
        elif len(found.times):
            yield found.times, found.values
