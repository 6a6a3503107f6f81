"""What the alarm server keeps: history and standing alarms in one SQLite file, committed before it answers.

Write-ahead log with synchronous=FULL: what a transaction has said survives a killed process and a cut of
power. Readers have a connection of their own and wait for nobody.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import BadInput

log = logging.getLogger(__name__)

FILE = "alarms.db"
VERSION = 1
BUSY_S = 5.0
MOST_FOUND = 10_000
"""Rows of history that one question brings at most."""
SCHEMA = """
CREATE TABLE history (
    number INTEGER PRIMARY KEY, time REAL NOT NULL, name TEXT NOT NULL, event TEXT NOT NULL,
    state TEXT NOT NULL, severity INTEGER NOT NULL, status TEXT NOT NULL, value REAL, crossed REAL,
    user TEXT NOT NULL, note TEXT NOT NULL
);
CREATE INDEX history_time ON history (time);
CREATE INDEX history_name ON history (name, time);
CREATE TABLE standing (
    name TEXT PRIMARY KEY, state TEXT NOT NULL, condition INTEGER NOT NULL, latched INTEGER NOT NULL,
    raised REAL NOT NULL, value REAL, serial INTEGER NOT NULL, until REAL, first INTEGER NOT NULL,
    user TEXT NOT NULL, note TEXT NOT NULL, noted REAL NOT NULL
);
"""
EVENT_COLUMNS = (
    "time", "name", "event", "state", "severity", "status", "value", "crossed", "user", "note",
)  # fmt: skip
STANDING_COLUMNS = (
    "name", "state", "condition", "latched", "raised", "value", "serial", "until", "first",
    "user", "note", "noted",
)  # fmt: skip
INSERT_EVENT = (
    "INSERT INTO history (time, name, event, state, severity, status, value, crossed, user, note) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
KEEP = "INSERT OR REPLACE INTO standing VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
DROP = "DELETE FROM standing WHERE name = ?"

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Changes:
    """One transaction: rows of history, alarms to keep as they stand, and names that stand no more."""

    events: Sequence[Row] = ()
    keep: Sequence[Row] = ()
    drop: Sequence[str] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.events or self.keep or self.drop)


@dataclass(frozen=True)
class Question:
    """What to look for in the history. Times in s since the epoch; severity: at least this."""

    start: float = 0.0
    end: float = 1e18
    names: Sequence[str] | None = None
    part: str = ""
    severity: int = 0
    user: str = ""
    most: int = 1000


class Store:
    """The file of one alarm server. Methods raise sqlite3.Error or OSError when the disk does not take it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self.damaged = ""
        """Name under which a file that could not be read was put aside; empty for none."""

    def open(self) -> None:
        """Open or make the file. One that is no database is put aside, and `damaged` says so."""
        with self._lock:
            self._open()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def write(self, changes: Changes) -> None:
        """One durable transaction."""
        with self._lock:
            connection = self._connection or self._open()
            with connection:
                connection.executemany(INSERT_EVENT, changes.events)
                connection.executemany(KEEP, changes.keep)
                connection.executemany(DROP, ((name,) for name in changes.drop))

    def standing(self) -> list[dict[str, Any]]:
        """Alarms as they stood, rows by column."""
        with self._lock:
            rows = (self._connection or self._open()).execute("SELECT * FROM standing").fetchall()
        return [dict(zip(STANDING_COLUMNS, row, strict=True)) for row in rows]

    def find(self, question: Question) -> list[dict[str, Any]]:
        """History, newest first. Raises BadInput for more rows than allowed."""
        if not 1 <= question.most <= MOST_FOUND:
            raise BadInput(f"{question.most} rows: allowed are 1 .. {MOST_FOUND}")
        where, values = _where(question)
        text = f"SELECT * FROM history WHERE {where} ORDER BY number DESC LIMIT ?"  # noqa: S608 - own terms
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=BUSY_S)) as reader:
            rows = reader.execute(text, (*values, question.most)).fetchall()
        return [dict(zip(EVENT_COLUMNS, row[1:], strict=True)) for row in rows]

    def forget(self, before: float) -> int:
        """Remove history older than a time; how many rows."""
        with self._lock:
            connection = self._connection or self._open()
            with connection:
                return connection.execute("DELETE FROM history WHERE time < ?", (before,)).rowcount

    def limit_pages(self, pages: int) -> None:
        """Take no more than this many pages of 4 KiB: as if the disk were full (tests), 0 for no limit."""
        with self._lock:
            (self._connection or self._open()).execute(f"PRAGMA max_page_count = {pages or 4294967294:d}")

    def pages(self) -> int:
        """Pages of the file."""
        with self._lock:
            return int((self._connection or self._open()).execute("PRAGMA page_count").fetchone()[0])

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = _connect(self._path)
        except sqlite3.DatabaseError as why:
            if isinstance(why, sqlite3.OperationalError):
                raise
            aside = self._path.with_name(f"damaged-{int(time.time())}.db")
            log.error("%s is no database (%s): kept as %s", self._path.name, why, aside.name)
            for suffix in ("-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            self._path.rename(aside)
            self.damaged = aside.name
            self._connection = _connect(self._path)
        return self._connection


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        connection.execute("SELECT count(*) FROM standing")
    except BaseException:
        connection.close()
        raise
    return connection


def _where(question: Question) -> tuple[str, list[Any]]:
    terms = ["time BETWEEN ? AND ?"]
    values: list[Any] = [question.start, question.end]
    named: list[str] = []
    found: list[Any] = []
    if question.part:
        named.append("name LIKE ? ESCAPE '\\' OR note LIKE ? ESCAPE '\\' OR user = ?")
        like = "%" + _escaped(question.part) + "%"
        found += [like, like, question.part]
    if question.names is not None:
        names = list(question.names)[:900]
        named.append(f"name IN ({', '.join('?' * len(names))})")
        found += names
    if named:
        terms.append(f"({' OR '.join(named)})")
        values += found
    for column, wanted in (("severity >=", question.severity), ("user =", question.user)):
        if wanted:
            terms.append(f"{column} ?")
            values.append(wanted)
    return " AND ".join(terms), values


def _escaped(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "%_\\" else sign for sign in text)
