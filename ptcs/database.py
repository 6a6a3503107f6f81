"""The embedded Tango database: its file is made whole or not at all."""

import os
import random
import socket
import sys
from pathlib import Path

from databaseds.db_access.sqlite3 import SqlDatabase

from common.errors import LinkLost

PORTS = range(20_000, 32_000)
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


def free_port() -> int:
    """A port that nobody has now, below the range of outgoing connections.

    The database needs a port named to it from the start: only then does it mark its sockets for reuse, and
    a database that was killed gets the port back while connections to its forerunner linger.

    Raises LinkLost when no port of the range is free.
    """
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise LinkLost(f"no free port for the Tango database from {PORTS.start} to {PORTS.stop - 1}")


def command(port: int) -> list[str]:
    """Command line of the database server."""
    server = Path(sys.executable).with_name("PyDatabaseds")
    options = ["--host", "127.0.0.1", "--port", str(port), "--print-host-port"]
    return [str(server), *options, DATABASE_NUMBER]
