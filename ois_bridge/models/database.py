"""The database, a SQLite file or PostgreSQL: transactions and its revision."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import quote

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, Executable, Row, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.exc import TimeoutError as WaitedTooLong
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from common.errors import BadConfig

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_S = 10.0
"""So long a writer waits for one of another process."""
TURN_S = 30.0
"""So long a writer waits for those of its own process: fifty people who log in at once come in turn."""
PING_AFTER_S = 1.0
WRITERS_LOCK = 0x50544353
"""Key of the advisory lock that makes writers take turns in PostgreSQL ("PTCS")."""


class Database:
    """One database; sessions of many threads. Writers take turns, readers see one state and never wait."""

    def __init__(self, place: Path | str, migrate: bool = True) -> None:
        """Open a SQLite file (made where it is missing) or the URL of a PostgreSQL database, and bring it
        to the newest revision unless told not to.

        Raises BadConfig for a URL that is neither, SQLAlchemyError when the database does not answer.
        """
        self.engine = _sqlite(place) if isinstance(place, Path) else _postgresql(place)
        self._writer = self.engine.execution_options(ptcs_writes=True)
        self._turn = threading.RLock()
        self._reader, self._glancer = self.engine, self.engine.execution_options(ptcs_glances=True)
        if self.is_postgresql:
            # set in the driver, which says it with BEGIN: no round trip of its own
            snapshot = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            self._reader = self.engine.execution_options(**snapshot)
            self._glancer = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        if migrate:
            self.migrate()

    @property
    def is_postgresql(self) -> bool:
        """Whether this is PostgreSQL (full text needs its own way there)."""
        return self.engine.dialect.name == "postgresql"

    def migrate(self) -> None:
        """Apply every revision that the database lacks."""
        upgrade(self._writer)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the data and changes nothing."""
        with Session(self._reader) as session:
            yield session

    def glance(self, statement: Executable, values: Mapping[str, object] | None = None) -> Sequence[Row[Any]]:
        """The rows of one statement that only reads: one round trip, without a transaction around it."""
        with self._glancer.connect() as connection:
            return connection.execute(statement, values).all()

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction, alone in writing; committed at the end or not at all.

        Raises SQLAlchemyError when the database does not answer, or other writers do not come to an end.
        """
        # writers of this process queue here: waiting inside SQLite is not in turn, and one of many starves
        if not self._turn.acquire(timeout=TURN_S):
            raise WaitedTooLong(f"other writers took longer than {TURN_S:g} s")
        try:
            with Session(self._writer, expire_on_commit=False) as session, session.begin():
                yield session
        finally:
            self._turn.release()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def upgrade(engine: Engine) -> None:
    """Run the revisions on an engine."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _sqlite(path: Path) -> Engine:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    opened = _identity(path)

    def check() -> None:
        if _identity(path) != opened:
            raise sqlite3.OperationalError(
                "the database's file was moved or replaced: put it back, or stop the OIS and start it again"
            )

    def connect() -> sqlite3.Connection:
        check()
        # mode=rw: where the file is gone there is an error, not a new and empty database
        name = f"file:{quote(str(path))}?mode=rw"
        return sqlite3.connect(name, timeout=BUSY_S, uri=True, check_same_thread=False)

    # hide_parameters: the values of a failed statement may be a patient's, and errors are logged
    engine = create_engine(
        f"sqlite:///{path}", creator=connect, hide_parameters=True, pool_size=20, max_overflow=60
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    # what is written to a file that was moved away is not found again: such a connection is closed
    event.listen(engine, "checkout", _or_disconnected(check))
    return engine


def _or_disconnected(check: Callable[[], None]) -> Callable[..., None]:
    """The check of a connection that the pool holds: where it fails the pool tries to make another one."""

    def taken(_raw: Any, _record: ConnectionPoolEntry, _proxy: Any) -> None:
        try:
            check()
        except sqlite3.OperationalError as why:
            raise DisconnectionError(str(why)) from why

    return taken


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from any other one at the same place; nothing where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _set_up_sqlite(raw: sqlite3.Connection, _record: Any) -> None:
    raw.isolation_level = None  # transactions begin where SQLAlchemy says, not where the driver guesses
    cursor = raw.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get("ptcs_glances", False):
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("ptcs_writes", False) else "BEGIN")


def _postgresql(url: str) -> Engine:
    try:
        dialect = make_url(url).get_backend_name()
    except ArgumentError as why:
        raise BadConfig(
            "the database's URL cannot be read: postgresql+psycopg://USER:PASSWORD@HOST/NAME"
        ) from why
    if dialect != "postgresql":
        raise BadConfig(f"{dialect} is not supported: a SQLite file (no URL) or postgresql+psycopg://...")
    engine = create_engine(url, hide_parameters=True, pool_size=20, max_overflow=60)
    _ping_idle(engine)
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _begin_postgresql(connection: Connection) -> None:
    """A writer waits for its turn first: it sees all that earlier ones wrote, and the numbers of the audit
    trail are given in the order of the commits.
    """
    if connection.get_execution_options().get("ptcs_writes", False):
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_S:g}s'")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})")


def _ping_idle(engine: Engine) -> None:
    """Look whether a connection still leads anywhere, but not each time: when nobody used it for a while."""

    def taken(raw: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        if monotonic() - record.info.get("ptcs_used", 0.0) < PING_AFTER_S:
            return
        try:
            engine.dialect.do_ping(raw)
        except engine.dialect.loaded_dbapi.Error as why:
            raise DisconnectionError("the database's connection is gone; the pool takes another") from why

    def given_back(_raw: Any, record: ConnectionPoolEntry) -> None:
        record.info["ptcs_used"] = monotonic()

    event.listen(engine, "checkout", taken)
    event.listen(engine, "checkin", given_back)
