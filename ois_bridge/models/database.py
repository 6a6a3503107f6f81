"""The database file: pragmas, transactions, and its revision."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.orm import Session

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_S = 10.0


class Database:
    """One SQLite file in write-ahead mode; sessions of many threads."""

    def __init__(self, path: Path) -> None:
        """Open or create the file and bring it to the newest revision."""
        path.parent.mkdir(parents=True, exist_ok=True)
        # hide_parameters: the values of a failed statement may be a patient's, and errors are logged
        self.engine = create_engine(
            f"sqlite:///{path}", connect_args={"timeout": BUSY_S}, hide_parameters=True
        )
        event.listen(self.engine, "connect", _set_up)
        event.listen(self.engine, "begin", _begin)
        self._writer = self.engine.execution_options(ptcs_writes=True)
        self.migrate()

    def migrate(self) -> None:
        """Apply every revision that the file lacks."""
        upgrade(self._writer)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the data and changes nothing."""
        with Session(self.engine) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction, alone in writing from its first statement; committed at the end or not at all."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

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


def _set_up(raw: sqlite3.Connection, _record: Any) -> None:
    raw.isolation_level = None  # transactions begin where SQLAlchemy says, not where the driver guesses
    cursor = raw.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("ptcs_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
