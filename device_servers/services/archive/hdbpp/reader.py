"""Reads the archive from PostgreSQL in the tables of HDB++, while it is written."""

import fnmatch
import math
import re
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from psycopg import Connection
from psycopg.sql import SQL, Identifier

from common.errors import BadInput
from device_servers.services.archive.hdbpp import known, spots, words
from device_servers.services.archive.hdbpp.known import Known
from device_servers.services.archive.hdbpp.link import Link
from device_servers.services.archive.hdbpp.rows import (
    HEADER,
    TRAILER,
    bounds,
    parsed,
    row_type,
    seconds,
)
from device_servers.services.archive.layout import BIN, TEXT, Floats, Rows
from device_servers.services.archive.levels import bins_of, widen
from device_servers.services.archive.protocols import Extract, Overview, Series, Word
from device_servers.services.archive.query import MOST_POINTS, bin_width, bins, samples
from device_servers.services.archive.reader import check_range

_OUT = row_type(("stamp", ">i8"), ("value", ">f8"))
_TABLE = Identifier(known.VALUES_TABLE)
_AT = SQL("timestamptz '2000-01-01Z' + {} * interval '1 microsecond'").format(SQL("%s"))
_SAMPLES = SQL(
    "COPY (SELECT data_time, coalesce(value_r, 'NaN') FROM {table} WHERE att_conf_id = %s "
    "AND data_time BETWEEN {at} AND {at} ORDER BY data_time) TO STDOUT (FORMAT BINARY)"
).format(table=_TABLE, at=_AT)
_BEFORE = SQL(
    "SELECT {stamp}, coalesce(value_r, 'NaN') FROM {table} WHERE att_conf_id = %s AND data_time < {at} "
    "ORDER BY data_time DESC LIMIT 1"
).format(stamp=known.STAMP, table=_TABLE, at=_AT)
_COUNT = SQL(
    "SELECT count(*) FROM (SELECT 1 FROM {table} WHERE att_conf_id = %s "
    "AND data_time BETWEEN {at} AND {at} LIMIT %s) AS few"
).format(table=_TABLE, at=_AT)
_PIECE_BYTES = 16_000_000


