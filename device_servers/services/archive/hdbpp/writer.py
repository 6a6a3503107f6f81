"""Writes the archive into PostgreSQL: what arrives waits in memory, a commit is one transaction or a few."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection
from psycopg.errors import LockNotAvailable

from common.errors import BadInput, Refused
from common.text import _
from device_servers.services.archive.hdbpp import known, spots, words
from device_servers.services.archive.hdbpp.link import Link
from device_servers.services.archive.hdbpp.placed import Placed
from device_servers.services.archive.hdbpp.rows import LATEST_S, microseconds, rounded, seconds
from device_servers.services.archive.hdbpp.samples import SAMPLE, Samples, ordered
from device_servers.services.archive.hdbpp.schema import statements
from device_servers.services.archive.latest import Latest
from device_servers.services.archive.layout import SPOT_COLUMNS, VALUE, Floats, Rows

MOST_WAITING = 4_000_000
"""Samples, spots and texts that wait for a database that does not answer; more are refused."""
MOST_AT_ONCE = 500_000
"""Samples of one transaction, unless one batch has more: a long backlog is taken down step by step."""
_LOCK = 0x50544353
"""Number of the advisory lock that one writer of a database holds."""
_PATIENCE_S = 5
"""So long a new writer waits for it: the server needs a moment to see that the one before has ended."""


class HdbWriter:
    """Fulfils ArchiveWriter. Raises Refused if another process writes this database, OSError if it is away.

    url: postgresql://USER@HOST/DATABASE. control_system: what HDB++ calls the Tango host, in att_name.
    """

    segment_name = known.VALUES_TABLE
    """Where the values go."""
    damaged = 0
    """A database has no damaged segments."""

    def __init__(self, url: str, control_system: str = "ptcs") -> None:
        self._control_system = control_system
        self._latest = Latest()
        self._ids = np.empty(0, np.int32)
        self._placed = Placed()
        self._waiting: list[Rows] = []
        self._spots: list[Floats] = []
        self._texts: list[Rows] = []
        self._link = Link(url, "ptcs archiver", on_open=self._begin)
        try:
            with self._link.transaction() as connection:
                self._take_up(connection)
        except BaseException:
            self._link.close()
            raise

    @property
    def waiting(self) -> int:
        """Samples, spots and texts that no commit has taken yet."""
        return sum(len(rows) for rows in (*self._waiting, *self._spots, *self._texts))

    def channels(self, names: Sequence[str]) -> NDArray[np.int32]:
        """Numbers of channels by name. Raises BadInput for what is no attribute, OSError."""
        fresh = self._latest.missing(names)
        if fresh:
            self._latest.rows_for(fresh)
            with self._link.transaction() as connection:
                ids = known.register(connection, fresh, known.VALUES_TABLE, self._control_system)
            self._latest.add(fresh)
            self._ids = np.r_[self._ids, np.array([ids[name] for name in fresh], np.int32)]
        return self._latest.numbers(names)

    def write(self, times: Floats, channels: NDArray[np.int32], values: Floats) -> int:
        """Take samples; the number that is news. Times are kept to the microsecond.

        Raises BadInput for a time beyond the year 2255, OSError when too much waits already.
        """
        rows = np.empty(len(times), VALUE)
        rows["time"], rows["channel"], rows["value"] = rounded(times), channels, values
        rows = rows[self._latest.news(rows)]
        if len(rows) and rows["time"].max() > LATEST_S:
            raise BadInput(
                f"a sample of {rows['time'].max():.0f} s: allowed are times up to {LATEST_S:.0f} s"
            )
        self._room(len(rows))
        if len(rows):
            self._waiting.append(rows)
            self._latest.note(rows)
        return len(rows)

    def write_spots(self, rows: Floats) -> int:
        """Take spots, rows of 10; the number that is news. Raises as `write` does."""
        fresh = self._latest.fresh_spots(rows)
        self._room(len(fresh))
        if len(fresh):
            self._spots.append(fresh)
            self._latest.note_spots(fresh)
        return len(fresh)

    def write_texts(self, rows: Rows) -> int:
        """Take texts (dtype TEXT); the number that is news. Raises as `write` does."""
        exact = rows.copy()
        exact["time"] = rounded(rows["time"])
        fresh = self._latest.fresh_texts(exact)
        for name in np.unique(fresh["name"]):
            known.parts_of(name.decode())
        self._room(len(fresh))
        if len(fresh):
            self._texts.append(fresh)
            self._latest.note_texts(fresh)
        return len(fresh)

    def commit(self, now: float) -> None:  # noqa: ARG002  (stores in files need it)
        """Everything taken becomes durable. Raises OSError: what was not written goes on waiting."""
        if not self.waiting:
            # a database that went away is told now, not with the next value
            with self._link.transaction() as connection:
                connection.execute("SELECT 1")
        while self.waiting:
            self._commit_some()

    def _commit_some(self) -> None:
        """One transaction: the first batches of samples, all spots and texts."""
        sizes = np.cumsum([len(rows) for rows in self._waiting])
        count = max(1, int(np.searchsorted(sizes, MOST_AT_ONCE, side="right")))
        with self._link.transaction() as connection:
            samples = self._write_samples(connection, self._waiting[:count])
            spots.write(connection, np.concatenate([np.empty((0, len(SPOT_COLUMNS))), *self._spots]))
            for rows in self._texts:
                words.write(connection, rows, self._control_system)
        self._placed.note(samples)
        self._waiting, self._spots, self._texts = self._waiting[count:], [], []

    def close(self) -> None:
        """Commit and let go."""
        try:
            self.commit(0.0)
        finally:
            self._link.close()

    def _room(self, more: int) -> None:
        if self.waiting + more > MOST_WAITING:
            raise OSError(
                _("{count} values wait for PostgreSQL; see that it runs and has disk space").format(
                    count=self.waiting
                )
            )

    def _write_samples(self, connection: Connection[Any], batches: Sequence[Rows]) -> Samples:
        """Copy samples; what was written."""
        rows = np.concatenate([np.empty(0, VALUE), *batches])
        samples = np.empty(len(rows), SAMPLE)
        samples["id"] = self._ids[rows["channel"]]
        samples["stamp"], samples["value"] = microseconds(rows["time"]), rows["value"]
        return self._placed.write(connection, ordered(samples))

    def _begin(self, connection: Connection[Any]) -> None:
        """A new connection: be the only writer, see that the tables are there and how far they reach."""
        _be_only_writer(connection)
        with connection.transaction():
            for statement in statements():
                connection.execute(statement)
            self._placed.begin(connection)

    def _take_up(self, connection: Connection[Any]) -> None:
        """Go on from what the database holds: attributes with their last samples, spots, texts."""
        entries = [e for e in known.attributes(connection) if e.table == known.VALUES_TABLE]
        self._latest.add([entry.name for entry in entries])
        self._ids = np.array([entry.number for entry in entries], np.int32)
        last = known.newest(connection, self._ids.tolist())
        rows = np.empty(len(last), VALUE)
        order = np.argsort(self._ids)
        rows["channel"] = order[np.searchsorted(self._ids, last["id"], sorter=order)]
        rows["time"], rows["value"] = seconds(last["stamp"]), last["value"]
        self._latest.note(rows)
        self._latest.note_spots(spots.newest(connection))
        self._latest.note_texts(words.newest(connection))


def _be_only_writer(connection: Connection[Any]) -> None:
    """Hold the lock as long as this connection lives. Raises Refused while another process holds it."""
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = '{_PATIENCE_S}s'")
            connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    except LockNotAvailable as why:
        text = _("the archive's database is written by another process; stop that one first")
        raise Refused(text) from why
