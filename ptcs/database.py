"""The embedded Tango database: its file is made whole or not at all."""

import os
import sys
from pathlib import Path

from databaseds.db_access.sqlite3 import SqlDatabase

DATABASE_NUMBER = "2"
"""Instance name that PyDatabaseds exports itself under (sys/database/2)."""


def prepare(path: Path) -> None:
    """Create the database file unless it exists.

    PyDatabaseds that dies during its own first start leaves a broken file; here the tables are made
    in a file of another name, which is renamed when it is complete.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    database = SqlDatabase(DATABASE_NUMBER, db_name=str(unfinished))
    database.close_db()
    unfinished.rename(path)


def command(port: int) -> list[str]:
    """Command line of the database server; port 0 takes any free one, printed to stderr."""
    server = Path(sys.executable).with_name("PyDatabaseds")
    options = ["--host", "127.0.0.1", "--port", str(port), "--print-host-port"]
    return [str(server), *options, DATABASE_NUMBER]