class HdbReader:
    """Fulfils ArchiveReader. Raises OSError when the database does not answer.

    Threads take turns on its one connection, which can only read.
    """

    def __init__(self, url: str) -> None:
        self._link = Link(url, "ptcs archive reader", read_only=True)
        self._turn = threading.Lock()
        self._known: dict[tuple[str, str], Known] = {}

    def close(self) -> None:
        """Let go of the database."""
        with self._turn:
            self._link.close()

    def names(self, pattern: str = "*") -> list[str]:
        """Names of archived attributes that match, in order; `*` and `?` as in file names, no case."""
        fits = re.compile(fnmatch.translate(pattern), re.IGNORECASE).match
        with self._turn, self._link.transaction() as connection:
            return sorted(
                entry.name
                for entry in known.attributes(connection)
                if entry.table == known.VALUES_TABLE and fits(entry.name)
            )

    def read(self, attribute: str, start: float, end: float) -> Series:
        """Samples with start <= time <= end. Raises BadInput for a bad range."""
        check_range(start, end)
        with self._turn, self._link.transaction() as connection:
            number = self._number(connection, attribute)
            if number is None:
                return Series(np.empty(0), np.empty(0))
            parts = list(_samples(connection, number, start, end))
            return Series(
                np.concatenate([np.empty(0), *(times for times, _values in parts)]),
                np.concatenate([np.empty(0), *(values for _times, values in parts)]),
                _before(connection, number, start),
            )

    def query(self, attribute: str, start: float, end: float, points: int) -> Overview:
        """The range in at most `points` rows. Raises BadInput for a bad range or number of points."""
        check_range(start, end)
        if not 2 <= points <= MOST_POINTS:
            raise BadInput(f"{points} points: allowed are 2 to {MOST_POINTS}")
        with self._turn, self._link.transaction() as connection:
            number = self._number(connection, attribute)
            few = number is None or _count(connection, number, start, end, points + 1) <= points
            if number is not None and not few:
                return _bins(connection, number, start, end, bin_width(start, end, points))
        return samples(self.read(attribute, start, end))

    def texts(self, name: str, start: float, end: float) -> list[Word]:
        """Texts of one name in the range in order of time, begun by the one that held at its start."""
        check_range(start, end)
        first, last = bounds(start, end)
        with self._turn, self._link.transaction() as connection:
            entry = self._entry(connection, name, known.text_table(name))
            return [] if entry is None else words.read(connection, entry, first, last)

    def spots(self, start: float, end: float) -> Floats:
        """Spots of a range in order of time, rows of SPOT_COLUMNS. Raises BadInput for a bad range."""
        check_range(start, end)
        with self._turn, self._link.transaction() as connection:
            return spots.read(connection, start, end)

    def extract(self, start: float, end: float) -> Extract:
        """Everything of a range. Raises BadInput for a bad range."""
        found = {name: self.read(name, start, end) for name in self.names()}
        series = {name: one for name, one in found.items() if len(one.times) or one.before is not None}
        return Extract(series, self.spots(start, end), self._all_texts(start, end))

    def _all_texts(self, start: float, end: float) -> Rows:
        """As of an Extract."""
        first, last = bounds(start, end)
        with self._turn, self._link.transaction() as connection:
            entries = [e for e in known.attributes(connection) if e.table != known.VALUES_TABLE]
            every = [word for entry in entries for word in words.read(connection, entry, first, last)]
        rows = [(word.time, word.name.encode(), word.text.encode(), word.known) for word in every]
        return np.sort(np.array(rows, TEXT), order=("time", "name"))

    def _number(self, connection: Connection[Any], attribute: str) -> int | None:
        entry = self._entry(connection, attribute, known.VALUES_TABLE)
        return None if entry is None else entry.number

    def _entry(self, connection: Connection[Any], name: str, table: str) -> Known | None:
        """What is known of a name; ids never change, so that only a new name asks the database."""
        key = name.lower(), table
        if key not in self._known:
            self._known = {(e.name.lower(), e.table): e for e in known.attributes(connection)}
        return self._known.get(key)


def _bins(connection: Connection[Any], number: int, start: float, end: float, width: float) -> Overview:
    """Whole bins, summed up piece by piece: the memory does not grow with the range."""
    first, last = math.floor(start / width) * width, (math.floor(end / width) + 1) * width
    parts = [np.empty(0, BIN)]
    for times, values in _samples(connection, number, first, np.nextafter(last, first)):
        parts.append(bins_of(times, values, width))
    rows = widen(np.concatenate(parts), width)
    return bins(rows, width, _before(connection, number, first))


def _samples(
    connection: Connection[Any], number: int, start: float, end: float
) -> Iterator[tuple[Floats, Floats]]:
    """Times and values of a range in order, in pieces."""
    first, last = bounds(start, end)
    waiting = bytearray()
    with connection.cursor().copy(_SAMPLES, (number, first, last)) as found:
        for block in found:
            waiting += block
            whole = (len(waiting) - len(HEADER) - len(TRAILER)) // _OUT.itemsize * _OUT.itemsize
            if whole >= _PIECE_BYTES:
                yield _columns(bytes(waiting[: len(HEADER) + whole]) + TRAILER)
                del waiting[len(HEADER) : len(HEADER) + whole]
    yield _columns(bytes(waiting))


def _columns(raw: bytes) -> tuple[Floats, Floats]:
    rows = parsed(raw, _OUT)
    return seconds(rows["stamp"]), rows["value"].astype(np.float64)


def _before(connection: Connection[Any], number: int, start: float) -> tuple[float, float] | None:
    stamp, _same = bounds(start, start)
    row = connection.execute(_BEFORE, (number, stamp)).fetchone()
    return None if row is None else (float(seconds(np.array([row[0]]))[0]), float(row[1]))


def _count(connection: Connection[Any], number: int, start: float, end: float, most: int) -> int:
    first, last = bounds(start, end)
    row = connection.execute(_COUNT, (number, first, last, most)).fetchone()
    return 0 if row is None else int(row[0])
